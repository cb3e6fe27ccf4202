/** The services of an account at work: their API, and what they do without being called, when an event or the time has come. */
import type { Account, Machine } from "./account";
import { AwsApi, type Caller } from "./awsApi";
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
        this.executions = new Executions(
            (execution) => execute({ account, machine, api: this.api, endOf: (id) => this.endOf(id) }, execution),
            (execution) => this.deliver(execution.endEvent()),
        );
        this.api = new AwsApi(account, machine.registryPort, this.builds, this.executions);
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
                const { roleArn, service, sourceArn, targetArn, input, deadLetterArn } = invocation;
                let caller: Caller | undefined;
                try {
                    const { accessKeyId } = await this.account.iam.assume(roleArn, service, sourceArn);
                    caller = { accessKeyId, region: this.account.location.region };
                    const fields = { stateMachineArn: targetArn, input: JSON.stringify(input) };
                    const answer = await this.api.call(caller, "states:StartExecution", fields);
                    const { executionArn } = answer as { readonly executionArn: string };
                    const execution = this.executions.byArn.get(executionArn);
                    if (execution !== undefined) return { execution };
                    throw new Error(`There is no ${executionArn}.`);
                } catch (error) {
                    const isKept = await this.mayKeep(invocation, caller);
                    return { undelivered: String(error), keptIn: isKept ? deadLetterArn : undefined };
                }
            }),
        );
    }

    /** A schedule sends to the queue with its role, a rule without: the queue's policy has to let it. */
    private async mayKeep(
        { service, sourceArn, deadLetterArn }: Invocation,
        caller: Caller | undefined,
    ): Promise<boolean> {
        if (deadLetterArn === undefined) return false;
        const sending = { action: "sqs:SendMessage", resource: deadLetterArn, context: { "aws:SourceArn": sourceArn } };
        return service === "scheduler.amazonaws.com"
            ? caller !== undefined && this.account.iam.allows(caller.accessKeyId, sending)
            : this.account.iam.allowsService(service, sending);
    }

    /** Waits for the end of a build or of an execution. */
    private async endOf(id: string): Promise<void> {
        await this.executions.byArn.get(id)?.result;
        await this.builds.byId.get(id)?.ended;
    }
}
