import { strict as assert } from "node:assert";

import { resourceRules, type StackResource, stackRules, unnamedResourcesAllowed } from "./support/guardRails";
import { statementsOf } from "./support/houseRules";
import { evaluateStack } from "../lab/program";
import type { RecordedResource } from "../lab/evaluation";

type Resources = readonly RecordedResource[];
type Inputs = RecordedResource["inputs"];

/** The stacks of the repository, and two with all that can be switched on: no cache is filled without the internet. */
const configurations: Record<string, { readonly stack: string; readonly changes: Record<string, string> }> = {
    dev: { stack: "dev", changes: {} },
    prod: { stack: "prod", changes: {} },
    caches: {
        stack: "dev",
        changes: {
            "ecr-image-export:repositoryArns": JSON.stringify([
                "arn:aws:ecr:ap-northeast-1:111122223333:repository/quay/prometheus/prometheus",
            ]),
            "ecr-image-export:pullThroughCache": JSON.stringify([{ prefix: "quay", upstreamRegistryUrl: "quay.io" }]),
        },
    },
    everything: {
        stack: "dev",
        changes: {
            "ecr-image-export:network": "isolated",
            "ecr-image-export:notifications": JSON.stringify({
                emails: ["platform@example.com"],
                slack: { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" },
            }),
            "ecr-image-export:triggers": JSON.stringify({
                onPush: { tags: ["v*"] },
                schedule: { expression: "rate(1 day)" },
            }),
        },
    },
};
const engines = ["docker", "stream"];

async function declaredBy(configuration: string, engine: string): Promise<Resources> {
    const { stack, changes } = configurations[configuration] ?? assert.fail(configuration);
    const program = await evaluateStack(stack, false, { ...changes, "ecr-image-export:engine": engine });
    return program.resources;
}

/** The resources as rules see them. */
function asStack(resources: Resources): StackResource[] {
    const stack = resources.map(({ urn, type, name, inputs }) => {
        const propertyDependencies: Record<string, StackResource[]> = {};
        return { urn, type, name, props: inputs, propertyDependencies };
    });
    for (const [index, resource] of stack.entries()) {
        for (const [property, urns] of Object.entries(resources[index]?.propertyDependencies ?? {})) {
            resource.propertyDependencies[property] = stack.filter(({ urn }) => urns.includes(urn));
        }
    }
    return stack;
}

/** Every violation of every rule, as rule, resource and message. */
function violations(resources: Resources, engine: string): string[] {
    const stack = asStack(resources);
    return [
        ...Object.entries(resourceRules).flatMap(([rule, { judge }]) =>
            stack.flatMap((resource) =>
                judge(resource, engine).map((message) => `${rule}, ${resource.name}: ${message}`),
            ),
        ),
        ...Object.entries(stackRules).flatMap(([rule, { judge }]) =>
            judge(stack).map(({ urn, message }) => `${rule}, ${urn.split("::").at(-1) ?? ""}: ${message}`),
        ),
    ];
}

/** What somebody might do to the program. */
type Change = (resources: Resources) => Resources;

function change(name: string, changed: (inputs: Inputs) => Inputs): Change {
    return (resources) =>
        resources.map((resource) =>
            resource.name === name ? { ...resource, inputs: changed(structuredClone(resource.inputs)) } : resource,
        );
}

function set(name: string, inputs: Inputs): Change {
    return change(name, (before) => ({ ...before, ...inputs }));
}

function add(type: string, inputs: Inputs): Change {
    const resource = { urn: "urn:added", type, name: "added", inputs, parent: "" };
    const rest = {
        dependencies: [],
        propertyDependencies: {},
        protect: false,
        retainOnDelete: false,
        deletedWith: "",
        deleteBeforeReplace: false,
        importId: "",
        ignoreChanges: [],
        outputs: undefined,
    };
    return (resources) => [...resources, { ...resource, ...rest }];
}

/** Adds a statement to the policy of a resource. */
function grant(name: string, statement: object): Change {
    return change(name, (inputs) => {
        const policy = inputs["policy"] as { Statement: object[] };
        policy.Statement.push({ Sid: "Added", Effect: "Allow", ...statement });
        return inputs;
    });
}

/** Lets a service assume the role of the build under other conditions. */
function trust(condition: object, principal: unknown = { Service: "codebuild.amazonaws.com" }): Change {
    const statement = { Effect: "Allow", Principal: principal, Action: "sts:AssumeRole", Condition: condition };
    return set("image-export-build-role", { assumeRolePolicy: { Statement: [statement] } });
}

const trusted = {
    account: { StringEquals: { "aws:SourceAccount": "111122223333" } },
    project: { ArnLike: { "aws:SourceArn": "arn:aws:codebuild:ap-northeast-1:111122223333:project/x*" } },
};
const tags = { component: "c", project: "p", stack: "s", "managed-by": "pulumi" };
const objects = "arn:aws:s3:::image-export-storage-bucket-0a1b2c3/images/*";
const read = { Action: "s3:GetObject", Resource: objects };
const build = "image-export-build-policy";
const bucket = "image-export-storage-policy";

/** What each rule has to notice: what was done, how, and what the rule says to it. */
const offences: Record<string, [what: string, done: Change, says: RegExp, engine?: string][]> = {
    "iam-actions-are-named": [
        ["a wildcard in an action", grant(build, { ...read, Action: "s3:Get*" }), /Added allows s3:Get\*/],
        ["all actions but some", grant(build, { NotAction: "iam:*", Resource: objects }), /all actions but/],
    ],
    "iam-resources-are-named": [
        ["buckets that begin alike", grant(build, { ...read, Resource: "arn:aws:s3:::image-*" }), /image-\*:/],
        ["every resource but some", grant(build, { Action: "s3:GetObject", NotResource: objects }), /but some/],
    ],
    "iam-policies-are-written-out": [
        [
            "an attached policy of AWS",
            add("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {
                tags,
                policyArn: "arn:aws:iam::aws:policy/AdministratorAccess",
            }),
            /AdministratorAccess is attached/,
        ],
        [
            "a chat channel that is bound by AdministratorAccess alone",
            set("image-export-monitoring-chat", { guardrailPolicyArns: undefined }),
            /channel's bound is AWS's own/,
        ],
    ],
    "iam-trust-names-its-source": [
        ["no condition", trust({}), /for any account.*\n.*for any resource/],
        ["everybody", trust({ ...trusted.account, ...trusted.project }, { AWS: "*" }), /Everybody may assume/],
    ],
    "nothing-is-public": [
        ["no block", set("image-export-storage-access-block", { blockPublicAcls: false }), /: blockPublicAcls is not/],
        ["a bucket policy for everybody", grant(bucket, { ...read, Principal: "*" }), /Added lets everybody in/],
    ],
    "encryption-is-on": [
        ["no rule", set("image-export-storage-encryption", { rules: [] }), /No rule names an algorithm/],
        ["a queue in plain", set("image-export-triggers-undelivered", { sqsManagedSseEnabled: false }), /queue is not/],
        ["a key that stays the same", add("aws:kms/key:Key", { tags }), /The key is not rotated/],
    ],
    "tls-only": [
        ["a bucket that denies nothing", set(bucket, { policy: { Statement: [] } }), /does not deny everybody s3:\*/],
        [
            "a queue that denies nothing",
            set("image-export-triggers-undelivered-policy", { policy: { Statement: [] } }),
            /does not deny everybody sqs:\*/,
        ],
        [
            "a topic that denies nothing",
            set("image-export-monitoring-topic-policy", { policy: { Statement: [] } }),
            /does not deny everybody sns:Publish/,
        ],
        [
            "messages over plain HTTP",
            add("aws:sns/topicSubscription:TopicSubscription", { protocol: "http", tags }),
            /over plain HTTP/,
        ],
    ],
    "privileged-builds-are-of-engine-docker": [
        ["a privileged build of engine stream", (resources) => resources, /project: .*is stream/, "stream"],
    ],
    "logs-expire": [
        ["a log for ever", set("image-export-build-log", { retentionInDays: 0 }), /kept for ever/],
        [
            "a log group of CodeBuild's own",
            set("image-export-build-project", { logsConfig: {} }),
            /a log group of its own/,
        ],
    ],
    "tags-are-set": [["another resource without tags", add("aws:ec2/vpc:Vpc", {}), /tag project is missing/]],
    "guards-are-in-place": [
        [
            "a second bucket",
            add("aws:s3/bucket:Bucket", { tags }),
            /no BucketPublicAccessBlock.*\n.*no BucketServerSide.*\n.*no BucketPolicy/,
        ],
        ["a topic without a policy", add("aws:sns/topic:Topic", { tags }), /added: It has no TopicPolicy/],
    ],
};

