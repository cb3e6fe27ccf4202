/** What AWS's own schemas say of the declared resources: cfn-lint reads types, arguments, values, ARNs, policies and definitions. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { at } from "../lab/awsTypes";
import { isInstalled } from "./support/build";
import { type Template, writeTemplates } from "./support/cloudFormation";

/** Findings that are none: values stand for references here, the names of availability zones among them. */
const ignored = "W3010";

/** File of the template with faults. */
const faulty = "faults.json";

interface Finding {
    readonly Filename: string;
    readonly Message: string;
    readonly Rule: { readonly Id: string };
    readonly Location: { readonly Path: readonly (string | number)[] };
}

/** Templates without the resources that are in one before as they are. */
function withoutRepetitions(templates: ReadonlyMap<string, Template>): Map<string, Template> {
    const seen = new Set<string>();
    const isNew = (resource: object) => seen.size < seen.add(JSON.stringify(resource)).size;
    return new Map(
        [...templates].map(([file, { Resources }]) => [
            file,
            { Resources: Object.fromEntries(Object.entries(Resources).filter(([, resource]) => isNew(resource))) },
        ]),
    );
}

/** Resources with one fault of each kind that cfn-lint is meant to find. */
function withFaults({ Resources }: Template): Template {
    const changed: Record<string, { Type: string; Properties: Record<string, unknown> }> = {};
    const set = (resource: string, path: string, value: unknown) => {
        const [last = "", ...above] = path.split(".").reverse();
        const { Properties } = (changed[resource] ??= structuredClone(Resources[resource]) ?? assert.fail(resource));
        const owner = above.reverse().reduce((each, key) => each[key] as Record<string, unknown>, Properties);
        owner[last] = value;
    };
    set("imageexportstoragebucket", "VersioningConfiguration.Status", "On");
    set("imageexportbuildproject", "TimeoutInMinutes", 1);
    set("imageexportbuildproject", "Kind", "docker");
    set("imageexportsinglemachine", "RoleArn", "a role");
    set("imageexportsinglemachine", "Definition.States.Read input.Typ", "Pass");
    set("imageexportbuildpolicy", "PolicyDocument.Statement.0.Action", "ecr:LogIn");
    return { Resources: changed };
}

describe("cfn-lint", () => {
    let folder: string | undefined;
    let findings: readonly Finding[] = [];

    before(async function () {
        if (!isInstalled("cfn-lint")) {
            console.log("    Skipped: cfn-lint is missing (pip install --requirement .ci/requirements.txt)");
            this.skip();
        }
        const written = await writeTemplates();
        const { templates } = written;
        folder = written.folder;
        const read = withoutRepetitions(templates).set(
            faulty,
            withFaults(templates.get("guarded.json") ?? assert.fail()),
        );
        for (const [file, template] of read) writeFileSync(join(folder, file), JSON.stringify(template));
        const options = ["--format", "json", "--regions", at.region, "--ignore-checks", ignored];
        const run = spawnSync("cfn-lint", [...options, "--", ...read.keys()], { cwd: folder, encoding: "utf8" });
        assert.equal(run.stderr, "");
        findings = JSON.parse(run.stdout) as readonly Finding[];
    });

    after(() => {
        if (folder !== undefined) rmSync(folder, { recursive: true });
    });

    it("finds nothing in any stack", () => {
        const inStacks = findings.filter(({ Filename }) => Filename !== faulty);
        assert.deepEqual(
            inStacks.map(
                ({ Filename, Rule, Message, Location }) =>
                    `${Filename}: ${Rule.Id} ${Location.Path.join(".")}: ${Message}`,
            ),
            [],
        );
    });

    it("would find unknown properties, values, ranges, ARNs, fields of states and actions", () => {
        const inFaults = findings.filter(({ Filename }) => Filename === faulty);
        assert.deepEqual(
            inFaults.map(({ Rule, Location }) => `${Rule.Id} ${Location.Path.slice(1).join(".")}`).sort(),
            [
                "E1156 imageexportsinglemachine.Properties.RoleArn",
                "E3002 imageexportbuildproject.Properties.Kind",
                "E3030 imageexportstoragebucket.Properties.VersioningConfiguration.Status",
                "E3034 imageexportbuildproject.Properties.TimeoutInMinutes",
                "E3601 imageexportsinglemachine.Properties.Definition.States.Read input.Typ",
                "W3037 imageexportbuildpolicy.Properties.PolicyDocument.Statement.0.Action",
            ],
        );
    });
});
