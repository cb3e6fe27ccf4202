/** What each policy of the program is attached to, or published for, and the table of policies/ that it is made of. */
import { covers, isPattern } from "../contract/image";
import { arnIn, at, physicalNameOf } from "../lab/awsTypes";
import { customResourcesOf, type Evaluation, type RecordedResource } from "../lab/evaluation";
import { batchMapRole, batchRole } from "../policies/batchRole";
import { bucketPolicy } from "../policies/bucket";
import { buildRole } from "../policies/buildRole";
import { readArtifacts, startBatch, startExport } from "../policies/callers";
import type { Statements } from "../policies/document";
import { exportRole } from "../policies/exportRole";
import { keyPolicy, keyUsers, signingKeyPolicy } from "../policies/key";
import { flowLogRole, interfaceEndpoints, s3Endpoint } from "../policies/network";
import { chatRole, notifierRole, topicPolicy } from "../policies/notifications";
import { foreignRepository } from "../policies/repositories";
import { stateMachineRole } from "../policies/stateMachineRole";
import { trustReason } from "../policies/trust";
import { queuePolicy, ruleRole, scheduleRole, starterRole } from "../policies/triggers";

/** What a policy is attached to, or published for. */
export interface Holder {
    /**
     * The policy of an identity says what it may do, that of a resource who may do what to it (trust is one of these: the resource is
     * the role), that of an endpoint what may pass it, and grants nothing.
     */
    readonly kind: "identity" | "resource" | "endpoint";
    /** For people. */
    readonly name: string;
    /** The program's name of the role or resource, or the name of the output. */
    readonly of: string;
    /** Why each statement is there, by its `Sid`. */
    readonly reasons: Readonly<Record<string, typeof trustReason>>;
    /** Of the role, or of the resource; for an endpoint, of a role that may do everything. */
    readonly arn: string;
}

/** What the statement of a trust policy goes by, in the place of a `Sid`. */
export const trustName = "trust";

/** The key of another account that a variant of the program is given. */
export const givenKeyArn = `arn:${at.partition}:kms:${at.region}:444455556666:key/mrk-1234abcd12ab34cd56ef1234567890ab`;

/** ARN of a role by its physical name. */
function roleArn(physicalName: string): string {
    return arnIn(at, "iam", `role/${physicalName}`);
}

/** Whether the policy of a resource has a say about another: a bucket's about its objects, a registry's about its repositories. */
export function isBorneBy(arn: string, resource: string): boolean {
    return covers(arn, resource.replace(/^(arn:[^:]*:s3:::[^/]*)\/.*$/, "$1"));
}

type Table = Statements<never>;

const ofRoles: Readonly<Record<string, Table>> = {
    "image-export-build-role": buildRole,
    "image-export-single-machine-role": { ...exportRole, ...stateMachineRole },
    "image-export-batch-machine-role": { ...batchRole, ...batchMapRole, ...stateMachineRole },
    "image-export-monitoring-notifier-role": { ...notifierRole, ...stateMachineRole },
    "image-export-monitoring-ended-role": ruleRole,
    "image-export-monitoring-chat-role": chatRole,
    "image-export-triggers-machine-role": { ...starterRole, ...stateMachineRole },
    "image-export-triggers-on-push-role": ruleRole,
    "image-export-triggers-schedule-role": scheduleRole,
    "image-export-network-flows-role": flowLogRole,
};

const ofEndpoints: Readonly<Record<string, Table>> = { s3: s3Endpoint, ...interfaceEndpoints };

function resource(name: string, of: string, reasons: Holder["reasons"], arn: string): Holder {
    return { kind: "resource", name, of, reasons, arn };
}

function identity(name: string, of: string, reasons: Table, roleName: string): Holder {
    return { kind: "identity", name, of, reasons, arn: roleArn(roleName) };
}

