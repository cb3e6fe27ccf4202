import { execFileSync, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, release, tmpdir, totalmem } from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { buildExporterBundle, bundleFileName } from "../exporter/bundle";
import { assertInstalled, startDocker, startDockerRegistry } from "../tests/exporter/support/tools";
import { type BenchImage, makeImage } from "./streamImage";
import { measure, type Measurement, type Watched } from "./streamMeter";
import { median, type Series, tableOf } from "./streamReport";

const usage = `Usage: npm run bench -- [--mb 500] [--layers 6] [--rounds 5] [--cap-mb 20] [--delay-ms 30] [--only exporter]
           [--no-scaling]
Measures engine stream against docker, skopeo and the limit (bench/README.md). Results go to bench/results.`;

interface Settings {
    readonly mb: number;
    readonly layers: number;
    readonly rounds: number;
    readonly capMb: number;
    readonly delayMs: number;
    /** Whether the other methods are left out. */
    readonly isExporterOnly: boolean;
    /** Whether the scenario of slow connections is run. */
    readonly isScaling: boolean;
}

function readSettings(): Settings {
    const { values } = parseArgs({
        options: {
            mb: { type: "string", default: "500" },
            layers: { type: "string", default: "6" },
            rounds: { type: "string", default: "5" },
            "cap-mb": { type: "string", default: "20" },
            "delay-ms": { type: "string", default: "30" },
            only: { type: "string" },
            "no-scaling": { type: "boolean", default: false },
            help: { type: "boolean" },
        },
    });
    if (values.help) {
        console.log(usage);
        process.exit(0);
    }
    return {
        mb: Number(values.mb),
        layers: Number(values.layers),
        rounds: Number(values.rounds),
        capMb: Number(values["cap-mb"]),
        delayMs: Number(values["delay-ms"]),
        isExporterOnly: values.only === "exporter",
        isScaling: !values["no-scaling"],
    };
}

interface Method {
    readonly name: string;
    readonly script: string;
    readonly watched?: Watched;
    /** What is undone before every run, not measured. */
    readonly reset?: () => void;
}

