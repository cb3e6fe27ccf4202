import { CodeBuild } from "@aws-sdk/client-codebuild";
import { S3 } from "@aws-sdk/client-s3";
import { SFN } from "@aws-sdk/client-sfn";
import { STS } from "@aws-sdk/client-sts";

import type { StackOutputs } from "../../contract/outputs";
import { regionOf } from "../aws";
import { type Context, exitCodes, type Flags } from "../context";
import { asFailure, printNext } from "../failure";
import { findStack, type StackOptions } from "../stack";
import { styled, writeJson } from "../terminal";

/** Finds something out: gives what it found, or an answer of AWS; nothing where it cannot be tried here; throws what is missing. */
type Probe = () => unknown;

export async function doctor(options: Flags<"json"> & StackOptions, context: Context): Promise<number> {
    const { stdout } = context;
    const probes = Object.entries(await probesOf(context, options));
    const findings = await Promise.all(probes.map(([name, find]) => look(context, name, find)));
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

async function look({ signal }: Context, name: string, find: Probe) {
    try {
        const found = await find();
        if (found === undefined) return { name, state: "unknown", found: "cannot be tried here" } as const;
        return { name, state: "ok", found: typeof found === "string" ? found : "allowed" } as const;
    } catch (error) {
        signal.throwIfAborted();
        const { message, details } = asFailure(error);
        return { name, state: "missing", found: message, next: details.next } as const;
    }
}

/** Each permission is tried with a call that changes nothing, once the stack is known. */
async function probesOf(context: Context, options: StackOptions): Promise<Record<string, Probe>> {
    const stack = findStack(options, context);
    const known: Partial<StackOutputs> = await stack.catch(() => ({}));
    const { stateMachineArn, buildProjectName: project, artifactBucketName: Bucket, artifactPrefix: Prefix } = known;
    const region = regionOf(stateMachineArn ?? "");
    // The answer says so to whoever may ask.
    const noBuild = `${project}:00000000-0000-0000-0000-000000000000`;
    return {
        "AWS credentials": async () => (await context.client(STS).getCallerIdentity({})).Arn,
        stack: async () => (await stack).stateMachineArn,
        // It would start an export; the same policy allows both.
        "states:StartExecution": () => undefined,
        "states:ListExecutions": () =>
            stateMachineArn && context.client(SFN, region).listExecutions({ stateMachineArn, maxResults: 1 }),
        "codebuild:BatchGetBuilds": () =>
            project && context.client(CodeBuild, region).batchGetBuilds({ ids: [noBuild] }),
        "reading of archives": async () => {
            if (Bucket === undefined) return undefined;
            const s3 = context.client(S3, region);
            const { Contents } = await s3.listObjectsV2({ Bucket, Prefix, MaxKeys: 1 });
            // One byte: it needs the KMS key as well, where there is one.
            return Contents?.[0] && s3.getObject({ Bucket, Key: Contents[0].Key, Range: "bytes=0-0" });
        },
    };
}
