/**
 * Runs the commands of a buildspec with bash, in a folder of their own. The commands that would reach the world
 * (`aws`, `docker`, `curl`) or take long (`sleep`, `timeout`) are stubs that write down their arguments; jq, tar, sha256sum and
 * the like are the real ones. The stubs are functions of the shell: as programs they would take most of the time of a build.
 */
import * as assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

import { parse } from "yaml";

import { tarHeader, paddingBytes, trailer } from "../../exporter/archive/tar";
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
    /** What `docker login` read from its standard input. */
    readonly loginInput: string;
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

/** What the stub of `docker save` writes, but for the layers. */
const saved = Buffer.from(JSON.stringify([{ Config: `blobs/sha256/${configDigest.slice(7)}` }]));

/** A registry with one image, a daemon that pulls it, a bucket that takes it. `$STATE` is a folder of the stubs' own. */
export const wellBehaved = {
    "aws ecr get-login-password": `echo ${password}`,
    "docker login": `printf '%s' "$(</dev/stdin)" >"$STATE/login-input"; echo Login Succeeded`,
    curl: String.raw`
        printf '%s\n' "$(</dev/stdin)" >"$STATE/curl-config"
        printf 'HTTP/2 200\r\nDocker-Content-Digest: ${digest}\r\n\r\n'`,
    "docker version": "echo 28.5.1 1.51",
    "docker info": "",
    "docker pull": `echo Pulling; echo Digest: ${digest}`,
    "docker image inspect": inspected("linux", "amd64"),
    "docker tag": "",
    "docker save": 'cat "$STATE/saved.tar"',
    "aws s3 cp": `store "\${4#s3://*/}" "$(option --metadata)" "$3"`,
    "aws s3api head-object": String.raw`
        object=$(object "$(option --key)")
        [[ -f $object ]] || { echo "An error occurred (404) when calling the HeadObject operation: Not Found" >&2; exit 254; }
        echo "$(<"$object")"`,
    "aws s3api put-object": String.raw`
        key=$(option --key)
        there=$(etag "$key")
        if [[ -n $(option --if-none-match) && -n $there || $(option --if-match) != "$there" && -n $(option --if-match) ]]; then
            echo "An error occurred (PreconditionFailed) when calling the PutObject operation" >&2; exit 254
        fi
        store "$key" "$(option --metadata)" "$(option --body)"`,
    "aws kms sign": `
        message=$(option --message)
        printf 'signature of %s' "$(od -An -v -tx1 "\${message#fileb://}" | tr -d ' \\n')" | base64 --wrap 0`,
    timeout: '"${arguments[@]:1}"',
    sleep: "",
    "node --version": "echo v24.21.0",
    "node exporter.mjs": "echo no exporter >&2; exit 1",
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
    const store = join(state, "s3");
    try {
        for (const each of [bin, state, work, store]) mkdirSync(each);
        for (const [number, object] of Object.values(objects).entries()) {
            writeFileSync(join(store, `given-${number}`), JSON.stringify(object));
            writeFileSync(join(store, `given-${number}.key`), object.Key);
        }
        // Versions that those given, which another build has written, cannot have.
        writeFileSync(join(state, "number"), String(100 * Object.keys(objects).length));
        const padding = Buffer.alloc(paddingBytes(saved.length));
        const tar = [tarHeader("manifest.json", saved.length), saved, padding, trailer];
        writeFileSync(join(state, "saved.tar"), Buffer.concat(tar));
        const stubs = join(folder, "stubs.sh");
        writeFileSync(stubs, stubsOf({ ...wellBehaved, ...world }));
        // Nothing calls it, unless a value is taken for a command: by whatever program, so that it is one itself.
        writeFileSync(join(bin, program), `#!/bin/bash\nnote ${program} "$@"`, { mode: 0o755 });
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
                BASH_ENV: stubs, // which every bash below reads before it begins
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
            loginInput: textOf(join(state, "login-input")),
            curlConfig: textOf(join(state, "curl-config")),
            files: readdirSync(work).sort(),
            objects: objectsIn(store),
        };
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** The objects of the stub of S3: each has a file that describes it, one with its key, and one with its body unless that is described. */
function objectsIn(store: string): Record<string, StoredObject> {
    const files = readdirSync(store).filter((name) => !name.includes("."));
    return Object.fromEntries(
        files.map((name) => {
            const file = join(store, name);
            const Key = textOf(`${file}.key`);
            const body = existsSync(`${file}.body`) ? readFileSync(`${file}.body`) : Buffer.alloc(0);
            const described = JSON.parse(textOf(file)) as Omit<StoredObject, "Key" | "ContentLength">;
            return [Key, { Key, Body: body.toString(), ContentLength: body.length, ...described }];
        }),
    );
}

/** Functions in place of programs. One notes its call, and finds the longest command that its arguments begin with. */
function stubsOf(world: Record<string, string>): string {
    const programs = [...new Set(Object.keys(world).map((command) => command.split(" ")[0] ?? ""))];
    const cases = Object.entries(world).map(
        ([command, script]) => `${JSON.stringify(`${command} `)}*) :; ${script}\n;;`,
    );
    return `
        # Notes a call, in one write: calls of a pipe come at the same time.
        note() {
            local call
            printf -v call '%s\\037' "$@"
            printf '%s\\036' "$call" >>"$STATE/calls"
        }
        # The value of an option of the call.
        option() {
            local name=$1
            set -- "\${arguments[@]}"
            while [[ $# -gt 0 && $1 != "$name" ]]; do shift; done
            printf '%s' "$2"
        }
        # The file that describes an object, or will: object KEY. Beside it is the key, which may be longer than a name of a file.
        object() {
            local file key files=("$STATE"/s3/*.key)
            for file in "\${files[@]}"; do
                IFS= read -r -d '' key <"$file"
                [[ $key != "$1" ]] || { printf '%s' "\${file%.key}"; return; }
            done
            file=$STATE/s3/new-\${#files[@]}
            printf '%s' "$1" >"$file.key"
            printf '%s' "$file"
        }
        # The ETag of an object, or nothing where there is none: etag KEY.
        etag() {
            local file
            file=$(object "$1")
            [[ ! -f $file || ! $(<"$file") =~ '"ETag":"\\"'([^\\\\]*) ]] || printf '"%s"' "\${BASH_REMATCH[1]}"
        }
        # Keeps an object: store KEY METADATA FILE, with the metadata as NAME=VALUE,NAME=VALUE.
        store() {
            local number file each pairs metadata=
            number=$(<"$STATE/number")
            echo "$((++number))" >"$STATE/number"
            file=$(object "$1")
            cp -- "$3" "$file.body"
            IFS=, read -ra pairs <<<"$2"
            for each in "\${pairs[@]}"; do metadata+="\${metadata:+,}\\"\${each%%=*}\\":\\"\${each#*=}\\""; done
            printf '{"VersionId":"version-%d","ETag":"\\\\"etag-%d\\\\"","Metadata":{%s}}' \\
                "$number" "$number" "$metadata" >"$file"
        }
        stub() (
            set +euo pipefail # of the caller, which does not hold in a program
            shopt -s nullglob
            note "$@"
            program=$1
            shift
            arguments=("$@")
            case "$program $* " in
            ${cases.join("\n")}
            *) echo "no stub for $program $*" >&2; exit 127 ;;
            esac
        )
        ${programs.map((each) => `${each}() { stub ${each} "$@"; }`).join("\n")}`;
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
