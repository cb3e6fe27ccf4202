import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { help, readOptions } from "../../cost/options";
import { pageFile, renderPage } from "../../cost/page";
import { billTable, fillPage, optionsTable } from "../../cost/tables";
import { assumptions, defaultUsage, readMeasured } from "../../cost/estimate";
import { root } from "../../lab/stackFiles";

describe("docs/cost.md", () => {
    it("has the tables that the program makes (npm run cost -- --write)", async () => {
        assert.equal(readFileSync(pageFile, "utf8"), await renderPage());
    });

    it("shows all of them", () => {
        const names = [...readFileSync(pageFile, "utf8").matchAll(/<!-- table: (\w+) -->/g)].map(
            ([, name]) => name,
        );
        assert.deepEqual(names, ["bill", "sizes", "batch", "options", "prices"]);
    });

    it("repeats the assumptions in its text as they are", () => {
        const text = readFileSync(pageFile, "utf8").replaceAll(/\s+/g, " ");
        const { provisioningSeconds, slowerThanBench, stateTransitions, logKb } = assumptions;
        const { ec2, lambda } = provisioningSeconds;
        assert.equal(slowerThanBench, 2);
        for (const claim of [
            `${ec2} seconds until a build on EC2 runs its first command, ${lambda} on Lambda compute`,
            "an export that takes twice as long on AWS as in the bench",
            `${logKb} KB of log for a build`,
            `The ${stateTransitions} states of a successful export`,
        ]) {
            assert(text.includes(claim), claim);
        }
    });
});

describe("the tables of the cost", () => {
    const measured = readMeasured();
    const usage = defaultUsage(measured);

    it("leave the text around a table as it is, and do not know every table", () => {
        const page = "a\n<!-- table: bill -->\nold\n<!-- end -->\nb\n<!-- table: none -->\n<!-- end -->";
        assert.equal(
            fillPage(page, { bill: "new", none: "" }),
            "a\n<!-- table: bill -->\n\nnew\n\n<!-- end -->\nb\n<!-- table: none -->\n\n\n\n<!-- end -->",
        );
        assert.throws(() => fillPage(page, { bill: "new" }), /a table none/);
    });

    it("show a dash where Lambda compute has too little time", () => {
        const large = billTable({ ...usage, mb: 100_000 }, measured);
        assert.match(large, /\| \*\*Together\*\* \| [\d.]+ \| [\d.]+ \| – \|$/m);
    });

    it("tell little from nothing", () => {
        assert.match(billTable({ ...usage, exports: 1 }, measured), /\| Requests to S3 \| < 0\.01 \|/);
        assert.match(optionsTable(usage), /\| `cache: local` \| 0\.00 \|/);
    });
});

describe("npm run cost", () => {
    const usage = defaultUsage(readMeasured());

    it("estimates what it is asked for", () => {
        assert.deepEqual(readOptions([]), { usage, write: false, help: false });
        const options = [
            "--exports=1",
            "--mb=10.5",
            "--unpacked=2",
            "--region=us-east-1",
            "--write",
            "--help",
        ];
        const more = ["--compute=BUILD_GENERAL1_SMALL", "--archive-days=1", "--old-version-days=2"];
        assert.deepEqual(readOptions([...options, ...more]), {
            usage: {
                exports: 1,
                mb: 10.5,
                unpackedRatio: 2,
                region: "us-east-1",
                computeType: "BUILD_GENERAL1_SMALL",
                archiveDays: 1,
                oldVersionDays: 2,
            },
            write: true,
            help: true,
        });
    });

    const refused: [string, RegExp][] = [
        ["--exports=many", /^--exports is many: expected a number above 0$/],
        ["--exports=Infinity", /^--exports is Infinity: expected a number above 0$/],
        ["--archive-days=0", /^--archive-days is 0: expected a number above 0$/],
        ["--region=eu-west-9", /^--region is eu-west-9: expected one of ap-northeast-1, us-east-1$/],
        ["--region=constructor", /^--region is constructor: expected one of/],
        ["--compute=lambda", /^--compute is lambda: expected one of BUILD_GENERAL1_SMALL/],
        ["--size=1", /^Unknown option '--size'/],
    ];
    for (const [option, message] of refused) {
        it(`refuses ${option}`, () => {
            assert.throws(() => readOptions([option]), { message });
        });
    }

    it("prints the tables, or what is wrong and the help", () => {
        const run = (...options: string[]) => {
            const program = ["-r", "ts-node/register", join(root, "cost/main.ts"), ...options];
            return spawnSync(process.execPath, program, { cwd: root, encoding: "utf8" });
        };
        const good = run("--exports", "1");
        assert.deepEqual([good.status, good.stderr], [0, ""]);
        const bill = billTable({ ...usage, exports: 1 }, readMeasured());
        assert.equal(good.stdout, `${bill}\n\n${optionsTable({ ...usage, exports: 1 })}\n`);
        const bad = run("--exports", "x");
        assert.deepEqual([bad.status, bad.stdout], [2, ""]);
        assert.equal(bad.stderr, `--exports is x: expected a number above 0\n\n${help}\n`);
    });
});
