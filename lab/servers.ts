/** The servers that the lab runs: emulated AWS API, container registry, Docker daemon. Each on a port that the kernel chooses. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Listening } from "./http";
import { run, startProcess, type Stoppable } from "./processes";

/** Starts moto, the emulator of the AWS API, for one account. */
export async function startEmulator(command: string, accountId: string, folder: string): Promise<Listening> {
    const { stop, ready } = await startProcess(command, ["-H", "127.0.0.1", "-p", "0"], {
        folder,
        env: { MOTO_ACCOUNT_ID: accountId },
        ready: /Running on http:\/\/127\.0\.0\.1:(\d+)/,
    });
    return { stop, port: Number(ready[1]) };
}

/** A registry that wants a login. */
export interface Registry extends Listening {
    readonly userAndPassword: string;
}

/** Starts a registry (CNCF Distribution). */
export async function startRegistry(userAndPassword: string, folder: string): Promise<Registry> {
    const [user = "", password = ""] = userAndPassword.split(":");
    writeFileSync(join(folder, "htpasswd"), await run("htpasswd", ["-Bbn", user, password]));
    const configuration = {
        version: 0.1,
        log: { level: "info" },
        storage: { filesystem: { rootdirectory: join(folder, "registry") } },
        auth: { htpasswd: { realm: "lab", path: join(folder, "htpasswd") } },
        http: { addr: "127.0.0.1:0" },
    };
    const file = join(folder, "registry.yml");
    writeFileSync(file, JSON.stringify(configuration));
    const { stop, ready } = await startProcess("docker-registry", ["serve", file], {
        folder,
        ready: /listening on 127\.0\.0\.1:(\d+)/,
    });
    return { stop, port: Number(ready[1]), userAndPassword };
}

/** A Docker daemon of the lab's own. */
export interface DockerDaemon extends Stoppable {
    /** Value of `DOCKER_HOST` that leads to it. */
    readonly host: string;
}

/**
 * Starts a Docker daemon beside any that the machine has, without networks: it pulls and saves, it runs nothing. Its
 * containerd is its own as well, since the daemon would put its images into that of the machine.
 *
 * @param environment Proxy and certificate authorities, which are the daemon's way to the lab's registry; a `PATH`, where not
 *     the machine's own daemon is to be started.
 * @param further Further options of `dockerd`.
 */
export async function startDockerDaemon(
    folder: string,
    environment: Record<string, string>,
    further: readonly string[] = [],
): Promise<DockerDaemon> {
    const root = join(folder, "docker");
    const file = (name: string) => join(root, name);
    mkdirSync(root);
    const containerdConfiguration = [
        "version = 2",
        `root = "${file("containerd")}"`,
        `state = "${file("containerd-state")}"`,
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        `[grpc]\naddress = "${file("containerd.sock")}"`,
    ];
    writeFileSync(file("containerd.toml"), containerdConfiguration.join("\n"));
    const containerd = await startProcess("containerd", ["--config", file("containerd.toml")], {
        folder,
        env: environment,
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
    const starting = startProcess("dockerd", options, { folder, env: environment, ready: /API listen on/ });
    const dockerd = await starting.catch(async (error: unknown) => {
        await containerd.stop();
        throw error;
    });
    return {
        host,
        stop: async () => {
            await dockerd.stop();
            await containerd.stop();
        },
    };
}
