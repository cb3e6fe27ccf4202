/**
 * Identity and access in the lab. Every call that a role of the stack makes is judged here, by the policies that the
 * program declares, with resources and conditions. moto can judge calls as well, but takes the resource of every
 * call outside S3 for `*` and skips conditions, so that it would refuse the scoped policies of this program.
 */
import { randomUUID } from "node:crypto";

import { type EvaluationResult, getGrantReasons, runSimulation } from "@cloud-copilot/iam-simulate";

import type { AwsLocation } from "../contract/aws";
import { arnIn } from "./awsTypes";
import { covers } from "../contract/image";

/** Credentials of a session. */
export interface Credentials {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string;
}

/** The owner of the account, to the emulator, which judges nobody. */
export const ownerCredentials = { accessKeyId: "lab", secretAccessKey: "lab" };

/** A policy document as IAM takes it. */
export interface PolicyDocument {
    readonly Version: string;
    readonly Statement: readonly PolicyStatement[];
}

/** A statement of a policy document. */
export interface PolicyStatement {
    readonly Sid?: string;
    readonly Action: string | readonly string[];
    readonly [element: string]: unknown;
}

/** A role that the program declares. */
export interface Role {
    readonly name: string;
    readonly arn: string;
    readonly trustPolicy: PolicyDocument;
    readonly policies: PolicyDocument[];
}

/** A call, and the policies that have a say in it. */
export interface Call {
    /** ARN of a session, or name of a service. */
    readonly principal: string;
    readonly action: string;
    readonly resource: string;
    /** Account that the resource belongs to. */
    readonly accountId: string;
    readonly identityPolicies: readonly PolicyDocument[];
    readonly resourcePolicy?: PolicyDocument | undefined;
    /** Policy of the VPC endpoint that the call goes through. */
    readonly endpointPolicy?: PolicyDocument | undefined;
    /** Permissions boundary of the principal. */
    readonly boundary?: PolicyDocument | undefined;
    /** Condition keys and their values. */
    readonly context: Record<string, string>;
}

/** What IAM says to a call. */
export interface Judgement {
    readonly verdict: EvaluationResult;
    /** Names of the statements of identity policies that allow the call. */
    readonly allowedBy: readonly string[];
}

/** An action that does not exist, or one that is asked of a resource of another type. */
export class ImpossibleCall extends Error {}

/** What every principal may, without a permission: docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html */
export const everybodysAction = "sts:GetCallerIdentity";

/**
 * Judges a call by its policies.
 *
 * @throws ImpossibleCall when AWS knows no such action on such a resource.
 * @throws Error when a policy is not valid.
 */
export async function judge(call: Call): Promise<Judgement> {
    const { principal, action, resource, accountId, context, ...policies } = withEncryptionContext(call);
    const { identityPolicies, resourcePolicy, endpointPolicy, boundary } = policies;
    // Everybody may ask who they are, so the simulator looks at no policy; an endpoint asks its own all the same.
    if (action === everybodysAction && endpointPolicy !== undefined) {
        const passes = endpointPolicy.Statement.some(({ Action }) => [Action].flat().includes(action));
        return { verdict: passes ? "Allowed" : "ImplicitlyDenied", allowedBy: [] };
    }
    const request = { principal, action, resource: { resource, accountId }, contextVariables: context };
    const named = (name: string, policy: PolicyDocument) => ({ name, policy: validatedOnce(policy) });
    const result = await runSimulation(
        {
            request,
            identityPolicies: identityPolicies.map((policy, at) => named(`policy ${at + 1}`, policy)),
            serviceControlPolicies: [],
            resourceControlPolicies: [],
            resourcePolicy: resourcePolicy && validatedOnce(resourcePolicy),
            ...(endpointPolicy && { vpcEndpointPolicies: [named("endpoint", endpointPolicy)] }),
            ...(boundary && { permissionBoundaryPolicies: [{ name: "boundary", policy: boundary }] }),
        },
        {},
    );
    if (result.resultType === "error") {
        const { message } = result.errors;
        const problem = `${action} on ${resource} cannot be judged: ${JSON.stringify(result.errors)}`;
        throw message === "policy.errors" ? new Error(problem) : new ImpossibleCall(problem);
    }
    for (const policy of [...identityPolicies, resourcePolicy, endpointPolicy]) {
        if (policy !== undefined) valid.add(policy);
    }
    const analyses = result.resultType === "single" ? [result.result] : result.results;
    return {
        verdict: result.overallResult,
        allowedBy: analyses
            .flatMap(({ analysis }) => getGrantReasons(analysis))
            .flatMap(({ policyType, ...grant }) => (policyType === "identity" ? [grant.statementId ?? ""] : [])),
    };
}

