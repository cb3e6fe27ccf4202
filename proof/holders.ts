/** What each policy of the program is attached to, or published for: by the place where it is declared. */
import { at, awsTypes, physicalNameOf } from "../lab/awsTypes";
import type { Evaluation, RecordedResource } from "../lab/evaluation";

/** What a policy is attached to, or published for. */
export type Holder = {
    /** For people. */
    readonly name: string;
    /** The program's name of the role or resource, or the name of the output. */
    readonly of: string;
} & (
    | {
          /** It says what a principal may do. */
          readonly kind: "identity";
          readonly principal: string;
      }
    | {
          /** It says who may do what to a resource. Trust is one of these: the resource is the role. */
          readonly kind: "resource";
          readonly arn: string;
      }
    | {
          /** It says what may pass a VPC endpoint, and grants nothing. The principal stands for one who may do everything. */
          readonly kind: "endpoint";
          readonly principal: string;
      }
);

/** The key of another account that a variant of the program is given. */
export const givenKeyArn = `arn:${at.partition}:kms:${at.region}:444455556666:key/mrk-1234abcd12ab34cd56ef1234567890ab`;

/** ARN of a role by its physical name. */
export function roleArn(physicalName: string): string {
    return `arn:${at.partition}:iam::${at.accountId}:role/${physicalName}`;
}

/** The resource whose policy has a say: for an object its bucket, otherwise the resource itself. */
export function policyBearer(resource: string): string {
    return resource.replace(/^(arn:[^:]*:s3:::[^/]*)\/.*$/, "$1");
}

/** Policies that are part of a resource, by its type and the argument that they are in. */
const inResources: Record<string, (resource: RecordedResource, evaluation: Evaluation) => Holder> = {
    "aws:iam/role:Role assumeRolePolicy": ({ name }) => ({
        kind: "resource",
        name: `trust of role ${name}`,
        of: name,
        arn: roleArn(physicalNameOf(name)),
    }),
    "aws:iam/rolePolicy:RolePolicy policy": ({ inputs }, evaluation) => {
        const physicalName = String(inputs["role"]);
        const role = evaluation
            .customResources()
            .find(({ type, name }) => type === "aws:iam/role:Role" && physicalNameOf(name) === physicalName);
        const of = role?.name ?? physicalName;
        return { kind: "identity", name: `role ${of}`, of, principal: roleArn(physicalName) };
    },
    "aws:iam/policy:Policy policy": ({ name }) => ({
        kind: "identity",
        name: `bound ${name}`,
        of: name,
        principal: roleArn(`bound-by-${name}`),
    }),
    "aws:ec2/vpcEndpoint:VpcEndpoint policy": ({ name, inputs }) => ({
        kind: "endpoint",
        name: `endpoint ${String(inputs["serviceName"]).split(".").slice(3).join(".")}`,
        of: name,
        principal: roleArn(`passing-${name}`),
    }),
    "aws:kms/key:Key policy": ({ type, name, inputs }) => ({
        kind: "resource",
        name: "the key",
        of: name,
        arn: awsTypes[type]?.answer(physicalNameOf(name), inputs)["arn"] ?? "",
    }),
    "aws:s3/bucketPolicy:BucketPolicy policy": ({ name, inputs }) => ({
        kind: "resource",
        name: "the bucket",
        of: name,
        arn: `arn:${at.partition}:s3:::${String(inputs["bucket"])}`,
    }),
    "aws:sns/topicPolicy:TopicPolicy policy": ({ name, inputs }) => ({
        kind: "resource",
        name: "the topic",
        of: name,
        arn: String(inputs["arn"]),
    }),
    "aws:sqs/queuePolicy:QueuePolicy policy": ({ name, inputs }) => ({
        kind: "resource",
        name: "the queue of dead letters",
        of: name,
        arn: String(inputs["queueUrl"]).replace(
            /^https:\/\/sqs\.([^.]+)\.[^/]+\/(\d+)\/(.+)$/,
            `arn:${at.partition}:sqs:$1:$2:$3`,
        ),
    }),
};

/** Policies that are outputs of the stack, by the output's name. */
const inOutputs: Record<string, (path: readonly string[]) => Holder> = {
    startExportPolicy: ([output = ""]) => holderOfPublished(output),
    startBatchPolicy: ([output = ""]) => holderOfPublished(output),
    readArtifactsPolicy: ([output = ""]) => holderOfPublished(output),
    encryptionKeyPolicy: ([of = ""]) => ({ kind: "resource", name: "the given key", of, arn: givenKeyArn }),
    repositoryPolicies: ([of = "", arn = ""]) => ({
        kind: "resource",
        name: "repositories of other accounts",
        of,
        arn,
    }),
};

/** Somebody in the stack's account who was given a published policy, and nothing else. */
function holderOfPublished(output: string): Holder {
    return {
        kind: "identity",
        name: `holder of ${output}`,
        of: output,
        principal: roleArn(`holder-of-${output}`),
    };
}

/**
 * What a policy is attached to.
 *
 * @param path Where in the resource's arguments it is.
 * @returns undefined where nothing is known of such a place.
 */
export function holderInResource(
    evaluation: Evaluation,
    resource: RecordedResource,
    path: readonly string[],
): Holder | undefined {
    return inResources[`${resource.type} ${path.join(".")}`]?.(resource, evaluation);
}

/** What a policy is published for; `path` begins with the output's name. */
export function holderInOutput(path: readonly string[]): Holder | undefined {
    return inOutputs[path[0] ?? ""]?.(path);
}

/** The types of IAM that the program may use: what they grant is in a document of the program's own. */
const iamTypes = ["aws:iam/policy:Policy", "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"];
/** Arguments that grant what is written elsewhere, AWS's own policies among them. */
const foreignGrants = ["managedPolicyArns", "inlinePolicies", "policyArn", "policyArns"];

/** Ways to grant something without a statement of the program's own. */
export function foreignGrantsIn(evaluation: Evaluation): string[] {
    return evaluation
        .customResources()
        .flatMap(({ type, name, inputs }) => [
            ...(type.startsWith("aws:iam/") && !iamTypes.includes(type)
                ? [`${type} ${name}: a type of IAM that proof/holders.ts does not know`]
                : []),
            ...foreignGrants
                .filter((argument) => argument in inputs)
                .map((argument) => `${type} ${name}: ${argument} grants what no builder made`),
            ...(awsTypes[type] === undefined ? [`${type} ${name}: not in lab/awsTypes.ts`] : []),
        ]);
}
