/** Policy documents, made of tables in which each statement stands beside the reason for it. Pure. */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import type { AwsLocation } from "../contract/aws";

/** Where a stack lives: its account may be known only once the program runs. */
export type StackLocation = AwsLocation<pulumi.Input<string>>;

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
    readonly statement: (args: Args) => Omit<aws.iam.PolicyStatement, "Sid"> | false;
}

/** The statements of one holder, by their `Sid`, in the order in which they are written. */
export type PolicyTable<Args> = Readonly<Record<string, Reasoned<Args>>>;

/** The statements of a holder that `args` call for. */
export function statementsOf<Args>(table: PolicyTable<Args>, args: Args): aws.iam.PolicyStatement[] {
    return Object.entries(table).flatMap(([Sid, reasoned]) => {
        const statement = reasoned.statement(args);
        return statement === false ? [] : [{ Sid, ...statement }];
    });
}

/** Makes a policy document of statements. */
export function policyDocument(statements: aws.iam.PolicyStatement[]): aws.iam.PolicyDocument {
    return { Version: "2012-10-17", Statement: statements };
}

/** The policy of a holder. */
export function policyOf<Args>(table: PolicyTable<Args>, args: Args): aws.iam.PolicyDocument {
    return policyDocument(statementsOf(table, args));
}

/**
 * Trust: a service may assume a role, but only on behalf of a resource of this account, so that nobody else's resource
 * works with it (docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
 *
 * @param service Name of the service, for instance `codebuild`. Service principals end in `amazonaws.com` in every partition
 *     but for a few (github.com/aws/aws-cdk, region-info/lib/default.ts), of which `logs` is the only one here: key.ts.
 * @param sourceArn ARN of the resource, or a pattern of it where Pulumi or AWS names it later.
 */
export function assumedBy(service: string, at: StackLocation, sourceArn: pulumi.Input<string>): aws.iam.PolicyDocument {
    return policyDocument([
        {
            Effect: "Allow",
            Principal: { Service: `${service}.amazonaws.com` },
            Action: "sts:AssumeRole",
            Condition: {
                StringEquals: { "aws:SourceAccount": at.accountId },
                ArnLike: { "aws:SourceArn": sourceArn },
            },
        },
    ]);
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
