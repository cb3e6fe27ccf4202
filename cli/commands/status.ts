import { defineCommand } from "../command";
import { executionArn } from "../execution";
import { followExecution, Watch } from "../follow";
import { watchInterruptibly } from "../interruption";
import { executionJson, executionText, exitCodeOf } from "../result";
import { stackOptions } from "../stack";
import { stageText } from "../stage";

/** `image-export status EXECUTION` */
export const command = defineCommand({
    positionals: ["EXECUTION"],
    options: {
        wait: { type: "boolean", description: "follow the export to its end, as start does" },
        logs: { type: "boolean", description: "with --wait: print what the build writes, too" },
        json: { type: "boolean", description: "print it as JSON" },
        ...stackOptions,
    } as const,
    description:
        "Tells how far an export is, or how it ended. EXECUTION is an ARN, or the name of an execution of the stack.\n" +
        "Exit codes are those of start; of an export that runs it is 0.",
    examples: [
        { command: "image-export status 4f0c --stack dev", does: "tells how far it is" },
        {
            command:
                "image-export status arn:aws:states:ap-northeast-1:111122223333:execution:image-export:4f0c --wait",
            does: "watches an export that was started elsewhere",
        },
    ],
    async run({ values, positionals: [given = ""] }, context) {
        const { json = false, logs = false } = values;
        const arn = await executionArn(given, values, context);
        const { execution, stage } =
            values.wait === true
                ? {
                      execution: await watchInterruptibly(context, arn, () =>
                          followExecution(context, arn, { logs }),
                      ),
                      stage: undefined,
                  }
                : await new Watch(context, arn).look();
        context.stdout.write(
            json ? executionJson(execution) : executionText(context, execution, stage && stageText(stage)),
        );
        return exitCodeOf(execution);
    },
});
