/** Measures engine `stream` against its peers and the limit; README.md says how, and what the options are. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { cpus, release, tmpdir, totalmem } from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";

import { buildBundle, buildExporterBundle } from "../exporter/bundle";
import { assertInstalled, run, startDocker, startDockerRegistry, useGoTools } from "../tests/exporter/support/tools";
import { type BenchImage, makeImage, makeReleases, makeSet } from "./streamImage";
import { measure, megabytes, type Series, tableOfSeries, type Watched } from "./streamMeter";

interface Method {
    readonly name: string;
    readonly script: string;
    readonly watched: Watched;
    /** What is undone before every run, not measured. */
    readonly reset: () => Promise<unknown>;
}

const { values } = parseArgs({
    options: {
        mb: { type: "string", default: "500" },
        rounds: { type: "string", default: "5" },
        "exporter-only": { type: "boolean", default: false },
        set: { type: "boolean", default: false },
        delta: { type: "boolean", default: false },
    },
});
const settings = {
    mb: Number(values.mb),
    layers: 6,
    rounds: Number(values.rounds),
    isExporterOnly: values["exporter-only"],
    isSet: values.set,
    isDelta: values.delta,
};

/** What is undone at the end, the last first. */
const cleanup: (() => Promise<unknown>)[] = [];

/** Starts the store in a process of its own. @returns its port, and what asks it how much it has read */
async function startStore() {
    const child = fork(path.join(__dirname, "streamStore.ts"));
    cleanup.push(async () => {
        child.kill();
        await once(child, "exit");
    });
    const answer = async (): Promise<number> => ((await once(child, "message")) as [number])[0];
    const storePort = await answer();
    const sentBytes = (): Promise<number> => {
        child.send("how much?");
        return answer();
    };
    return { storePort, sentBytes };
}

const s3Env = (port: number): NodeJS.ProcessEnv => ({
    ...process.env,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
    AWS_DEFAULT_REGION: "us-east-1",
});

/** Runs the methods in turns, so that a noisy minute hits all of them, and drops the first, cold turn. */
async function compare(methods: readonly Method[], rounds: number): Promise<Series[]> {
    const series = methods.map(({ name: method }): Series => {
        return { method, wallSeconds: [], cpuSeconds: [], peakRssBytes: [], peakDiskBytes: [], sentBytes: [] };
    });
    for (let round = 0; round <= rounds; round++) {
        for (const [at, { name, script, watched, reset }] of methods.entries()) {
            await reset();
            const result = await measure(script, watched);
            console.log(`${round === 0 ? "warm-up" : `round ${round}`}  ${name}: ${result.wallSeconds.toFixed(2)} s`);
            if (round === 0) continue;
            for (const key of ["wallSeconds", "cpuSeconds", "peakRssBytes", "peakDiskBytes", "sentBytes"] as const) {
                series[at]?.[key].push(result[key]);
            }
        }
    }
    return series;
}

/** A command that sends its input to the store, which reads bodies of a known length only, as S3 does. */
const send = (storePort: number, sizeBytes: number): string =>
    `curl -fsS -H Transfer-Encoding: -H Content-Length:${sizeBytes} -T - http://127.0.0.1:${storePort}/bucket/piped`;

/** Builds the program of limit/. @returns a command that runs it on an image's layers */
async function limitScript({ reference, layers }: BenchImage, storePort: number, directory: string): Promise<string> {
    const program = path.join(directory, "limit");
    await run("go", "build", "-o", program, path.join(__dirname, "limit", "main.go"));
    const [host = ""] = reference.split("/");
    const urls = layers.map((digest) => `http://${host}/v2/bench/app/blobs/${digest}`);
    return `${program} http://127.0.0.1:${storePort}/bucket/limit ${urls.join(" ")}`;
}

