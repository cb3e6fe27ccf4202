import { execFile, type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import * as http from "node:http";
import { createServer, type AddressInfo } from "node:net";
import * as path from "node:path";
import { promisify } from "node:util";

import { createLimit } from "../../../exporter/network/pool";
import { listen } from "./faults";

/** Debian's package of each tool. */
const packages: Readonly<Record<string, string>> = {
    docker: "docker.io",
    dockerd: "docker.io",
    ctr: "containerd",
    podman: "podman crun",
    skopeo: "skopeo",
    "docker-registry": "docker-registry",
    tar: "tar",
};

/** Runs a command. */
export async function run(command: string, ...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 64 * 1024 * 1024 });
    return stdout;
}

/** Fails with the list of tools that are missing and how to get them. */
export async function assertInstalled(...tools: string[]): Promise<void> {
    const found = await Promise.all(
        tools.map((tool) =>
            run("sh", "-c", `command -v ${tool}`).then(
                () => true,
                () => false,
            ),
        ),
    );
    const missing = tools.filter((_, at) => !found[at]);
    if (missing.length > 0) {
        const install = missing.map((tool) => packages[tool] ?? tool).join(" ");
        throw new Error(`Not installed: ${missing.join(", ")}. On Debian: apt-get install ${install}`);
    }
}

/** Puts crane, regctl, oras and umoci of fixed versions on the PATH, and builds them before where they are not there. */
export async function useGoTools(): Promise<void> {
    const folders = await run(path.join(__dirname, "../readers/go-tools"));
    process.env["PATH"] = `${folders.trim()}:${process.env["PATH"] ?? ""}`;
}

/**
 * Has a program of a fixed version from the Go module proxy.
 *
 * @param packageAtVersion as `go install` takes it
 * @returns its path
 */
export async function goTool(packageAtVersion: string): Promise<string> {
    const folder = await run(path.join(__dirname, "../readers/go-tools"), packageAtVersion);
    return path.join(folder.trim(), path.basename(packageAtVersion.replace(/@.*/, "")));
}

/** Something that runs until it is stopped. */
export interface Service {
    stop(): Promise<void>;
}

function start(command: string, args: readonly string[]): { child: ChildProcess; log: () => string } {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let log = "";
    for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => {
            log = (log + chunk.toString()).slice(-4000);
        });
    }
    return { child, log: () => log };
}

async function stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null) {
        return;
    }
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
}

/** Asks until it answers. */
async function waitFor(what: string, ask: () => Promise<unknown>, log: () => string): Promise<void> {
    for (let left = 150; left > 0; left--) {
        try {
            await ask();
            return;
        } catch {
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
    }
    throw new Error(`${what} does not answer:\n${log()}`);
}

async function freePort(): Promise<number> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
}

/** Debian's docker-registry, with its data in a directory. */
export async function startDockerRegistry(directory: string): Promise<Service & { host: string }> {
    const host = `127.0.0.1:${await freePort()}`;
    const config = path.join(directory, "registry.yml");
    const settings = {
        version: 0.1,
        log: { level: "error", accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: path.join(directory, "registry") } },
        http: { addr: host },
    };
    await writeFile(config, JSON.stringify(settings)); // JSON is YAML
    const { child, log } = start("docker-registry", ["serve", config]);
    await waitFor("docker-registry", () => fetch(`http://${host}/v2/`), log);
    return { host, stop: () => stop(child) };
}

/** A small registry with the referrers API. */
export const olareg = "github.com/olareg/olareg/cmd/olareg@v0.2.2";

/**
 * {@link olareg}, which keeps all in memory, behind a server that gives it one manifest at a time: of two that belong to the same at
 * once its list loses one.
 */
export async function startOlareg(): Promise<Service & { host: string }> {
    const port = await freePort();
    const options = ["--addr", "127.0.0.1", "--port", port.toString(), "--store-type", "mem"];
    const { child, log } = start(await goTool(olareg), ["serve", ...options]);
    await waitFor("olareg", () => fetch(`http://127.0.0.1:${port}/v2/`), log);
    const oneAtATime = createLimit(1);
    const server = await listen((request, response) => {
        const { method, url = "", headers } = request;
        const pass = async () => {
            const passed = http.request({ host: "127.0.0.1", port, method, path: url, headers });
            passed.once("response", (answer) => {
                response.writeHead(answer.statusCode ?? 502, answer.headers);
                answer.pipe(response);
            });
            passed.once("error", () => response.destroy());
            request.pipe(passed);
            await once(response, "close");
        };
        void (method === "PUT" && url.includes("/manifests/") ? oneAtATime(pass) : pass());
    });
    const stopBoth = async () => {
        await server.close();
        await stop(child);
    };
    return { host: server.host, stop: stopBoth };
}

/** A Docker daemon of its own, away from any other on the machine, and the containerd that it starts. */
export async function startDocker(
    directory: string,
    storageDriver = "vfs",
): Promise<Service & { host: string; containerd: string; processId: number }> {
    const host = `unix://${path.join(directory, "docker.sock")}`;
    const { child, log } = start("dockerd", [
        ...["--host", host, "--pidfile", path.join(directory, "docker.pid")],
        ...["--data-root", path.join(directory, "docker"), "--exec-root", path.join(directory, "exec")],
        ...["--bridge=none", "--iptables=false", "--ip6tables=false", `--storage-driver=${storageDriver}`],
    ]);
    await waitFor("dockerd", () => run("docker", "--host", host, "info"), log);
    const containerd = path.join(directory, "exec", "containerd", "containerd.sock");
    return { host, containerd, processId: child.pid ?? 0, stop: () => stop(child) };
}