const valid = new WeakSet<PolicyDocument>();

/** Whether a policy has been found to be valid. */
export function isValid(policy: PolicyDocument): boolean {
    return valid.has(policy);
}

/** A policy as the simulator takes it; what it has found valid once, marked so that it is not looked through again. */
function validatedOnce(policy: PolicyDocument): object {
    return isValid(policy) ? { __validated: true, policyDocument: policy, errors: [] } : policy;
}

/**
 * The simulator does not know the keys of encryption contexts, whose names go on after a colon, and would take them out
 * of a request. It does know tags of the principal, which go on after a slash and are compared in the same way.
 */
export function withEncryptionContext(call: Call): Call {
    const { identityPolicies, resourcePolicy, endpointPolicy, boundary, context } = call;
    return {
        ...call,
        identityPolicies: identityPolicies.map(withTagsForContext),
        resourcePolicy: resourcePolicy && withTagsForContext(resourcePolicy),
        endpointPolicy: endpointPolicy && withTagsForContext(endpointPolicy),
        boundary: boundary && withTagsForContext(boundary),
        context: withTagsForContext(context),
    };
}

const withTags = new WeakMap<object, object>();

function withTagsForContext<T extends object>(value: T): T {
    const known = withTags.get(value);
    if (known !== undefined) return known as T;
    const text = JSON.stringify(value);
    const renamed = text.includes("kms:EncryptionContext:")
        ? (JSON.parse(text.replaceAll("kms:EncryptionContext:", "aws:PrincipalTag/context:")) as T)
        : value;
    withTags.set(value, renamed);
    return renamed;
}

/** One action of one statement. */
export function permission(statement: string, action: string): string {
    return `${action} of ${statement}`;
}

/** The roles, the sessions, the policies of buckets and keys of the lab's account, and the policies of repositories. */
export class IdentityAndAccess {
    /** Roles by name. */
    public readonly roles = new Map<string, Role>();
    /** Bucket policies by name of the bucket. */
    public readonly bucketPolicies = new Map<string, PolicyDocument>();
    /** Key policies by ARN of the key. */
    public readonly keyPolicies = new Map<string, PolicyDocument>();
    /** Policies of repositories by ARN: the owner's consent, which a pull from another account needs. */
    public readonly repositoryPolicies = new Map<string, PolicyDocument>();
    /** Each {@link permission} that is taken away from all roles: how it is shown that one is needed. */
    public readonly removed = new Set<string>();
    /** Each {@link permission} that a call was allowed by. */
    public readonly used = new Set<string>();
    private readonly sessions = new Map<string, { readonly role: Role; readonly arn: string }>();

    public constructor(private readonly location: AwsLocation) {}

    /**
     * Credentials of a declared role, for a service that acts for one of the declared resources.
     *
     * @throws Error when there is no such role, or its trust policy does not let the service assume it.
     */
    public async assume(roleArn: string, service: string, sourceArn: string): Promise<Credentials> {
        const role = this.roles.get(roleArn.split("/").at(-1) ?? "");
        if (role === undefined) throw new Error(`The stack declares no role ${roleArn}.`);
        const trusted = await this.allowsService(service, "sts:AssumeRole", role.arn, role.trustPolicy, {
            "aws:SourceAccount": this.location.accountId,
            "aws:SourceArn": sourceArn,
        });
        if (!trusted) throw new Error(`${service} may not assume ${role.arn} for ${sourceArn}`);
        return this.openSession(role, service.split(".")[0]);
    }

    /** Credentials of somebody who has these policies, and nothing else. */
    public holder(name: string, policies: PolicyDocument[]): Credentials {
        const arn = arnIn(this.location, "iam", `role/${name}`);
        return this.openSession({ name, arn, trustPolicy: { Version: "2012-10-17", Statement: [] }, policies });
    }

