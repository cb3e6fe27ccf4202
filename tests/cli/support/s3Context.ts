/** The command line with a clock of its own, and an S3 over HTTP that can be told to fail. */
import { S3 } from "@aws-sdk/client-s3";

import { type ClientClass, type Context, Interruption } from "../../../cli/context";
import { runCommandLine } from "../../../cli/main";
import { outputTo } from "../../../cli/terminal";
import type { FakeS3 } from "../../exporter/support/fakeS3";
import { type FakeOptions, programs } from "./context";

/** What a test decides. */
export interface S3ContextOptions {
    readonly s3: FakeS3;
    readonly env?: Record<string, string>;
    readonly isTty?: boolean;
    readonly runProcess?: NonNullable<FakeOptions["runProcess"]>;
    /** Credentials that end. */
    readonly credentials?: { readonly sessionToken: string; readonly expiration?: Date };
    /** Moves the clock on whenever it is asked. @default 0 */
    readonly tickMs?: number;
}

/** A context, and what was written to it. */
export interface S3Context {
    readonly context: Context;
    readonly written: { stdout: string; stderr: string };
    readonly sleepsMs: number[];
    /** Ctrl-C */
    readonly interrupt: () => void;
}

/** When the clock begins. */
export const startTimeMs = Date.UTC(2026, 10, 25, 12, 0, 0);

/** Makes a context. */
export function s3Context(options: S3ContextOptions): S3Context {
    const written = { stdout: "", stderr: "" };
    const sleepsMs: number[] = [];
    const controller = new AbortController();
    const client = new S3({
        region: "us-east-1",
        endpoint: options.s3.origin,
        forcePathStyle: true,
        credentials: { accessKeyId: "id", secretAccessKey: "secret", ...options.credentials },
        maxAttempts: 1,
        requestHandler: { socketTimeout: 500 },
    });
    let nowMs = startTimeMs;
    const outputOf = (name: keyof typeof written) =>
        outputTo({ write: (text) => (written[name] += text), isTTY: options.isTty ?? false }, options.env ?? {});
    const context: Context = {
        stdout: outputOf("stdout"),
        stderr: outputOf("stderr"),
        env: options.env ?? {},
        now: () => (nowMs += options.tickMs ?? 0),
        sleep: async (milliseconds, signal) => {
            await new Promise((resolve) => setImmediate(resolve));
            sleepsMs.push(milliseconds);
            nowMs += milliseconds;
            signal?.throwIfAborted();
        },
        random: () => 0.5,
        signal: controller.signal,
        ask: undefined,
        client: <Client>(type: ClientClass<Client>) => {
            if (type.name !== "S3") throw new Error(`unexpected ${type.name}`);
            return client as Client;
        },
        runProgram: programs(options.runProcess),
    };
    const interrupt = () => {
        controller.abort(new Interruption("SIGINT"));
    };
    return { context, written, sleepsMs, interrupt };
}

/** Runs the command line to its end. */
export async function runWithS3(
    options: S3ContextOptions,
    ...args: string[]
): Promise<S3Context["written"] & { exitCode: number }> {
    const { context, written } = s3Context(options);
    const exitCode = await runCommandLine(args, context);
    return { ...written, exitCode };
}
