/**
 * `npm run lab`: exports one image through the whole pipeline on this machine, loads the archive back, and shows what
 * happened on the way.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";

import { GetObjectCommand } from "@aws-sdk/client-s3";

import type { EngineName } from "../stateMachines/export";
import { imageId } from "./image";
import { type Lab, startLab } from "./lab";
import { run } from "./processes";

const usage = `Usage: npm run lab [-- OPTIONS]

Runs the whole pipeline on this machine, without an AWS account: deploys the stack to an emulated AWS API, starts an
execution, exports an image from a real registry with a real Docker daemon, and loads the archive back.

  --engine NAME docker or stream (default: docker)
  --encryption NAME
                s3 or kms (default: s3)
  --image REF   export this image, which the local Docker daemon has or can pull (default: an image made here)
  --input JSON  input of the execution, $BUCKET in it stands for the stack's bucket
                (default: {"artifactBucket":"$BUCKET","artifactKey":"images/NAME-TAG.tar"})
  --quiet       leave out the log of the build
  --help        show this text
`;

/** Takes the time of each step, from its beginning to that of the next. */
class Steps {
    public readonly finished: { readonly name: string; readonly seconds: number }[] = [];
    private current = "Start the lab";
    private since = performance.now();

    /** Ends the current step and begins another. */
    public begin(name: string): void {
        const now = performance.now();
        this.finished.push({ name: this.current, seconds: (now - this.since) / 1000 });
        this.current = name;
        this.since = now;
    }
}

interface Options {
    readonly engine: EngineName;
    readonly encryption: "s3" | "kms";
    readonly image?: string | undefined;
    readonly input?: string | undefined;
    readonly quiet: boolean;
    readonly help: boolean;
}

function readOptions(): Options | undefined {
    try {
        const { engine, encryption, ...values } = parseArgs({
            options: {
                engine: { type: "string", default: "docker" },
                encryption: { type: "string", default: "s3" },
                image: { type: "string" },
                input: { type: "string" },
                quiet: { type: "boolean", default: false },
                help: { type: "boolean", default: false },
            },
        }).values;
        if (engine !== "docker" && engine !== "stream") {
            throw new Error(`--engine is ${engine}: expected docker or stream`);
        }
        if (encryption !== "s3" && encryption !== "kms") {
            throw new Error(`--encryption is ${encryption}: expected s3 or kms`);
        }
        return { engine, encryption, ...values };
    } catch (error) {
        console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
        return undefined;
    }
}

async function main(): Promise<number> {
    const options = readOptions();
    if (options === undefined) return 2;
    if (options.help) {
        console.log(usage);
        return 0;
    }
    const abort = new AbortController();
    const steps = new Steps();
    const starting = startLab({
        engine: options.engine,
        configuration: { "ecr-image-export:encryption": options.encryption },
        tell: (line) => {
            console.log(`✔ ${line}`);
        },
        ...(options.image === undefined ? {} : { reference: options.image }),
    });
    // A signal ends the lab in order: the build is stopped, then every server. Another one does not cut that short.
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
        process.on(signal, () => {
            console.log(`\n${signal}: stopping`);
            abort.abort();
        });
    }
    const lab = await starting;
    try {
        if (abort.signal.aborted) return 130;
        return await exportOnce(lab, steps, options, abort.signal);
    } finally {
        await lab.stop();
        console.log("✔ everything that the lab started is stopped");
    }
}

