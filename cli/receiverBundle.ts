/** Writes the receiver (receiver.ts) as one file: `npm run bundle:receiver`, receiver.mjs here. */
import { writeFileSync } from "node:fs";

import { buildBundle } from "../exporter/bundle";

void buildBundle("cli/receiver.ts").then((text) => {
    writeFileSync("receiver.mjs", text);
    process.stdout.write(`receiver.mjs: ${text.length} bytes\n`);
});