/** Policies that are part of a resource, by its type and the argument that they are in. */
export const holdersInResources: Readonly<Record<string, (resource: RecordedResource) => Holder>> = {
    "aws:iam/role:Role assumeRolePolicy": ({ name }) =>
        resource(`trust of role ${name}`, name, { [trustName]: trustReason }, roleArn(physicalNameOf(name))),
    "aws:iam/rolePolicy:RolePolicy policy": ({ inputs }) => {
        const physicalName = String(inputs["role"]);
        const of = physicalName.replace(/-[0-9a-f]{7}$/, ""); // the random digits
        return identity(`role ${of}`, of, ofRoles[of] ?? {}, physicalName);
    },
    "aws:iam/policy:Policy policy": ({ name }) => identity(`bound ${name}`, name, chatRole, `bound-by-${name}`),
    "aws:ec2/vpcEndpoint:VpcEndpoint policy": ({ name, inputs }) => {
        const service = String(inputs["serviceName"]).split(".").slice(3).join(".");
        const reasons = ofEndpoints[service] ?? {};
        return { kind: "endpoint", name: `endpoint ${service}`, of: name, reasons, arn: roleArn(`passing-${name}`) };
    },
    "aws:kms/keyPolicy:KeyPolicy policy": ({ name, inputs }) => {
        const [what, table]: [string, Holder["reasons"]] = name.includes("signing")
            ? ["the key that signs", signingKeyPolicy]
            : ["the key", keyPolicy];
        return resource(what, name, table, arnIn(at, "kms", `key/${String(inputs["keyId"])}`));
    },
    "aws:s3/bucketPolicy:BucketPolicy policy": ({ name, inputs }) =>
        resource("the bucket", name, bucketPolicy, `arn:${at.partition}:s3:::${String(inputs["bucket"])}`),
    "aws:sns/topicPolicy:TopicPolicy policy": ({ name, inputs }) =>
        resource("the topic", name, topicPolicy, String(inputs["arn"])),
    "aws:sqs/queuePolicy:QueuePolicy policy": ({ name, inputs }) => {
        const queue = String(inputs["queueUrl"]).split("/").at(-1) ?? "";
        return resource("the dead-letter queue", name, queuePolicy, arnIn(at, "sqs", queue));
    },
};

/** Somebody in the stack's account who was given a published policy, and nothing else. */
function givenTo(of: string, reasons: Table): Holder {
    return identity(`holder of ${of}`, of, reasons, `holder-of-${of}`);
}

/** Policies that are outputs of the stack, by the output's name, with which their path begins. */
export const holdersInOutputs: Readonly<Record<string, (path: readonly string[]) => Holder>> = {
    startExportPolicy: () => givenTo("startExportPolicy", startExport),
    startBatchPolicy: () => givenTo("startBatchPolicy", startBatch),
    readArtifactsPolicy: () => givenTo("readArtifactsPolicy", readArtifacts),
    encryptionKeyPolicy: ([of = ""]) => resource("the given key", of, keyUsers, givenKeyArn),
    repositoryPolicies: ([of = "", arn = ""]) =>
        isPattern(arn)
            ? // A registry's policy is asked about each of its repositories.
              resource("registries of other accounts", of, foreignRepository, arn.replace(/\/.*/, "/*"))
            : resource("repositories of other accounts", of, foreignRepository, arn),
};

/** The types of IAM that the program may use: what they grant is in a document of the program's own. */
const iamTypes = ["aws:iam/policy:Policy", "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"];
/** Arguments that grant what is written elsewhere, AWS's own policies among them. */
const foreignGrants = ["managedPolicyArns", "inlinePolicies", "policyArn", "policyArns"];

/** Ways to grant something without a statement of the program's own. */
export function foreignGrantsIn(evaluation: Evaluation): string[] {
    return customResourcesOf(evaluation).flatMap(({ type, name, inputs }) =>
        [
            ...(type.startsWith("aws:iam/") && !iamTypes.includes(type)
                ? ["a type of IAM that proof/holders.ts does not know"]
                : []),
            ...foreignGrants
                .filter((argument) => argument in inputs)
                .map((argument) => `${argument} grants what no table of policies/ has`),
        ].map((offence) => `${type} ${name}: ${offence}`),
    );
}
