/** The services of an account at work: their API, and what they do without being called, when an event or the time has come. */
import type { Account, Machine } from "./account";
import { type AwsApi, awsApi, type Caller } from "./awsApi";
import { Builds } from "./codebuild";
import type { Event, Invocation } from "./events";
import { type Execution, Executions } from "./executions";
import { execute } from "./stepFunctions";

/** What became of an event at one target: an execution, or why there is none. */
type Delivery =
    | { readonly execution: Execution }
    | {
          readonly undelivered: string;
          /** ARN of the queue that the event is kept in; undefined where it is lost. */
          readonly keptIn: string | undefined;
      };

/** The services of a lab. */
export class Services {
    public readonly builds: Builds;
    public readonly executions: Executions;
    public readonly api: AwsApi;

    public constructor(
        private readonly account: Account,
        machine: Machine,
    ) {
        this.builds = new Builds(account, machine);
        this.executions = new Executions(async (execution) => {
            const endOf = (id: string) => this.executions.byArn.get(id)?.result ?? this.builds.byId.get(id)?.ended;
            const result = await execute({ account, machine, api: this.api, endOf }, execution);
            execution.end(result);
            await this.deliver(execution.endEvent());
            return result;
        });
        this.api = awsApi(account, machine.registryPort, this.builds, this.executions);
    }

    /** Hands an event to the stack's rules; what became of it at each target of each rule that it matches. */
    public deliver(event: Event): Promise<Delivery[]> {
        return this.start(this.account.events.onEvent(event));
    }

    /** Has the stack's schedules do what they do at a time that they are set for. */
    public deliverScheduled(scheduledTime: Date): Promise<Delivery[]> {
        return this.start(this.account.events.onTime(scheduledTime));
    }

    /** What AWS would try again for a day is tried once: nothing changes meanwhile. */
    private start(invocations: readonly Invocation[]): Promise<Delivery[]> {
        return Promise.all(
            invocations.map(async (invocation) => {
                const { service, sourceArn, target, input } = invocation;
                let caller: Caller | undefined;
                try {
                    const { accessKeyId } = await this.account.iam.assume(target.roleArn, service, sourceArn);
                    caller = { accessKeyId, region: this.account.location.region };
                    const fields = { stateMachineArn: target.arn, input: JSON.stringify(input) };
                    const answer = await this.api(caller, "states:StartExecution", fields);
                    return { execution: this.executions.get((answer as { executionArn: string }).executionArn) };
                } catch (error) {
                    const isKept = await this.mayKeep(invocation, caller);
                    return { undelivered: String(error), keptIn: isKept ? target.deadLetterConfig?.arn : undefined };
                }
            }),
        );
    }

    /** A schedule sends to the queue with its role, a rule without: the queue's policy has to let it. */
    private async mayKeep({ service, sourceArn, target }: Invocation, caller: Caller | undefined): Promise<boolean> {
        if (target.deadLetterConfig === undefined) return false;
        const resource = target.deadLetterConfig.arn;
        const sending = { action: "sqs:SendMessage", resource, context: { "aws:SourceArn": sourceArn } };
        return service === "scheduler.amazonaws.com"
            ? caller !== undefined && this.account.iam.allows(caller.accessKeyId, sending)
            : this.account.iam.allowsService(service, sending);
    }
}
