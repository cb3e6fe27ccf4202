/** What the lab needs of the machine: found, installed where that is possible, or named. */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

import { run } from "./processes";

/** Commands, and the Debian packages that have them. */
const packages: Record<string, string> = {
    aws: "awscli",
    curl: "curl",
    docker: "docker.io",
    dockerd: "docker.io",
    "docker-registry": "docker-registry",
    htpasswd: "apache2-utils",
    jq: "jq",
    openssl: "openssl",
    python3: "python3",
};

const motoVersion = "5.2.1";
const motoFolder = join(__dirname, "..", ".lab", "moto");

/** Commands that are run by their path. */
export interface Commands {
    readonly aws: string;
    readonly motoServer: string;
}

/**
 * Makes sure that every command of the lab is there: on Debian as root it installs what is missing.
 *
 * @param tell Called with a line for each thing that is being installed.
 * @throws Error that names what is missing and what to do.
 */
export async function prepareMachine(tell: (line: string) => void): Promise<Commands> {
    if (process.platform !== "linux" || process.getuid?.() !== 0) {
        throw new Error(
            "The lab starts a Docker daemon of its own, whose registry it puts in the place of Amazon ECR. " +
                "That needs Linux and root: run it with sudo, in a virtual machine or in a privileged container.",
        );
    }
    const missing = Object.keys(packages).filter((command) => find(command) === undefined);
    if (missing.length > 0) await installPackages(missing, tell);
    return { aws: find("aws") ?? "aws", motoServer: find("moto_server") ?? (await installMoto(tell)) };
}

async function installPackages(commands: string[], tell: (line: string) => void): Promise<void> {
    const names = [...new Set(commands.map((command) => packages[command] ?? command))].sort();
    const remedy = `Missing here: ${commands.join(", ")}. On Debian they come with: apt-get install ${names.join(" ")}`;
    if (!existsSync("/etc/debian_version") || find("apt-get") === undefined) throw new Error(remedy);
    tell(`installing ${names.join(", ")}`);
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    try {
        await run("apt-get", ["update", "-qq"], { env });
        await run("apt-get", ["install", "-y", "-qq", ...names], { env });
    } catch (error) {
        throw new Error(remedy, { cause: error });
    }
    const still = commands.filter((command) => command in packages && find(command) === undefined);
    if (still.length > 0) throw new Error(`Still missing after apt-get install: ${still.join(", ")}`);
}

/** The emulator of the AWS API, in a Python environment of its own. */
async function installMoto(tell: (line: string) => void): Promise<string> {
    const command = join(motoFolder, "bin", "moto_server");
    if (existsSync(command)) return command;
    tell(`installing moto ${motoVersion}`);
    try {
        // Debian has the part of Python that makes environments in a package of its own.
        await run("python3", ["-c", "import ensurepip"]).catch(() => installPackages(["python3-venv"], tell));
        await run("python3", ["-m", "venv", motoFolder]);
        await run(join(motoFolder, "bin", "pip"), ["install", "--quiet", `moto[server]==${motoVersion}`]);
    } catch (error) {
        throw new Error(
            `moto_server is missing, and could not be installed. Make it by hand: python3 -m venv ${motoFolder} && ` +
                `${motoFolder}/bin/pip install 'moto[server]==${motoVersion}'`,
            { cause: error },
        );
    }
    return command;
}

function find(command: string): string | undefined {
    return (process.env["PATH"] ?? "")
        .split(delimiter)
        .map((folder) => join(folder, command))
        .find((path) => {
            try {
                accessSync(path, constants.X_OK);
                return true;
            } catch {
                return false;
            }
        });
}
