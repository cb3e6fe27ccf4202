import * as assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type ExportErrorName, exitStatusText, exportErrors } from "../../contract/errors";
import { parsePlatform, type Platform, platformMatches } from "../../contract/platform";
import { parseStep } from "../../contract/progress";
import { parseRecord, recordMetadata } from "../../contract/record";
import { recordOf } from "../support/readRecord";
import {
    type BuildResult,
    configDigest,
    diffId,
    digest,
    inspected,
    isInstalled,
    password,
    readBuildspec,
    runBuild,
    scriptOf,
    type StoredObject,
    type World,
} from "../support/build";
import { hostileTexts, program } from "../support/hostileRequests";

const buildspec = readBuildspec("docker");
const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const key = "images/web/nginx/1.29.tar";
const recordKey = `${key}.json`;
const variables = {
    IMAGE_URI: `${registry}/web/nginx:1.29`,
    IMAGE_DIGEST: "",
    PLATFORM: "linux/amd64",
    FORCE: "false",
    ARTIFACT_BUCKET: "artifacts",
    ARTIFACT_KEY: key,
    EXECUTION_ID: "arn:aws:states:ap-northeast-1:111122223333:execution:export:1",
    ARTIFACT_PREFIX: "images/",
    ARCHIVE_FILE: "image.tar",
    EXIT_STATUSES: exitStatusText,
    SIGNING_KEY_ARN: "",
    CODEBUILD_BUILD_ID: "export:1",
};
type Objects = BuildResult["objects"];

function run(changes: Partial<typeof variables> = {}, world: World = {}, objects: Objects = {}): BuildResult {
    return runBuild(buildspec, { ...variables, ...changes }, world, objects);
}

function succeed(...args: Parameters<typeof run>): BuildResult {
    const build = run(...args);
    assert.equal(build.status, 0, build.output);
    assert.deepEqual(build.exported, {});
    return build;
}

/**
 * Runs a function of the script for each value, in a shell of its own, and nothing else of a build.
 *
 * @returns for each value what the function fails with, `ERROR: CAUSE`, or `passes`
 */
