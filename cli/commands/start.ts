import { randomUUID } from "node:crypto";

import { StartExecutionCommand } from "@aws-sdk/client-sfn";

import { call } from "../call";
import { defineCommand, exitCodes } from "../command";
import { UsageFailure } from "../failure";
import { followExecution } from "../follow";
import { watchInterruptibly } from "../interruption";
import { executionJson, executionText, exitCodeOf } from "../result";
import { findStateMachine, stackOptions } from "../stack";
import { styles } from "../terminal";

const options = {
    image: { type: "string", value: "URI", description: "image in Amazon ECR; by default that of the stack" },
    key: {
        type: "string",
        value: "KEY",
        description: "key of the archive in the stack's bucket; by default made of repository and tag",
    },
    platform: {
        type: "string",
        value: "OS/ARCH",
        description: "platform, linux/amd64 by default; all with engine stream",
    },
    force: { type: "boolean", description: "export although the same export is there already" },
    wait: { type: "boolean", description: "follow the export to its end (the default)" },
    "no-wait": { type: "boolean", description: "only start it, and print its ARN" },
    logs: { type: "boolean", description: "print what the build writes, too" },
    json: { type: "boolean", description: "print the outcome as JSON" },
    ...stackOptions,
} as const;

/** `image-export start` */
export const command = defineCommand({
    positionals: [],
    options,
    description:
        "Starts an export. The status goes to stderr, the outcome to stdout. Ctrl-C asks whether to stop the export, too; without\n" +
        "a terminal it goes on. An export that is there already is not made again.\n" +
        "Exit codes: 0 exported or there already, 1 failed, 2 wrong usage, 3 timed out, 130 interrupted.",
    examples: [
        { command: "image-export start --stack dev", does: "exports the stack's image" },
        {
            command:
                "image-export start --image 111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:1.29 --platform linux/arm64",
            does: "exports another one",
        },
        {
            command: "image-export start --json | jq -r .output.artifactKey",
            does: "prints the archive's key, for a script",
        },
    ],
    async run({ values }, context) {
        const { image, key, platform, force, json = false, logs = false } = values;
        if (values.wait === true && values["no-wait"] === true) {
            throw new UsageFailure("Both --wait and --no-wait are given.", "Give one of them.");
        }
        const stateMachineArn = await findStateMachine(values, context);
        const request = { imageUri: image, artifactKey: key, platform, force };
        // A name of its own makes it safe to send the call again: the same execution is not started twice.
        const input = { stateMachineArn, name: randomUUID(), input: JSON.stringify(request) };
        const { executionArn = "" } = await call(context, "sfn", stateMachineArn, (sfn) =>
            sfn.send(new StartExecutionCommand(input)),
        );
        const { stdout, stderr } = context;
        if (values["no-wait"] === true) {
            stdout.write(json ? `${JSON.stringify({ executionArn }, undefined, 2)}\n` : `${executionArn}\n`);
            return exitCodes.success;
        }
        stderr.write(`${styles(stderr, context.env).dim("execution")} ${executionArn}\n`);
        const execution = await watchInterruptibly(context, executionArn, () =>
            followExecution(context, executionArn, { logs }),
        );
        stdout.write(json ? executionJson(execution) : executionText(context, execution));
        return exitCodeOf(execution);
    },
});
