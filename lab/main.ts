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

import type { EngineName } from "../contract/engine";
import { parseStep } from "../contract/progress";
import { storyLine } from "./stateLanguage/story";
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

/** The story as it goes on: a heading for each step, and how long each took. */
class Story {
    public readonly finished: { readonly step: string; readonly seconds: number }[] = [];
    private since = performance.now();

    public constructor(private step: string) {
        console.log(step);
    }

    /** Ends the current step and begins another, under a heading of its own unless it is a part of what goes on. */
    public begin(step: string, isPart = false): void {
        const now = performance.now();
        this.finished.push({ step: this.step, seconds: (now - this.since) / 1000 });
        this.step = step;
        this.since = now;
        if (!isPart) console.log(`\n${step}`);
    }

    public tell(...lines: readonly string[]): void {
        for (const line of lines) console.log(`  ${line}`);
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
    const story = new Story("Start the lab");
    const starting = startLab({
        engine: options.engine,
        configuration: { "ecr-image-export:encryption": options.encryption },
        tell: (line) => {
            story.tell(line);
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
        return await exportOnce(lab, story, options, abort.signal);
    } finally {
        await lab.stop();
        console.log("\nEverything that the lab started is stopped.");
    }
}

async function exportOnce(lab: Lab, story: Story, options: Options, signal: AbortSignal): Promise<number> {
    const { image } = lab;
    const bucket = String(lab.stack.outputs["artifactBucketName"]);
    const key = `images/${image.repository.name.replaceAll("/", "-")}-${image.tag ?? "latest"}.tar`;
    const input: unknown =
        options.input === undefined
            ? { artifactBucket: bucket, artifactKey: key }
            : JSON.parse(options.input.replaceAll("$BUCKET", bucket));
    story.begin("Export the image");
    story.tell(`request: ${JSON.stringify(input)}`);
    lab.watcher.tell = (event) => {
        const line = storyLine(event);
        if (line !== undefined) story.tell(line);
    };
    lab.watcher.log = (line) => {
        const step = parseStep(line);
        if (step !== undefined) story.begin(`  Build: ${step}`, true);
        if (!options.quiet) story.tell(`build: ${line}`);
    };
    const result = await lab.execute(input, signal);
    if (result.status === "ABORTED") {
        story.tell("The execution was aborted.");
        return 130;
    }
    if (result.status === "FAILED") {
        story.tell(`Failed with ${result.error}: ${result.cause}`);
        return 1;
    }
    story.tell("Succeeded:", ...described(result.output, lab));
    story.begin("Check the archive");
    const problems = await verify(lab, result.output);
    if (problems.length === 0) {
        story.tell(
            "Size, SHA-256, key and metadata are as reported; loaded into Docker, it is the image that was pushed.",
        );
    }
    story.begin("Request the same again");
    delete lab.watcher.tell;
    delete lab.watcher.log;
    const { problem, did } = await requestAgain(lab, input, signal);
    story.tell(did);
    story.begin("Seconds");
    for (const { step, seconds } of story.finished) story.tell(`${seconds.toFixed(1).padStart(6)}  ${step}`);
    const failures = [...problems, ...problem];
    for (const failure of failures) console.error(`\nFAILED: ${failure}`);
    return failures.length === 0 ? 0 : 1;
}

/** What becomes of the same request: it finds the export at its key, unless it is forced. */
async function requestAgain(
    lab: Lab,
    input: unknown,
    signal: AbortSignal,
): Promise<{ readonly did: string; readonly problem: readonly string[] }> {
    const result = await lab.execute(input, signal);
    if (result.status !== "SUCCEEDED") {
        const did = JSON.stringify(result);
        return { did, problem: [`the same request again did not succeed: ${did}`] };
    }
    const { skipped, buildId } = result.output;
    const did = skipped === true ? "Skipped" : "Exported again";
    return { did: `${did}, with${buildId === null ? "out" : ""} a build.`, problem: [] };
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

/** The result of an export, line by line. */
function described(output: Record<string, unknown>, lab: Lab): string[] {
    const rows = {
        image: output["imageUri"],
        digest: output["imageDigest"],
        "image id": lab.imageId,
        archive: `s3://${String(output["artifactBucket"])}/${String(output["artifactKey"])}`,
        version: output["artifactVersionId"],
        encrypted: lab.stack.outputs["encryptionKeyArn"] ?? "by S3 (SSE-S3)",
        size: `${String(output["sizeBytes"])} bytes`,
        sha256: output["sha256"],
    };
    return Object.entries(rows).map(([name, value]) => `  ${name.padEnd(10)}${String(value)}`);
}

main().then(
    (code) => {
        process.exitCode = code;
    },
    (error: unknown) => {
        console.error(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
    },
);
