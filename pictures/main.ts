/** Draws the pictures of the documentation; see pictures.ts. */
import { writeFileSync } from "node:fs";

import { pictures } from "./pictures";

for (const [file, draw] of Object.entries(pictures)) {
    writeFileSync(file, draw());
    console.log(file);
}
