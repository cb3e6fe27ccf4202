/**
 * `npm run lab`: exports one image through the whole pipeline on this machine, loads the archive back, and shows what
 * happened on the way.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { GetObjectCommand } from "@aws-sdk/client-s3";
import { Command, Option } from "@commander-js/extra-typings";

import { engineNames } from "../contract/engine";
import { messageOf } from "../contract/errors";
import { imageId } from "./image";
import { type Lab, startLab, uriOf } from "./lab";
import { startDockerDaemon } from "./servers";
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
    .addOption(
        new Option(
            "--delta",
            "export a patch of the image as well, only what is new, and load both in an empty daemon; with engine stream",
        )
            .implies({ engine: "stream" as const })
            .conflicts("input"),
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
    const { engine, encryption, sign, image: reference, delta, ...options } = program.parse().opts();
    if (delta === true && engine !== "stream") program.error("error: --delta is for engine stream");
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
        const code = await exportOnce(lab, options, abort.signal);
        return code === 0 && delta === true ? await exportPatch(lab, abort.signal) : code;
    } finally {
        await lab.stop();
        console.log("\nEverything that the lab started is stopped.");
    }
}

async function exportOnce(lab: Lab, options: Pick<Options, "input" | "quiet">, signal: AbortSignal): Promise<number> {
    const bucket = String(lab.stack.outputs["artifactBucketName"]);
    const key = keyOf(lab);
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

function keyOf({ image }: Lab, what = ""): string {
    return `images/${image.repository.name.replaceAll("/", "-")}-${image.tag ?? "latest"}${what}.tar`;
}

/** Exports a patch of the image as a delta, and loads both where nothing is. */
async function exportPatch(lab: Lab, signal: AbortSignal): Promise<number> {
    const { repository, tag = "latest" } = lab.image;
    const patchId = await lab.patch(repository.name, tag, "patched");
    const uri = uriOf(lab, "patched");
    const request = { imageUri: uri, artifactKey: keyOf(lab, "-patch"), since: keyOf(lab) };
    console.log("\nExport a patch of the image, only what is new");
    tell(`request: ${JSON.stringify(request)}`);
    const result = await lab.execute(request, signal);
    if (result.status !== "SUCCEEDED") {
        tell(
            result.status === "ABORTED" ? "The execution was aborted." : `Failed with ${result.error}: ${result.cause}`,
        );
        return result.status === "ABORTED" ? 130 : 1;
    }
    const { sizeBytes, baseSha256 } = result.output;
    tell(`${String(sizeBytes)} bytes, for whoever has the archive with the SHA-256 ${String(baseSha256)}.`);

    console.log("\nLoad both at the other side, in a Docker daemon that has nothing");
    const file = await fetchArchive(lab, result.output);
    const folder = join(lab.folder, "receiver");
    mkdirSync(folder);
    const receiver = await startDockerDaemon(folder, {});
    try {
        for (const each of [join(lab.folder, basename(keyOf(lab))), file.path]) {
            tell(`docker load --input ${basename(each)}: ${(await receiver.run("load", "--input", each)).trim()}`);
        }
        const ids = [await imageId(receiver, lab.image.uri), await imageId(receiver, uri)];
        const isSame = ids[0] === lab.imageId && ids[1] === patchId;
        tell(isSame ? "Both are the images that were pushed." : `FAILED: the images are ${ids.join(" and ")}.`);
        return isSame ? 0 : 1;
    } finally {
        await receiver.stop();
    }
}

/** Fetches an archive into the folder of the lab. */
async function fetchArchive(lab: Lab, output: Record<string, unknown>) {
    const key = String(output["artifactKey"]);
    const path = join(lab.folder, basename(key));
    const object = await lab.s3.send(
        new GetObjectCommand({
            Bucket: String(output["artifactBucket"]),
            Key: key,
            VersionId: String(output["artifactVersionId"]),
        }),
    );
    if (!(object.Body instanceof Readable)) throw new Error("S3 answered without a body.");
    await pipeline(object.Body, createWriteStream(path));
    return { path, object };
}

/** Fetches the archive, compares size and sha256, loads it and compares the image's id. */
async function verify(lab: Lab, output: Record<string, unknown>): Promise<string[]> {
    const { path: file, object } = await fetchArchive(lab, output);
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