describe("the guard rails", () => {
    const programs = new Map<string, Resources>();
    before(async () => {
        for (const configuration of Object.keys(configurations)) {
            for (const engine of engines) {
                programs.set(`${configuration}, ${engine}`, await declaredBy(configuration, engine));
            }
        }
    });
    const everything = () => programs.get("everything, docker") ?? [];

    for (const configuration of Object.keys(configurations)) {
        for (const engine of engines) {
            it(`find nothing to say against ${configuration} with engine ${engine}`, () => {
                const resources = programs.get(`${configuration}, ${engine}`) ?? [];
                assert(resources.length > 15);
                assert.deepEqual(violations(resources, engine), []);
            });
        }
    }

    it("are all tried", () => {
        const names = [...Object.keys(resourceRules), ...Object.keys(stackRules)];
        assert.deepEqual(Object.keys(offences), names);
    });

    for (const [rule, cases] of Object.entries(offences)) {
        for (const [what, done, says, engine = "docker"] of cases) {
            it(`${rule}: notices ${what}, and no other rule does`, () => {
                const found = violations(done(everything()), engine);
                assert.match(found.join("\n"), says);
                assert(
                    found.every((violation) => violation.startsWith(`${rule}, `)),
                    found.join("\n"),
                );
            });
        }
    }

    it("allow no action on unnamed resources that the program does not need", () => {
        const granted = [...programs.values()]
            .flat()
            // In the policy of a key `*` is the key.
            .filter(({ type }) => type !== "aws:kms/keyPolicy:KeyPolicy")
            .flatMap(statementsOf)
            .filter(
                ({ Effect, Resource }) =>
                    Effect === "Allow" &&
                    [Resource].flat().some((each) => /^\*$|:network-interface\/\*$/.test(String(each))),
            )
            .flatMap(({ Action }) => Action);
        assert.deepEqual(Object.values(unnamedResourcesAllowed).flat().sort(), [...new Set(granted)].sort());
    });
});
