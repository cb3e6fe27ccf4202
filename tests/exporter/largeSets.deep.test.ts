import * as assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import { repositoryNameLimit } from "../../contract/image";
import { setLimit } from "../../contract/set";
import { verifyArchive } from "../../exporter/archive/verify";
import { buildExporterBundle } from "../../exporter/bundle";
import { anyRecordOf } from "../support/readRecord";
import { startRegistry } from "./support/fakeRegistry";
import { addImage, emptyRepository, fileLayer, randomBytesOf } from "./support/images";

const mebibyte = 1024 ** 2;
/** What docs/engines.md promises of any export. */
const limitMegabytes = 250;

/** Layers of a release: a base that all images have, some that many have, and a large one now and then. */
const base = [fileLayer("base", randomBytesOf(80 * mebibyte, 1)), fileLayer("more", randomBytesOf(mebibyte, 2))];
const shared = Array.from({ length: 40 }, (_, at) => fileLayer(`shared-${at}`, randomBytesOf(200_000, at)));
const large = [3, 4].map((at) => fileLayer(`large-${at}`, randomBytesOf(60 * mebibyte, at)));

describe("the largest set", function () {
    this.timeout(0);
    let directory: string;
    before(async () => {
        directory = await mkdtemp(path.join(tmpdir(), "large-set-"));
        await writeFile(path.join(directory, "exporter.mjs"), await buildExporterBundle());
        // What getrusage says of a process that has been started counts the one that has started it.
        const read = 'fs.readFileSync("/proc/self/status")';
        const script = `process.on("exit", () => fs.writeFileSync("${directory}/status", ${read}))`;
        await writeFile(path.join(directory, "peak.cjs"), `const fs = require("fs"); ${script}`);
    });
    after(() => rm(directory, { recursive: true }));

    for (const [what, historyBytes] of [
        ["with configurations as they are", 6_000],
        ["with configurations as large as they may be together", 46_000],
    ] as const) {
        it(`${what} and the longest names, takes ${limitMegabytes} MB and ends in a good archive`, async () => {
            const repositories = Array.from({ length: 25 }, (_, at) => {
                return emptyRepository(`team-${at}/`.padEnd(repositoryNameLimit, "a"));
            });
            const uris: string[] = [];
            const [repository = assert.fail(), ...others] = repositories;
            const registry = await startRegistry({ repository, others, login: "none" });
            for (let at = 0; at < setLimit; at++) {
                const to = repositories[at % repositories.length] ?? assert.fail();
                const own = fileLayer(`own-${at}`, randomBytesOf(2_000, at));
                const some = [7, 11, 13].flatMap((step) => shared[(at * step) % shared.length] ?? []);
                const layers = [...base, ...some, ...(at % 100 === 0 ? [large[at % 2] ?? own] : []), own];
                const tag = `${at}-`.padEnd(128, "t");
                addImage(to, { layers, tag, history: randomBytesOf(historyBytes / 2, at).toString("hex") });
                uris.push(`${registry.host}/${to.name}:${tag}`);
            }
            try {
                const file = path.join(directory, "set.tar");
                const command = ["--require", `${directory}/peak.cjs`, `${directory}/exporter.mjs`];
                const images = uris.map((uri) => `--image=${uri}`);
                await promisify(execFile)(process.execPath, [...command, ...images, file]);
                const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(await readFile(`${directory}/status`, "utf8")) ?? [];
                const megabytes = (Number(kilobytes) * 1024) / 1e6;
                console.log(`      peak: ${megabytes.toFixed(0)} MB`);
                assert.ok(megabytes < limitMegabytes, `${megabytes} MB`);
                const record = anyRecordOf(await readFile(`${file}.json`, "utf8"));
                assert.deepEqual((await verifyArchive(createReadStream(file), record)).problems, []);
            } finally {
                await registry.close();
            }
        });
    }
});
