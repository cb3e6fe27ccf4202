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

/** A role that the program declares; its trust policy is a policy of the resource. */
export interface Role {
    readonly arn: string;
    readonly policies: PolicyDocument[];
}

/** What is asked for. */
export interface Access {
    readonly action: string;
    readonly resource: string;
    /** Condition keys of the request and their values. */
    readonly context?: Readonly<Record<string, string>>;
}

/** A call, and the policies that have a say in it. */
export interface Call extends Required<Access> {
    /** ARN of a session, or name of a service. */
    readonly principal: string;
    /** Account that the resource belongs to. */
    readonly accountId: string;
    readonly identityPolicies: readonly PolicyDocument[];
    readonly resourcePolicy?: PolicyDocument | undefined;
    /** Policy of the VPC endpoint that the call goes through. */
    readonly endpointPolicy?: PolicyDocument | undefined;
    /** Permissions boundary of the principal. */
    readonly boundary?: PolicyDocument | undefined;
}

/** What IAM says to a call. */
export interface Judgement {
    readonly verdict: EvaluationResult;
    /** Names of the statements of identity policies that allow the call. */
    readonly allowedBy: readonly string[];
}

/**
 * Judges a call by its policies.
 *
 * @throws Error when AWS knows no such action on such a resource, or a policy is not valid.
 */
export async function judge(call: Call): Promise<Judgement> {
    const { principal, action, resource, accountId, context, ...policies } = withEncryptionContext(call);
    const { identityPolicies, resourcePolicy, endpointPolicy, boundary } = policies;
    const request = { principal, action, resource: { resource, accountId }, contextVariables: context };
    const result = await runSimulation(
        {
            request,
            identityPolicies: identityPolicies.map((policy, at) => ({ name: `policy ${at + 1}`, policy })),
            serviceControlPolicies: [],
            resourceControlPolicies: [],
            resourcePolicy,
            ...(endpointPolicy && { vpcEndpointPolicies: [{ name: "endpoint", policy: endpointPolicy }] }),
            ...(boundary && { permissionBoundaryPolicies: [{ name: "boundary", policy: boundary }] }),
        },
        {},
    );
    if (result.resultType === "error") {
        throw new Error(`${action} on ${resource} cannot be judged: ${JSON.stringify(result.errors)}`);
    }
    const analyses = result.resultType === "single" ? [result.result] : result.results;
    return {
        verdict: result.overallResult,
        allowedBy: analyses
            .flatMap(({ analysis }) => getGrantReasons(analysis))
            .flatMap(({ policyType, ...grant }) => (policyType === "identity" ? [grant.statementId ?? ""] : [])),
    };
}

/**
 * The simulator does not know the keys of encryption contexts, whose names go on after a colon, and would take them out
 * of a request. It does know tags of the principal, which go on after a slash and are compared in the same way.
 */
function withEncryptionContext(call: Call): Call {
    if (!call.action.startsWith("kms:")) return call; // others come with none
    const renamed = JSON.stringify(call).replaceAll("kms:EncryptionContext:", "aws:PrincipalTag/context:");
    return JSON.parse(renamed) as Call;
}

/** One action of one statement. */
export function permission(statement: string, action: string): string {
    return `${action} of ${statement}`;
}

/** The roles, the sessions and the policies of resources of the lab's account. */
export class IdentityAndAccess {
    /** Roles by name. */
    public readonly roles = new Map<string, Role>();
    /** Policies of resources by ARN: of buckets, keys, queues, roles, and of repositories whose owners consent to a pull. */
    public readonly resourcePolicies = new Map<string, PolicyDocument>();
    /** Each {@link permission} that is taken away from all roles: how it is shown that one is needed. */
    public readonly removed = new Set<string>();
    /** Each {@link permission} that a call was allowed by. */
    public readonly used = new Set<string>();
    private readonly sessions = new Map<string, Role>();

    public constructor(private readonly location: AwsLocation) {}

