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
import { Command, Option } from "@commander-js/extra-typings";

import { engineNames } from "../contract/engine";
import { messageOf } from "../contract/errors";
import { imageId } from "./image";
import { type Lab, startLab } from "./lab";
import { configurationOf } from "./stackFiles";
import { storyLine } from "./stateLanguage/host";

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
    .option("--sign", "sign the record with a KMS key of the stack's own")
    .option("--image <REF>", "export this image, which the local Docker daemon has or can pull, not one made here")
    .option("--input <JSON>", "input of the execution; $BUCKET in it stands for the stack's bucket")
    .option("--quiet", "leave out the log of the build")
    .showHelpAfterError()
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

type Options = ReturnType<typeof program.opts>;

function tell(line: string): void {
    console.log(`  ${line}`);
}

async function main(): Promise<number> {
    const { engine, encryption, sign, image: reference, ...options } = program.parse().opts();
    const configuration = configurationOf({ engine, encryption, ...(sign === true && { signing: "kms" }) });
    const abort = new AbortController();
    console.log("Start the lab");
    const starting = startLab({ configuration, reference, tell });
    // A signal ends the lab in order: the build is stopped, then every server. Another one does not cut that short.
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
        process.on(signal, () => {
            if (!abort.signal.aborted) console.log("\nStopping");
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

async function exportOnce(lab: Lab, options: Pick<Options, "input" | "quiet">, signal: AbortSignal): Promise<number> {
    const { image } = lab;
    const bucket = String(lab.stack.outputs["artifactBucketName"]);
    const key = `images/${image.repository.name.replaceAll("/", "-")}-${image.tag ?? "latest"}.tar`;
    const input: unknown =
        options.input === undefined
            ? { artifactBucket: bucket, artifactKey: key }
            : JSON.parse(options.input.replaceAll("$BUCKET", bucket));
    console.log("\nExport the image");
    tell(`request: ${JSON.stringify(input)}`);
    lab.watcher.tell = (event) => {
        tell(storyLine(event));
    };
    lab.watcher.log = (line) => {
        if (options.quiet !== true) tell(`build: ${line}`);
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
    for (const [name, value] of Object.entries(result.output)) tell(`  ${name.padEnd(18)}${String(value)}`);
    console.log("\nCheck the archive");
    const problems = await verify(lab, result.output);
    if (problems.length === 0) {
        tell("Size, SHA-256, key and metadata are as reported; loaded into Docker, it is the image that was pushed.");
    }
    console.log("\nRequest the same again");
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
    await lab.docker.run("image", "prune", "--all", "--force");
    await lab.docker.run("load", "--input", file);
    const loaded = await imageId(lab.docker, lab.image.uri);

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

const failed = (error: unknown) => {
    console.error(`FAILED: ${messageOf(error)}`);
    return 1;
};
void main()
    .catch(failed)
    .then((code) => (process.exitCode = code));
