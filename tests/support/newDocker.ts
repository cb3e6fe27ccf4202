/** A Docker whose daemon has the containerd image store, where the machine's own, as Debian 12's, is older than that. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

import { run } from "../../lab/processes";
import { root } from "../../lab/stackFiles";

const unpack = `
set -eu
cd "$0"
mkdir -p apt/lists apt/cache debs
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep '/debian/$' | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >apt/sources.list
apt="-qq -o Dir::Etc::sourcelist=$0/apt/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$0/apt/lists
    -o Dir::State::status=/dev/null -o Dir::Cache=$0/apt/cache -o APT::Sandbox::User=root"
apt-get $apt update
cd debs
apt-get $apt download docker.io docker-cli docker-buildx containerd runc
for each in *.deb; do dpkg-deb --extract "$each" "$0/programs"; done`;

/**
 * Finds a Docker of version 25 or later: the machine's own, else that of Debian's development branch, unpacked below `.lab/` and
 * installed nowhere.
 *
 * @returns the `PATH` that leads to it.
 */
export async function newDocker(): Promise<string> {
    const path = process.env["PATH"] ?? "";
    const [, major] = /version (\d+)\./.exec(await run("dockerd", ["--version"])) ?? [];
    if (Number(major) >= 25) return path;
    const folder = join(root, ".lab", "docker");
    const programs = ["sbin", "bin", "libexec/docker/cli-plugins"].map((each) => join(folder, "programs", "usr", each));
    if (!existsSync(join(programs[2] ?? "", "docker-buildx"))) {
        mkdirSync(folder, { recursive: true });
        await run("bash", ["-c", unpack, folder]);
    }
    return [...programs, path].join(":");
}
