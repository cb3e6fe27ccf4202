import { strict as assert } from "node:assert";

import { customResourcesOf, type Evaluation, resourceOf } from "../lab/evaluation";
import { evaluateStack } from "../lab/program";
import { configurationText } from "../lab/stackFiles";
import { houseRules, statementsOf } from "./support/houseRules";
import { tagsOfStack } from "./support/stackTags";
import { componentsOf } from "./support/evaluated";

/** The values of each option, and the components that it adds, whatever the others are. */
interface Choice {
    readonly values: Record<string, unknown>;
    readonly adds?: readonly string[];
}

const options = {
    engine: {
        docker: { values: {} },
        stream: { values: { engine: "stream" } },
        "stream on Lambda compute": { values: { engine: "stream", compute: { type: "lambda" } } },
    },
    network: {
        public: { values: {} },
        isolated: { values: { network: "isolated" }, adds: ["IsolatedNetwork"] },
        private: { values: { network: "private" }, adds: ["PrivateNetwork", "Vpc"] },
        given: {
            values: {
                network: { vpcId: "vpc-0a1b2c3d", subnetIds: ["subnet-0a1b2c3d"], securityGroupIds: ["sg-0a1b2c3d"] },
            },
        },
    },
    cache: {
        none: { values: {} },
        local: { values: { cache: "local" } },
        "pull-through": {
            values: {
                repositoryArns: ["arn:aws:ecr:ap-northeast-1:111122223333:repository/quay/prometheus/prometheus"],
                pullThroughCache: [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }],
            },
            adds: ["PullThroughCache"],
        },
    },
    monitoring: {
        "dashboard only": { values: {} },
        notifications: { values: { notifications: { emails: ["platform@example.com"], onSuccess: true } } },
    },
    encryption: {
        s3: { values: {} },
        kms: { values: { encryption: "kms" } },
        given: {
            values: { encryption: "arn:aws:kms:ap-northeast-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab" },
        },
    },
} satisfies Record<string, Record<string, Choice>>;

type Option = keyof typeof options;

/** A value of each option, by name. */
type Combination = { readonly [option in Option]: keyof (typeof options)[option] };

/** What cannot work, and the key that the message names. */
const refusals: [applies: (combination: Combination) => boolean, key: RegExp][] = [
    [({ engine, network }) => engine === "stream on Lambda compute" && network !== "public", /\bnetwork\b/],
    [
        ({ network, cache }) => network === "isolated" && cache === "pull-through",
        /pullThroughCache\[0\]\.prefix|\bpullThroughCache\b/,
    ],
    [({ engine, cache }) => engine !== "docker" && cache === "local", /\bcache\b.*engine stream/s],
    [({ network, cache }) => network !== "public" && cache === "local", /\bcache\b.*VPC/s],
];

function combinations(): Combination[] {
    let all: Record<string, string>[] = [{}];
    for (const [option, choices] of Object.entries(options)) {
        all = all.flatMap((one) => Object.keys(choices).map((choice) => ({ ...one, [option]: choice })));
    }
    return all as unknown as Combination[];
}

function chosen(combination: Combination): Choice[] {
    return Object.entries(combination).map(
        ([option, choice]) => (options[option as Option] as Record<string, Choice>)[choice] ?? assert.fail(),
    );
}

function evaluateAs(combination: Combination): Promise<Evaluation> {
    const values = chosen(combination).flatMap((choice) => Object.entries(choice.values));
    return evaluateStack(
        "dev",
        false,
        Object.fromEntries(values.map(([key, value]) => [`ecr-image-export:${key}`, configurationText(value)])),
    );
}

function classesOf(program: Evaluation): string[] {
    return componentsOf(program).map(({ type }) => type.split(":").at(-1) ?? "");
}

/** What a combination makes of the project and its role: each option shows, and none takes from another. */
function assertBuildsAs({ engine, network, cache, encryption, monitoring }: Combination, program: Evaluation): void {
    const project = resourceOf(program, "image-export-build-project").inputs;
    const environment = project["environment"] as Record<string, unknown>;
    assert.equal(environment["privilegedMode"], engine === "docker");
    assert.equal(environment["type"] === "LINUX_LAMBDA_CONTAINER", engine === "stream on Lambda compute");
    assert.equal("vpcConfig" in project, network !== "public");
    assert.equal((project["cache"] as { type: string }).type, cache === "local" ? "LOCAL" : "NO_CACHE");

    const statements = statementsOf(resourceOf(program, "image-export-build-policy")).map(({ Sid }) => Sid);
    const expected = [
        "LogInToEcr",
        "PullImages",
        ...(cache === "pull-through" ? ["ImportImages"] : []),
        ...(engine === "docker" ? [] : ["ReadExporter", "ReadSets"]),
        "WriteArchives",
        ...(encryption === "s3" ? [] : ["WriteEncrypted"]),
        "WriteLog",
    ];
    const ofNetwork = statements.filter((sid) => !expected.includes(sid ?? ""));
    assert.deepEqual(
        statements.filter((sid) => !ofNetwork.includes(sid)),
        expected,
    );
    assert.equal(ofNetwork.length > 0, network !== "public", ofNetwork.join());

    const notifies = monitoring === "notifications";
    assert.equal("notificationTopicArn" in program.result, notifies);
    const key = program.result["encryptionKeyArn"];
    if (notifies) assert.equal(resourceOf(program, "image-export-monitoring-topic").inputs["kmsMasterKeyId"], key);
    assert.equal(typeof key === "string", encryption !== "s3");
    assert.equal("encryptionKeyPolicy" in program.result, encryption === "given");
    assert.equal("egressAddress" in program.result, network === "private");
    for (const { type, name, inputs } of customResourcesOf(program)) {
        if (type.endsWith(":LogGroup")) assert.equal(inputs["kmsKeyId"], key, name);
    }
}

describe("every combination of options", () => {
    let base: string[];

    before(async () => {
        // What is declared without options is held by the tests of index.ts.
        base = classesOf(await evaluateStack("dev", false));
    });

    for (const combination of combinations()) {
        const name = Object.entries(combination)
            .map(([option, choice]) => `${option} ${choice}`)
            .join(", ");
        const reasons = refusals.filter(([applies]) => applies(combination));
        if (reasons.length > 0) {
            it(`${name}: refused`, async () => {
                await assert.rejects(evaluateAs(combination), ({ message }: Error) =>
                    reasons.every(([, key]) => key.test(message)),
                );
            });
        } else {
            it(name, async () => {
                const program = await evaluateAs(combination);
                const added = chosen(combination).flatMap(({ adds = [] }) => adds);
                assert.deepEqual(classesOf(program).sort(), [...base, ...added].sort());
                assertBuildsAs(combination, program);
                for (const rule of Object.values(houseRules)) rule(program, tagsOfStack("dev"));
            });
        }
    }

    it("meets every reason to refuse, and every choice in a stack that works", () => {
        const working = combinations().filter((one) => !refusals.some(([applies]) => applies(one)));
        for (const [option, choices] of Object.entries(options)) {
            const met = new Set(working.map((combination) => combination[option as Option]));
            assert.deepEqual([...met].sort(), Object.keys(choices).sort(), option);
        }
        for (const [applies] of refusals) assert(combinations().some(applies));
    });
});
