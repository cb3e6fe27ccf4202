/** Delivers what rules and schedules start, under the roles that they are declared with. */
import type { Credentials } from "./codebuild";
import type { Invocation } from "./events";
import type { Execution } from "./executions";
import type { IdentityAndAccess, PolicyDocument } from "./iam";

/** What a delivery needs of the lab. */
export interface DeliveryHost {
    readonly iam: IdentityAndAccess;
    /** Policies of queues by the ARN of the queue. */
    readonly queuePolicies: ReadonlyMap<string, PolicyDocument>;
    /** Credentials of a role, for a service that acts for a resource. */
    readonly assume: (roleArn: string, service: string, sourceArn: string) => Promise<Credentials>;
    /** Starts an execution. */
    readonly start: (machineArn: string, input: unknown) => Execution;
}

/** What became of an event at one target: an execution, or why there is none. */
export type Delivery =
    | { readonly execution: Execution }
    | {
          readonly undelivered: string;
          /** ARN of the queue that the event is kept in; undefined where it is lost. */
          readonly keptIn: string | undefined;
      };

/** Starts a target. What AWS would try again for a day is tried once, since nothing changes here in the meantime. */
export async function deliver(host: DeliveryHost, invocation: Invocation): Promise<Delivery> {
    const { roleArn, service, sourceArn, targetArn, input } = invocation;
    let credentials: Credentials | undefined;
    let refusal: string | undefined;
    try {
        credentials = await host.assume(roleArn, service, sourceArn);
        refusal = await host.iam.refusal(credentials.accessKeyId, "states:StartExecution", targetArn);
    } catch (error) {
        refusal = String(error);
    }
    if (refusal === undefined) return { execution: host.start(targetArn, input) };
    const keptIn = (await mayKeep(host, invocation, credentials)) ? invocation.deadLetterArn : undefined;
    return { undelivered: refusal, keptIn };
}

/** A schedule sends to the queue with its role, a rule without: the queue's policy has to let it. */
async function mayKeep(
    { iam, queuePolicies }: DeliveryHost,
    { service, sourceArn, deadLetterArn }: Invocation,
    credentials: Credentials | undefined,
): Promise<boolean> {
    if (deadLetterArn === undefined) return false;
    if (service === "scheduler.amazonaws.com") {
        return (
            credentials !== undefined && iam.allows(credentials.accessKeyId, "sqs:SendMessage", deadLetterArn)
        );
    }
    return iam.allowsService(service, "sqs:SendMessage", deadLetterArn, queuePolicies.get(deadLetterArn), {
        "aws:SourceArn": sourceArn,
    });
}
