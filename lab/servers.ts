/** The servers that the lab runs: emulated AWS API, container registry, Docker daemon. Each on a port that the kernel chooses. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type Listening, run, startProcess, type Stoppable } from "./processes";

/** Starts moto, the emulator of the AWS API, for one account. */
export function startEmulator(accountId: string, folder: string): Promise<Listening> {
    const ready = /Running on http:\/\/127\.0\.0\.1:(\d+)/;
    const env = { MOTO_ACCOUNT_ID: accountId };
    return startProcess("moto_server", ["-H", "127.0.0.1", "-p", "0"], { folder, env, ready });
}

/** Starts a registry (CNCF Distribution). */
export function startRegistry(folder: string): Promise<Listening> {
    const storage = { filesystem: { rootdirectory: join(folder, "registry") } };
    const file = join(folder, "registry.yml");
    writeFileSync(file, JSON.stringify({ version: 0.1, storage, http: { addr: "127.0.0.1:0" } }));
    return startProcess("docker-registry", ["serve", file], { folder, ready: /listening on 127\.0\.0\.1:(\d+)/ });
}

/** A Docker daemon of the lab's own. */
export interface DockerDaemon extends Stoppable {
    /** Value of `DOCKER_HOST` that leads to it. */
    readonly host: string;
    /** Runs a command of Docker's with it, and gives what that has written. */
    readonly run: (...command: readonly string[]) => Promise<string>;
}

/**
 * Starts a Docker daemon beside any that the machine has, without networks: it pulls and saves, it runs nothing. Its
 * containerd is its own as well, since the daemon would put its images into that of the machine.
 *
 * @param env Proxy and certificate authorities, which are the daemon's way to the lab's registry; a `PATH`, where not
 *     the machine's own daemon is to be started.
 * @param further Further options of `dockerd`.
 */
export async function startDockerDaemon(
    folder: string,
    env: Record<string, string>,
    further: readonly string[] = [],
): Promise<DockerDaemon> {
    const root = join(folder, "docker");
    const file = (name: string) => join(root, name);
    mkdirSync(root);
    writeFileSync(file("containerd.toml"), 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]');
    const containerdOptions = [
        ...["--config", file("containerd.toml"), "--address", file("containerd.sock")],
        ...["--root", file("containerd"), "--state", file("containerd-state")],
    ];
    const containerd = await startProcess("containerd", containerdOptions, {
        folder,
        env,
        ready: /successfully booted/,
    });
    // An empty configuration: that of the machine's own daemon is not this one's.
    writeFileSync(file("daemon.json"), "{}");
    const host = `unix://${file("docker.sock")}`;
    const options = [
        ...["--host", host, "--data-root", file("data"), "--exec-root", file("exec")],
        ...["--pidfile", file("docker.pid"), "--config-file", file("daemon.json")],
        ...["--containerd", file("containerd.sock")],
        ...["--bridge=none", "--iptables=false", "--ip6tables=false"],
        ...further,
    ];
    const starting = startProcess("dockerd", options, { folder, env, ready: /API listen on/ });
    const dockerd = await starting.catch(async (error: unknown) => {
        await containerd.stop();
        throw error;
    });
    return {
        host,
        run: (...command) => run("docker", ["--host", host, ...command]),
        stop: async () => {
            await dockerd.stop();
            await containerd.stop();
        },
    };
}
