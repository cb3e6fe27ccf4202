/** What holds for every resource of the program, whichever component declares it. */
import { strict as assert } from "node:assert";

import { unnamedResourcesAllowed } from "./guardRails";
import { untaggableTypes } from "./untaggableTypes";
import { awsTypes } from "../../lab/awsTypes";
import { customResourcesOf, type Evaluation, type RecordedResource, unknown } from "../../lab/evaluation";
import { componentsOf } from "./evaluated";

/** A policy statement as it is sent to AWS. */
export interface Statement {
    readonly Sid?: string;
    readonly Effect: string;
    readonly Principal?: unknown;
    readonly Action: string | readonly string[];
    readonly Resource?: string | readonly string[];
    readonly Condition?: unknown;
}

/** What encrypts or decrypts, or lets others do it: a key policy ties it to an encryption context. */
const cryptographic = /^kms:(?:Encrypt|Decrypt|GenerateDataKey|ReEncrypt|CreateGrant)/;

/** The tags that are expected besides `component`; none of a component by itself, since the stack adds them. */
export type Tags = Record<string, string> | undefined;

type Rule = (evaluation: Evaluation, tags: Tags) => void;

/** The rules by their sentence. */
export const houseRules: Record<string, Rule> = {
    "gives every resource to its component": (evaluation) => {
        const components = componentsOf(evaluation).map(({ urn }) => urn);
        for (const { name, parent } of customResourcesOf(evaluation)) {
            assert(components.includes(parent), `${name} has the parent "${parent}"`);
        }
    },

    "begins every child's name with that of its component": (evaluation) => {
        for (const { name, parent } of customResourcesOf(evaluation)) {
            const component = componentsOf(evaluation).find(({ urn }) => urn === parent);
            const prefix = component?.name ?? "";
            assert(name === prefix || name.startsWith(`${prefix}-`), `${name} in ${parent}`);
        }
    },

    "gives no resource a fixed physical name": (evaluation) => {
        for (const resource of customResourcesOf(evaluation)) {
            const argument = typeOf(resource).nameArgument;
            assert(argument === undefined || !(argument in resource.inputs), `${resource.name}: ${argument}`);
        }
    },

    "tags everything that can be tagged": (evaluation, tags) => {
        for (const resource of customResourcesOf(evaluation)) {
            const component = componentsOf(evaluation).find(({ urn }) => urn === resource.parent);
            const expected =
                tags && !untaggableTypes.includes(resource.type) ? { component: component?.name, ...tags } : undefined;
            assert.deepEqual(resource.inputs["tags"], expected, `the tags of ${resource.name}`);
        }
    },

    "writes policies in a resource of their own, not into the role": (evaluation) => {
        for (const { name, inputs } of customResourcesOf(evaluation)) {
            assert(!("inlinePolicies" in inputs) && !("managedPolicyArns" in inputs), name);
        }
    },

    "allows no action by a wildcard, and every resource only where AWS knows none": (evaluation) => {
        for (const resource of customResourcesOf(evaluation)) {
            const statements = statementsOf(resource);
            if (resource.type === "aws:kms/keyPolicy:KeyPolicy") {
                assertTied(statements, resource.name);
                continue;
            }
            // The policy of an endpoint grants nothing, and has to name everybody.
            const grants = !resource.type.endsWith(":VpcEndpoint");
            assertNarrow(
                grants ? statements : statements.map((each) => ({ ...each, Principal: undefined })),
                resource.name,
            );
        }
    },

    "holds nothing that would have to be kept secret": (evaluation) => {
        const keyOrSecretOfPulumi = /A[KS]IA[A-Z0-9]{16}|PRIVATE KEY|1b47061264138c4ac30d75fd1eb44270/;
        assert.doesNotMatch(JSON.stringify(evaluation), keyOrSecretOfPulumi);
    },

    "writes no error text of an Output into an input": (evaluation) => {
        assert.doesNotMatch(JSON.stringify(evaluation), /Calling \[to(?:String|JSON)\]|\[object Object\]/);
    },
};

/** The statements of a resource's policy: of a role, of a bucket, of a key or an endpoint (as text), or the trust in a role. */
export function statementsOf({ inputs }: RecordedResource): Statement[] {
    const policy = inputs["policy"] ?? inputs["assumeRolePolicy"];
    if (policy === undefined || policy === unknown) return [];
    const document: unknown = typeof policy === "string" ? JSON.parse(policy) : policy;
    return (document as { Statement: Statement[] }).Statement;
}

/** What names the statements of a resource's policy, or of one in an output. */
export function sidsOf(policy: RecordedResource | string): (string | undefined)[] {
    const statements =
        typeof policy === "string"
            ? (JSON.parse(policy) as { readonly Statement: readonly Statement[] }).Statement
            : statementsOf(policy);
    return statements.map(({ Sid }) => Sid);
}

/** Fails on an Allow that is wider than it has to be. */
export function assertNarrow(statements: readonly Statement[], where: string): void {
    for (const { Effect, Action, Resource = [], Principal } of statements) {
        if (Effect === "Deny") continue;
        assert.equal(Effect, "Allow", where);
        const actions = [Action].flat();
        assert.deepEqual(
            actions.filter((action) => action.includes("*")),
            [],
            `actions in ${where}`,
        );
        if ([Resource].flat().includes("*")) {
            const allowed = Object.values(unnamedResourcesAllowed).flat();
            const others = actions.filter((action) => !allowed.includes(action));
            assert.deepEqual(others, [], `actions on every resource in ${where}`);
        }
        assert(!/"\*"|:root"/.test(JSON.stringify(Principal ?? {})), `anybody is allowed in ${where}`);
    }
}

/**
 * Fails on an Allow of a key policy that is wider than it has to be. There `*` as the resource means the key itself, and
 * the root of the account stands for whomever its IAM policies allow.
 */
export function assertTied(statements: readonly Statement[], where: string): void {
    for (const { Sid, Effect, Action, Principal, Condition = {} } of statements) {
        assert.equal(Effect, "Allow", where);
        const actions = [Action].flat();
        assert(!actions.some((action) => action.includes("*")), `actions of ${Sid} in ${where}`);
        assert.doesNotMatch(JSON.stringify(Principal), /"\*"/, `anybody is allowed by ${Sid} in ${where}`);
        if (actions.some((action) => cryptographic.test(action))) {
            assert.match(JSON.stringify(Condition), /kms:EncryptionContext:/, `${Sid} in ${where} is not tied`);
        }
    }
}

/** Declares one test for each rule. */
export function itKeepsTheHouseRules(evaluation: () => Evaluation, tags?: Record<string, string>): void {
    for (const [sentence, rule] of Object.entries(houseRules)) {
        it(sentence, () => {
            assert.notDeepEqual(customResourcesOf(evaluation()), []);
            rule(evaluation(), tags);
        });
    }
}

function typeOf({ type, name }: RecordedResource): NonNullable<(typeof awsTypes)[string]> {
    const known = awsTypes[type];
    assert(known, `${name} is of the type ${type}, which lab/awsTypes.ts does not know`);
    return known;
}