/** Starts registry and store, and knows what the methods have in common. */
async function openStage() {
    const directory = await mkdtemp(path.join(tmpdir(), "export-bench-"));
    cleanup.push(() => rm(directory, { recursive: true, force: true }));
    const work = path.join(directory, "work");
    await mkdir(work);
    const program = path.join(directory, "exporter.mjs");
    await writeFile(program, await buildExporterBundle());
    const registry = await startDockerRegistry(directory);
    cleanup.push(() => registry.stop());
    const { storePort, sentBytes } = await startStore();
    const watched: Watched = { env: { ...s3Env(storePort), TMPDIR: work }, directory, sentBytes };
    // What the method before has left to be written to disk must not slow this one down.
    const reset = () => run("sh", "-c", `rm -rf ${work}/* && sync`);
    const method = (name: string, script: string): Method => ({ name, script, watched, reset });
    const tar = path.join(work, "image.tar");
    const upload = `aws s3 cp --quiet ${tar} s3://bucket/image.tar`;

    /** Starts a daemon, which has none of the images before. */
    async function dockerMethod(references: readonly string[]): Promise<Method> {
        const docker = await startDocker(directory, "overlay2");
        cleanup.push(() => docker.stop());
        const client = `docker --host ${docker.host}`;
        const pulls = references.map((each) => `${client} pull -q ${each}`).join(" && ");
        const script = `${pulls} && ${client} save -o ${tar} ${references.join(" ")} && ${upload}`;
        return {
            ...method("docker pull + save + aws s3 cp", script),
            watched: { ...watched, daemons: [docker.processId] },
            reset: () => run("docker", "--host", docker.host, "system", "prune", "--all", "--force").then(reset),
        };
    }

    return {
        ...{ directory, work, host: registry.host, storePort, method, dockerMethod, tar, upload },
        exporter: `${process.execPath} ${program}`,
        regctl: `regctl --host reg=${registry.host},tls=disabled image export`,
    };
}

type Stage = Awaited<ReturnType<typeof openStage>>;

/** One image, exported in every way. */
async function imageComparison(stage: Stage) {
    const { mb, layers, isExporterOnly } = settings;
    const { directory, work, host, storePort, method, dockerMethod, tar, upload, exporter } = stage;
    const image = await makeImage(work, host, mb, layers);
    const { reference, compressedBytes, uncompressedBytes } = image;
    const methods = [
        method("engine stream to a file", `${exporter} --image=${reference} ${tar}`),
        method("engine stream to S3", `${exporter} --image=${reference} s3://bucket/s.tar --force`),
        // The warm-up leaves it there.
        method("engine stream, already there", `${exporter} --image=${reference} ${path.join(directory, "again.tar")}`),
    ];
    const comparison = {
        what: `${megabytes(compressedBytes)} MB compressed, ${megabytes(uncompressedBytes)} MB not, ${layers} layers`,
        file: `stream-${mb}mb${isExporterOnly ? "-exporter-only" : ""}`,
        images: image,
        methods,
    };
    if (isExporterOnly) return comparison;
    const skopeo = (kind: string): string =>
        `skopeo --tmpdir ${work} copy --quiet --src-tls-verify=false docker://${reference} ${kind}:${tar}`;
    const regctl = `${stage.regctl} ${reference}`;
    const sizeBytes = Number(await run("bash", "-c", `${regctl} | wc -c`));
    methods.push(
        await dockerMethod([reference]),
        method("skopeo docker-archive + aws s3 cp", `${skopeo("docker-archive")} && ${upload}`),
        method("skopeo oci-archive + aws s3 cp", `${skopeo("oci-archive")} && ${upload}`),
        method("crane pull to a file", `crane pull ${reference} ${tar}`),
        method("crane pull + aws s3 cp", `crane pull ${reference} ${tar} && ${upload}`),
        method("regctl image export + aws s3 cp", `${regctl} ${tar} && ${upload}`),
        method("oras backup + aws s3 cp", `oras backup --plain-http --output ${tar} ${reference} && ${upload}`),
        method("regctl image export into curl", `${regctl} | ${send(storePort, sizeBytes)}`),
        method(
            "regctl image export into sha256sum and curl",
            `${regctl} | tee >(sha256sum >/dev/null) | ${send(storePort, sizeBytes)}`,
        ),
        method("the limit", await limitScript(image, storePort, directory)),
    );
    return comparison;
}

