/** Delivers what rules and schedules start, under the roles that they are declared with. */
import type { Account } from "./account";
import type { Invocation } from "./events";
import type { Execution } from "./executions";
import type { Credentials } from "./iam";

/** What became of an event at one target: an execution, or why there is none. */
export type Delivery =
    | { readonly execution: Execution }
    | {
          readonly undelivered: string;
          /** ARN of the queue that the event is kept in; undefined where it is lost. */
          readonly keptIn: string | undefined;
      };

/** Starts a target. What AWS would try again for a day is tried once, since nothing changes here in the meantime. */
export async function deliver(
    account: Account,
    invocation: Invocation,
    start: () => Execution,
): Promise<Delivery> {
    const { roleArn, service, sourceArn, targetArn } = invocation;
    let credentials: Credentials | undefined;
    let refusal: string | undefined;
    try {
        credentials = await account.iam.assume(roleArn, service, sourceArn);
        refusal = await account.iam.refusal(credentials.accessKeyId, "states:StartExecution", targetArn);
    } catch (error) {
        refusal = String(error);
    }
    if (refusal === undefined) return { execution: start() };
    const keptIn = (await mayKeep(account, invocation, credentials)) ? invocation.deadLetterArn : undefined;
    return { undelivered: refusal, keptIn };
}

/** A schedule sends to the queue with its role, a rule without: the queue's policy has to let it. */
async function mayKeep(
    { iam, events }: Account,
    { service, sourceArn, deadLetterArn }: Invocation,
    credentials: Credentials | undefined,
): Promise<boolean> {
    if (deadLetterArn === undefined) return false;
    if (service === "scheduler.amazonaws.com") {
        return (
            credentials !== undefined && iam.allows(credentials.accessKeyId, "sqs:SendMessage", deadLetterArn)
        );
    }
    const policy = events.queuePolicies.get(deadLetterArn);
    return iam.allowsService(service, "sqs:SendMessage", deadLetterArn, policy, {
        "aws:SourceArn": sourceArn,
    });
}
