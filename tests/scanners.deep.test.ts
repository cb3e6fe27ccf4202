/** What checkov and parliament, which security teams run, find in the declared resources: docs/security.md says why each finding stays. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../lab/stackFiles";
import { isInstalled } from "./support/build";
import { type WrittenTemplates, writeTemplates } from "./support/cloudFormation";

/** A finding, as the page names it, and the template. */
interface Finding {
    readonly name: string;
    readonly file: string;
}

/** Runs a tool over a folder. */
function outputOf(command: string, ...options: readonly string[]): string {
    const { stdout, stderr, error } = spawnSync(command, options, { encoding: "utf8", maxBuffer: 2 ** 26 });
    assert(!error && stdout !== "", `${command}: ${error?.message ?? stderr}`);
    return stdout;
}

function findingsOfCheckov({ folder, templates }: WrittenTemplates): Finding[] {
    const options = ["--framework", "cloudformation", "--output", "json", "--compact", "--skip-download"];
    const files = [...templates.keys()].map((file) => join(folder, file));
    const report = JSON.parse(outputOf("checkov", "--file", ...files, ...options)) as {
        readonly results: { readonly failed_checks: readonly { check_id: string; file_path: string }[] };
        readonly summary: { readonly passed: number; readonly parsing_errors: number };
    };
    assert(report.summary.passed > 0 && report.summary.parsing_errors === 0);
    return report.results.failed_checks.map(({ check_id, file_path }) => ({
        name: check_id,
        file: file_path.slice(file_path.lastIndexOf("/") + 1),
    }));
}

function findingsOfParliament({ folder, templates }: WrittenTemplates): Finding[] {
    const policies = join(folder, "policies");
    mkdirSync(policies);
    for (const [file, { Resources }] of templates) {
        for (const [name, { Properties }] of Object.entries(Resources)) {
            const policy = Properties["PolicyDocument"] ?? Properties["KeyPolicy"];
            if (policy !== undefined) writeFileSync(join(policies, `${name} ${file}`), JSON.stringify(policy));
        }
    }
    return outputOf("parliament", "--directory", policies, "--json")
        .trim()
        .split("\n")
        .flatMap((line) => {
            const { issue, detail, location } = JSON.parse(line) as {
                readonly issue: string;
                readonly detail: readonly (string | { readonly action: string })[];
                readonly location: { readonly filepath: string };
            };
            const actions = detail.map((each) => (typeof each === "string" ? each : each.action));
            const services = new Set(actions.map((action) => action.split(":")[0]));
            const file = location.filepath.slice(location.filepath.lastIndexOf(" ") + 1);
            return [...services].map((service) => ({ name: `${issue} ${service}`, file }));
        });
}

const missing = ["checkov", "parliament"].filter((tool) => !isInstalled(tool));

describe("what scanners find", () => {
    let written: WrittenTemplates | undefined;
    let findings: readonly Finding[] = [];

    before(async function () {
        if (missing.length > 0) {
            console.log(`    Skipped: no ${missing.join(", ")} (pip install --requirement .ci/requirements-deep.txt)`);
            this.skip();
        }
        written = await writeTemplates();
        findings = [...findingsOfCheckov(written), ...findingsOfParliament(written)];
    });

    after(() => {
        if (written) rmSync(written.folder, { recursive: true });
    });

    it("is what the page has reasons for", () => {
        const page = readFileSync(join(root, "docs/security.md"), "utf8");
        const [, section = ""] = /^## What scanners find\n(.*?)(?=^## )/ms.exec(page) ?? [];
        const explained = [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
        assert.deepEqual([...new Set(findings.map(({ name }) => name))].sort(), explained.sort());
    });

    it("is nothing about logs and keys where encryption is kms and accessLogs are given", () => {
        const guarded = findings.filter(({ file }) => file === "guarded.json").map(({ name }) => name);
        assert.deepEqual(
            guarded.filter((name) => name.startsWith("CKV")),
            [],
        );
    });
});