function runFunction(call: string, values: readonly string[]): string[] {
    const folder = mkdtempSync(join(tmpdir(), "function-"));
    try {
        const script = `${scriptOf(buildspec).replace(/\nmain$/, "")}
            trap - EXIT
            fail() { printf '%s: %s\\0' "$@"; exit; }
            for value in "$@"; do ( ${call}; printf 'passes\\0' ); done`;
        const { stdout, stderr } = spawnSync("bash", ["-c", script, "", ...values], {
            cwd: folder,
            env: { ...variables, LANG: "C.UTF-8", PATH: process.env["PATH"], HOME: folder },
            encoding: "utf8",
        });
        assert.equal(stderr, "", "nothing was executed");
        return stdout.split("\0").slice(0, -1);
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** Runs a build that has got as far as a command, which fails: what comes after it is of no interest. */
function runUpTo(command: keyof World, ...[changes, world, objects]: Parameters<typeof run>): BuildResult {
    const message = "the rest is of no interest here";
    const build = run(changes, { ...world, [command]: failing(message) }, objects);
    assert.match(causeOf("ExportFailed", build), new RegExp(`${message}$`));
    return build;
}

/** Asserts that a build failed with this error, and gives its cause. */
function causeOf(error: ExportErrorName, { status, exported, output }: BuildResult): string {
    assert.equal(status, exportErrors[error].exitStatus, `${JSON.stringify(exported)} after:\n${output}`);
    const cause = exported["EXPORT_CAUSE"] ?? assert.fail("no cause");
    assert.ok(output.includes(cause), "the log has the cause");
    return cause;
}

/** A line of bash that says something on standard error and fails. */
function failing(message: string): string {
    return `echo ${quoted(message)} >&2; exit 1`;
}

function quoted(text: string): string {
    return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The arguments of the calls of a command. */
function callsOf({ calls }: BuildResult, ...command: string[]): string[][] {
    return calls
        .filter((call) => command.every((word, index) => call[index] === word))
        .map((call) => call.slice(command.length));
}

/** The arguments of the one call of a command. */
function callOf(build: BuildResult, ...command: string[]): string[] {
    const [call, ...more] = callsOf(build, ...command);
    assert.ok(call !== undefined && more.length === 0, `${command.join(" ")} in ${JSON.stringify(build.calls)}`);
    return call;
}

const pulled = (build: BuildResult) => callsOf(build, "docker", "pull").map((call) => call.at(-1));
const byDigest = `${registry}/web/nginx@${digest}`;

const missing = ["bash", "jq", "tar", "sha256sum", "stat"].filter((name) => !isInstalled(name));

describe(`a build of docker.yml${missing.length > 0 ? ` (skipped: no ${missing.join(", ")} here)` : ""}`, function () {
    before(function () {
        if (missing.length > 0) this.skip();
    });

    describe("that succeeds", () => {
        let build: BuildResult;
        before(() => {
            build = succeed();
        });

        it("calls what it needs, in this order, and asks the registry once", () => {
            const words = build.calls.map((call) => call.slice(0, call[0] === "aws" ? 3 : 2).join(" "));
            const look = "aws s3api head-object, aws s3api head-object, "; // the record, then the archive
            assert.equal(
                words.filter((call) => !/^timeout|^docker info/.test(call)).join(", "),
                `aws ecr get-login-password, docker login, curl --config, ${look}docker pull, docker image, docker tag, ` +
                    `docker version, docker save, aws s3 cp, ${look}aws s3api put-object`,
            );
            assert.ok(callOf(build, "curl").includes("--head"));
            assert.equal(callOf(build, "curl").at(-1), `https://${registry}/v2/web/nginx/manifests/1.29`);
        });

        it("pulls by digest, and saves this platform under the name that was asked for", () => {
            assert.deepEqual(callOf(build, "docker", "pull"), ["--platform", "linux/amd64", byDigest]);
            assert.deepEqual(callOf(build, "docker", "tag"), [byDigest, variables.IMAGE_URI]);
            const saved = callOf(build, "docker", "save");
            assert.deepEqual(saved, ["--platform=linux/amd64", variables.IMAGE_URI]);
        });

        it("writes a record as the contract has it, bound to the version of the archive", () => {
            const { Body, Metadata } = build.objects[recordKey] ?? assert.fail("no record");
            const archive = build.objects[key] ?? assert.fail("no archive");
            const parsed = parseRecord(Body ?? "");
            assert.ok("record" in parsed, JSON.stringify(parsed));
            const { time, archive: recorded, ...record } = parsed.record;
            assert.ok(Math.abs(Date.now() - Date.parse(time)) < 600_000, time);
            assert.deepEqual(record, {
                schemaVersion: 1,
                layout: 1,
                engine: { name: "docker", version: "28.5.1" },
                imageUri: variables.IMAGE_URI,
                imageName: variables.IMAGE_URI,
                platform: "linux/amd64",
                imageDigest: digest,
                indexDigest: null,
                referrers: null,
                since: null,
                mergedFrom: null,
                images: [{ platform: "linux/amd64", configDigest, diffIds: [diffId], layers: null }],
                signingKeyArn: null,
                executionId: variables.EXECUTION_ID,
                buildId: "export:1",
            });
            assert.deepEqual([recorded.bucket, recorded.key], [variables.ARTIFACT_BUCKET, key]);
            assert.equal(recorded.versionId, archive.VersionId);
            assert.equal(recorded.sizeBytes, archive.ContentLength);
            assert.deepEqual(Metadata, recordMetadata(parsed.record));
            assert.deepEqual(archive.Metadata, {
                "image-digest": digest,
                platform: "linux/amd64",
                "archive-sha256": recorded.sha256,
            });
        });

        it("hands the password over by standard input only: it is in no argument and not in the log", () => {
            const login = callOf(build, "docker", "login").join(" ");
            assert.equal(login, `--username AWS --password-stdin ${registry}`);
            assert.equal(build.loginInput, password);
            assert.equal(build.curlConfig, `user = "AWS:${password}"\n`);
            assert.ok(!JSON.stringify([build.output, build.calls, build.exported]).includes(password));
        });

        it("says its steps as the contract has them", () => {
            const steps = build.output.split("\n").flatMap((line) => parseStep(line) ?? []);
            assert.equal(steps.join(" "), "check login resolve pull save upload record done");
        });
    });

    describe("logs in to the registry's own host and region:", () => {
        const regions = {
            "111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
            "111122223333.dkr-ecr.eu-west-1.on.aws": "eu-west-1",
            "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn": "cn-north-1",
            "111122223333.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn": "cn-northwest-1",
            "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu": "eusc-de-east-1",
        };
        for (const [host, region] of Object.entries(regions)) {
            it(host, () => {
                const build = runUpTo("docker login", { IMAGE_URI: `${host}/web/nginx:1.29` });
                assert.deepEqual(callOf(build, "aws", "ecr", "get-login-password"), ["--region", region]);
                assert.equal(callOf(build, "docker", "login").at(-1), host);
            });
        }
        for (const host of [`${registry}.example.org`, `x${registry}`, `${registry}:443`]) {
            it(`not to ${host}, which gets no password`, () => {
                const build = runUpTo("docker pull", { IMAGE_URI: `${host}/web/nginx:1.29` });
                assert.deepEqual([callsOf(build, "aws", "ecr"), callsOf(build, "docker", "login")], [[], []]);
                assert.equal(build.curlConfig.trim(), "");
            });
        }
    });

    describe("pulls", () => {
        const other = `sha256:${"e".repeat(64)}`;
        const assertUploads = (build: BuildResult, imageDigest: string) => {
            const [metadata = ""] = callOf(build, "aws", "s3", "cp").slice(-1);
            assert.ok(metadata.startsWith(`image-digest=${imageDigest},`), metadata);
        };

        it("exactly the digest that ECR has told, without asking the registry", () => {
            const build = runUpTo("aws s3 cp", { IMAGE_DIGEST: other });
            assert.deepEqual(pulled(build), [`${registry}/web/nginx@${other}`]);
            assert.deepEqual(callsOf(build, "curl"), []);
            assertUploads(build, other);
        });

        it("the digest of the URI, which keeps its tag as the archive's name", () => {
            const build = runUpTo("docker save", { IMAGE_URI: `${variables.IMAGE_URI}@${other}` });
            assert.deepEqual(pulled(build), [`${registry}/web/nginx@${other}`]);
            assert.equal(callOf(build, "docker", "save").at(-1), variables.IMAGE_URI);
            assert.deepEqual(callsOf(build, "curl"), []);
        });

        it("a digest without a tag, which has no other name", () => {
            const build = succeed({ IMAGE_URI: byDigest });
            assert.deepEqual(callsOf(build, "docker", "tag"), []);
            assert.equal(callOf(build, "docker", "save").at(-1), byDigest);
            assert.equal(build.objects[recordKey]?.Metadata["image-name"], byDigest);
        });

        it("the tag where the registry does not tell its digest, and then what Docker has found", () => {
            const build = runUpTo("aws s3 cp", { IMAGE_URI: `${registry}/web/nginx` }, { curl: "exit 22" });
            assert.deepEqual(pulled(build), [`${registry}/web/nginx:latest`, byDigest]);
            assertUploads(build, digest);
        });

        it("the tag first where a pull-through cache has yet to import the digest", () => {
            const absent = failing("Error response from daemon: manifest unknown");
            const world = {
                "docker pull": `case $* in *@*) [[ -f $STATE/imported ]] || { ${absent}; } ;; *) touch "$STATE/imported" ;; esac`,
            };
            const build = runUpTo("aws s3 cp", { IMAGE_DIGEST: other }, world);
            const image = `${registry}/web/nginx`;
            assert.deepEqual(pulled(build), [`${image}@${other}`, `${image}:1.29`, `${image}@${other}`]);
            assertUploads(build, other);
        });
    });

    it("takes a single image for the platforms that the contract takes it for", () => {
        const images = (
            "linux/386 linux/i386 linux/amd64 linux/amd64/v1 linux/amd64/v3 linux/x86_64 linux/x86-64/v2 windows/amd64 Linux/AMD64 " +
            "linux/arm linux/arm/v5 linux/arm/6 linux/arm/v7 linux/armhf linux/armel linux/arm/v8 linux/arm64 linux/arm64/8 " +
            "linux/arm64/v8 linux/arm64/v8.2 linux/arm64/v9 linux/aarch64 linux/s390x linux/ppc64le linux/riscv64"
        ).split(" ");
        const functions = /^normal\(\) \{[^]*?^\}\nfits\(\) .*$/m.exec(scriptOf(buildspec))?.[0] ?? "";
        const compare = `${functions}
            declare -A forms answers; for each in "$@"; do forms[$each]=$(normal "$each"); done
            for image in "$@"; do for request in "$@"; do
                pair="\${forms[$image]} \${forms[$request]}"
                if [[ -z \${answers[$pair]} ]]; then fits $pair; answers[$pair]=$?; fi
                if [[ \${answers[$pair]} == 0 ]]; then echo "$image for $request"; fi
            done; done`;
        const { stdout } = spawnSync("bash", ["-c", compare, "", ...images], { encoding: "utf8" });
        const platformOf = (text: string) => parsePlatform(text.toLowerCase()) as Platform;
        const expected = images.flatMap((image) =>
            images
                .filter((request) => platformMatches(platformOf(image), platformOf(request)))
                .map((request) => `${image} for ${request}`),
        );
        assert.deepEqual(stdout.trim().split("\n"), expected);
    });

    it("saves without a platform where the image has none, which the record says, or the API is too old", () => {
        const build = succeed({}, { "docker image inspect": inspected("linux", "") });
        assert.equal(recordOf(build.objects[recordKey]?.Body).images[0]?.platform, null);
        for (const each of [build, runUpTo("docker save", {}, { "docker version": "echo 20.10.24 1.41" })]) {
            assert.deepEqual(callOf(each, "docker", "save"), [variables.IMAGE_URI]);
        }
    });

    describe("refuses before it calls anything", () => {
        const hex = "a".repeat(64);
        const hostile = Object.values(hostileTexts).filter((text) => !text.includes("\0"));
        const malformed: Record<string, string[]> = {
            IMAGE_URI: [
                ...hostile,
                ...["nginx", `${registry}/Nginx`, `${registry}/web/../nginx`, `https://${registry}/nginx`],
                ...["-v/web/nginx:1", `${registry}/nginx:`, `${registry}/nginx:$(${program})`],
                ...[`${registry}/nginx@sha256:abc`, `${registry}/nginx@sha256:${hex}:tag`],
            ],
            IMAGE_DIGEST: [`sha256:${hex.toUpperCase()}`, `sha256:${hex}\n`, "latest", `$(${program})`],
            PLATFORM: ["", "all", "linux/", "linux/amd64,linux/arm64", "--help", `linux/$(${program})`],
            ARTIFACT_KEY: [
                ...["", "images/", "images/a/", "other/a.tar", "ximages/a", "images//a", "images/../a"],
                ...["images/a\nb", "images/a\x7f", `images/${"ü".repeat(507)}`, "images/a.tar.json"],
            ],
            FORCE: ["", "yes", "true\n", `true; ${program}`],
        };
        for (const [variable, values] of Object.entries(malformed)) {
            it(`a malformed ${variable}`, () => {
                const build = run({ [variable]: values.at(-1) });
                assert.match(causeOf("InvalidInput", build), / is .*: expected .*\.$/s);
                assert.deepEqual(build.calls, []);
                assert.deepEqual(build.files, ["cause.txt", "export.sh"], "nothing was executed");
            });

            it(`${values.length} malformed values of ${variable}`, () => {
                const causes = runFunction(`${variable}=$value; check_request`, values);
                const passing = values.filter(
                    (_, at) => !/^InvalidInput: .* is .*: expected .*\.$/s.test(causes[at] ?? ""),
                );
                assert.deepEqual(passing, []);
            });
        }
    });

    for (const name of [`--help/名前/a b;${program} '"\\*$(${program}).tar`, "ü".repeat(504)]) {
        it(`takes the key images/${name.slice(0, 40)} as it is`, () => {
            const build = succeed({ ARTIFACT_KEY: `images/${name}` });
            assert.deepEqual(Object.keys(build.objects).sort(), [`images/${name}`, `images/${name}.json`]);
            assert.deepEqual(callsOf(build, program), []);
        });
    }

    describe("that fails says why, and leaves nothing in the bucket:", () => {
        const failures: Record<string, [ExportErrorName, command: keyof World, message: string]> = {
            "a daemon that does not start": ["ExportFailed", "timeout", "Cannot connect to the Docker daemon"],
            "a role that may not log in": ["AccessDenied", "aws ecr get-login-password", "(AccessDeniedException)"],
            "a login that breaks off": ["ExportFailed", "docker login", "Error: Get x: EOF"],
            "a pull that breaks off": ["ExportFailed", "docker pull", "unexpected EOF"],
            "a lost daemon": ["ExportFailed", "docker image inspect", "Cannot connect to the Docker daemon"],
            "a full disk": ["ExportFailed", "docker save", "write /layer.tar: no space left on device"],
            "an upload that is denied": [
                "AccessDenied",
                "aws s3 cp",
                "An error occurred (AccessDenied) when calling x",
            ],
        };
        for (const [what, [error, command, message]] of Object.entries(failures)) {
            it(what, () => {
                const build = run({}, { [command]: `echo half; ${failing(message)}` });
                const cause = causeOf(error, build);
                assert.ok(cause.endsWith(message), cause);
                assert.deepEqual(build.objects, {});
                assert.ok(!build.files.includes("image.tar"), "room for the cause where the disk is full");
                assert.ok(!JSON.stringify([build.output, build.calls, build.exported]).includes(password));
            });
        }

        // What 20.10.24 and 28.5.2 say, the latter with both of its image stores.
        const messages: Partial<Record<ExportErrorName, string[]>> = {
            ExportFailed: ["unexpected EOF", "upload failed: Connection was closed"],
            AccessDenied: [
                "pull access denied for x: denied: User is not authorized",
                "unexpected status from HEAD request to x: 403 Forbidden",
            ],
            ImageNotFound: [
                "manifest for x not found: manifest unknown: Requested image not found",
                "repository x not found: name unknown: The repository does not exist",
                'failed to resolve reference "x": x: not found',
                "no matching manifest for linux/s390x in the manifest list entries",
                'image operating system "windows" cannot be used on this platform',
            ],
            DigestMismatch: [
                `manifest verification failed for digest ${digest}`,
                "commit failed: x failed size validation: 419 != 418",
                `commit failed: unexpected commit digest ${digest}, expected x`,
            ],
        };
        for (const [error, words] of Object.entries(messages)) {
            it(`${error}, by the words of the command`, () => {
                assert.deepEqual(
                    runFunction('echo "$value" >error.log; fail_as_said "The pull failed"', words),
                    words.map((each) => `${error}: The pull failed: ${each}`),
                );
            });
        }

        it("a single image of another platform", () => {
            const build = run({}, { "docker image inspect": inspected("linux", "arm64", "v8") });
            const cause = causeOf("ImageNotFound", build);
            assert.match(cause, /has no image for linux\/amd64\. It has linux\/arm64\/v8\.$/);
            assert.deepEqual(build.objects, {});
        });

        it("a platform that is a command", () => {
            const os = `a[$(${program})]`;
            for (const image of [inspected(os, "x"), inspected("linux", "amd64", os)]) {
                const build = run({}, { "docker image inspect": image });
                assert.ok(causeOf("ImageNotFound", build).includes(os));
                assert.deepEqual(callsOf(build, program), []);
            }
        });

        it("an upload that may not be confirmed, and a record that is denied", () => {
            const head = failing("An error occurred (403) when calling the HeadObject operation: Forbidden");
            const unseen = causeOf("AccessDenied", run({}, { "aws s3api head-object": head }));
            assert.match(unseen, /s3:GetObject.*\(403\)/);
            const put = failing("An error occurred (AccessDenied) when calling the PutObject operation");
            const cause = causeOf("AccessDenied", run({}, { "aws s3api put-object": put }));
            assert.match(cause, /is complete, but its record could not be written: An error occurred/);
        });

        it("in one line of at most 1,000 characters of UTF-8, of which nothing is run", () => {
            const bytes = `printf '名\\n\\n\\tb\\033[31m\\377$(${program})%0990d名\\r\\n' 0 >&2; exit 1`;
            const build = run({}, { "docker pull": bytes });
            const cause = causeOf("ExportFailed", build);
            assert.equal(cause.length, 1000);
            assert.match(cause, new RegExp(`failed: 名 b \\[31m\uFFFD\\$\\(${program}\\)0+$`));
            assert.deepEqual(callsOf(build, program), []);
        });

        it("where a variable is missing; and not at all where it was killed", () => {
            const rest = Object.entries(variables).filter(([name]) => name !== "IMAGE_URI");
            causeOf("ExportFailed", runBuild(buildspec, Object.fromEntries(rest)));
            assert.deepEqual(run({}, { "docker tag": "kill -9 $$" }).exported, {});
        });
    });

    describe("skips", () => {
        let first: Objects;
        before(() => {
            first = succeed().objects;
        });
        const objectAt = (name: string): StoredObject => first[name] ?? assert.fail(name);
        const changed = (name: string, changes: Partial<StoredObject>): Objects => ({
            ...first,
            [name]: { ...objectAt(name), ...changes },
        });

        it("what is at the key already", () => {
            const build = succeed({}, {}, first);
            assert.deepEqual(pulled(build), []);
            assert.deepEqual(build.objects, first);
        });

        const others: Record<string, [Partial<typeof variables>, (() => Objects)?]> = {
            "nothing when it is forced to export": [{ FORCE: "true" }],
            "not another tag of the same image": [{ IMAGE_URI: `${registry}/web/nginx:latest` }],
            "not another platform": [{ PLATFORM: "linux/386" }],
            "not another digest": [{ IMAGE_DIGEST: `sha256:${"e".repeat(64)}` }],
            "not an archive without a record": [{}, () => ({ [key]: objectAt(key) })],
            "not a record without an archive": [{}, () => ({ [recordKey]: objectAt(recordKey) })],
            "not an archive that was put by hand": [{}, () => changed(key, { VersionId: "another" })],
            "not an archive of engine stream": [
                {},
                () => changed(recordKey, { Metadata: { ...objectAt(recordKey).Metadata, engine: "stream" } }),
            ],
        };
        for (const [what, [changes, objects = () => first]] of Object.entries(others)) {
            it(what, () => {
                assert.notDeepEqual(pulled(runUpTo("docker pull", changes, {}, objects())), []);
            });
        }

        for (const there of [[key, recordKey], [key], [recordKey]]) {
            it(`not, and replaces ${there.join(" and ")}`, () => {
                const objects = Object.fromEntries(there.map((name) => [name, objectAt(name)]));
                const build = succeed({ FORCE: "true" }, {}, objects);
                const { Metadata, VersionId } = build.objects[recordKey] ?? assert.fail("no record");
                assert.notEqual(VersionId, objectAt(recordKey).VersionId);
                assert.equal(Metadata["archive-version-id"], build.objects[key]?.VersionId);
            });
        }
    });

    describe("that signs the record", () => {
        const signs = {
            SIGNING_KEY_ARN: "arn:aws:kms:ap-northeast-1:111122223333:key/5678efab-12ab-34cd-56ef-1234567890ab",
        };
        let build: BuildResult;
        before(() => {
            build = succeed(signs);
        });

        it("signs the SHA-256 of the very record, and writes the signature first", () => {
            const { Body = "", Metadata } = build.objects[recordKey] ?? assert.fail("no record");
            const hash = createHash("sha256").update(Body).digest("hex");
            assert.equal(build.objects[`${recordKey}.sig`]?.Body, `signature of ${hash}`);
            const parsed = parseRecord(Body);
            assert.ok("record" in parsed);
            assert.equal(parsed.record.signingKeyArn, signs.SIGNING_KEY_ARN);
            assert.deepEqual(Metadata, recordMetadata(parsed.record));
            const call = callOf(build, "aws", "kms", "sign").join(" ");
            assert.match(call, /^--key-id arn:aws:kms:\S+ --signing-algorithm ECDSA_SHA_256 --message-type DIGEST /);
            const puts = callsOf(build, "aws", "s3api", "put-object").map((words) => words[words.indexOf("--key") + 1]);
            assert.deepEqual(puts, [`${recordKey}.sig`, recordKey]);
        });

        it("skips what the same key has signed, and exports what another key or none has signed", () => {
            assert.deepEqual(pulled(succeed(signs, {}, build.objects)), []);
            const other = signs.SIGNING_KEY_ARN.replace("5678", "1234");
            const again = succeed({ SIGNING_KEY_ARN: other }, {}, build.objects);
            assert.equal(again.objects[recordKey]?.Metadata["signing-key"], other);
            assert.notEqual(again.objects[`${recordKey}.sig`]?.Body, build.objects[`${recordKey}.sig`]?.Body);
            assert.notDeepEqual(pulled(succeed({}, {}, build.objects)), []);
        });

        it("writes no record that it could not sign", () => {
            const denied = "An error occurred (AccessDeniedException) when calling the Sign operation";
            const failed = run(signs, { "aws kms sign": failing(denied) });
            assert.match(
                causeOf("AccessDenied", failed),
                /^The archive s3:.* is complete, but its record could not be written: An error .* Sign/,
            );
            assert.deepEqual(Object.keys(failed.objects), [key]);
        });
    });

    describe("that races another export for the key", () => {
        let other: Objects;
        let same: Objects;
        before(() => {
            other = succeed({ IMAGE_URI: `${registry}/web/nginx:other` }).objects;
            same = succeed().objects;
        });

        /** Bash that lets another export write an object, once. */
        function overtake(objects: Objects, name: string): string {
            const version = name === key ? { "archive-sha256": "other" } : { "archive-version-id": "other-1" };
            const object = {
                ...(objects[name] ?? assert.fail(name)),
                VersionId: "other-1",
                ETag: '"other"',
                Metadata: { ...objects[name]?.Metadata, ...version },
            };
            const mark = name === key ? "archive" : "record";
            return `[[ -f $STATE/${mark} ]] || { : >"$STATE/${mark}"; printf '%s' ${quoted(JSON.stringify(object))} >"$(object ${quoted(name)})"; };`;
        }
        const head = `cat "$(object "$(option --key)")" 2>/dev/null || { echo "An error occurred (404)" >&2; exit 254; }`;
        const store = `store "$(option --key)" "$(option --metadata)" "$(option --body)"`;
        const once = (objects: Objects, ...names: string[]) =>
            `[[ ! -f $(object ${quoted(key)}) ]] || { ${names.map((name) => overtake(objects, name)).join(" ")} }; ${head}`;

        it("writes its record over that of an archive that its own has replaced", () => {
            const put = `
                ${overtake(other, recordKey)}
                [[ $(option --if-match) == $(etag "$(option --key)") ]] || { ${failing("(PreconditionFailed)")}; }
                ${store}`;
            const { objects } = succeed({}, { "aws s3api put-object": put });
            assert.equal(objects[recordKey]?.Metadata["image-name"], variables.IMAGE_URI);
            assert.equal(objects[recordKey].Metadata["archive-version-id"], objects[key]?.VersionId);
        });

        it("leaves the record to the export that has replaced its archive, and fails where that is another", () => {
            const build = run({}, { "aws s3api head-object": once(other, key, recordKey) });
            assert.match(causeOf("ExportFailed", build), /Another export wrote s3:.* at the same time/);
            assert.equal(build.objects[recordKey]?.VersionId, "other-1");
        });

        it("is content with the same export in its place, whose record it waits for", () => {
            const world = { "aws s3api head-object": once(same, key), sleep: overtake(same, recordKey) };
            const { objects } = succeed({}, world);
            assert.equal(objects[recordKey]?.VersionId, "other-1");
        });

        it("fails where the record of the other never comes", () => {
            const build = run({}, { "aws s3api head-object": once(same, key) });
            assert.match(causeOf("ExportFailed", build), /at the same time/);
            assert.equal(build.objects[recordKey], undefined);
        });

        it("is content where only the answer to writing the record was lost", () => {
            const build = succeed({}, { "aws s3api put-object": `${store}; ${failing("(PreconditionFailed)")}` });
            assert.equal(callsOf(build, "aws", "s3api", "put-object").length, 1);
        });
    });
});