    /** Credentials of a role, whoever may assume it. */
    public openSession(role: Role, name = "lab"): Credentials {
        const accessKeyId = `ASIA${randomUUID().replaceAll("-", "").slice(0, 16).toUpperCase()}`;
        const arn = `${role.arn.replace(/:iam:(.*):role\//, ":sts:$1:assumed-role/")}/${name}`;
        this.sessions.set(accessKeyId, { role, arn });
        return { accessKeyId, secretAccessKey: "lab", sessionToken: "lab" };
    }

    /**
     * Judges whether a service may use a key by itself, for what the encryption context names.
     *
     * @throws Error when the key policy does not let it.
     */
    public async requireKey(
        keyArn: string,
        service: string,
        context: Record<`kms:EncryptionContext:${string}`, string>,
    ): Promise<void> {
        const keyPolicy = this.keyPolicies.get(keyArn);
        for (const action of ["kms:GenerateDataKey", "kms:Decrypt"]) {
            if (await this.allowsService(service, action, keyArn, keyPolicy, context)) continue;
            throw new Error(`${service} may not call ${action} on ${keyArn} with ${JSON.stringify(context)}`);
        }
    }

    /** Judges what a service does in its own name: by the policy of the resource only. */
    public async allowsService(
        principal: string,
        action: string,
        resource: string,
        resourcePolicy: PolicyDocument | undefined,
        context: Record<string, string>,
    ): Promise<boolean> {
        const { verdict } = await judge({
            principal,
            action,
            resource,
            accountId: this.location.accountId,
            identityPolicies: [],
            resourcePolicy,
            context: { "aws:SecureTransport": "true", ...context },
        });
        return verdict === "Allowed";
    }

    /**
     * Judges a call.
     *
     * @param context Condition keys of the request and their values.
     * @returns the reason of a refusal, in the words of AWS; undefined when the call is allowed.
     */
    public async refusal(
        accessKeyId: string,
        action: string,
        resource: string,
        context: Record<string, string> = {},
    ): Promise<string | undefined> {
        const session = this.sessions.get(accessKeyId);
        if (session === undefined) return `The security token of ${accessKeyId} is invalid`;
        const { verdict, allowedBy } = await this.judgeCall(session, action, resource, context);
        if (verdict === "Allowed") {
            for (const statement of allowedBy) this.used.add(permission(statement, action));
            return undefined;
        }
        const reason =
            verdict === "ExplicitlyDenied"
                ? "with an explicit deny in a resource-based policy"
                : `because no identity-based policy allows the ${action} action`;
        return `User: ${session.arn} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
    }

    /** Tells what a call would be answered, for an answer to another call that depends on it. */
    public async allows(accessKeyId: string, action: string, resource: string): Promise<boolean> {
        const session = this.sessions.get(accessKeyId);
        if (session === undefined) return false;
        return (await this.judgeCall(session, action, resource, {})).verdict === "Allowed";
    }

    private judgeCall(
        { role, arn }: { readonly role: Role; readonly arn: string },
        action: string,
        resource: string,
        context: Record<string, string>,
    ): Promise<Judgement> {
        const bucket = /^arn:[a-z-]+:s3:::([^/]+)/.exec(resource)?.[1];
        const ofResource =
            [...this.repositoryPolicies].find(([arn]) => covers(arn, resource))?.[1] ?? this.keyPolicies.get(resource);
        return judge({
            principal: arn,
            action,
            resource,
            accountId: /^arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):/.exec(resource)?.[1] ?? this.location.accountId,
            identityPolicies: role.policies.map((policy) => this.withoutRemoved(policy)),
            resourcePolicy: bucket === undefined ? ofResource : this.bucketPolicies.get(bucket),
            // The endpoints of AWS that the emulator stands for speak TLS.
            context: { "aws:SecureTransport": "true", ...context },
        });
    }

    private withoutRemoved(policy: PolicyDocument): PolicyDocument {
        if (this.removed.size === 0) return policy; // which is found to be valid once
        const left = policy.Statement.map(({ Sid = "", Action, ...statement }) => ({
            ...statement,
            Sid,
            Action: [Action].flat().filter((action) => !this.removed.has(permission(Sid, action))),
        }));
        return { ...policy, Statement: left.filter(({ Action }) => Action.length > 0) };
    }
}
