/** The servers that the lab runs: emulated AWS API, container registry, Docker daemon. All on 127.0.0.1. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { answers, run, type RunningProcess, startProcess } from "./processes";

/** Starts moto, the emulator of the AWS API, for one account. */
export async function startEmulator(
    command: string,
    port: number,
    accountId: string,
    folder: string,
): Promise<RunningProcess> {
    return startProcess(command, ["-H", "127.0.0.1", "-p", String(port)], {
        env: { MOTO_ACCOUNT_ID: accountId },
        logFile: join(folder, "moto.log"),
        ready: () => answers(`http://127.0.0.1:${port}/moto-api/`),
    });
}

/** Starts a registry (CNCF Distribution) that wants a login. */
export async function startRegistry(
    port: number,
    userAndPassword: string,
    folder: string,
): Promise<RunningProcess> {
    const [user = "", password = ""] = userAndPassword.split(":");
    writeFileSync(join(folder, "htpasswd"), await run("htpasswd", ["-Bbn", user, password]));
    const configuration = {
        version: 0.1,
        log: { level: "warn" },
        storage: { filesystem: { rootdirectory: join(folder, "registry") } },
        auth: { htpasswd: { realm: "lab", path: join(folder, "htpasswd") } },
        http: { addr: `127.0.0.1:${port}` },
    };
    const file = join(folder, "registry.yml");
    writeFileSync(file, JSON.stringify(configuration));
    return startProcess("docker-registry", ["serve", file], {
        logFile: join(folder, "registry.log"),
        ready: () => answers(`http://127.0.0.1:${port}/v2/`),
    });
}

/** A Docker daemon of the lab's own. */
export interface DockerDaemon extends RunningProcess {
    /** Value of `DOCKER_HOST` that leads to it. */
    readonly host: string;
}

/**
 * Starts a Docker daemon beside any that the machine has, without networks: it pulls and saves, it runs nothing.
 *
 * @param environment Proxy and certificate authorities, which are the daemon's way to the lab's registry.
 */
export async function startDockerDaemon(
    folder: string,
    environment: Record<string, string>,
): Promise<DockerDaemon> {
    const root = join(folder, "docker");
    mkdirSync(root);
    // An empty configuration: that of the machine's own daemon is not this one's.
    writeFileSync(join(root, "daemon.json"), "{}");
    const host = `unix://${join(root, "docker.sock")}`;
    const daemon = await startProcess(
        "dockerd",
        [
            ...["--host", host, "--data-root", join(root, "data"), "--exec-root", join(root, "exec")],
            ...["--pidfile", join(root, "docker.pid"), "--config-file", join(root, "daemon.json")],
            ...["--bridge=none", "--iptables=false", "--ip6tables=false"],
            // Where the machine runs a containerd, the daemon uses it: apart from the images of the machine's own.
            ...["--containerd-namespace", "image-export-lab"],
            ...["--containerd-plugins-namespace", "image-export-lab-plugins"],
        ],
        {
            env: environment,
            logFile: join(folder, "dockerd.log"),
            ready: () =>
                run("docker", ["--host", host, "info"]).then(
                    () => true,
                    () => false,
                ),
        },
    );
    return { ...daemon, host };
}