async function exportOnce(lab: Lab, steps: Steps, options: Options, signal: AbortSignal): Promise<number> {
    const { image } = lab;
    const bucket = String(lab.stack.outputs["artifactBucketName"]);
    const key = `images/${image.repository.name.replaceAll("/", "-")}-${image.tag ?? "latest"}.tar`;
    const input: unknown =
        options.input === undefined
            ? { artifactBucket: bucket, artifactKey: key }
            : JSON.parse(options.input.replaceAll("$BUCKET", bucket));
    steps.begin("Check the request in the state machine");
    console.log(`\nStarting an execution with ${JSON.stringify(input)}`);
    const result = await lab.execute(
        input,
        {
            enter: (state) => {
                console.log(`→ ${state}`);
            },
            log: (line) => {
                const step = /^=== (.*) \(after/.exec(line)?.[1];
                if (step !== undefined) steps.begin(`Build: ${step}`);
                if (!options.quiet) console.log(`  build | ${line}`);
            },
        },
        signal,
    );
    if (result.status === "ABORTED") {
        console.log("\nThe execution was aborted.");
        return 130;
    }
    if (result.status === "FAILED") {
        console.log(`\n✘ ${result.error}: ${result.cause}`);
        return 1;
    }
    steps.begin("Load the archive back");
    const problems = await verify(lab, result.output);
    steps.begin("Request the same again");
    const again = await requestAgain(lab, input, signal);
    steps.begin("Summary");
    printSummary(result.output, lab, steps, problems);
    console.log(`${again.isGood ? "✔" : "✘"} the same request again: ${again.told}`);
    return problems.length === 0 && again.isGood ? 0 : 1;
}

/** What becomes of the same request: it finds the export at its key, unless it is forced. */
async function requestAgain(
    lab: Lab,
    input: unknown,
    signal: AbortSignal,
): Promise<{ isGood: boolean; told: string }> {
    const started = performance.now();
    const result = await lab.execute(input, {}, signal);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (result.status !== "SUCCEEDED") return { isGood: false, told: JSON.stringify(result) };
    const { skipped, buildId } = result.output;
    const did = skipped === true ? "skipped" : "exported";
    return { isGood: true, told: `${did} in ${seconds} s, with${buildId === null ? "out" : ""} a build` };
}

/** Fetches the archive, compares size and sha256, loads it and compares the image's id. */
async function verify(lab: Lab, output: Record<string, unknown>): Promise<string[]> {
    const file = join(lab.folder, "archive.tar");
    const object = await lab.s3.send(
        new GetObjectCommand({
            Bucket: String(output["artifactBucket"]),
            Key: String(output["artifactKey"]),
            VersionId: String(output["artifactVersionId"]),
        }),
    );
    if (!(object.Body instanceof Readable)) throw new Error("S3 answered without a body.");
    await pipeline(object.Body, createWriteStream(file));
    const hash = createHash("sha256");
    await pipeline(createReadStream(file), hash);
    await run("docker", ["--host", lab.docker.host, "image", "prune", "--all", "--force"]);
    await run("docker", ["--host", lab.docker.host, "load", "--input", file]);
    const loaded = await imageId(lab.docker.host, lab.image.uri);

    const compare = (what: string, actual: unknown, expected: unknown) =>
        actual === expected ? [] : [`${what} is ${String(actual)}, expected ${String(expected)}`];
    return [
        ...compare("the size of the object", object.ContentLength, output["sizeBytes"]),
        ...compare("the sha256 of the object", hash.digest("hex"), output["sha256"]),
        ...compare("the key of the object", object.SSEKMSKeyId, lab.stack.outputs["encryptionKeyArn"]),
        ...compare("the digest in the metadata", object.Metadata?.["image-digest"], output["imageDigest"]),
        ...compare("the id of the loaded image", loaded, lab.imageId),
    ];
}

function printSummary(
    output: Record<string, unknown>,
    lab: Lab,
    steps: Steps,
    problems: readonly string[],
): void {
    const rows = [
        ["image", output["imageUri"]],
        ["digest", output["imageDigest"]],
        ["image id", lab.imageId],
        ["archive", `s3://${String(output["artifactBucket"])}/${String(output["artifactKey"])}`],
        ["version", output["artifactVersionId"]],
        ["encrypted", lab.stack.outputs["encryptionKeyArn"] ?? "by S3 (SSE-S3)"],
        ["size", `${String(output["sizeBytes"])} bytes`],
        ["sha256", output["sha256"]],
    ];
    console.log(`\n${rows.map(([name, value]) => `${String(name).padEnd(10)}${String(value)}`).join("\n")}`);
    console.log("\nSeconds");
    for (const { name, seconds } of steps.finished) console.log(`${seconds.toFixed(1).padStart(8)}  ${name}`);
    for (const problem of problems) console.log(`\n✘ ${problem}`);
    if (problems.length === 0) {
        console.log(
            "\n✔ the archive was loaded back: the same image, bit for bit what the execution reported",
        );
    }
}

main().then(
    (code) => {
        process.exitCode = code;
    },
    (error: unknown) => {
        console.error(`✘ ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
    },
);
