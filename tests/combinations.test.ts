/** The program under every combination of its options: allowed ones declare exactly what they should, others are refused. */
import { strict as assert } from "node:assert";

import * as exporterBundle from "../exporter/bundle";
import { configurationText } from "../lab/stackFiles";
import { houseRules, statementsOf } from "./support/houseRules";
import { notifying } from "./support/notifying";
import { evaluateStack } from "../lab/program";
import type { Evaluation } from "../lab/evaluation";
import { tagsOfStack } from "./support/stackTags";

/** One value of an option. */
interface Choice {
    /** What stands in the stack file. */
    readonly values: Record<string, unknown>;
    /** The resources that it adds, whatever the other options are. */
    readonly adds: readonly string[];
}

const exporter = "aws:s3/bucketObjectv2:BucketObjectv2 image-export-exporter";

const options = {
    engine: {
        docker: { values: {}, adds: [] },
        stream: { values: { engine: "stream" }, adds: [exporter] },
        "stream on Lambda compute": {
            values: { engine: "stream", compute: { type: "lambda" } },
            adds: [exporter],
        },
    },
    network: {
        public: { values: {}, adds: [] },
        isolated: {
            values: { network: "isolated" },
            adds: [
                "aws:cloudwatch/logGroup:LogGroup image-export-flow-log",
                "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup image-export-default-group",
                "aws:ec2/flowLog:FlowLog image-export-flows",
                "aws:ec2/routeTable:RouteTable image-export-route-table",
                "aws:ec2/routeTableAssociation:RouteTableAssociation image-export-association-1",
                "aws:ec2/routeTableAssociation:RouteTableAssociation image-export-association-2",
                "aws:ec2/securityGroup:SecurityGroup image-export-build-group",
                "aws:ec2/securityGroup:SecurityGroup image-export-endpoint-group",
                "aws:ec2/subnet:Subnet image-export-subnet-1",
                "aws:ec2/subnet:Subnet image-export-subnet-2",
                "aws:ec2/vpc:Vpc image-export-vpc",
                "aws:ec2/vpcEndpoint:VpcEndpoint image-export-ecr-api-endpoint",
                "aws:ec2/vpcEndpoint:VpcEndpoint image-export-ecr-dkr-endpoint",
                "aws:ec2/vpcEndpoint:VpcEndpoint image-export-logs-endpoint",
                "aws:ec2/vpcEndpoint:VpcEndpoint image-export-s3-endpoint",
                "aws:ec2/vpcEndpoint:VpcEndpoint image-export-sts-endpoint",
                "aws:iam/role:Role image-export-flow-role",
                "aws:iam/rolePolicy:RolePolicy image-export-flow-policy",
                "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule image-export-build-to-endpoints",
                "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule image-export-build-to-s3",
                "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule image-export-endpoints-from-build",
                "ecr-image-export:index:IsolatedNetwork image-export",
            ],
        },
        given: {
            values: {
                network: {
                    vpcId: "vpc-0a1b2c3d",
                    subnetIds: ["subnet-0a1b2c3d"],
                    securityGroupIds: ["sg-0a1b2c3d"],
                },
            },
            adds: [],
        },
    },
    cache: {
        none: { values: {}, adds: [] },
        local: { values: { cache: "local" }, adds: [] },
        "pull-through": {
            values: {
                repositoryArns: [
                    "arn:aws:ecr:ap-northeast-1:111122223333:repository/quay/prometheus/prometheus",
                ],
                pullThroughCache: [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }],
            },
            adds: [
                "aws:ecr/pullThroughCacheRule:PullThroughCacheRule image-export-cache-quay",
                "ecr-image-export:index:PullThroughCache image-export",
            ],
        },
    },
    monitoring: {
        "dashboard alone": { values: {}, adds: [] },
        notifications: {
            values: { notifications: { emails: ["platform@example.com"], onSuccess: true } },
            adds: [
                ...notifying("image-export"),
                "aws:sns/topicSubscription:TopicSubscription image-export-email-platform@example.com",
            ],
        },
    },
    encryption: {
        s3: { values: {}, adds: [] },
        kms: {
            values: { encryption: "kms" },
            adds: ["aws:kms/alias:Alias image-export-key-alias", "aws:kms/key:Key image-export-key"],
        },
        given: {
            values: {
                encryption:
                    "arn:aws:kms:ap-northeast-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            },
            adds: [],
        },
    },
} satisfies Record<string, Record<string, Choice>>;

type Option = keyof typeof options;

/** A value of each option, by name. */
type Combination = { readonly [option in Option]: keyof (typeof options)[option] };

