/** What AWS's own schemas say of the declared resources: cfn-lint reads types, arguments, values, ARNs, policies and definitions. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { at } from "../lab/awsTypes";
import { isInstalled } from "./support/build";
import { type Template, writeTemplates } from "./support/cloudFormation";

/** Findings that are none: values stand for references here, the names of availability zones among them. */
const ignored = "W3010";

interface Finding {
    readonly Filename: string;
    readonly Message: string;
    readonly Rule: { readonly Id: string };
    readonly Location: { readonly Path: readonly (string | number)[] };
}

/** One fault of each kind that cfn-lint is meant to find. */
function withFaults({ Resources }: Template): Template {
    const changed = structuredClone(Resources) as Record<string, { Properties: Record<string, unknown> }>;
    const set = (resource: string, path: string, value: unknown) => {
        const [last = "", ...above] = path.split(".").reverse();
        const { Properties } = changed[resource] ?? assert.fail(resource);
        const owner = above.reverse().reduce((each, key) => each[key] as Record<string, unknown>, Properties);
        owner[last] = value;
    };
    set("imageexportstoragebucket", "VersioningConfiguration.Status", "On");
    set("imageexportbuildproject", "TimeoutInMinutes", 1);
    set("imageexportbuildproject", "Kind", "docker");
    set("imageexportsinglemachine", "RoleArn", "a role");
    set("imageexportsinglemachine", "Definition.States.Read input.Typ", "Pass");
    set("imageexportbuildpolicy", "PolicyDocument.Statement.0.Action", "ecr:LogIn");
    return { Resources: changed as unknown as Template["Resources"] };
}

describe("cfn-lint", () => {
    let folder = "";
    let findings: readonly Finding[] = [];
    let files: readonly string[] = [];

    before(async function () {
        if (!isInstalled("cfn-lint")) {
            console.log("    Skipped: no cfn-lint. It is in .ci/requirements.txt: pip install -r .ci/requirements.txt");
            this.skip();
        }
        const templates = await writeTemplates();
        files = [...templates.keys()];
        const [[file, first] = assert.fail("no stacks")] = templates;
        folder = dirname(file);
        writeFileSync(join(folder, "faults.json"), JSON.stringify(withFaults(first)));
        const options = ["--format", "json", "--regions", at.region, "--ignore-checks", ignored];
        const templateFiles = [...files, join(folder, "faults.json")];
        const { stdout, stderr } = spawnSync("cfn-lint", [...options, "--", ...templateFiles], { encoding: "utf8" });
        assert.equal(stderr, "");
        findings = JSON.parse(stdout) as readonly Finding[];
    });

    after(() => {
        if (folder !== "") rmSync(folder, { recursive: true });
    });

    it("finds nothing in any stack", () => {
        const inStacks = findings.filter(({ Filename }) => files.includes(Filename));
        assert.deepEqual(
            inStacks.map(({ Rule, Message, Location }) => `${Rule.Id} ${Location.Path.join(".")}: ${Message}`),
            [],
        );
    });

    it("would find unknown properties, values, ranges, ARNs, fields of states and actions", () => {
        const inFaults = findings.filter(({ Filename }) => Filename.endsWith("faults.json"));
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