/** Starts a server of this directory in a process of its own. */
async function startServer(file: string, ...args: string[]): Promise<{ port: number; stop: () => Promise<void> }> {
    const child = spawn(process.execPath, ["-r", "ts-node/register", path.join(__dirname, file), ...args], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await new Promise<number>((resolve) => {
        child.stdout.once("data", (chunk: Buffer) => {
            resolve(Number(chunk.toString()));
        });
    });
    return {
        port,
        stop: () =>
            new Promise((resolve) => {
                child.once("exit", () => {
                    resolve();
                });
                child.kill();
            }),
    };
}

const portOf = (host: string): string => host.split(":")[1] ?? "";
const s3Env = (port: number): NodeJS.ProcessEnv => ({
    ...process.env,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
    AWS_REGION: "us-east-1",
    AWS_DEFAULT_REGION: "us-east-1",
});

/** Runs the methods in turns, so that a noisy minute hits all of them, and drops the first, cold turn. */
async function compare(
    methods: readonly Method[],
    rounds: number,
    sent: ReadonlyMap<string, number>,
): Promise<Series[]> {
    const runs = new Map<string, Measurement[]>(methods.map(({ name }) => [name, []]));
    for (let round = 0; round <= rounds; round++) {
        for (const { name, script, watched = {}, reset } of methods) {
            reset?.();
            const result = await measure(script, watched);
            console.log(`${round === 0 ? "warm-up" : `round ${round}`}  ${name}: ${result.wallSeconds.toFixed(2)} s`);
            if (round > 0) runs.get(name)?.push(result);
        }
    }
    return [...runs].map(([method, results]) => ({
        method,
        wallSeconds: results.map(({ wallSeconds }) => wallSeconds),
        cpuSeconds: results.map(({ cpuSeconds }) => cpuSeconds),
        peakRssBytes: results.map(({ peakRssBytes }) => peakRssBytes),
        peakDiskBytes: results.map(({ peakDiskBytes }) => peakDiskBytes),
        movedBytes: sent.get(method) ?? 0,
    }));
}

const names = {
    docker: "docker pull + save + aws s3 cp",
    dockerArchive: "skopeo docker-archive + aws s3 cp",
    ociArchive: "skopeo oci-archive + aws s3 cp",
    file: "engine stream to a file",
    s3: "engine stream to S3",
    skip: "engine stream, already there",
    limit: "the limit: curl, openssl, curl in a pipe",
} as const;

/** How a registry's blobs come and go at best: one pipe that reads, hashes and sends them. */
function limitScript({ reference, layers }: BenchImage, storePort: number): string {
    const [host = ""] = reference.split("/");
    const urls = layers.map((digest) => `http://${host}/v2/bench/app/blobs/${digest}`).join(" ");
    return `curl -fsS ${urls} | tee >(openssl dgst -sha256 >/dev/null) | curl -fsS -T - http://127.0.0.1:${storePort}/bucket/limit`;
}

function quiet(command: string, ...args: string[]): void {
    execFileSync(command, args, { stdio: "ignore" });
}

async function main(): Promise<void> {
    const settings = readSettings();
    await assertInstalled("docker-registry", ...(settings.isExporterOnly ? [] : ["docker", "dockerd", "skopeo"]));
    const directory = await mkdtemp(path.join(tmpdir(), "export-bench-"));
    const work = path.join(directory, "work");
    await mkdir(work);
    const program = path.join(directory, bundleFileName);
    await writeFile(program, await buildExporterBundle());
    const registry = await startDockerRegistry(directory);
    const store = await startServer("streamStore.ts");
    const docker = settings.isExporterOnly ? undefined : await startDocker(directory, "overlay2");
    const stopping: (() => Promise<void>)[] = [
        () => registry.stop(),
        () => store.stop(),
        ...(docker ? [() => docker.stop()] : []),
    ];
    try {
        const image = await makeImage(registry.host, settings.mb, settings.layers);
        console.log(`${image.reference}: ${(image.compressedBytes / 1e6).toFixed(0)} MB compressed`);
        const env = s3Env(store.port);
        const node = `${process.execPath} ${program}`;
        const tar = path.join(work, "image.tar");
        const upload = `aws s3 cp --quiet ${tar} s3://bucket/image.tar`;
        const watched: Watched = { env: { ...env, TMPDIR: work }, directories: [work] };
        const clear = (): void => {
            // What the method before has left to be written to disk must not slow this one down.
            quiet("sh", "-c", `rm -rf ${work}/* && sync`);
        };
        const client = docker && `docker --host ${docker.host}`;
        const skopeo = (kind: string): string =>
            `skopeo --tmpdir ${work} copy --quiet --src-tls-verify=false docker://${image.reference} ${kind}:${tar}`;
        const others: Method[] = [
            {
                name: names.docker,
                script: `${client ?? ""} pull -q ${image.reference} && ${client ?? ""} save -o ${tar} ${image.reference} && ${upload}`,
                watched: {
                    ...watched,
                    daemons: [docker?.processId ?? 0],
                    directories: [work, path.join(directory, "docker")],
                },
                reset: () => {
                    quiet("docker", "--host", docker?.host ?? "", "system", "prune", "--all", "--force");
                    clear();
                },
            },
            {
                name: names.dockerArchive,
                script: `${skopeo("docker-archive")} && ${upload}`,
                watched,
                reset: clear,
            },
            {
                name: names.ociArchive,
                script: `${skopeo("oci-archive")} && ${upload}`,
                watched,
                reset: clear,
            },
            { name: names.limit, script: limitScript(image, store.port), watched, reset: clear },
        ];
        const own: Method[] = [
            { name: names.file, script: `${node} ${image.reference} ${tar}`, watched, reset: clear },
            {
                name: names.s3,
                script: `${node} ${image.reference} s3://bucket/s.tar --force`,
                watched,
                reset: clear,
            },
            {
                name: names.skip,
                script: `${node} ${image.reference} s3://bucket/s.tar`,
                watched,
                reset: clear,
            },
        ];
        const sent = new Map<string, number>([
            [names.docker, image.uncompressedBytes],
            [names.dockerArchive, image.uncompressedBytes],
            [names.ociArchive, image.compressedBytes],
            [names.s3, image.compressedBytes],
            [names.limit, image.compressedBytes],
        ]);
        const series = await compare([...own, ...(docker ? others : [])], settings.rounds, sent);
        const scaling = settings.isScaling ? await measureScaling(settings, image, node, store.port, stopping) : [];
        await report(settings, image, series, scaling);
    } finally {
        for (const stop of stopping) await stop();
        await rm(directory, { recursive: true, force: true });
    }
}

interface ScalingPoint {
    readonly concurrency: number;
    readonly wallSeconds: number[];
}

/** The same export with every connection delayed and capped, at several concurrencies, in turns. */
async function measureScaling(
    settings: Settings,
    image: BenchImage,
    node: string,
    storePort: number,
    stopping: (() => Promise<void>)[],
): Promise<ScalingPoint[]> {
    const link = [settings.delayMs.toString(), (settings.capMb * 1e6).toString()];
    const [host = ""] = image.reference.split("/");
    const slowRegistry = await startServer("streamCap.ts", portOf(host), ...link);
    const slowStore = await startServer("streamCap.ts", storePort.toString(), ...link);
    stopping.push(
        () => slowRegistry.stop(),
        () => slowStore.stop(),
    );
    const reference = image.reference.replace(host, `127.0.0.1:${slowRegistry.port}`);
    const points: ScalingPoint[] = [1, 2, 4, 8, 16].map((concurrency) => ({ concurrency, wallSeconds: [] }));
    for (let round = 0; round < Math.min(settings.rounds, 3); round++) {
        for (const { concurrency, wallSeconds } of points) {
            const script = `${node} ${reference} s3://bucket/slow.tar --force --concurrency ${concurrency}`;
            const result = await measure(script, { env: s3Env(slowStore.port) });
            console.log(`capped, ${concurrency} connections: ${result.wallSeconds.toFixed(2)} s`);
            wallSeconds.push(result.wallSeconds);
        }
    }
    return points;
}

async function report(
    settings: Settings,
    image: BenchImage,
    series: readonly Series[],
    scaling: readonly ScalingPoint[],
): Promise<void> {
    const [cpu] = cpus();
    const machine = {
        cpu: `${cpus().length} × ${cpu?.model ?? "unknown"}`,
        memoryGb: Math.round(totalmem() / 1e9),
        kernel: release(),
        node: process.version,
        date: new Date().toISOString().slice(0, 10),
    };
    const seconds = (method: string): number => {
        const found = series.find((one) => one.method === method);
        return found ? median(found.wallSeconds) : NaN;
    };
    const slowest = median(scaling[0]?.wallSeconds ?? []);
    const ratios = {
        dockerWayOverStream: seconds(names.docker) / seconds(names.s3),
        fastestSkopeoOverStream: Math.min(seconds(names.dockerArchive), seconds(names.ociArchive)) / seconds(names.s3),
        streamOverLimit: seconds(names.s3) / seconds(names.limit),
        oneConnectionOverEight:
            slowest / median(scaling.find(({ concurrency }) => concurrency === 8)?.wallSeconds ?? []),
    };
    const name = `stream-${settings.mb}mb${settings.isExporterOnly ? "-exporter-only" : ""}`;
    const file = (extension: string): string => path.join(__dirname, "results", `${name}${extension}`);
    const size = `${(image.compressedBytes / 1e6).toFixed(0)} MB compressed, ${(image.uncompressedBytes / 1e6).toFixed(0)} MB not, ${image.layers.length} layers`;
    const scalingRows = scaling.map(({ concurrency, wallSeconds }) => {
        const time = median(wallSeconds);
        return `| ${concurrency} | ${time.toFixed(2)} | ${(slowest / time).toFixed(1)} |`;
    });
    const markdown = [
        `# Engine stream, ${size}`,
        `${machine.cpu}, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.date}. ${settings.rounds} rounds, interleaved.`,
        tableOf(series),
        Object.entries(ratios)
            .filter(([, value]) => !Number.isNaN(value))
            .map(([key, value]) => `- ${key}: ${value.toFixed(2)}`)
            .join("\n"),
        ...(settings.isScaling ? scalingSection(settings, scalingRows) : []),
    ].join("\n\n");
    await mkdir(path.join(__dirname, "results"), { recursive: true });
    await writeFile(
        file(".json"),
        `${JSON.stringify({ settings, machine, image, ratios, series, scaling }, null, 2)}\n`,
    );
    await writeFile(file(".md"), `${markdown}\n`);
    console.log(markdown);
}

function scalingSection({ delayMs, capMb }: Settings, rows: readonly string[]): string[] {
    const head = ["| connections each way | wall s (median) | times faster |", "| --- | --- | --- |"];
    return [`## Every connection with ${delayMs} ms delay and ${capMb} MB/s`, [...head, ...rows].join("\n")];
}

void main();
