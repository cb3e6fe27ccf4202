import { CodeBuild } from "@aws-sdk/client-codebuild";
import { S3 } from "@aws-sdk/client-s3";
import { SFN } from "@aws-sdk/client-sfn";
import { STS } from "@aws-sdk/client-sts";

import { regionOf } from "../aws";
import { type Context, exitCodes, type Flags } from "../context";
import { asFailure, printNext } from "../failure";
import { findStack, type StackOptions } from "../stack";
import { styled, writeJson } from "../terminal";

/** Finds something out. Returns what it found; undefined where that cannot be tried here; throws what is missing. */
type Probe = readonly [name: string, find: () => Promise<string | undefined>];

export async function doctor(options: Flags<"json"> & StackOptions, context: Context): Promise<number> {
    const { stdout } = context;
    const findings = await Promise.all(probesOf(context, options).map((probe) => look(context, probe)));
    const isReady = findings.every(({ state }) => state !== "missing");
    if (options.json === true) {
        writeJson(stdout, { ready: isReady, findings });
    } else {
        const colours = { ok: "green", missing: "red", unknown: "yellow" } as const;
        for (const { state, name, found, ...missing } of findings) {
            stdout.write(styled(state.padEnd(9), colours[state]), `${name.padEnd(26)}${found}\n`);
            printNext(stdout, missing.next);
        }
    }
    return isReady ? exitCodes.success : exitCodes.failed;
}

async function look({ signal }: Context, [name, find]: Probe) {
    try {
        const found = await find();
        if (found === undefined) return { name, state: "unknown", found: "cannot be tried here" } as const;
        return { name, state: "ok", found } as const;
    } catch (error) {
        signal.throwIfAborted();
        const { message, details } = asFailure(error);
        return { name, state: "missing", found: message, next: details.next } as const;
    }
}

/** Each permission is tried with a call that changes nothing, once the stack is known. */
function probesOf(context: Context, options: StackOptions): Probe[] {
    const stack = findStack(options, context);
    const known = stack.catch(() => undefined);
    type Stack = Awaited<typeof stack> & { readonly region: string | undefined };
    const attempt = (call: (stack: Stack) => Promise<object | undefined> | undefined) => async () => {
        const outputs = await known;
        if (outputs === undefined) return undefined;
        return (await call({ ...outputs, region: regionOf(outputs.stateMachineArn) })) && "allowed";
    };
    return [
        ["AWS credentials", async () => (await context.client(STS).getCallerIdentity({})).Arn],
        ["stack", async () => (await stack).stateMachineArn],
        // It would start an export; the same policy allows both.
        ["states:StartExecution", () => Promise.resolve(undefined)],
        [
            "states:ListExecutions",
            attempt(({ stateMachineArn, region }) =>
                context.client(SFN, region).listExecutions({ stateMachineArn, maxResults: 1 }),
            ),
        ],
        [
            "codebuild:BatchGetBuilds",
            // No build has this id; the answer says so to whoever may ask.
            attempt(({ buildProjectName: name, region }) => {
                const ids = [`${name}:00000000-0000-0000-0000-000000000000`];
                return name === undefined ? undefined : context.client(CodeBuild, region).batchGetBuilds({ ids });
            }),
        ],
        [
            "reading of archives",
            attempt(async ({ artifactBucketName: Bucket, artifactPrefix: Prefix, region }) => {
                if (Bucket === undefined) return undefined;
                const s3 = context.client(S3, region);
                const { Contents } = await s3.listObjectsV2({ Bucket, Prefix, MaxKeys: 1 });
                // One byte: it needs the KMS key as well, where there is one.
                const Range = "bytes=0-0";
                return Contents?.[0] && s3.getObject({ Bucket, Key: Contents[0].Key, Range });
            }),
        ],
    ];
}
