import { strict as assert } from "node:assert";

import { resourceRules, type StackResource, stackRules, unnamedResourcesAllowed } from "./support/guardRails";
import { untaggableTypes } from "../components/stackDefaults";
import { awsTypes } from "../lab/awsTypes";
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

function remove(name: string): Change {
    return (resources) => resources.filter((resource) => resource.name !== name);
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
        ignoreChanges: [],
    };
    return (resources) => [...resources, { ...resource, ...rest, aliases: [] }];
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
    const statement = {
        Effect: "Allow",
        Principal: principal,
        Action: "sts:AssumeRole",
        Condition: condition,
    };
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
        ["a wildcard among actions", grant(build, { ...read, Action: ["s3:GetObject", "*"] }), /allows \*/],
        ["all actions but some", grant(build, { NotAction: "iam:*", Resource: objects }), /all actions but/],
        [
            "a wildcard in a policy inside of a role, as text",
            set("image-export-build-role", {
                inlinePolicies: [
                    { policy: JSON.stringify({ Statement: { Effect: "Allow", ...read, Action: "s3:*" } }) },
                ],
            }),
            /A statement allows s3:\*/,
        ],
    ],
    "iam-resources-are-named": [
        ["every resource", grant(build, { ...read, Resource: "*" }), /Added allows s3:GetObject on \*:/],
        ["every bucket", grant(build, { ...read, Resource: [objects, "arn:aws:s3:::*"] }), /on arn:aws:s3:::\*:/],
        ["buckets that begin alike", grant(build, { ...read, Resource: "arn:aws:s3:::image-*" }), /image-\*:/],
        ["every resource but some", grant(build, { Action: "s3:GetObject", NotResource: objects }), /but some/],
        [
            "every resource, beside an action that may have it",
            grant(build, { Action: ["ecr:GetAuthorizationToken", "ecr:BatchGetImage"], Resource: "*" }),
            /allows ecr:BatchGetImage on \*/,
        ],
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
            "a policy of AWS in a role",
            set("image-export-build-role", {
                managedPolicyArns: ["arn:aws-cn:iam::aws:policy/ReadOnlyAccess"],
            }),
            /ReadOnlyAccess is attached/,
        ],
        [
            "a chat channel that is bound by AdministratorAccess alone",
            set("image-export-monitoring-chat", { guardrailPolicyArns: undefined }),
            /channel's bound is AWS's own/,
        ],
        [
            "a chat channel that AWS's own policy is added to the bound of",
            set("image-export-monitoring-chat", {
                guardrailPolicyArns: [
                    "arn:aws:iam::111122223333:policy/bound",
                    "arn:aws:iam::aws:policy/ReadOnlyAccess",
                ],
            }),
            /channel's bound is AWS's own/,
        ],
    ],
    "iam-trust-names-its-source": [
        ["no condition", trust({}), /for any account.*\n.*for any resource/],
        ["no account", trust(trusted.project), /for any account/],
        ["no resource", trust(trusted.account), /for any resource/],
        [
            "resources of any account",
            trust({ ...trusted.account, ArnLike: { "aws:SourceArn": "arn:aws:codebuild:*:*:project/x" } }),
            /for any resource/,
        ],
        [
            "conditions that need not be met",
            trust({
                StringEqualsIfExists: trusted.account.StringEquals,
                ArnLikeIfExists: trusted.project.ArnLike,
            }),
            /for any account.*\n.*for any resource/,
        ],
        ["everybody", trust({ ...trusted.account, ...trusted.project }, { AWS: "*" }), /Everybody may assume/],
    ],
    "nothing-is-public": [
        ...["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"].map(
            (way): [string, Change, RegExp] => [
                `${way} switched off`,
                set("image-export-storage-access-block", { [way]: false }),
                new RegExp(`: ${way} is not true`),
            ],
        ),
        ["a bucket policy for everybody", grant(bucket, { ...read, Principal: "*" }), /Added lets everybody in/],
        [
            "a bucket policy for everybody under a condition that anybody meets",
            grant(bucket, {
                ...read,
                Principal: { AWS: ["*"] },
                Condition: { ArnLike: { "aws:SourceArn": "*" } },
            }),
            /Added lets everybody in/,
        ],
        [
            "a repository for everybody, as text",
            add("aws:ecr/repositoryPolicy:RepositoryPolicy", {
                tags,
                policy: '{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}}',
            }),
            /A statement lets everybody in/,
        ],
    ],
    "encryption-is-on": [
        ["no rule", set("image-export-storage-encryption", { rules: [] }), /No rule names an algorithm/],
        [
            "an unknown algorithm",
            set("image-export-storage-encryption", {
                rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "none" } }],
            }),
            /No rule names an algorithm/,
        ],
        ["a queue in plain", set("image-export-triggers-undelivered", { sqsManagedSseEnabled: false }), /queue is not/],
        ["a key that stays the same", add("aws:kms/key:Key", { tags }), /The key is not rotated/],
    ],
    "tls-only": [
        ["nothing denied", set(bucket, { policy: { Statement: [] } }), /does not deny/],
        ...Object.entries({
            "denied with TLS": { Condition: { Bool: { "aws:SecureTransport": "true" } } },
            "denied under one more condition": {
                Condition: { Bool: { "aws:SecureTransport": "false", "aws:ViaAWSService": "false" } },
            },
            "denied to somebody": { Principal: { AWS: "arn:aws:iam::111122223333:root" } },
            "denied to all but one": {
                Principal: undefined,
                NotPrincipal: { AWS: "arn:aws:iam::111122223333:root" },
            },
            "one action denied": { Action: "s3:GetObject" },
            "the objects left out": { Resource: "arn:aws:s3:::image-export-storage-bucket-0a1b2c3" },
            "the bucket left out": { Resource: "arn:aws:s3:::image-export-storage-bucket-0a1b2c3/*" },
            "allowed instead": { Effect: "Allow", Principal: { AWS: "arn:aws:iam::111122223333:root" } },
        }).map(([what, changed]): [string, Change, RegExp] => [
            what,
            change(bucket, (inputs) => {
                const [statement] = (inputs["policy"] as { Statement: object[] }).Statement;
                return { ...inputs, policy: { Statement: [{ ...statement, ...changed }] } };
            }),
            /does not deny/,
        ]),
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
            "a log without a word",
            set("image-export-single-machine-log", { retentionInDays: undefined }),
            /kept for ever/,
        ],
        [
            "a log group of CodeBuild's own",
            set("image-export-build-project", { logsConfig: {} }),
            /a log group of its own/,
        ],
    ],
    "tags-are-set": [
        [
            "no tags",
            set("image-export-storage-bucket", { tags: undefined }),
            /tag project.*\n.*tag stack.*\n.*tag managed-by/,
        ],
        ["an empty tag", set("image-export-storage-bucket", { tags: { ...tags, stack: "" } }), /tag stack is missing/],
        ["another resource without tags", add("aws:ec2/vpc:Vpc", {}), /tag project is missing/],
    ],
    "guards-are-in-place": [
        ["no access block", remove("image-export-storage-access-block"), /no BucketPublicAccessBlock/],
        ["no encryption", remove("image-export-storage-encryption"), /no BucketServerSideEncryptionConfiguration/],
        ["no policy", remove(bucket), /no BucketPolicy/],
        [
            "a queue without a policy",
            add("aws:sqs/queue:Queue", { tags, sqsManagedSseEnabled: true }),
            /added: It has no QueuePolicy/,
        ],
        ["a topic without a policy", add("aws:sns/topic:Topic", { tags }), /added: It has no TopicPolicy/],
        [
            "a second bucket",
            add("aws:s3/bucket:Bucket", { tags }),
            /no BucketPublicAccessBlock.*\n.*no BucketServerSide.*\n.*no BucketPolicy/,
        ],
    ],
};

