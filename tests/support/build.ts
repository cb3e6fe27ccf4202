/**
 * Runs the commands of a buildspec with bash, in a folder of their own. The commands that would reach the world
 * (`aws`, `docker`, `curl`) or take long (`sleep`, `timeout`) are stubs that write down their arguments; jq, tar, sha256sum and
 * the like are the real ones.
 */
import * as assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

import { parse } from "yaml";

import { root } from "../../lab/stackFiles";
import { program } from "./hostileRequests";

/** The parts of a buildspec that this project uses. */
export interface Buildspec {
    readonly version: number;
    readonly env: { readonly shell: string; readonly "exported-variables": readonly string[] };
    readonly phases: Record<
        string,
        { readonly "on-failure"?: string; readonly commands: readonly string[]; readonly finally?: readonly string[] }
    >;
}

/** Reads a buildspec of the project. */
export function readBuildspec(engine: string): Buildspec {
    return parse(readFileSync(join(root, "buildspec", `${engine}.yml`), "utf8")) as Buildspec;
}

/** The script that a buildspec of the project writes to a file and runs. */
export function scriptOf(buildspec: Buildspec): string {
    const [write = ""] = buildspec.phases["build"]?.commands ?? [];
    return /^cat >export\.sh <<'END'\n([^]*)\nEND\n$/.exec(write)?.[1] ?? assert.fail("no script");
}

/** What the world answers: bash by command, in place of what {@link wellBehaved} says. */
export type World = Partial<Record<keyof typeof wellBehaved, string>>;

/** How a build ended. */
export interface BuildResult {
    /** Exit status of the build phase. */
    readonly status: number;
    /** What the build's log shows. */
    readonly output: string;
    /** Every call of a stub, with its arguments. */
    readonly calls: readonly (readonly string[])[];
    /** The exported variables that are set once the phase has ended. */
    readonly exported: Record<string, string>;
    /** The options that curl read from its standard input. */
    readonly curlConfig: string;
    /** The files that the build left in its folder. */
    readonly files: readonly string[];
    /** The objects that the bucket holds in the end, by key. */
    readonly objects: Record<string, StoredObject>;
}

/** An object of the stub of S3, as `aws s3api head-object` shows it, and its content. */
export interface StoredObject {
    readonly Key: string;
    readonly VersionId: string;
    readonly ETag: string;
    readonly ContentLength: number;
    readonly Metadata: Record<string, string>;
    readonly Body?: string;
}

/** The password that the stub of `aws ecr get-login-password` gives. */
export const password = "p4ssw0rd-of-ecr";

/** Separates arguments, and calls; neither appears in any. */
const unit = "\x1f";
const record = "\x1e";

/** Digest by which the stub of the registry has the image. */
export const digest = `sha256:${"d".repeat(64)}`;

/** Digest of the configuration in what the stub of `docker save` writes. */
export const configDigest = `sha256:${"c".repeat(64)}`;

/** Digest of the one layer of the image. */
export const diffId = `sha256:${"1".repeat(64)}`;

/** What `docker image inspect` shows of an image, as bash. */
export function inspected(Os: string, Architecture: string, Variant?: string): string {
    const image = { Os, Architecture, Variant, RootFS: { Layers: [diffId] } };
    return `printf '%s' '${JSON.stringify([image]).replaceAll("'", String.raw`'\''`)}'`;
}

/** A registry with one image, a daemon that pulls it, a bucket that takes it. `$STATE` is a folder of the stubs' own. */
export const wellBehaved = {
    "aws ecr get-login-password": `echo ${password}`,
    "docker login": "cat >/dev/null; echo Login Succeeded",
    curl: String.raw`cat >"$STATE/curl-config"; printf 'HTTP/2 200\r\nDocker-Content-Digest: ${digest}\r\n\r\n'`,
    "docker version": "echo 28.5.1 1.51",
    "docker info": "",
    "docker pull": `echo Pulling; echo Digest: ${digest}`,
    "docker image inspect": inspected("linux", "amd64"),
    "docker tag": "",
    "docker save": `
        printf '[{"Config":"blobs/sha256/${configDigest.slice(7)}","RepoTags":["%s"]}]' "\${@: -1}" >manifest.json
        tar --create --mtime=@0 manifest.json; rm manifest.json`,
    "aws s3 cp": `store "\${4#s3://*/}" "$(option --metadata)" "$3"`,
    "aws s3api head-object": String.raw`
        object=$(object "$(option --key)")
        [[ -f $object ]] || { echo "An error occurred (404) when calling the HeadObject operation: Not Found" >&2; exit 254; }
        cat "$object"`,
    "aws s3api put-object": String.raw`
        key=$(option --key)
        there=$(jq -r .ETag "$(object "$key")" 2>/dev/null)
        if [[ -n $(option --if-none-match) && -n $there || $(option --if-match) != "$there" && -n $(option --if-match) ]]; then
            echo "An error occurred (PreconditionFailed) when calling the PutObject operation" >&2; exit 254
        fi
        store "$key" "$(option --metadata)" "$(option --body)"`,
    timeout: '"${arguments[@]:1}"',
    sleep: "",
    "node --version": "echo v24.21.0",
    "node exporter.mjs": "echo no exporter >&2; exit 1",
    // Nothing calls it, unless a value is taken for a command.
    [program]: "",
    "node --print": `exec ${process.execPath} "\${arguments[@]}"`,
};

