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
    readonly statement: (args: Args) => Statement | false;
}

type Statement = Omit<aws.iam.PolicyStatement, "Sid">;

/** The statements of one holder, by their `Sid`, in the order in which they are written. */
export type PolicyTable<Args> = Readonly<Record<string, Reasoned<Args>>>;

/** The statements of a holder that `args` call for. */
export function statementsOf<Args>(table: PolicyTable<Args>, args: Args): aws.iam.PolicyStatement[] {
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
 * @param more Conditions; in the policy of a resource also whom it allows it.
 */
export function allow(
    actions: string,
    Resource: Statement["Resource"],
    more: Pick<Statement, "Principal" | "Condition"> = {},
): Statement {
    const [first = "", ...others] = actions.split(/\s+/);
    return { Effect: "Allow", Action: others.length > 0 ? [first, ...others] : first, Resource, ...more };
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
export function policyOf<Args>(table: PolicyTable<Args>, args: Args): aws.iam.PolicyDocument {
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
