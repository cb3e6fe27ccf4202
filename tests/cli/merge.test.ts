import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { buildBundle } from "../../exporter/bundle";
import { exportImage } from "../../exporter/exportImage";
import { type FakeRegistry, startRegistry } from "../exporter/support/fakeRegistry";
import { addImage, emptyRepository, fileLayer, randomBytesOf } from "../exporter/support/images";
import { recordOf } from "../support/readRecord";
import { run } from "./support/context";

describe("merge", () => {
    let folder: string;
    let registry: FakeRegistry;
    const layers = [fileLayer("base", randomBytesOf(200_000, 1)), fileLayer("next", Buffer.from("next"))];
    const at = (name: string): string => join(folder, name);

    before(async () => {
        folder = mkdtempSync(join(tmpdir(), "merge-"));
        const repository = emptyRepository("app");
        addImage(repository, { layers: layers.slice(0, 1), tag: "1" });
        addImage(repository, { layers, tag: "2" });
        registry = await startRegistry({ repository });
        const image = (tag: string): string => `${registry.host}/app:${tag}`;
        await exportImage({ image: image("1"), destination: at("BASE.tar") });
        await exportImage({ image: image("2"), destination: at("whole.tar") });
        await exportImage({ image: image("2"), destination: at("DELTA.tar"), since: at("BASE.tar") });
    });
    after(async () => {
        await registry.close();
        rmSync(folder, { recursive: true });
    });

    it("makes the whole archive of a base and a delta", async () => {
        const files = [at("BASE.tar"), at("DELTA.tar")];
        const { exitCode, stdout } = await run({ args: ["merge", ...files, "-o", at("FULL.tar")] });
        assert.equal(exitCode, 0, stdout);
        assert.match(stdout, /^status {4}merged$/m);
        assert(readFileSync(at("FULL.tar")).equals(readFileSync(at("whole.tar"))));
        const verified = await run({ args: ["verify", "--base", at("BASE.tar"), at("DELTA.tar")] });
        assert.match(verified.stdout, /^needs {6}.*BASE\.tar \(SHA-256 [0-9a-f]{64}\)$/m);
        assert.equal(verified.exitCode, 0);
        const other = await run({ args: ["verify", "--base", at("whole.tar"), at("DELTA.tar")] });
        assert.match(other.stdout, /^wrong the base has the SHA-256 .*, and the delta needs .*BASE\.tar/m);
        assert.equal(other.exitCode, 1);
        assert.equal((await run({ args: ["merge", ...files] })).exitCode, 2);
    });

    it("tells the layers that have to be there already", () => {
        const page = readFileSync("docs/receiver.md", "utf8");
        const filters = [...page.matchAll(/jq --(?:compact|raw)-output '([^']+)'/g)].map(([, filter = ""]) => filter);
        const said = filters.map((filter) => {
            const { stdout } = spawnSync("jq", ["--compact-output", filter, at("DELTA.tar.json")], {
                encoding: "utf8",
            });
            return JSON.parse(stdout) as unknown;
        });
        const [base] = recordOf(readFileSync(at("BASE.tar.json"), "utf8")).images;
        assert.deepEqual(said, [base?.diffIds, base?.layers?.[0]?.digest]);
    });

    describe("as one file, with Node.js and nothing else", () => {
        let text: string;
        before(async () => {
            text = await buildBundle("cli/receiver.ts");
            writeFileSync(at("receiver.mjs"), text);
        });
        // It may neither start processes nor load what is native, and write in its folder only.
        const limits = ["--permission", "--allow-fs-read=*", `--allow-fs-write=${tmpdir()}`];
        const receive = (args: readonly string[], flags: readonly string[] = limits) =>
            spawnSync(process.execPath, [...flags, at("receiver.mjs"), ...args], { encoding: "utf8", cwd: folder });

        it("is small, the same each time, and needs no package", async () => {
            assert(text.length <= 300_000);
            assert.equal(await buildBundle("cli/receiver.ts"), text);
            assert.deepEqual(
                [...text.matchAll(/(?:require|import)\("(?!node:)[^"]*"\)/g)].map(([each]) => each),
                [],
            );
        });

        it("merges, and verifies with and without a base", () => {
            const { status, stdout, stderr } = receive(["merge", "BASE.tar", "DELTA.tar", "-o", "again.tar"]);
            assert.equal(status, 0, stderr);
            assert.match(stdout, /^merged: again\.tar\nSHA-256 [0-9a-f]{64}\n$/);
            assert(readFileSync(at("again.tar")).equals(readFileSync(at("whole.tar"))));
            const said = receive(["verify", "--base", "BASE.tar", "DELTA.tar"]).stdout;
            assert.match(said, /^good: .*It needs .*BASE/s);
            const wrong = [
                ["--base", "again.tar", "DELTA.tar"],
                ["--base", "BASE.tar", "again.tar"],
            ];
            for (const args of wrong) assert.equal(receive(["verify", ...args]).status, 1);
            assert.equal(receive([]).status, 2);
        });

        it("leaves nothing when it is stopped, or when the disk is full", () => {
            const names = readdirSync(folder);
            const stop = `const fs = require("node:fs/promises"), { open } = fs;
                fs.open = async (...args) => {
                    const file = await open(...args);
                    if (args[0].includes(".partial-")) process.kill(process.pid, "SIGTERM");
                    return file;
                };`;
            writeFileSync(at("stop.cjs"), stop);
            const args = ["merge", "BASE.tar", "DELTA.tar", "-o", "stopped.tar"];
            const stopped = receive(args, ["--require", at("stop.cjs")]);
            assert.deepEqual([stopped.status, stopped.stderr], [1, "Stopped by SIGTERM.\n"]);
            rmSync(at("stop.cjs"));
            // All but the last half KiB has room.
            const kib = Math.floor((statSync(at("whole.tar")).size - 1) / 1024);
            const full = `trap '' XFSZ; ulimit -f ${kib}; exec "$@"`;
            const command = ["-c", full, "bash", process.execPath, at("receiver.mjs"), ...args];
            const { status, stderr } = spawnSync("bash", command, { encoding: "utf8", cwd: folder });
            assert.deepEqual([status, stderr], [1, "stopped.tar cannot be written: EFBIG: file too large, write\n"]);
            assert.deepEqual(readdirSync(folder), names);
        });
    });
});
