/**
 * Identity and access in the lab. Every call that a role of the stack makes is judged here, by the policies that the
 * program declares, with resources and conditions. moto can judge calls as well, but takes the resource of every
 * call outside S3 for `*` and skips conditions, so that it would refuse the scoped policies of this program.
 */
import { runSimulation } from "@cloud-copilot/iam-simulate";

/** A policy document as IAM takes it. */
export interface PolicyDocument {
    readonly Version: string;
    readonly Statement: readonly PolicyStatement[];
}

/** A statement of a policy document. */
export interface PolicyStatement {
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

/** The roles, the sessions and the bucket policies of the lab's account, and the policies of repositories. */
export class IdentityAndAccess {
    /** Roles by name. */
    public readonly roles = new Map<string, Role>();
    /** Bucket policies by name of the bucket. */
    public readonly bucketPolicies = new Map<string, PolicyDocument>();
    /** Policies of repositories by ARN: the owner's consent, which a pull from another account needs. */
    public readonly repositoryPolicies = new Map<string, PolicyDocument>();
    /** Actions that are taken out of every policy: how the tests show that an action is needed. */
    public readonly removedActions = new Set<string>();
    /** Every action that was allowed to a role, for the tests. */
    public readonly allowedActions = new Set<string>();
    private readonly sessions = new Map<string, { role: Role; arn: string }>();

    public constructor(private readonly accountId: string) {}

    /** Makes calls signed with an access key calls of a session of `role`. */
    public addSession(accessKeyId: string, role: Role, sessionArn: string): void {
        this.sessions.set(accessKeyId, { role, arn: sessionArn });
    }

    /**
     * Judges whether a service may assume a role on behalf of a resource.
     *
     * @throws Error when the trust policy does not let it.
     */
    public async requireTrust(role: Role, service: string, sourceArn: string): Promise<void> {
        const allowed = await this.simulate({
            principal: service,
            action: "sts:AssumeRole",
            resource: role.arn,
            identityPolicies: [],
            resourcePolicy: role.trustPolicy,
            context: { "aws:SourceAccount": this.accountId, "aws:SourceArn": sourceArn },
        });
        if (!allowed) throw new Error(`${service} may not assume ${role.arn} for ${sourceArn}`);
    }

    /**
     * Judges a call.
     *
     * @returns the reason of a refusal, in the words of AWS; undefined when the call is allowed.
     */
    public async refusal(accessKeyId: string, action: string, resource: string): Promise<string | undefined> {
        const session = this.sessions.get(accessKeyId);
        if (session === undefined) return `The security token of ${accessKeyId} is invalid`;
        const bucket = /^arn:[a-z-]+:s3:::([^/]+)/.exec(resource)?.[1];
        const allowed = await this.simulate({
            principal: session.arn,
            action,
            resource,
            identityPolicies: session.role.policies.map((policy) => this.withoutRemoved(policy)),
            resourcePolicy:
                bucket === undefined
                    ? this.repositoryPolicies.get(resource)
                    : this.bucketPolicies.get(bucket),
            // The endpoints of AWS that the emulator stands for speak TLS.
            context: { "aws:SecureTransport": "true" },
        });
        if (allowed) {
            this.allowedActions.add(action);
            return undefined;
        }
        return (
            `User: ${session.arn} is not authorized to perform: ${action} on resource: ${resource} ` +
            `because no identity-based policy allows the ${action} action`
        );
    }

    private withoutRemoved(policy: PolicyDocument): PolicyDocument {
        const left = policy.Statement.map((statement) => ({
            ...statement,
            Action: [statement.Action].flat().filter((action) => !this.removedActions.has(action)),
        }));
        return { ...policy, Statement: left.filter(({ Action }) => Action.length > 0) };
    }

    private async simulate(request: {
        principal: string;
        action: string;
        resource: string;
        identityPolicies: PolicyDocument[];
        resourcePolicy: PolicyDocument | undefined;
        context: Record<string, string>;
    }): Promise<boolean> {
        const { principal, action, resource, context } = request;
        const owner = /^arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):/.exec(resource)?.[1] ?? this.accountId;
        const result = await runSimulation(
            {
                request: {
                    principal,
                    action,
                    resource: { resource, accountId: owner },
                    contextVariables: context,
                },
                identityPolicies: request.identityPolicies.map((policy, index) => ({
                    name: `policy ${index + 1}`,
                    policy,
                })),
                serviceControlPolicies: [],
                resourceControlPolicies: [],
                resourcePolicy: request.resourcePolicy,
            },
            {},
        );
        if (result.resultType === "error") {
            throw new Error(`${action} on ${resource} cannot be judged: ${JSON.stringify(result.errors)}`);
        }
        return result.overallResult === "Allowed";
    }
}
