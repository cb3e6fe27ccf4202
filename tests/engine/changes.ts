/** Changes of a stack's configuration, one key at a time, which the tests of the engine make and docs/results/changes.md lists. */
import { stackFile } from "../../lab/stackFiles";
import type { Changes } from "./engineStack";

/** A change of one of the project's stacks. */
export interface Change {
    /** The stack that is changed: its file's name. */
    readonly stack: keyof typeof stacks;
    /** The keys that change, in the words of docs/results/changes.md. */
    readonly what: string;
    /** The keys' new values, without the project's name; undefined takes a key away. */
    readonly to: Changes;
}

/** The stack files of the project, by the folder that they are in. */
export const stacks = {
    dev: ".",
    prod: ".",
    "cross-account": "examples/stacks",
    isolated: "examples/stacks",
    lambda: "examples/stacks",
} as const;

const inTokyo = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const repository = "arn:aws:ecr:ap-northeast-1:111122223333:repository";
const givenVpc = {
    vpcId: "vpc-0a1b2c3d4e5f60718",
    subnetIds: ["subnet-0a1b2c3d4e5f60718"],
    securityGroupIds: ["sg-0a1b2c3d4e5f60718"],
};
const givenKey = "arn:aws:kms:ap-northeast-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const emails = ["container-platform@example.com"];
const retentionOf = (stack: string) => stackFile(stack)["ecr-image-export:retention"] as object;

/** Those that `npm run test:engine` makes. */
export const commonChanges: readonly Change[] = [
    { stack: "prod", what: "`engine: docker → stream`", to: { engine: "stream" } },
    { stack: "prod", what: "`encryption: kms → s3`", to: { encryption: "s3" } },
    { stack: "prod", what: "`network: public → isolated`", to: { network: "isolated" } },
    { stack: "prod", what: "`tags`", to: { tags: { "cost-center": "platform" } } },
    { stack: "prod", what: "`existingBucket`: own → existing", to: { existingBucket: "first-archives" } },
    { stack: "dev", what: "`retention.archiveDays`", to: { retention: { ...retentionOf("dev"), archiveDays: 30 } } },
];

/** The others. */
export const otherChanges: readonly Change[] = [
    { stack: "prod", what: "`imageUri`", to: { imageUri: `${inTokyo}/httpd:2.4` } },
    {
        stack: "prod",
        what: "`repositoryArns`: one more",
        to: { repositoryArns: [`${repository}/backend/api`, `${repository}/backend/jobs`] },
    },
    { stack: "prod", what: "`crossAccountRepositoryArns`: none", to: { crossAccountRepositoryArns: [] } },
    { stack: "prod", what: "`artifactPrefix`", to: { artifactPrefix: "releases/" } },
    { stack: "prod", what: "`compute.type`", to: { compute: { type: "BUILD_GENERAL1_XLARGE", timeoutMinutes: 60 } } },
    {
        stack: "prod",
        what: "`compute.timeoutMinutes`",
        to: { compute: { type: "BUILD_GENERAL1_LARGE", timeoutMinutes: 120 } },
    },
    { stack: "prod", what: "`cache: none → local`", to: { cache: "local" } },
    { stack: "prod", what: "`encryption: kms → a given key`", to: { encryption: givenKey } },
    { stack: "prod", what: "`signing`: none → kms", to: { signing: "kms" } },
    { stack: "prod", what: "`signing`: none → a given key", to: { signing: givenKey } },
    { stack: "prod", what: "`network: public → private`", to: { network: "private" } },
    { stack: "prod", what: "`network: public → a given VPC`", to: { network: givenVpc } },
    {
        stack: "prod",
        what: "`retention.protect: true → false`",
        to: { retention: { ...retentionOf("prod"), protect: false } },
    },
    { stack: "prod", what: "`notifications`: none", to: { notifications: undefined } },
    { stack: "prod", what: "`notifications.onSuccess`", to: { notifications: { emails, onSuccess: true } } },
    {
        stack: "prod",
        what: "`notifications.slack`",
        to: { notifications: { emails, slack: { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" } } },
    },
    {
        stack: "prod",
        what: "`notifications.emails`: another",
        to: { notifications: { emails: ["on-call@example.com"] } },
    },
    { stack: "prod", what: "`batch.maxConcurrency`", to: { batch: { maxConcurrency: 100 } } },
    { stack: "prod", what: "`triggers.onPush`", to: { triggers: { onPush: { repositories: ["backend/api"] } } } },
    { stack: "prod", what: "`triggers.schedule`", to: { triggers: { schedule: { expression: "rate(1 day)" } } } },
    {
        stack: "prod",
        what: "`permissionsBoundary`",
        to: { permissionsBoundary: "arn:aws:iam::111122223333:policy/boundary" },
    },
    { stack: "prod", what: "`aws:region`", to: { "aws:region": "eu-west-1" } },
    {
        stack: "dev",
        what: "`encryption: s3 → kms`, `retention.emptyOnDestroy: true → false`",
        to: { encryption: "kms", retention: { ...retentionOf("dev"), emptyOnDestroy: false } },
    },
    { stack: "dev", what: "`encryption: s3 → a given key`", to: { encryption: givenKey } },
    {
        stack: "dev",
        what: "`pullThroughCache`: a rule",
        to: {
            pullThroughCache: [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }],
            repositoryArns: [`${repository}/quay/coreos/etcd`],
        },
    },
    {
        stack: "cross-account",
        what: "`crossAccountRepositoryArns`: one fewer",
        to: { crossAccountRepositoryArns: ["arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base"] },
    },
    { stack: "isolated", what: "`network: isolated → public`", to: { network: "public" } },
    { stack: "isolated", what: "`network: isolated → a given VPC`", to: { network: givenVpc } },
    { stack: "isolated", what: "`engine: stream → docker`", to: { engine: "docker" } },
    { stack: "lambda", what: "`compute.type: lambda → BUILD_GENERAL1_MEDIUM`", to: { compute: undefined } },
    { stack: "lambda", what: "`engine: stream → docker`", to: { engine: "docker", compute: undefined } },
];

/** Keys as the stack's file has them. */
export function withProject(changes: Changes): Changes {
    return Object.fromEntries(
        Object.entries(changes).map(([key, value]) => [key.includes(":") ? key : `ecr-image-export:${key}`, value]),
    );
}