    /**
     * Credentials of a declared role, for a service that acts for one of the declared resources.
     *
     * @throws Error when there is no such role, or its trust policy does not let the service assume it.
     */
    public async assume(roleArn: string, service: string, sourceArn: string): Promise<Credentials> {
        const role = this.roles.get(roleArn.split("/").at(-1) ?? "");
        if (role === undefined) throw new Error(`The stack declares no role ${roleArn}.`);
        const context = { "aws:SourceAccount": this.location.accountId, "aws:SourceArn": sourceArn };
        await this.requireService(service, { action: "sts:AssumeRole", resource: role.arn, context });
        return this.openSession(role, service.split(".")[0]);
    }

    /** Credentials of somebody who has these policies, and nothing else. */
    public holder(name: string, policies: PolicyDocument[]): Credentials {
        return this.openSession({ arn: arnIn(this.location, "iam", `role/${name}`), policies });
    }

    /** Credentials of a role, whoever may assume it. */
    public openSession({ arn, policies }: Role, name = "lab"): Credentials {
        const accessKeyId = `ASIA${randomUUID().replaceAll("-", "").slice(0, 16).toUpperCase()}`;
        const session = `${arn.replace(/:iam:(.*):role\//, ":sts:$1:assumed-role/")}/${name}`;
        this.sessions.set(accessKeyId, { arn: session, policies });
        return { accessKeyId, secretAccessKey: "lab", sessionToken: "lab" };
    }

    /** Whether a service may do something in its own name: by the policy of the resource only. */
    public async allowsService(service: string, access: Access): Promise<boolean> {
        return (await this.judge({ arn: service, policies: [] }, access)).verdict === "Allowed";
    }

    /** @throws Error when a service may not do something in its own name. */
    public async requireService(service: string, access: Access): Promise<void> {
        if (await this.allowsService(service, access)) return;
        const { action, resource, context } = access;
        throw new Error(`${service} may not call ${action} on ${resource} with ${JSON.stringify(context)}`);
    }

    /**
     * Judges what a request asks for.
     *
     * @returns the reason of the first refusal, in the words of AWS; undefined when all is allowed.
     */
    public async refusal(accessKeyId: string, ...asked: readonly Access[]): Promise<string | undefined> {
        const session = this.sessions.get(accessKeyId);
        if (session === undefined) return `The security token of ${accessKeyId} is invalid`;
        for (const access of asked) {
            const { action, resource } = access;
            const { verdict, allowedBy } = await this.judge(session, access);
            if (verdict !== "Allowed") {
                const denied = `User: ${session.arn} is not authorized to perform: ${action} on resource: ${resource}`;
                return verdict === "ExplicitlyDenied"
                    ? `${denied} with an explicit deny in a resource-based policy`
                    : `${denied} because no identity-based policy allows the ${action} action`;
            }
            for (const statement of allowedBy) this.used.add(permission(statement, action));
        }
        return undefined;
    }

    /** Tells what a call would be answered, for an answer to another call that depends on it. */
    public async allows(accessKeyId: string, access: Access): Promise<boolean> {
        const session = this.sessions.get(accessKeyId);
        return session !== undefined && (await this.judge(session, access)).verdict === "Allowed";
    }

    private judge({ arn: principal, policies }: Role, { action, resource, context }: Access): Promise<Judgement> {
        // The policy of a bucket is that of its objects.
        const owner = resource.replace(/^(arn:[a-z-]+:s3:::[^/]+).*/s, "$1");
        return judge({
            principal,
            action,
            resource,
            accountId: /^arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):/.exec(resource)?.[1] ?? this.location.accountId,
            identityPolicies: policies.map((policy) => this.withoutRemoved(policy)),
            resourcePolicy: [...this.resourcePolicies].find(([arn]) => covers(arn, owner))?.[1],
            // The endpoints of AWS that the emulator stands for speak TLS.
            context: { "aws:SecureTransport": "true", ...context },
        });
    }

    private withoutRemoved(policy: PolicyDocument): PolicyDocument {
        if (this.removed.size === 0) return policy;
        const left = policy.Statement.map(({ Sid = "", Action, ...statement }) => ({
            ...statement,
            Sid,
            Action: [Action].flat().filter((action) => !this.removed.has(permission(Sid, action))),
        }));
        return { ...policy, Statement: left.filter(({ Action }) => Action.length > 0) };
    }
}
