import { type Build, describeBuild, findBuildArn, LogReader } from "../build";
import { type Context, defineCommand, exitCodes } from "../command";
import { executionArn } from "../execution";
import { describeExecution } from "../follow";
import { stackOptions } from "../stack";

const pollMs = 2000;

/** `image-export logs EXECUTION` */
export const command = defineCommand({
    positionals: ["EXECUTION"],
    options: {
        follow: { type: "boolean", short: "f", description: "go on until the export has ended" },
        ...stackOptions,
    } as const,
    description:
        "Prints what the build of an export wrote to its log. EXECUTION is an ARN, or the name of an execution of the stack.\n" +
        "An export that was there already, or was refused, has no build.",
    examples: [
        { command: "image-export logs 4f0c --stack dev", does: "prints the log" },
        { command: "image-export logs 4f0c --follow", does: "and all that is still to come" },
    ],
    async run({ values, positionals: [given = ""] }, context) {
        const arn = await executionArn(given, values, context);
        const tail = new Tail(context, arn);
        for (;;) {
            // The state first: what was written before an end is then read after it.
            const { status } = await describeExecution(context, arn);
            for (const line of await tail.read()) context.stdout.write(`${line}\n`);
            if (status !== "RUNNING" || values.follow !== true) break;
            await context.sleep(pollMs * (0.75 + context.random() / 2), context.signal);
        }
        if (tail.isEmpty) context.stderr.write(`${tail.reason}\n`);
        return exitCodes.success;
    },
});

/** The end of the log of an execution's build. */
class Tail {
    public isEmpty = true;
    private buildArn: string | undefined;
    private build: Build | undefined;
    private reader: LogReader | undefined;

    public constructor(
        private readonly context: Context,
        private readonly executionArn: string,
    ) {}

    public async read(): Promise<string[]> {
        this.buildArn ??= await findBuildArn(this.context, this.executionArn);
        if (this.buildArn === undefined) return [];
        if (this.build?.log === undefined) this.build = await describeBuild(this.context, this.buildArn);
        if (this.build.log === undefined) return [];
        this.reader ??= new LogReader(this.context, this.buildArn, this.build.log);
        const lines = await this.reader.read();
        this.isEmpty &&= lines.length === 0;
        return lines;
    }

    public get reason(): string {
        if (this.buildArn === undefined)
            return "The export has no build: it was there already, or was refused, or has just begun.";
        return `The build ${this.buildArn} has written nothing so far.`;
    }
}