/** What cannot work, and what the message contains; where several apply, it has the others as well. */
const refusals: [applies: (combination: Combination) => boolean, message: string][] = [
    [
        ({ engine, network }) => engine === "stream on Lambda compute" && network !== "public",
        ": Lambda compute runs in no VPC",
    ],
    [
        ({ network, cache }) => network === "isolated" && cache === "pull-through",
        '"upstreamRegistryUrl":"quay.io"}]: the first pull through a cache',
    ],
    [
        ({ engine, cache }) => engine !== "docker" && cache === "local",
        'cache is "local": engine stream keeps no layers',
    ],
    [
        ({ network, cache }) => network !== "public" && cache === "local",
        'cache is "local": CodeBuild has no local cache in a VPC',
    ],
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
        Object.fromEntries(
            values.map(([key, value]) => [`ecr-image-export:${key}`, configurationText(value)]),
        ),
    );
}

/** What a combination makes of the project and its role: each option shows, and none takes from another. */
function assertBuildsAs(
    { engine, network, cache, encryption, monitoring }: Combination,
    program: Evaluation,
): void {
    const project = program.resource("image-export-project").inputs;
    const environment = project["environment"] as Record<string, unknown>;
    assert.equal(environment["privilegedMode"], engine === "docker");
    assert.equal(environment["type"] === "LINUX_LAMBDA_CONTAINER", engine === "stream on Lambda compute");
    assert.equal("vpcConfig" in project, network !== "public");
    assert.equal((project["cache"] as { type: string }).type, cache === "local" ? "LOCAL" : "NO_CACHE");

    const statements = statementsOf(program.resource("image-export-build-policy")).map(({ Sid }) => Sid);
    const expected = [
        "LogInToEcr",
        "PullImages",
        ...(cache === "pull-through" ? ["ImportImages"] : []),
        ...(engine === "docker" ? [] : ["ReadExporter"]),
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

    const isTold = monitoring === "notifications";
    assert.equal("notificationTopicArn" in program.result, isTold);
    const key = program.result["encryptionKeyArn"];
    if (isTold) assert.equal(program.resource("image-export-topic").inputs["kmsMasterKeyId"], key);
    assert.equal(typeof key === "string", encryption !== "s3");
    assert.equal("encryptionKeyPolicy" in program.result, encryption === "given");
    for (const { type, name, inputs } of program.customResources()) {
        if (type.endsWith(":LogGroup")) assert.equal(inputs["kmsKeyId"], key, name);
    }
}

describe("every combination of options", function () {
    this.timeout(30_000); // the first evaluation loads the whole SDK
    const { stackTraceLimit } = Error;
    const bundling: { buildExporterBundle: () => Promise<string> } = exporterBundle;
    const { buildExporterBundle } = bundling;
    let base: string[];

    before(async () => {
        // The text of the exporter is of no interest here, and esbuild takes longer than the program.
        bundling.buildExporterBundle = () => Promise.resolve("// exporter");
        // Pulumi takes a stack trace for every promise, and source maps make each of them dear.
        Error.stackTraceLimit = 0;
        // What is declared without options is held by the tests of index.ts.
        base = (await evaluateStack("dev", false)).typesAndNames();
    });

    after(() => {
        Error.stackTraceLimit = stackTraceLimit;
        bundling.buildExporterBundle = buildExporterBundle;
    });

    for (const combination of combinations()) {
        const name = Object.entries(combination)
            .map(([option, choice]) => `${option} ${choice}`)
            .join(", ");
        const refusal = refusals.find(([applies]) => applies(combination));
        if (refusal !== undefined) {
            it(`${name}: refused`, async () => {
                await assert.rejects(evaluateAs(combination), ({ message }: Error) => {
                    assert(message.includes(refusal[1]), message);
                    return true;
                });
            });
        } else {
            it(name, async () => {
                const program = await evaluateAs(combination);
                const added = chosen(combination).flatMap(({ adds }) => adds);
                assert.deepEqual(program.typesAndNames(), [...base, ...added].sort());
                assertBuildsAs(combination, program);
                for (const rule of Object.values(houseRules)) rule(program, tagsOfStack("dev"));
            });
        }
    }

    it("meets every reason to refuse, and every choice in a stack that works", () => {
        const working = combinations().filter((one) => !refusals.some(([applies]) => applies(one)));
        for (const [option, choices] of Object.entries(options)) {
            const met = new Set(working.map((combination) => combination[option as Option]));
            assert.deepEqual([...met], Object.keys(choices), option);
        }
        for (const [, message] of refusals) {
            const met = combinations().some(
                (one) => refusals.find(([applies]) => applies(one))?.[1] === message,
            );
            assert(met, message);
        }
    });
});