/** Runs the build phase of a buildspec, then its `finally` commands, as CodeBuild does. */
export function runBuild(
    buildspec: Buildspec,
    variables: Record<string, string>,
    world: World = {},
    objects: Record<string, StoredObject> = {},
): BuildResult {
    const folder = mkdtempSync(join(tmpdir(), "build-"));
    const [bin, state, work] = ["bin", "state", "work"].map((name) => join(folder, name)) as [string, string, string];
    try {
        for (const each of [bin, state, work, join(state, "s3")]) mkdirSync(each);
        for (const object of Object.values(objects)) {
            const name = createHash("sha256").update(object.Key).digest("hex");
            writeFileSync(join(state, "s3", name), JSON.stringify(object));
        }
        writeStubs(bin, { ...wellBehaved, ...world });
        const phase = buildspec.phases["build"];
        writeFileSync(join(folder, "build.sh"), phase?.commands.join("\n") ?? "");
        writeFileSync(join(folder, "finally.sh"), phase?.finally?.join("\n") ?? "");
        const driver = `exec 2>&1; . ../build.sh; status=$?; . ../finally.sh; printenv -0 >../exported; exit $status`;
        const { status, stdout } = spawnSync("bash", ["-c", driver], {
            cwd: work,
            env: {
                ...variables,
                LANG: "C.UTF-8", // as in a build: lengths in bytes and in characters differ
                STATE: state,
                PATH: [bin, "/usr/bin", "/bin"].join(delimiter),
                HOME: folder,
            },
            encoding: "utf8",
        });
        const environment = textOf(join(folder, "exported"))
            .split("\0")
            .map((line): [string, string] => [line.split("=")[0] ?? "", line.slice(line.indexOf("=") + 1)]);
        return {
            status: status ?? -1,
            output: stdout,
            calls: textOf(join(state, "calls"))
                .split(record)
                .slice(0, -1)
                .map((call) => call.split(unit).slice(0, -1)),
            exported: Object.fromEntries(
                environment.filter(([name]) => buildspec.env["exported-variables"].includes(name)),
            ),
            curlConfig: textOf(join(state, "curl-config")),
            files: readdirSync(work).sort(),
            objects: Object.fromEntries(
                readdirSync(join(state, "s3")).map((name) => {
                    const object = JSON.parse(textOf(join(state, "s3", name))) as StoredObject;
                    return [object.Key, object];
                }),
            ),
        };
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** One executable for each program; it finds the longest command that its arguments begin with. */
function writeStubs(bin: string, world: Record<string, string>): void {
    for (const program of new Set(Object.keys(world).map((command) => command.split(" ")[0] ?? ""))) {
        const cases = Object.entries(world)
            .filter(([command]) => command.split(" ")[0] === program)
            .map(([command, script]) => `${JSON.stringify(`${command} `)}*) :; ${script}\n;;`);
        writeFileSync(
            join(bin, program),
            `#!/bin/bash
            printf -v call '%s\\037' ${program} "$@"
            printf '%s\\036' "$call" >>"$STATE/calls" # in one write: calls of a pipe come at the same time
            # The value of an option of the call.
            option() {
                local name=$1
                set -- "\${arguments[@]}"
                while [[ $# -gt 0 && $1 != "$name" ]]; do shift; done
                printf '%s' "$2"
            }
            # The file of an object: object KEY. Keys may be longer than names of files.
            object() {
                local name
                name=$(printf '%s' "$1" | sha256sum)
                printf '%s/s3/%s' "$STATE" "\${name%% *}"
            }
            # Keeps an object: store KEY METADATA FILE, with the metadata as NAME=VALUE,NAME=VALUE.
            store() {
                local number=0
                [[ ! -f $STATE/number ]] || number=$(<"$STATE/number")
                echo "$((++number))" >"$STATE/number"
                jq -n --arg key "$1" --arg version "version-$number" --arg etag "\\"etag-$number\\"" \\
                    --arg metadata "$2" --argjson size "$(stat --format %s "$3")" --rawfile body <(tr -d '\\000' <"$3") \\
                    '{Key: $key, VersionId: $version, ETag: $etag, ContentLength: $size, Body: $body,
                        Metadata: [$metadata | split(",")[] | split("=") | {(.[0]): .[1]}] | add}' \\
                    >"$(object "$1")"
            }
            arguments=("$@")
            case "${program} $* " in
            ${cases.join("\n")}
            *) echo "no stub for ${program} $*" >&2; exit 127 ;;
            esac`,
        );
        chmodSync(join(bin, program), 0o755);
    }
}

/** Whether a program is on this machine. */
export function isInstalled(program: string): boolean {
    return spawnSync(program, ["--version"]).status === 0;
}

function textOf(file: string): string {
    try {
        return readFileSync(file, "utf8");
    } catch {
        return ""; // nothing was written
    }
}
