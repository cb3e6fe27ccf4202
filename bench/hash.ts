/**
 * How long the exporter's two hashes take over 500 MB that lie in parts of 5 MiB, by the size of the pieces in which
 * both take them: `npm run bench:hash`. It prints a table, medians of five runs in turns.
 */
import { createHash } from "node:crypto";
import { s3Limits } from "../exporter/archive/parts";
import { median } from "./streamReport";

const totalBytes = 500e6;
const rounds = 5;
/** As many parts as the exporter has under way: together they are larger than a core's cache. */
const parts = Array.from({ length: 16 }, (_, at) => Buffer.alloc(s3Limits.minPartBytes, at));
const pieceSizes = [s3Limits.minPartBytes, 256 * 1024, 64 * 1024];

function secondsFor(pieceBytes: number): number {
    const archive = createHash("sha256");
    const blob = createHash("sha256");
    const started = performance.now();
    for (let done = 0, turn = 0; done < totalBytes; done += s3Limits.minPartBytes, turn++) {
        const part = parts[turn % parts.length] ?? Buffer.alloc(0);
        for (let at = 0; at < part.length; at += pieceBytes) {
            const piece = part.subarray(at, at + pieceBytes);
            archive.update(piece);
            blob.update(piece);
        }
    }
    return (performance.now() - started) / 1000;
}

const runs = Array.from({ length: rounds }, () => pieceSizes.map(secondsFor));
console.log("| pieces of KiB | seconds (median) |\n| --- | --- |");
pieceSizes.forEach((pieceBytes, at) => {
    const seconds = median(runs.map((run) => run[at] ?? NaN));
    console.log(`| ${pieceBytes / 1024} | ${seconds.toFixed(2)} |`);
});
