import * as assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { ExportError } from "../../contract/errors";
import { transfer } from "../../exporter/transfer";

/** An archive of two blobs, each of which is a part. */
const segments = ["sha256:first", "sha256:second"].map((digest, at) => ({ offset: at * 10, length: 10, digest }));
const parts = segments.map(({ offset, length }, at) => ({ number: at + 1, offset, length }));

/** Moves the archive; the first blob, for which the second has to wait, arrives as told once the second is there. */
function move(abort: AbortController, first: () => Promise<void>): Promise<unknown> {
    let arrive = (): void => undefined;
    const second = new Promise<void>((resolve) => (arrive = resolve));
    const options = {
        plan: { sizeBytes: 20, segments, files: [] },
        parts,
        registry: {
            readBlob: async (digest: string) => {
                if (digest === "sha256:second") {
                    arrive();
                    return;
                }
                await second;
                await setImmediate();
                await first();
            },
        },
        writer: { needsCrc32: false, write: () => Promise.resolve() },
        concurrency: 2,
        abort,
        signal: abort.signal,
        onWritten: () => undefined,
    };
    return transfer(options);
}

describe("transfer", () => {
    it("ends when an early part fails after later ones have arrived", async () => {
        const gone = new ExportError("ImageNotFound", "gone");
        const moving = move(new AbortController(), () => Promise.reject(gone));
        await assert.rejects(moving, gone);
    });

    it("ends when it is stopped while an early part is on its way", async () => {
        const abort = new AbortController();
        const stopped = new ExportError("ExportFailed", "Stopped by SIGTERM.");
        const moving = move(abort, () => {
            abort.abort(stopped);
            return Promise.reject(stopped);
        });
        await assert.rejects(moving, stopped);
    });

    it("does not begin when it is stopped already", async () => {
        const stopped = new ExportError("ExportFailed", "Stopped by SIGTERM.");
        const abort = new AbortController();
        abort.abort(stopped);
        await assert.rejects(
            move(abort, () => Promise.resolve()),
            stopped,
        );
    });
});
