import { type ExecutionListItem, type ExecutionStatus, ListExecutionsCommand } from "@aws-sdk/client-sfn";

import { call } from "../call";
import { type Context, defineCommand, exitCodes } from "../command";
import { parseDuration, parseCount } from "../values";
import { describeExecution } from "../follow";
import { imageOf } from "../result";
import { findStateMachine, stackOptions } from "../stack";
import { formatDuration, formatTime, styles, table } from "../terminal";

/** How an execution ends when nothing was exported. */
const failures: readonly ExecutionStatus[] = ["FAILED", "TIMED_OUT", "ABORTED"];

// Each row needs a call of its own for its image. An account may make 15 a second.
const describedAtATime = 4;

/** `image-export list` */
export const command = defineCommand({
    positionals: [],
    options: {
        failed: { type: "boolean", description: "only those that failed, timed out or were stopped" },
        since: {
            type: "string",
            value: "TIME",
            description: "how far to look back, for instance 90m, 24h or 7d; 24h by default",
        },
        limit: { type: "string", value: "N", description: "at most so many, the newest; 20 by default" },
        json: { type: "boolean", description: "print them as JSON" },
        ...stackOptions,
    } as const,
    description:
        "Lists the exports of a stack, the newest first. Times are of this machine's zone. Step Functions keeps executions for 90 days.",
    examples: [
        { command: "image-export list --stack dev", does: "the exports of the last 24 hours" },
        { command: "image-export list --failed --since 7d", does: "what failed in the last week" },
    ],
    async run({ values }, context) {
        const sinceMs = context.now() - parseDuration("--since", values.since ?? "24h");
        const limit = parseCount("--limit", values.limit ?? "20", 1000);
        const machine = await findStateMachine(values, context);
        const found = await findExecutions(context, machine, sinceMs, limit, values.failed === true);
        const described = await describeAll(context, found);
        if (values.json === true) {
            context.stdout.write(`${JSON.stringify(described.map(asJson), undefined, 2)}\n`);
        } else if (described.length === 0) {
            context.stderr.write(
                `No ${values.failed === true ? "failed " : ""}exports since ${formatTime(sinceMs)}.\n`,
            );
        } else {
            context.stdout.write(asTable(context, described));
        }
        return exitCodes.success;
    },
});

/** An execution, and what only a call for it alone tells. */
interface Row extends ExecutionListItem {
    readonly image: string | undefined;
    readonly error: string | undefined;
}

/** The newest executions come first, so that the search ends at the first one that is too old. */
async function findExecutions(
    context: Context,
    stateMachineArn: string,
    sinceMs: number,
    limit: number,
    isFailed: boolean,
): Promise<ExecutionListItem[]> {
    const found: ExecutionListItem[] = [];
    let nextToken: string | undefined;
    do {
        const page = await call(context, "sfn", stateMachineArn, (sfn) =>
            sfn.send(new ListExecutionsCommand({ stateMachineArn, maxResults: 100, nextToken })),
        );
        for (const execution of page.executions ?? []) {
            if ((execution.startDate?.getTime() ?? 0) < sinceMs) return found;
            const isWanted = !isFailed || failures.includes(execution.status ?? "RUNNING");
            if (isWanted) found.push(execution);
            if (found.length === limit) return found;
        }
        nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return found;
}

async function describeAll(context: Context, executions: readonly ExecutionListItem[]): Promise<Row[]> {
    const rows: Row[] = [];
    for (let first = 0; first < executions.length; first += describedAtATime) {
        const some = executions.slice(first, first + describedAtATime).map(async (execution) => {
            const described = await describeExecution(context, execution.executionArn ?? "");
            return { ...execution, image: imageOf(described), error: described.error };
        });
        rows.push(...(await Promise.all(some)));
    }
    return rows;
}

function asJson({ executionArn, name, status, error, image, startDate, stopDate }: Row): object {
    return {
        executionArn,
        name,
        status,
        error,
        imageUri: image,
        startTime: startDate?.toISOString(),
        stopTime: stopDate?.toISOString(),
    };
}

function asTable(context: Context, rows: readonly Row[]): string {
    const { green, red, cyan, dim } = styles(context.stdout, context.env);
    const colour = (status: ExecutionStatus) =>
        failures.includes(status) ? red : status === "SUCCEEDED" ? green : cyan;
    return table(
        ["STARTED", "TOOK", "STATUS", "IMAGE", "EXECUTION"],
        rows.map(({ startDate, stopDate, status = "RUNNING", error, image, name = "" }) => [
            startDate === undefined ? "" : formatTime(startDate),
            startDate === undefined
                ? ""
                : formatDuration((stopDate?.getTime() ?? context.now()) - startDate.getTime()),
            colour(status)(error ?? status.toLowerCase().replace("_", " ")),
            image ?? dim("(the stack's)"),
            name,
        ]),
    );
}
