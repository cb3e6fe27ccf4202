/** `npm run local`: the emulator that the stack of Pulumi.local.yaml is deployed to. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startLocalApi } from "./localApi";
import { prepareEmulator } from "./prerequisites";
import { freePort } from "./processes";
import { startEmulator } from "./servers";

/** moto's own port, and that of Pulumi.local.yaml. */
const port = 5000;
/** moto's own account, and that of Pulumi.local.yaml. */
const accountId = "123456789012";

async function main(): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "image-export-local-"));
    const emulatorPort = await freePort();
    const motoServer = await prepareEmulator((line) => {
        console.log(line);
    });
    const emulator = await startEmulator(motoServer, emulatorPort, accountId, folder);
    try {
        const server = await startLocalApi(port, emulatorPort);
        console.log(`moto, as Pulumi's AWS provider needs it, on http://127.0.0.1:${port}; Ctrl-C ends it.`);
        await new Promise<void>((resolve) => {
            for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
        });
        server.close();
        server.closeAllConnections();
    } finally {
        await emulator.stop();
        rmSync(folder, { recursive: true });
    }
}

main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
});