/** What a rule must not take for an offence. */
const harmless: Record<string, Change> = {
    "a bucket that is encrypted with a key": set("image-export-storage-encryption", {
        rules: [
            {
                applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: "key" },
                bucketKeyEnabled: true,
            },
        ],
    }),
    "the policy of a key, whose resource is the key itself": add("aws:kms/key:Key", {
        tags,
        enableKeyRotation: true,
        policy: {
            Statement: [
                {
                    Effect: "Allow",
                    Principal: { AWS: "arn:aws:iam::111122223333:root" },
                    Action: "kms:*",
                    Resource: "*",
                },
                {
                    Effect: "Allow",
                    Principal: { AWS: "*" },
                    Action: "kms:Decrypt",
                    Resource: "*",
                    Condition: { StringEquals: { "kms:CallerAccount": "111122223333" } },
                },
            ],
        },
    }),
    "the policy of an endpoint, which narrows and grants nothing": add("aws:ec2/vpcEndpoint:VpcEndpoint", {
        tags,
        policy: { Statement: [{ Effect: "Allow", Principal: "*", ...read }] },
    }),
    "a role of another account that is named": trust({}, { AWS: "arn:aws:iam::444455556666:role/reader" }),
    "a statement that denies": grant(build, { Effect: "Deny", Action: "*", Resource: "*" }),
    "a policy of the account's own": add("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {
        tags,
        policyArn: "arn:aws:iam::111122223333:policy/own",
    }),
    "a resource of another provider": add("random:index/randomId:RandomId", {}),
    "a bucket policy as text": change(bucket, (inputs) => ({
        ...inputs,
        policy: JSON.stringify(inputs["policy"]),
    })),
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

    for (const [what, done] of Object.entries(harmless)) {
        it(`say nothing against ${what}`, () => {
            assert.deepEqual(violations(done(everything()), "docker"), []);
        });
    }

    it("know which types take no tags", () => {
        const untaggable = Object.entries(awsTypes).filter(([, type]) => !type?.taggable);
        assert.deepEqual([...untaggableTypes].sort(), untaggable.map(([token]) => token).sort());
    });

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
