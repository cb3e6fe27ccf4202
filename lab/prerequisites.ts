/** What the lab needs of the machine: found, installed where that is possible, or named. */
import { constants, existsSync, mkdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

import debianPackages from "./packages.json";
import { run } from "./processes";

/** Commands, and the Debian packages that have them. */
const packages: Record<string, string> = debianPackages;

/** Programs that come from the Python Package Index where the machine does not have them. */
const moto = { command: "moto_server", requirement: "moto[server]==5.2.1" };
// Of its first line, which has the same commands as the second, that of CodeBuild's images. Debian 12 has one from before
// S3's conditional writes.
const awsCli = { command: "aws", requirement: "awscli==1.45.11" };

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
    const aws = find("aws");
    return {
        aws: aws !== undefined && (await writesOnCondition(aws)) ? aws : await install(awsCli, tell),
        motoServer: find("moto_server") ?? (await install(moto, tell)),
    };
}

/** Whether an AWS CLI knows `--if-match` of `put-object`, which came at the end of 2024. */
async function writesOnCondition(aws: string): Promise<boolean> {
    const [, major, minor] = /^aws-cli\/(\d+)\.(\d+)\./.exec(await run(aws, ["--version"])) ?? [];
    return Number(minor) >= (major === "1" ? 37 : 23);
}

async function installPackages(commands: string[], tell: (line: string) => void): Promise<void> {
    const names = [...new Set(commands.map((command) => packages[command] ?? command))].sort();
    const remedy = `Missing here: ${commands.join(", ")}. On Debian they come with: apt-get install ${names.join(" ")}`;
    if (!existsSync("/etc/debian_version") || find("apt-get") === undefined) throw new Error(remedy);
    tell(`installing ${names.join(", ")}`);
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    try {
        // Another lab may be installing, too.
        const waiting = ["-o", "DPkg::Lock::Timeout=600", "-qq"];
        await run("apt-get", [...waiting, "update"], { env });
        await run("apt-get", [...waiting, "install", "-y", ...names], { env });
    } catch (error) {
        throw new Error(remedy, { cause: error });
    }
    const still = commands.filter((command) => command in packages && find(command) === undefined);
    if (still.length > 0) throw new Error(`Still missing after apt-get install: ${still.join(", ")}`);
}

/** Installs a Python program, in an environment of its own. */
async function install({ command, requirement }: typeof moto, tell: (line: string) => void): Promise<string> {
    const own = join(__dirname, "..", ".lab");
    const folder = join(own, requirement.replace(/\W+/g, "-"));
    const program = join(folder, "bin", command);
    if (!existsSync(program)) tell(`installing ${requirement}`);
    // Under a lock, for another lab that starts at the same time.
    const installing = '[[ -x "$1" ]] || { python3 -m venv "$0" && "$0/bin/pip" install --quiet "$2"; }';
    try {
        // Debian has the part of Python that makes environments in a package of its own.
        await run("python3", ["-c", "import ensurepip"]).catch(() => installPackages(["python3-venv"], tell));
        mkdirSync(own, { recursive: true });
        await run("flock", [join(own, "lock"), "bash", "-c", installing, folder, program, requirement]);
    } catch (error) {
        throw new Error(
            `${command} is missing or too old, and could not be installed. Make it by hand: python3 -m venv ${folder} && ` +
                `${folder}/bin/pip install '${requirement}'`,
            { cause: error },
        );
    }
    return program;
}

function find(command: string): string | undefined {
    const files = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, command));
    return files.find((file) => ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & constants.S_IXUSR) !== 0);
}
