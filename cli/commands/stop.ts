import { defineCommand, exitCodes } from "../command";
import { executionArn } from "../execution";
import { stopExecution } from "../interruption";
import { stackOptions } from "../stack";

/** `image-export stop EXECUTION` */
export const command = defineCommand({
    positionals: ["EXECUTION"],
    options: stackOptions,
    description:
        "Stops an execution, and with it its build. Nothing is left at the key: S3 shows an archive when it is whole.\n" +
        "EXECUTION is an ARN, or the name of an execution of the stack.",
    examples: [
        {
            command:
                "image-export stop arn:aws:states:ap-northeast-1:111122223333:execution:image-export:4f0c",
            does: "stops one execution",
        },
        { command: "image-export stop 4f0c --stack dev", does: "the same, by its name" },
    ],
    async run({ values, positionals: [given = ""] }, context) {
        const arn = await executionArn(given, values, context);
        await stopExecution(context, arn);
        context.stdout.write(`Stopped ${arn}\n`);
        return exitCodes.success;
    },
});
