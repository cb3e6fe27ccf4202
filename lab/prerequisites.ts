/** What the lab needs of the machine: found, installed where that is possible, or named. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

import { run } from "./processes";

/** Commands, and the Debian packages that have them. */
const packages: Readonly<Record<string, string>> = {
    curl: "curl",
    docker: "docker.io",
    dockerd: "docker.io",
    containerd: "containerd",
    "docker-registry": "docker-registry",
    jq: "jq",
    openssl: "openssl",
    python3: "python3",
};

/**
 * What comes from the Python Package Index. The AWS CLI is of its first line, which has the same commands as the second, that of
 * CodeBuild's images. Debian 12 has one from before S3's conditional writes.
 */
const requirements = ["moto[server]==5.2.1", "awscli==1.45.11"];

/**
 * Makes sure that every command of the lab is found by `PATH`: on Debian as root it installs what is missing.
 *
 * @param tell Called with a line for each thing that is being installed.
 * @throws Error that names what is missing and what to do.
 */
export async function prepareMachine(tell: (line: string) => void): Promise<void> {
    if (process.platform !== "linux" || process.getuid?.() !== 0) {
        throw new Error(
            "The lab starts a Docker daemon of its own, whose registry it puts in the place of Amazon ECR. " +
                "That needs Linux and root: run it with sudo, in a virtual machine or in a privileged container.",
        );
    }
    const missing = await missingOf(Object.keys(packages));
    if (missing.length > 0) await installPackages(missing, tell);
    await preparePrograms(tell);
}

/** Makes sure of what comes from the Python Package Index, for which nobody needs to be root. */
export async function preparePrograms(tell: (line: string) => void): Promise<void> {
    if ((await missingOf(["moto_server"])).length > 0 || !(await writesOnCondition())) await installPrograms(tell);
}

/** Those of the commands that are not there. */
async function missingOf(commands: readonly string[]): Promise<string[]> {
    const looking = 'for each; do command -v "$each" >/dev/null || echo "$each"; done';
    const missing = await run("bash", ["-c", looking, "bash", ...commands]);
    return missing.split("\n").filter((each) => each !== "");
}

/** Whether there is an AWS CLI that knows `--if-match` of `put-object`, which came at the end of 2024. */
async function writesOnCondition(): Promise<boolean> {
    const version = await run("aws", ["--version"]).catch(() => "");
    const [, major, minor] = /^aws-cli\/(\d+)\.(\d+)\./.exec(version) ?? [];
    return Number(minor) >= (major === "1" ? 37 : 23);
}

async function installPackages(commands: readonly string[], tell: (line: string) => void): Promise<void> {
    const names = [...new Set(commands.map((command) => packages[command] ?? command))].sort();
    const remedy = `Missing here: ${commands.join(", ")}. On Debian they come with: apt-get install ${names.join(" ")}`;
    if (!existsSync("/etc/debian_version")) throw new Error(remedy);
    tell(`installing ${names.join(", ")}`);
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    // Another lab may be installing, too.
    const waiting = ["-o", "DPkg::Lock::Timeout=600", "-qq"];
    try {
        await run("apt-get", [...waiting, "update"], { env });
        await run("apt-get", [...waiting, "install", "-y", ...names], { env });
    } catch (error) {
        throw new Error(remedy, { cause: error });
    }
    const still = await missingOf(commands.filter((command) => command in packages));
    if (still.length > 0) throw new Error(`Still missing after apt-get install: ${still.join(", ")}`);
}

/** Installs the Python programs in an environment of their own, and puts that in front of `PATH`. */
async function installPrograms(tell: (line: string) => void): Promise<void> {
    const own = join(__dirname, "..", ".lab");
    const folder = join(own, requirements.join(" ").replace(/\W+/g, "-"));
    if (!existsSync(folder)) tell(`installing ${requirements.join(", ")}`);
    // Under a lock, for another lab that starts at the same time.
    const installing = '[[ -x "$0/bin/aws" ]] || { python3 -m venv "$0" && "$0/bin/pip" install --quiet "$@"; }';
    try {
        // Debian has the part of Python that makes environments in a package of its own.
        await run("python3", ["-c", "import ensurepip"]).catch(() => installPackages(["python3-venv"], tell));
        mkdirSync(own, { recursive: true });
        await run("flock", [join(own, "lock"), "bash", "-c", installing, folder, ...requirements]);
    } catch (error) {
        throw new Error(
            `moto and a recent AWS CLI are missing, and could not be installed. By hand: python3 -m venv ${folder} && ` +
                `${folder}/bin/pip install '${requirements.join("' '")}'`,
            { cause: error },
        );
    }
    process.env["PATH"] = `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`;
}
