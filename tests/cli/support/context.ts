/** A context without a process: a clock that a wait moves on, clients that a test answers for, text that is kept. */
import { type ClientClass, type Context, Interruption } from "../../../cli/context";
import { runCommandLine } from "../../../cli/main";
import { outputTo } from "../../../cli/terminal";

/** Answers a call of AWS; what it throws is thrown. The input is as the SDK's command has it. */
export type AwsAnswer = (operation: string, input: Record<string, unknown>, nowMs?: number) => unknown;

/** What a process left. */
export interface ProcessResult {
    readonly exitCode: number;
    readonly stdout: string;
    readonly stderr: string;
}

/** What a test decides. */
export interface FakeOptions {
    readonly args: readonly string[];
    readonly env?: Record<string, string>;
    /** @default false */
    readonly isTty?: boolean;
    readonly aws?: AwsAnswer;
    /** Runs in the place of `pulumi`; by default there is no such program. */
    readonly runProcess?: (command: string, args: readonly string[]) => ProcessResult;
    /** Whoever sits at the terminal. */
    readonly ask?: (question: string) => string;
    /** Called in every wait, with the time of the clock after it. `interrupt` is Ctrl-C. */
    readonly onSleep?: (nowMs: number, interrupt: () => void) => void;
    /** @default "SIGINT" */
    readonly interruptedBy?: Interruption["by"];
}

/** What a run left. */
export interface FakeRun {
    readonly exitCode: number;
    readonly stdout: string;
    readonly stderr: string;
    /** Calls of AWS, in order. */
    readonly calls: readonly {
        /** Name of the client. */
        readonly service: string;
        readonly region: string | undefined;
        readonly operation: string;
        readonly input: Record<string, unknown>;
    }[];
    readonly sleepsMs: readonly number[];
    /** How often credentials were read anew. */
    readonly renewals: number;
}

/** When the clock of a fake context begins. */
export const startTimeMs = Date.UTC(2026, 10, 25, 12, 0, 0);

/** An error as the AWS SDK throws it. */
export function awsError(name: string, message: string, httpStatusCode = 400): Error {
    return Object.assign(new Error(message), { name, $metadata: { httpStatusCode } });
}

/** Runs programs as a test says; by default there are none. */
export function programs(answer: FakeOptions["runProcess"]): Context["runProgram"] {
    return async (command, args) => {
        if (answer === undefined) throw Object.assign(new Error(`spawn ${command} ENOENT`), { code: "ENOENT" });
        const result = await Promise.resolve(answer(command, args));
        if (result.exitCode === 0) return result;
        throw Object.assign(new Error("Command failed"), { code: result.exitCode, stderr: result.stderr });
    };
}

/** Runs the command line with a fake context. */
export async function run(options: FakeOptions): Promise<FakeRun> {
    const written = { stdout: "", stderr: "" };
    const calls: FakeRun["calls"][number][] = [];
    const sleepsMs: number[] = [];
    const controller = new AbortController();
    let nowMs = startTimeMs;
    let renewals = 0;
    const outputOf = (name: keyof typeof written) =>
        outputTo({ write: (text) => (written[name] += text), isTTY: options.isTty ?? false }, options.env ?? {});
    const context: Context = {
        stdout: outputOf("stdout"),
        stderr: outputOf("stderr"),
        env: options.env ?? {},
        now: () => nowMs,
        sleep: async (milliseconds, signal) => {
            // As much happens in between as in a real wait.
            await new Promise((resolve) => setImmediate(resolve));
            sleepsMs.push(milliseconds);
            nowMs += milliseconds;
            options.onSleep?.(nowMs, () => {
                controller.abort(new Interruption(options.interruptedBy ?? "SIGINT"));
            });
            signal?.throwIfAborted();
        },
        random: () => 0.5,
        signal: controller.signal,
        ask: options.ask && ((question) => Promise.resolve(options.ask?.(question) ?? "")),
        client: <Client>(type: ClientClass<Client>, region?: string, isRenewed?: boolean) => {
            const service = type.name;
            if (isRenewed === true) renewals++;
            const send = async (command: { constructor: { name: string }; input: Record<string, unknown> }) => {
                const operation = command.constructor.name.replace(/Command$/, "");
                calls.push({ service, region, operation, input: { ...command.input } });
                if (options.aws === undefined) throw new Error(`unexpected ${service} ${operation}`);
                return Promise.resolve(options.aws(operation, command.input, nowMs));
            };
            // An instance, as the paginators of the SDK ask for.
            return Object.assign(Object.create(type.prototype as object) as object, { send }) as Client;
        },
        runProgram: programs(options.runProcess),
    };
    const exitCode = await runCommandLine(options.args, context);
    return { exitCode, ...written, calls, sleepsMs, renewals };
}
