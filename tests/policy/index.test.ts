import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { EnforcementLevel } from "@pulumi/pulumi/proto/analyzer_pb";
import { parse } from "yaml";

import { root, stackConfiguration } from "../../lab/stackFiles";
import { resourceRules, stackRules } from "../../policy/rules";
import { type Diagnostic, type PolicyPackProcess, startPolicyPack } from "../support/policyPack";
import { evaluateStack } from "../support/program";
import { type Evaluation, type RecordedResource, unknown } from "../support/pulumiMocks";

const engines = ["docker", "stream"];

function configured(engine: string): Record<string, string> {
    return { "ecr-image-export:engine": engine };
}

/** A resource with its policy documents as the provider shows them to the engine: as text, which may not be known yet. */
function asProviderShows(resource: RecordedResource): RecordedResource {
    const inputs = Object.fromEntries(
        Object.entries(resource.inputs).map(([property, value]) => {
            if (!/policy$/i.test(property) || typeof value !== "object") return [property, value];
            const text = JSON.stringify(value);
            return [property, text.includes(unknown) ? unknown : text];
        }),
    );
    return { ...resource, inputs };
}

async function judge(pack: PolicyPackProcess, { resources }: Evaluation): Promise<Diagnostic[]> {
    const shown = resources.map(asProviderShows);
    const single = await Promise.all(shown.map((resource) => pack.analyze(resource)));
    return [...single.flat(), ...(await pack.analyzeStack(shown))];
}

describe("the policy pack, started as the CLI starts it", () => {
    const packs: Record<string, PolicyPackProcess> = {};
    before(() =>
        Promise.all(
            engines.map(async (engine) => {
                packs[engine] = await startPolicyPack({
                    ...stackConfiguration("dev"),
                    ...configured(engine),
                });
            }),
        ),
    );
    after(() => Promise.all(Object.values(packs).map((pack) => pack.stop())));
    const packFor = (engine: string): PolicyPackProcess => packs[engine] ?? assert.fail("it did not start");

    for (const engine of engines) {
        for (const stack of ["dev", "prod"]) {
            it(`lets ${stack} with engine ${engine} pass when it is deployed`, async () => {
                assert.deepEqual(
                    await judge(packFor(engine), await evaluateStack(stack, false, configured(engine))),
                    [],
                );
            });

            it(`lets ${stack} with engine ${engine} pass when it is previewed, and says what cannot be judged yet`, async () => {
                const said = await judge(
                    packFor(engine),
                    await evaluateStack(stack, true, configured(engine)),
                );
                assert.deepEqual([...new Set(said.map(({ level }) => level))], ["advisory"]);
                // Policies have ARNs in them that AWS makes. They are judged before they are created.
                assert.deepEqual([...new Set(said.map(({ policy }) => policy))].sort(), [
                    "iam-actions-are-named",
                    "iam-resources-are-named",
                    "nothing-is-public",
                    "tls-only",
                ]);
                for (const { message } of said) assert.match(message, /can't be known during preview/);
            });
        }
    }

    it("ends an update before it changes a bucket that would be public", async () => {
        const block = (await evaluateStack("dev", false)).resource("image-export-access-block");
        const opened = { ...block, inputs: { ...block.inputs, blockPublicPolicy: false } };
        assert.deepEqual(await packFor("docker").analyze(opened), [
            {
                policy: "nothing-is-public",
                level: "mandatory",
                message: `${resourceRules["nothing-is-public"]?.description ?? ""}\nblockPublicPolicy is not true.`,
                urn: "",
            },
        ]);
    });

    it("ends a preview that shows a bucket without its policy", async () => {
        const { resources } = await evaluateStack("dev", true);
        const left = resources.filter(({ name }) => name !== "image-export-policy").map(asProviderShows);
        const [bucket] = left.filter(({ type }) => type === "aws:s3/bucket:Bucket");
        const [said, ...more] = await packFor("docker").analyzeStack(left);
        assert.deepEqual(more, []);
        assert.equal(said?.level, "mandatory");
        assert.equal(said.urn, bucket?.urn);
        assert.match(said.message, /It has no BucketPolicy\./);
    });

    it("takes the engine from the stack's configuration", async () => {
        const project = (await evaluateStack("dev", false)).resource("image-export-project");
        assert.deepEqual(await packFor("docker").analyze(project), []);
        const said = (await packFor("stream").analyze(project)).map(({ policy }) => policy);
        assert.deepEqual(said, ["privileged-builds-are-of-engine-docker"]);
    });

    it("tells the CLI its name, its version and its rules, all of them mandatory", async () => {
        const { name, version, policiesList } = await packFor("docker").info();
        const program = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
            version: string;
        };
        assert.deepEqual([name, version], ["ecr-image-export", program.version]);
        assert.deepEqual(
            policiesList.map((policy) => [policy.name, policy.enforcementlevel]),
            [...Object.keys(resourceRules), ...Object.keys(stackRules)].map((rule) => [
                rule,
                EnforcementLevel.MANDATORY,
            ]),
        );
    });
});

describe("the policy pack", () => {
    it("is a project of Pulumi's for Node.js", () => {
        const project = parse(readFileSync(join(root, "policy", "PulumiPolicy.yaml"), "utf8")) as object;
        assert.deepEqual(
            Object.entries(project).find(([key]) => key === "runtime"),
            ["runtime", "nodejs"],
        );
    });

    it("depends on what the program depends on, in the same versions", () => {
        const dependencies = (file: string) => {
            const read = JSON.parse(readFileSync(join(root, file), "utf8")) as Record<
                string,
                object | undefined
            >;
            return { ...read["dependencies"], ...read["devDependencies"] } as Record<string, string>;
        };
        const { "@pulumi/policy": sdk, ...shared } = dependencies("policy/package.json");
        assert.match(sdk ?? "", /^\d+\.\d+\.\d+$/);
        for (const [name, version] of Object.entries(shared)) {
            assert.equal(version, dependencies("package.json")[name], name);
        }
    });
});
