/** Policy documents, made of tables in which each statement stands beside the reason for it. Pure. */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { AwsLocation } from "../contract/aws";
import type { EngineName } from "../contract/engine";
import type { EcrRepository } from "../contract/image";

/** Where a stack lives: its account may be known only once the program runs. */
export type StackLocation = AwsLocation<pulumi.Input<string>>;

/** Where in a VPC builds run. It has to lead to ECR, S3 and CloudWatch Logs, by endpoints or by a NAT gateway. */
export interface BuildNetwork {
    readonly vpcId: pulumi.Input<string>;
    /** Private ones, 1 to 16: builds get no public address. */
    readonly subnetIds: readonly pulumi.Input<string>[];
    /** Those of the builds, 1 to 5. */
    readonly securityGroupIds: readonly pulumi.Input<string>[];
}

/** What statements are about. Each table says which of it it takes; the arguments of components have the same names. */
export interface PolicyArgs {
    /** Where the stack lives. */
    readonly at: StackLocation;
    readonly engine: EngineName;
    /** Repositories that may be exported. */
    readonly repositories: readonly EcrRepository[];
    /** Those of them that a pull-through cache fills when a build pulls. */
    readonly cachedRepositories: readonly EcrRepository[];
    /** Those of them that the state machine asks ECR about. */
    readonly askedRepositories: readonly EcrRepository[];
    /** Those of them that stand for many: what the policy of a registry is about. */
    readonly patterns?: readonly EcrRepository[];
    /** ARN of the bucket of the archives, or a pattern of it where it does not exist yet. */
    readonly artifactBucketArn: pulumi.Input<string>;
    /** The only key prefix that builds may write, with its closing slash. */
    readonly artifactPrefix: string;
    /** Key of the exporter in the bucket; undefined for engine `docker`. */
    readonly exporterKey: pulumi.Input<string> | undefined;
    /** ARN of the KMS key that encrypts archives, logs and notifications; undefined where AWS's own keys do. */
    readonly encryptionKeyArn?: pulumi.Input<string> | undefined;
    /** ARN of the KMS key that signs records; undefined where nothing is signed. */
    readonly signingKeyArn?: pulumi.Input<string> | undefined;
    /** How the names of the stack's log groups, topics and alarms begin, for instance `image-export-`. */
    readonly namePrefix: string;
    /** ARN of the builds' service role. */
    readonly buildRoleArn: pulumi.Input<string>;
    /** Undefined where builds run in CodeBuild's own network, which leads to the internet. */
    readonly network?: BuildNetwork | undefined;
    /** ARN of the CodeBuild project. */
    readonly projectArn: pulumi.Input<string>;
    /** Name of the builds' log group. */
    readonly buildLogGroupName: pulumi.Input<string>;
    /** ARN of the log group that is written to. */
    readonly logGroupArn: pulumi.Input<string>;
    /** The state machine that a policy is about. */
    readonly machineArn: pulumi.Input<string>;
    readonly machineName: pulumi.Input<string>;
    /** The state machine that exports one image. */
    readonly exportMachineArn: pulumi.Input<string>;
    readonly exportMachineName: pulumi.Input<string>;
    /** ARN of the state machine that a rule or a schedule starts. */
    readonly startedArn: pulumi.Input<string>;
    /** Names of the state machines whose executions are reported. */
    readonly reportedNames: readonly pulumi.Input<string>[];
    /** ARN of the topic of notifications. */
    readonly topicArn: pulumi.Input<string>;
    /** ARN of the dead-letter queue. */
    readonly queueArn: pulumi.Input<string>;
    /** ARN of the rule for pushes; undefined where there is none. */
    readonly ruleArn: pulumi.Input<string> | undefined;
}

/**
 * One statement, and why its holder has it. Actions, their resource types and condition keys are those of the Service
 * Authorization Reference: docs.aws.amazon.com/service-authorization/latest/reference/
 */
export interface Reasoned<Args> {
    /** Who needs it, and for what; docs/results/least-privilege.md says so as well. */
    readonly why: string;
    /** Page below docs.aws.amazon.com that asks for it. */
    readonly page: string;
    /** The statement without its `Sid`, which is its key in the table; false where `args` call for none. */
    readonly statement: (args: Args) => Statement | false;
}

type Statement = Omit<aws.iam.PolicyStatement, "Sid">;

/** The statements of one holder, by their `Sid`, in the order in which they are written. */
export type Statements<Args> = Readonly<Record<string, Reasoned<Args>>>;

/** The same, by what they are about. */
export type PolicyTable<Names extends keyof PolicyArgs = never> = Statements<Pick<PolicyArgs, Names>>;

/** The statements of a holder that `args` call for. */
export function statementsOf<Args>(table: Statements<Args>, args: Args): aws.iam.PolicyStatement[] {
    return Object.entries(table).flatMap(([Sid, reasoned]) => {
        const statement = reasoned.statement(args);
        return statement === false ? [] : [{ Sid, ...statement }];
    });
}

/**
 * A statement that allows something.
 *
 * @param actions One or more, divided by white space.
 * @param Resource None in the policy of a resource that can only be about that resource.
 */
export function allow(actions: string, Resource: Statement["Resource"], Condition?: Statement["Condition"]): Statement {
    const [first = "", ...others] = actions.split(/\s+/);
    const Action = others.length > 0 ? [first, ...others] : first;
    return { Effect: "Allow", Action, Resource, ...(Condition && { Condition }) };
}

/** The same in the policy of a resource, which says whom it allows something. */
export function allowTo(
    Principal: Statement["Principal"],
    actions: string,
    Resource?: Statement["Resource"],
    Condition?: Statement["Condition"],
): Statement {
    return { ...allow(actions, Resource), Principal, ...(Condition && { Condition }) };
}

/** Lets list what is below the prefix of the archives. */
export function allowListing({
    artifactBucketArn,
    artifactPrefix,
}: Pick<PolicyArgs, "artifactBucketArn" | "artifactPrefix">): Statement {
    return allow("s3:ListBucket", artifactBucketArn, { StringLike: { "s3:prefix": `${artifactPrefix}*` } });
}

/** A statement that denies everybody something. */
export function deny(Action: string, Resource: Statement["Resource"], Condition: Statement["Condition"]): Statement {
    return { Effect: "Deny", Principal: "*", Action, Resource, Condition };
}

/** The condition of a request that comes without TLS. */
export const withoutTls = { Bool: { "aws:SecureTransport": "false" } };

/** Makes a policy document of statements. */
export function policyDocument(statements: aws.iam.PolicyStatement[]): aws.iam.PolicyDocument {
    return { Version: "2012-10-17", Statement: statements };
}

/** The policy of a holder. */
export function policyOf<Args>(table: Statements<Args>, args: Args): aws.iam.PolicyDocument {
    return policyDocument(statementsOf(table, args));
}

/** `pulumi.interpolate`, but a string where every part is one: sizes.ts measures what is known before anything is declared. */
export function joined(parts: TemplateStringsArray, ...values: readonly pulumi.Input<string>[]): pulumi.Input<string> {
    return values.every((value) => typeof value === "string")
        ? String.raw({ raw: parts }, ...values)
        : pulumi.interpolate(parts, ...values);
}

/** An ARN of the stack's own partition, region and account. */
export function arnIn(
    { partition, region, accountId }: StackLocation,
    service: string,
    resource: pulumi.Input<string>,
): pulumi.Input<string> {
    return joined`arn:${partition}:${service}:${region}:${accountId}:${resource}`;
}
