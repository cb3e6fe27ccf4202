/** The sizes that AWS takes of what grows with the lists of a configuration, so that a preview refuses what `pulumi up` would. */
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { type EcrRepository, repositoryArn, shorterList } from "../contract/image";
import { policyDocument, type PolicyTable, type Statements, statementsOf } from "./document";

/**
 * Characters of all inline policies of a role, white space not counted; each role has one. An endpoint's policy, which names no more
 * repositories than the role of builds, may have twice as many: docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 */
const rolePolicyLimit = 10_240;

/** Characters of an event pattern: docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html */
export const eventPatternLimit = 2048;

/** Characters of a definition: docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html */
const definitionLimit = 1024 * 1024;

/** Characters that a state assigns, of 256 KiB (…/workflow-variables.html), of which a request has an eighth. */
const assignLimit = 224 * 1024;

/** Characters of an inline buildspec: docs.aws.amazon.com/codebuild/latest/APIReference/API_ProjectSource.html */
export const buildspecLimit = 25_600;

/**
 * Refuses a document that AWS would refuse.
 *
 * @param what What it is, as the message begins.
 * @param document As JSON is written; a string as it is.
 * @param listed What it grows with: names of repositories, or ARNs.
 * @throws pulumi.RunError that says how large it is, what the limit is, and what to do.
 */
export function checkDocumentSize(
    what: string,
    document: unknown,
    limit: number,
    listed: readonly string[] = [],
): void {
    const size = typeof document === "string" ? document.length : JSON.stringify(document).length;
    if (size <= limit) return;
    const advice = listed.length === 0 ? "shorten it" : shorterList(listed, size - limit);
    throw new pulumi.RunError(`${what} would have ${size} characters, and AWS takes ${limit}: ${advice}.`);
}

/**
 * Refuses a definition, or what one of its states assigns, that Step Functions would refuse, whatever is known only later.
 *
 * @throws pulumi.RunError as {@link checkDocumentSize}
 */
export function checkDefinition(
    name: string,
    definition: { readonly States: Readonly<Record<string, { readonly Assign?: unknown }>> },
    repositories: readonly EcrRepository[] = [],
): void {
    const longest = withLongest(definition, "") as typeof definition;
    const listed = repositories.map(repositoryArn);
    checkDocumentSize(`The definition of the state machine ${name}`, longest, definitionLimit, listed);
    for (const [state, { Assign = {} }] of Object.entries(longest.States)) {
        checkDocumentSize(
            `What the state "${state}" of the state machine ${name} assigns`,
            Assign,
            assignLimit,
            listed,
        );
    }
}

/**
 * The statements of a role that names repositories, once it is sure that they fit, whatever is known only later.
 *
 * @param what Whose role it is.
 * @param repositories What the statements grow with.
 * @param besides What the role has besides.
 * @throws pulumi.RunError as {@link checkDocumentSize}, at once: thrown later, it would be an error of serialization.
 */
export function fittingStatements<Args extends object>(
    what: string,
    table: Statements<Args>,
    args: Args,
    repositories: readonly EcrRepository[],
    besides: PolicyTable = {},
): aws.iam.PolicyStatement[] {
    const longest = [...statementsOf(table, withLongest(args, "") as Args), ...statementsOf(besides, {})];
    const document = policyDocument(longest);
    checkDocumentSize(`The policy of ${what}`, document, rolePolicyLimit, repositories.map(repositoryArn));
    return statementsOf(table, args);
}

/** A value, in which long strings stand for what is an Output. */
function withLongest(value: unknown, name: string): unknown {
    if (pulumi.Output.isInstance(value)) {
        // An account's number, an id such as a subnet's, an ARN: none here is longer.
        return "x".repeat(name === "accountId" ? 12 : name.endsWith("Ids") ? 24 : 128);
    }
    if (Array.isArray(value)) return value.map((each) => withLongest(each, name));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withLongest(each, key)]));
}
