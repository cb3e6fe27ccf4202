/**
 * `npm run lab`: exports one image through the whole pipeline on this machine, loads the archive back, and shows what
 * happened on the way.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { GetObjectCommand } from "@aws-sdk/client-s3";
import { Command, CommanderError, Option } from "@commander-js/extra-typings";

import { engineNames } from "../contract/engine";
import { parseStep } from "../contract/progress";
import { storyLine } from "./stateLanguage/story";
import { imageId } from "./image";
import { type Lab, startLab } from "./lab";
import { run } from "./processes";

const program = new Command()
    .name("npm run lab --")
    .description(
        "Runs the whole pipeline on this machine, without an AWS account: deploys the stack to an emulated AWS API, starts an " +
            "execution, exports an image from a real registry with a real Docker daemon, and loads the archive back.",
    )
    .addOption(new Option("--engine <NAME>", "how the archive is made").choices(engineNames).default("docker" as const))
    .addOption(
        new Option("--encryption <NAME>", "of the bucket").choices(["s3", "kms"] as const).default("s3" as const),
    )
    .option("--image <REF>", "export this image, which the local Docker daemon has or can pull, not one made here")
    .option("--input <JSON>", "input of the execution; $BUCKET in it stands for the stack's bucket")
    .option("--quiet", "leave out the log of the build")
    .showHelpAfterError()
    .exitOverride();

type Options = ReturnType<typeof program.opts>;

/** The steps that have ended, and the one that goes on since then. */
const steps: { readonly name: string; readonly seconds: number }[] = [];
let current = { name: "Start the lab", since: performance.now() };

/** Ends the current step and begins another, under a heading of its own unless it is a part of what goes on. */
function begin(name: string, isPart = false): void {
    const now = performance.now();
    steps.push({ name: current.name, seconds: (now - current.since) / 1000 });
    current = { name, since: now };
    if (!isPart) console.log(`\n${name}`);
}

function tell(line: string): void {
    console.log(`  ${line}`);
}

async function main(): Promise<number> {
    const options = program.parse().opts();
    const abort = new AbortController();
    console.log(current.name);
    const starting = startLab({
        engine: options.engine,
        configuration: { "ecr-image-export:encryption": options.encryption },
        tell,
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
        return await exportOnce(lab, options, abort.signal);
    } finally {
        await lab.stop();
        console.log("\nEverything that the lab started is stopped.");
    }
}

async function exportOnce(lab: Lab, options: Options, signal: AbortSignal): Promise<number> {
    const { image } = lab;
    const bucket = String(lab.stack.outputs["artifactBucketName"]);
    const key = `images/${image.repository.name.replaceAll("/", "-")}-${image.tag ?? "latest"}.tar`;
    const input: unknown =
        options.input === undefined
            ? { artifactBucket: bucket, artifactKey: key }
            : JSON.parse(options.input.replaceAll("$BUCKET", bucket));
    begin("Export the image");
    tell(`request: ${JSON.stringify(input)}`);
    lab.watcher.tell = (event) => {
        tell(storyLine(event));
    };
    lab.watcher.log = (line) => {
        const step = parseStep(line);
        if (step !== undefined) begin(`  Build: ${step}`, true);
        if (!options.quiet) tell(`build: ${line}`);
    };
    const result = await lab.execute(input, signal);
    if (result.status === "ABORTED") {
        tell("The execution was aborted.");
        return 130;
    }
    if (result.status === "FAILED") {
        tell(`Failed with ${result.error}: ${result.cause}`);
        return 1;
    }
    tell("Succeeded:");
    describe(result.output, lab);
    begin("Check the archive");
    const problems = await verify(lab, result.output);
    if (problems.length === 0) {
        tell("Size, SHA-256, key and metadata are as reported; loaded into Docker, it is the image that was pushed.");
    }
    begin("Request the same again");
    delete lab.watcher.tell;
    delete lab.watcher.log;
    const again = await lab.execute(input, signal);
    if (again.status === "SUCCEEDED") {
        const { skipped, buildId } = again.output;
        const did = skipped === true ? "Skipped" : "Exported again";
        tell(`${did}, with${buildId === null ? "out" : ""} a build.`);
    } else {
        problems.push(`the same request again did not succeed: ${JSON.stringify(again)}`);
    }
    begin("Seconds");
    for (const { name, seconds } of steps) tell(`${seconds.toFixed(1).padStart(6)}  ${name}`);
    for (const problem of problems) console.error(`\nFAILED: ${problem}`);
    return problems.length === 0 ? 0 : 1;
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

/** Tells the result of an export, line by line. */
function describe(output: Record<string, unknown>, lab: Lab): void {
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
    for (const [name, value] of Object.entries(rows)) tell(`  ${name.padEnd(10)}${String(value)}`);
}

main().then(
    (code) => {
        process.exitCode = code;
    },
    (error: unknown) => {
        const isUsage = error instanceof CommanderError;
        if (!isUsage) console.error(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = isUsage && error.exitCode !== 0 ? 2 : Number(!isUsage);
    },
);