/** A set of images that share layers, in one archive or in as many as there are images. */
async function setComparison(stage: Stage) {
    const { mb } = settings;
    const { work, host, method, dockerMethod, tar, upload, exporter, regctl } = stage;
    const images = await makeSet(work, host, mb);
    const each = (script: (image: string, at: number) => string): string => images.map(script).join(" && ");
    const files = path.join(work, "files");
    const exportAll = each((image, at) => `${regctl} ${image} ${files}/${at}.tar`);
    const methods = [
        method("engine stream, a set", `${exporter} --image=${images.join(" --image=")} s3://bucket/s.tar --force`),
        method(
            "engine stream, an export each",
            each((image, at) => `${exporter} --image=${image} s3://bucket/${at}.tar --force`),
        ),
        await dockerMethod(images),
        method("crane pull to one file + aws s3 cp", `crane pull ${images.join(" ")} ${tar} && ${upload}`),
        method(
            "regctl image export each + aws s3 cp --recursive",
            `mkdir ${files} && ${exportAll} && aws s3 cp --quiet --recursive ${files} s3://bucket/set/`,
        ),
    ];
    const what = `${images.length} images that share layers, ${mb} MB compressed`;
    return { what, file: `set-${mb}mb`, images, methods };
}

/** A release since the one before: the whole of it, what is new, and both put together. */
async function deltaComparison(stage: Stage) {
    const { mb, layers } = settings;
    const { directory, work, host, method, exporter, tar } = stage;
    const images = await makeReleases(work, host, mb, layers);
    const [base, delta] = ["base.tar", "delta.tar"].map((name) => path.join(directory, name));
    const receiver = path.join(directory, "receiver.mjs");
    await writeFile(receiver, await buildBundle("cli/receiver.ts"));
    await run("sh", "-c", `${exporter} --image=${images.base} ${base}`);
    await run("sh", "-c", `${exporter} --image=${images.next} --since=${base} ${delta}`);
    const { size } = await stat(delta ?? "");
    const what = `${mb} MB in ${layers} layers, of which one of ${images.changedBytes} bytes is new: a delta of ${size} bytes`;
    const methods = [
        method("engine stream to a file", `${exporter} --image=${images.next} ${tar}`),
        method("engine stream, since the base", `${exporter} --image=${images.next} --since=${base} ${tar}`),
        method("receiver, merge", `${process.execPath} ${receiver} merge ${base} ${delta} -o ${tar}`),
    ];
    return { what, file: `delta-${mb}mb`, images: { ...images, deltaBytes: size }, methods };
}

async function main(): Promise<void> {
    const { isExporterOnly, isSet, isDelta, rounds } = settings;
    const isOwn = isExporterOnly || isDelta;
    await assertInstalled("docker-registry", "skopeo", ...(isOwn ? [] : ["docker", "dockerd", "go"]));
    if (!isOwn) await useGoTools();
    const stage = await openStage();
    const { what, file, images, methods } = await (isDelta ? deltaComparison : isSet ? setComparison : imageComparison)(
        stage,
    );
    const series = await compare(methods, rounds);
    const processor = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`;
    const system = `Linux ${release()}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`;
    const machine = `${processor}, ${Math.round(totalmem() / 1e9)} GB, ${system}`;
    const markdown = [
        `# Engine stream, ${what}`,
        `${machine}. ${rounds} rounds, interleaved.`,
        tableOfSeries(series),
    ].join("\n\n");
    const results = path.join(__dirname, "results", file);
    await writeFile(`${results}.json`, `${JSON.stringify({ settings, machine, images, series }, null, 2)}\n`);
    await writeFile(`${results}.md`, `${markdown}\n`);
    console.log(markdown);
}

void main().finally(async () => {
    for (const undo of cleanup.reverse()) await undo();
});
