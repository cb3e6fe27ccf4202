import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = resolve(__dirname, "../..");

describe("the launcher", () => {
    let copy: string;

    before(() => {
        copy = mkdtempSync(join(tmpdir(), "image-export-"));
        for (const name of ["cli", "contract", "exporter", "package.json", "package-lock.json", "tsconfig.json"]) {
            cpSync(join(root, name), join(copy, name), { recursive: true });
        }
        symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    });

    after(() => {
        rmSync(copy, { recursive: true });
    });

    const launch = (...args: string[]) => run(process.execPath, [join(copy, "cli/launch.js"), ...args]);
    const bundles = () => readdirSync(join(copy, "dist/cli")).filter((name) => name !== "compileCache");

    it("bundles on first use, also when two start at once", async () => {
        const answers = await Promise.all([launch("--version"), launch("--version")]);
        for (const { stdout } of answers) assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
        assert.deepEqual(bundles(), ["imageExport.js"]);
    });

    it("uses the bundle while the sources stay, and makes another when they change", async () => {
        const file = join(copy, "dist/cli/imageExport.js");
        const [hash = ""] = readFileSync(file, "utf8").split("\n");
        writeFileSync(file, `${hash}\nexports.main = () => { console.log('bundled'); return 7; };`);
        await assert.rejects(launch("--version"), { stdout: "bundled\n", code: 7 });
        writeFileSync(join(copy, "cli/another.ts"), "export const another = 1;\n");
        assert.match((await launch("--version")).stdout, /^\d/);
        assert.deepEqual(bundles(), ["imageExport.js"]);
    });

    it("hands on the exit code, and says what is wrong on stderr", async () => {
        await assert.rejects(launch("nothing"), (error: { code: number; stderr: string }) => {
            assert.equal(error.code, 2);
            assert.match(error.stderr, /^Error Unknown command 'nothing'/);
            return true;
        });
    });

    it("says what to do where the dependencies are missing", async () => {
        rmSync(join(copy, "node_modules"));
        rmSync(join(copy, "dist"), { recursive: true });
        await assert.rejects(launch("--help"), { code: 1, stderr: /could not be bundled[^]*npm ci/ });
    });
});
