import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";

import { exitStatuses } from "../../contract/errors";
import { recordMetadata } from "../../contract/record";
import {
    type BuildResult,
    isInstalled,
    password,
    readBuildspec,
    runBuild,
    type StoredObject,
    type World,
} from "../support/build";
import { assertRecord } from "../support/recordSchema";
import { recordOf } from "../support/readRecord";

const buildspec = readBuildspec("docker");

const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const variables = {
    IMAGE_URI: `${registry}/web/nginx:1.29`,
    PLATFORM: "linux/amd64",
    FORCE: "false",
    EXECUTION_ID: "arn:aws:states:ap-northeast-1:111122223333:execution:export:1",
    CODEBUILD_BUILD_ID: "export:1",
    ARCHIVE_FILE: "image.tar",
    ARTIFACT_BUCKET: "artifacts",
    ARTIFACT_PREFIX: "images/",
    ARTIFACT_KEY: "images/web/nginx/1.29.tar",
};
const layers = [1, 2].map((digit) => ({ digest: `sha256:${String(digit).repeat(64)}`, size: digit * 5e9 }));
const manifest = `{ "schemaVersion": 2,  "config": {}, "layers": ${JSON.stringify(layers)} }`;
const digest = digestOf(manifest);
const recordKey = `${variables.ARTIFACT_KEY}.json`;

function digestOf(text: string): string {
    return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** A line of bash that says something on standard error and fails. */
function failing(message: string): string {
    return `echo ${quoted(message)} >&2; exit 1`;
}

/** The answer of a registry, as bash. */
function answer(status: number, body: string): string {
    return `answer ${status} ${quoted(body)}`;
}

function quoted(text: string): string {
    return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function run(
    changes: Partial<typeof variables> = {},
    world: World = {},
    objects: BuildResult["objects"] = {},
): BuildResult {
    return runBuild(
        buildspec,
        { ...variables, ...changes },
        { curl: answer(200, manifest), ...world },
        objects,
    );
}

/** A registry that answers with documents by their digest, and with the first of them to a tag. */
function registryOf(...documents: string[]): string {
    const cases = documents.map(
        (document) => `*/manifests/${digestOf(document)}) ${answer(200, document)} ;;`,
    );
    return `case \${*: -1} in ${cases.join(" ")} *) ${answer(200, documents[0] ?? "")} ;; esac`;
}

/** Runs a build that has to fail with this error, and gives its cause. */
function causeOf(error: string, { status, exported, output }: BuildResult): string {
    assert.equal(exported["EXPORT_ERROR"], error, `${JSON.stringify(exported)} after:\n${output}`);
    assert.equal(status, exitStatuses[error as keyof typeof exitStatuses], "the exit status tells the error");
    assert.deepEqual(Object.keys(exported).sort(), ["EXPORT_CAUSE", "EXPORT_ERROR"]);
    const cause = exported["EXPORT_CAUSE"] ?? "";
    assert(output.endsWith(`${error}: ${cause}\n`), `the log ends in the error:\n${output}`);
    return cause;
}

/** The arguments of the one call of a command. */
function callOf({ calls }: BuildResult, ...command: string[]): readonly string[] {
    const [call, ...more] = calls.filter((each) => command.every((word, index) => each[index] === word));
    assert(call, `${command.join(" ")} was not called, but ${JSON.stringify(calls)}`);
    assert.deepEqual(more, [], `${command.join(" ")} was called more than once`);
    return call.slice(command.length);
}

function isCalled({ calls }: BuildResult, command: string): boolean {
    return calls.some((call) => call.join(" ").startsWith(`${command} `));
}

const missing = ["bash", "jq", "sha256sum", "iconv", "stat"].filter((program) => !isInstalled(program));

describe(`a build of docker.yml${missing.length > 0 ? ` (skipped: no ${missing.join(", ")} here)` : ""}`, function () {
    this.timeout(10_000); // a build is some forty processes

    before(function () {
        if (missing.length > 0) this.skip();
    });

    describe("that succeeds", () => {
        const archive = `archive of ${registry}/web/nginx:1.29`;
        const sha256 = digestOf(archive).slice("sha256:".length);
        let build: BuildResult;
        before(() => {
            build = run();
        });

        it("exports digest, version, size and sha256, and no error", () => {
            assert.equal(build.status, 0, build.output);
            assert.deepEqual(build.exported, {
                IMAGE_DIGEST: digest,
                ARTIFACT_VERSION_ID: "version-1",
                ARCHIVE_SIZE_BYTES: String(archive.length),
                ARCHIVE_SHA256: sha256,
                SKIPPED: "false",
            });
        });

        it("calls what it needs, in this order", () => {
            const [passwordAndLogin, rest] = [build.calls.slice(0, 2), build.calls.slice(2)];
            const words = ([program, first, second]: readonly string[]) =>
                program === "aws" ? `aws ${first ?? ""} ${second ?? ""}` : `${program ?? ""} ${first ?? ""}`;
            // These two are the ends of a pipe, which start at the same time.
            assert.deepEqual(passwordAndLogin.map(words).sort(), [
                "aws ecr get-login-password",
                "docker login",
            ]);
            assert.deepEqual(rest.map(words), [
                "curl --silent",
                "aws s3api head-object", // there is no record: nothing to skip
                "docker info",
                "docker pull",
                "docker image",
                "docker tag",
                "docker save",
                "aws s3 cp",
                "aws s3api head-object", // the record, for its ETag
                "aws s3api head-object", // the archive, for its version
                "docker version",
                "aws s3api put-object",
            ]);
        });

        it("asks the registry for the manifest, with every type of manifest accepted", () => {
            const args = callOf(build, "curl");
            assert.equal(args.at(-1), `https://${registry}/v2/web/nginx/manifests/1.29`);
            const accept = args[args.indexOf("--header") + 1] ?? "";
            assert.deepEqual(accept.replace("Accept: ", "").split(", "), [
                "application/vnd.oci.image.index.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.list.v2+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ]);
        });

        it("pulls by digest, so that a tag that moves cannot mislabel the archive", () => {
            assert.deepEqual(callOf(build, "docker", "pull"), [
                "--platform",
                "linux/amd64",
                `${registry}/web/nginx@${digest}`,
            ]);
        });

        it("saves under the name that was asked for", () => {
            assert.deepEqual(callOf(build, "docker", "tag"), [
                `${registry}/web/nginx@${digest}`,
                `${registry}/web/nginx:1.29`,
            ]);
            assert.deepEqual(callOf(build, "docker", "save"), [`${registry}/web/nginx:1.29`]);
        });

        it("uploads with the metadata that one HEAD shows", () => {
            const [file, destination, ...options] = callOf(build, "aws", "s3", "cp");
            assert.deepEqual([file, destination], ["image.tar", "s3://artifacts/images/web/nginx/1.29.tar"]);
            assert.equal(options[options.indexOf("--content-type") + 1], "application/x-tar");
            assert.deepEqual(JSON.parse(options[options.indexOf("--metadata") + 1] ?? ""), {
                "image-digest": digest,
                platform: "linux/amd64",
                "archive-sha256": sha256,
            });
        });

        it("writes the record that its schema describes, naming the version of the archive", () => {
            const { Body, Metadata } = build.objects[recordKey] ?? assert.fail("no record");
            const { time, ...record } = assertRecord(Body);
            assert(Math.abs(Date.now() - Date.parse(String(time))) < 60_000, String(time));
            assert.deepEqual(record, {
                schemaVersion: 1,
                imageUri: variables.IMAGE_URI,
                imageName: variables.IMAGE_URI,
                imageDigest: digest,
                indexDigest: null,
                mediaType: "application/vnd.oci.image.manifest.v1+json",
                platform: "linux/amd64",
                platforms: ["linux/amd64"],
                layers: layers.map(({ digest, size }) => ({ digest, sizeBytes: size, offset: null })),
                archive: { sha256, sizeBytes: archive.length, versionId: "version-1" },
                engine: { name: "docker", version: "28.5.1" },
                executionId: variables.EXECUTION_ID,
                buildId: variables.CODEBUILD_BUILD_ID,
            });
            // What engine stream says of the same record.
            assert.deepEqual(Metadata, recordMetadata(recordOf(Body)));
            assert.equal(Metadata["archive-version-id"], build.objects[variables.ARTIFACT_KEY]?.VersionId);
        });

        it("hands the password over by pipes alone: it is in no argument and not in the log", () => {
            const login = callOf(build, "docker", "login");
            assert.deepEqual(login, ["--username", "AWS", "--password-stdin", registry]);
            const basic = Buffer.from(`AWS:${password}`).toString("base64");
            assert.equal(build.curlConfig, `header = "Authorization: Basic ${basic}"\n`, "curl gets it");
            for (const secret of [password, basic]) {
                assert(!build.output.includes(secret), "the log");
                assert(!JSON.stringify(build.calls).includes(secret), "the arguments");
                assert(!JSON.stringify(build.exported).includes(secret), "the exported variables");
            }
        });

        it("tells its steps", () => {
            const steps = [...build.output.matchAll(/^=== (.*) \(after \d+ s\)$/gm)].map(([, step]) => step);
            assert.deepEqual(steps, [
                "Check the request",
                `Log in to ${registry}`,
                `Resolve ${variables.IMAGE_URI}`,
                `Pull ${digest}`,
                "Save the archive",
                "Upload to s3://artifacts/images/web/nginx/1.29.tar",
                "Write the record",
                "Done",
            ]);
        });
    });

    describe("logs in to the registry's own host and region:", () => {
        const enough = { curl: failing("the rest is of no interest here") };
        const regions = {
            [registry]: "ap-northeast-1",
            "111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
            "111122223333.dkr-ecr.eu-west-1.on.aws": "eu-west-1",
            "111122223333.dkr-ecr-fips.us-east-2.on.aws": "us-east-2",
            "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn": "cn-north-1",
            "111122223333.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn": "cn-northwest-1",
            "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu": "eusc-de-east-1",
        };
        for (const [host, region] of Object.entries(regions)) {
            it(host, () => {
                const build = run({ IMAGE_URI: `${host}/web/nginx:1.29` }, enough);
                assert.deepEqual(callOf(build, "aws", "ecr", "get-login-password"), ["--region", region]);
                assert.equal(callOf(build, "docker", "login").at(-1), host);
            });
        }

        const others = [
            "127.0.0.1:5000",
            "registry.example.org",
            "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com.example.org",
            "x111122223333.dkr.ecr.ap-northeast-1.amazonaws.com",
            `${registry}:443`,
        ];
        for (const host of others) {
            it(`not to ${host}, which gets no password`, () => {
                const build = run({ IMAGE_URI: `${host}/web/nginx:1.29` }, enough);
                assert.equal(callOf(build, "curl").at(-1), `https://${host}/v2/web/nginx/manifests/1.29`);
                assert(!isCalled(build, "aws ecr") && !isCalled(build, "docker login"), build.output);
                assert.equal(build.curlConfig, "");
            });
        }
    });

    describe("refuses before it calls anything", () => {
        const hex = "a".repeat(64);
        const injections = [
            "$(touch pwned)",
            "`touch pwned`",
            "; touch pwned",
            "a\ntouch pwned",
            "a\x01b",
            "| touch pwned",
            "${IFS}",
            "--help",
            "-v",
            "*",
            "ü",
            "名前",
            "a b",
            "'",
            '"',
            "\\",
            "a".repeat(10_240),
        ];
        const malformed: Record<"IMAGE_URI" | "PLATFORM" | "ARTIFACT_KEY" | "FORCE", string[]> = {
            IMAGE_URI: [
                ...injections,
                ...injections.map((text) => `${registry}/web/nginx:${text}`).slice(0, -1),
                "",
                "nginx",
                "--help/web/nginx:1",
                "-v/web/nginx:1",
                `${registry}/`,
                `${registry}/Nginx`,
                `${registry}/web//nginx`,
                `${registry}/web/../nginx`,
                `${registry}/-nginx`,
                `${registry}/nginx:`,
                `${registry}/nginx:${"t".repeat(129)}`,
                `${registry}/nginx@sha256:abc`,
                `${registry}/nginx@sha512:${hex}`,
                `${registry}/nginx@sha256:${hex.toUpperCase()}`,
                `${registry}/nginx@sha256:${hex}:tag`,
                `https://${registry}/nginx`,
                `user:secret@${registry}/nginx`,
            ],
            PLATFORM: [
                ...injections,
                ...injections.map((text) => `linux/${text}`).slice(0, -1),
                "",
                "all",
                "linux",
                "linux/",
                "/amd64",
                "linux/arm64/",
                "linux/arm64/v8/x",
                "linux/amd64,linux/arm64",
                "LINUX/amd64",
            ].filter((platform) => platform !== "linux/a"),
            ARTIFACT_KEY: [
                "",
                "images",
                "images/",
                "images/a/",
                "other/a.tar",
                "/images/a.tar",
                "xxximages/a.tar",
                "images//a.tar",
                "images/./a.tar",
                "images/../a.tar",
                "images/..",
                "images/a/..",
                "images/a\nb.tar",
                "images/a\tb.tar",
                "images/a\x7f.tar",
                `images/${"a".repeat(1013)}`,
                `images/${"ü".repeat(507)}`,
                `images/${"a".repeat(10_240)}`,
                "images/a.tar.json",
                "images/.json",
            ],
            FORCE: ["", "yes", "True", "true\n", "$(touch pwned)", "true; touch pwned"],
        };
        const names = {
            IMAGE_URI: "imageUri",
            PLATFORM: "platform",
            ARTIFACT_KEY: "artifactKey",
            FORCE: "force",
        };
        for (const [variable, values] of Object.entries(malformed)) {
            for (const value of values) {
                const shown = JSON.stringify(value);
                it(`${variable} ${shown.length > 70 ? `${shown.slice(0, 70)}… (${value.length})` : shown}`, () => {
                    const build = run({ [variable]: value });
                    const cause = causeOf("InvalidInput", build);
                    const field = names[variable as keyof typeof names];
                    assert.match(cause, new RegExp(`^${field} is .*: expected .*\\.$`, "s"));
                    assert(Buffer.byteLength(cause) <= 1000, "the cause is short");
                    assert.doesNotMatch(cause, /\p{Cc}/u, "the cause is one line");
                    assert.deepEqual(build.calls, []);
                    assert.deepEqual(
                        build.files,
                        ["export.sh", "result.env"],
                        "nothing of the value was executed",
                    );
                });
            }
        }
    });

    describe("takes literally", () => {
        const keys = [
            "images/$(touch pwned).tar",
            "images/`touch pwned`.tar",
            "images/a b;touch pwned",
            "images/'\"\\.tar",
            "images/*",
            "images/--help",
            "images/名前.tar",
            "images/...",
            `images/${"a".repeat(1012)}`,
            `images/${"ü".repeat(506)}`,
        ];
        for (const key of keys) {
            it(`the key ${key.slice(0, 60)}`, () => {
                const build = run({ ARTIFACT_KEY: key });
                assert.equal(build.status, 0, build.output);
                assert.equal(callOf(build, "aws", "s3", "cp")[1], `s3://artifacts/${key}`);
                const put = callOf(build, "aws", "s3api", "put-object");
                assert.equal(put[put.indexOf("--key") + 1], `${key}.json`);
                assert.deepEqual(Object.keys(build.objects).sort(), [key, `${key}.json`]);
                assert(!build.files.includes("pwned"));
            });
        }
    });

    describe("resolves", () => {
        const enough = { "docker pull": failing("the rest is of no interest here") };
        const pulled = (build: BuildResult) => callOf(build, "docker", "pull");
        const hex = (digit: string) => `sha256:${digit.repeat(64)}`;
        /** The manifest of one platform, and its entry in an index. */
        const imageOf = (name: string) =>
            JSON.stringify({ schemaVersion: 2, layers: [], annotations: { name } });
        const entry = (os: string, architecture: string, variant?: string, name?: string) => ({
            digest: digestOf(imageOf(name ?? [os, architecture, variant ?? ""].join("/"))),
            platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
        });
        const platforms: [os: string, architecture: string, variant?: string][] = [
            ["linux", "amd64"],
            ["linux", "arm", "v6"],
            ["linux", "arm", "v7"],
            ["linux", "arm64", "v8"],
            ["linux", "386"],
            ["windows", "amd64"],
        ];
        const attestation = {
            ...entry("unknown", "unknown"),
            annotations: { type: "attestation-manifest" },
        };
        const index = JSON.stringify({
            manifests: [
                attestation,
                ...platforms.map((platform) => entry(...platform)),
                { digest: hex("7") },
            ],
        });
        const images = platforms.map(([os, architecture, variant]) =>
            imageOf([os, architecture, variant ?? ""].join("/")),
        );
        const indexed = registryOf(index, ...images);
        const chosen: Record<string, string> = {
            "linux/amd64": "linux/amd64/",
            "linux/arm/v6": "linux/arm/v6",
            "linux/arm/v7": "linux/arm/v7",
            "linux/arm": "linux/arm/v7",
            "linux/arm64": "linux/arm64/v8",
            "linux/arm64/v8": "linux/arm64/v8",
            "linux/386": "linux/386/",
            "windows/amd64": "windows/amd64/",
        };
        for (const [platform, expected] of Object.entries(chosen)) {
            it(`an index for ${platform}`, () => {
                const build = run({ PLATFORM: platform }, { ...enough, curl: indexed });
                assert.deepEqual(pulled(build), [
                    "--platform",
                    platform,
                    `${registry}/web/nginx@${digestOf(imageOf(expected))}`,
                ]);
            });
        }

        it("an index whose arm64 and arm say no variant", () => {
            const plain = JSON.stringify({ manifests: [entry("linux", "arm"), entry("linux", "arm64")] });
            const curl = registryOf(plain, imageOf("linux/arm/"), imageOf("linux/arm64/"));
            const reference = (platform: string) =>
                pulled(run({ PLATFORM: platform }, { ...enough, curl })).at(-1);
            assert.equal(
                reference("linux/arm/v7"),
                `${registry}/web/nginx@${digestOf(imageOf("linux/arm/"))}`,
            );
            assert.equal(
                reference("linux/arm64/v8"),
                `${registry}/web/nginx@${digestOf(imageOf("linux/arm64/"))}`,
            );
        });

        it("an index to the end, although the daemon knows no variant of arm64", () => {
            const build = run(
                { PLATFORM: "linux/arm64/v8" },
                { curl: indexed, "docker image inspect": "echo linux/arm64/" },
            );
            assert.equal(build.status, 0, build.output);
            assert.equal(build.exported["IMAGE_DIGEST"], digestOf(imageOf("linux/arm64/v8")));
        });

        it("an index, which the record names beside the platform's manifest", () => {
            const build = run(
                { PLATFORM: "linux/arm64" },
                { curl: indexed, "docker image inspect": "echo linux/arm64/v8" },
            );
            const record = assertRecord(build.objects[recordKey]?.Body);
            assert.equal(record["imageDigest"], digestOf(imageOf("linux/arm64/v8")));
            assert.equal(record["indexDigest"], digestOf(index));
            assert.deepEqual(record["platforms"], ["linux/arm64/v8"]);
            assert.equal(build.objects[recordKey]?.Metadata["index-digest"], digestOf(index));
        });

        it("the first of several entries for a platform", () => {
            const twice = JSON.stringify({
                manifests: [
                    entry("linux", "amd64", undefined, "first"),
                    entry("linux", "amd64", undefined, "second"),
                ],
            });
            const curl = registryOf(twice, imageOf("first"), imageOf("second"));
            assert.equal(run({}, { curl }).exported["IMAGE_DIGEST"], digestOf(imageOf("first")));
        });

        it("no index that an index names", () => {
            const inner = JSON.stringify({ manifests: [] });
            const outer = JSON.stringify({
                manifests: [{ digest: digestOf(inner), platform: { os: "linux", architecture: "amd64" } }],
            });
            const build = run({}, { curl: registryOf(outer, inner) });
            assert.match(causeOf("InvalidInput", build), /names another index for linux\/amd64/);
        });

        it("no platform whose manifest is another than the index says", () => {
            const build = run({}, { curl: registryOf(index, "{}") });
            assert.match(causeOf("DigestMismatch", build), /Nothing was exported/);
            assert(!isCalled(build, "docker pull"));
        });

        it("no platform that is missing, and lists those that exist", () => {
            const build = run({ PLATFORM: "linux/s390x" }, { curl: answer(200, index) });
            assert.equal(
                causeOf("ImageNotFound", build),
                `${variables.IMAGE_URI} has no image for linux/s390x. It has linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64/v8, linux/386, windows/amd64.`,
            );
            assert(!isCalled(build, "docker pull"));
        });

        it("no attestation", () => {
            const build = run(
                { PLATFORM: "unknown/unknown" },
                { curl: answer(200, JSON.stringify({ manifests: [entry("linux", "amd64")] })) },
            );
            causeOf("ImageNotFound", build);
        });

        it("no index that names something else than a digest", () => {
            const odd = JSON.stringify({
                manifests: [{ digest: "--help", platform: { os: "linux", architecture: "amd64" } }],
            });
            const build = run({}, { curl: answer(200, odd) });
            assert.match(causeOf("ExportFailed", build), /names the digest --help/);
            assert(!isCalled(build, "docker pull"));
        });

        it("a digest, by itself", () => {
            const build = run({ IMAGE_URI: `${registry}/web/nginx@${digest}` });
            assert.equal(build.status, 0, build.output);
            const { imageName } = assertRecord(build.objects[recordKey]?.Body);
            assert.equal(imageName, `${registry}/web/nginx@${digest}`);
            assert(callOf(build, "curl").at(-1)?.endsWith(`/manifests/${digest}`));
            assert.equal(build.exported["IMAGE_DIGEST"], digest);
            assert.equal(callOf(build, "docker", "save").at(-1), `${registry}/web/nginx@${digest}`);
            assert(!isCalled(build, "docker tag"));
        });

        it("the digest, where there is a tag too, and keeps the tag as the archive's name", () => {
            const build = run({ IMAGE_URI: `${variables.IMAGE_URI}@${digest}` });
            assert.equal(build.status, 0, build.output);
            assert(callOf(build, "curl").at(-1)?.endsWith(`/manifests/${digest}`));
            assert.equal(callOf(build, "docker", "save").at(-1), variables.IMAGE_URI);
        });

        describe("the digest of an image that a pull-through cache has yet to import", () => {
            /** Imports what is asked for by its tag, whose answer this is; before that it finds no digest. */
            const cache = (byTag: string) => `
                case \${@: -1} in
                    */manifests/sha256:*) if [[ -f $STATE/imported ]]; then ${answer(200, manifest)}; else ${answer(404, "{}")}; fi ;;
                    *) ${byTag}; touch "$STATE/imported" ;;
                esac`;
            const asked = ({ calls }: BuildResult) =>
                calls.filter(([program]) => program === "curl").map((call) => call.at(-1)?.split("/").at(-1));

            it("by way of the tag", () => {
                const build = run(
                    { IMAGE_URI: `${variables.IMAGE_URI}@${digest}` },
                    { curl: cache(answer(200, "{}")) },
                );
                assert.equal(build.status, 0, build.output);
                assert.deepEqual(asked(build), [digest, "1.29", digest]);
                assert.equal(build.exported["IMAGE_DIGEST"], digest);
            });

            it("not without a tag", () => {
                const build = run(
                    { IMAGE_URI: `${registry}/web/nginx@${digest}` },
                    { curl: cache(answer(200, "{}")) },
                );
                assert.match(causeOf("ImageNotFound", build), /does not exist in the registry/);
                assert.deepEqual(asked(build), [digest]);
            });

            it("not where the role may not import", () => {
                const denied = answer(403, '{"errors":[{"message":"no ecr:BatchImportUpstreamImage"}]}');
                const build = run({ IMAGE_URI: `${variables.IMAGE_URI}@${digest}` }, { curl: cache(denied) });
                assert.match(causeOf("AccessDenied", build), /no ecr:BatchImportUpstreamImage/);
                assert.deepEqual(asked(build), [digest, "1.29"]);
            });
        });

        it("latest, where there is neither", () => {
            const build = run({ IMAGE_URI: `${registry}/web/nginx` });
            assert(callOf(build, "curl").at(-1)?.endsWith("/manifests/latest"));
            assert.equal(callOf(build, "docker", "save").at(-1), `${registry}/web/nginx:latest`);
        });
    });

    describe("that fails exports the error, and uploads nothing:", () => {
        const pinned = `${registry}/web/nginx@sha256:${"a".repeat(64)}`;
        const errors = (message: string) => JSON.stringify({ errors: [{ code: "X", message }] });
        const failures: Record<
            string,
            [error: string, cause: RegExp, changes: Partial<typeof variables>, World]
        > = {
            "another manifest than the digest names": [
                "DigestMismatch",
                new RegExp(
                    `answered with a manifest of digest ${digest}.*sha256:a{64}.*Nothing was exported`,
                ),
                { IMAGE_URI: pinned },
                {},
            ],
            "an image that does not exist": [
                "ImageNotFound",
                /nginx:1\.29 does not exist in the registry\. manifest unknown/,
                {},
                { curl: answer(404, errors("manifest unknown")) },
            ],
            "an image that does not exist, without a word": [
                "ImageNotFound",
                /does not exist in the registry\. HTTP status 404/,
                {},
                { curl: answer(404, "<html>") },
            ],
            "a registry that refuses": [
                "AccessDenied",
                /refused to show .*nginx:1\.29\. not authorized to perform: ecr:BatchGetImage/,
                {},
                { curl: answer(403, errors("not authorized to perform: ecr:BatchGetImage")) },
            ],
            "a registry that wants a login": [
                "AccessDenied",
                /HTTP status 401/,
                {},
                { curl: answer(401, "") },
            ],
            "a registry that is broken": [
                "ExportFailed",
                /answered 503 for the manifest of .*nginx:1\.29/,
                {},
                { curl: answer(503, "") },
            ],
            "a registry that cannot be reached": [
                "ExportFailed",
                /could not be fetched: curl: \(6\) Could not resolve host/,
                {},
                { curl: failing("curl: (6) Could not resolve host: x") },
            ],
            "a role that may not log in": [
                "AccessDenied",
                /The login to .* failed: .*not authorized to perform: ecr:GetAuthorizationToken/,
                {},
                {
                    "aws ecr get-login-password": failing(
                        "An error occurred (AccessDeniedException): User is not authorized to perform: ecr:GetAuthorizationToken",
                    ),
                },
            ],
            "a login that the registry does not take": [
                "ExportFailed",
                /The login to .* failed: Error response from daemon/,
                {},
                { "docker login": `cat >/dev/null; ${failing("Error response from daemon: Get x: EOF")}` },
            ],
            "a daemon that does not start": [
                "ExportFailed",
                /The Docker daemon of the build did not start within a minute/,
                {},
                { "docker info": "exit 1" },
            ],
            "a pull that breaks off": [
                "ExportFailed",
                /The pull of .*nginx:1\.29 failed: unexpected EOF/,
                {},
                { "docker pull": failing("unexpected EOF") },
            ],
            "a pull that is denied": [
                "AccessDenied",
                /The pull of .* failed: .*denied: User is not authorized/,
                {},
                { "docker pull": failing("Error response from daemon: denied: User is not authorized") },
            ],
            "a layer that is refused": [
                "AccessDenied",
                /403/,
                {},
                { "docker pull": failing("unexpected status from GET request: 403 Forbidden") },
            ],
            "a pull of an image that went away": [
                "ImageNotFound",
                /manifest unknown/,
                {},
                { "docker pull": failing("Error response from daemon: manifest unknown") },
            ],
            "an image of another platform": [
                "ImageNotFound",
                /has no image for linux\/amd64\. It has linux\/arm64\./,
                {},
                { "docker image inspect": "echo linux/arm64/" },
            ],
            "an image of a platform that begins like it": [
                "ImageNotFound",
                /has no image for linux\/arm64\. It has linux\/arm\./,
                { PLATFORM: "linux/arm64" },
                { "docker image inspect": "echo linux/arm/" },
            ],
            "a daemon that does not know the image": [
                "ExportFailed",
                /ended/,
                {},
                { "docker image inspect": failing("No such image") },
            ],
            "an image that cannot be tagged": ["ExportFailed", /ended/, {}, { "docker tag": "exit 1" }],
            "a manifest that is empty": ["ExportFailed", /manifest/, {}, { curl: answer(200, "") }],
            "an index that is none": ["ExportFailed", /./, {}, { curl: answer(200, '{"manifests":7}') }],
            "an index of odd entries": [
                "ExportFailed",
                /./,
                {},
                { curl: answer(200, '{"manifests":[{"platform":7}]}') },
            ],
            "a disk that is full": [
                "ExportFailed",
                /docker save failed: write .*: no space left on device/,
                {},
                {
                    "docker save": `echo half; ${failing("write /layer.tar: no space left on device")}`,
                },
            ],
        };
        for (const [what, [error, cause, changes, world]] of Object.entries(failures)) {
            it(what, () => {
                const build = run(changes, world);
                assert.match(causeOf(error, build), cause);
                assert(!isCalled(build, "aws s3"), "nothing is uploaded");
                assert.deepEqual(build.objects, {});
            });
        }

        it("an upload that is denied", () => {
            const denied =
                "upload failed: ./image.tar An error occurred (AccessDenied) when calling the PutObject operation";
            const build = run({}, { "aws s3 cp": failing(denied) });
            const cause = causeOf("AccessDenied", build);
            assert.equal(cause, `The upload to s3://artifacts/images/web/nginx/1.29.tar failed: ${denied}`);
            assert(!isCalled(build, "aws s3api put-object"));
        });

        it("an upload that breaks off", () => {
            const build = run({}, { "aws s3 cp": failing("Connection was closed") });
            assert.match(causeOf("ExportFailed", build), /The upload to .* failed: Connection was closed/);
        });

        it("an upload that may not be confirmed", () => {
            const denied = "An error occurred (403) when calling the HeadObject operation: Forbidden";
            const build = run({}, { "aws s3api head-object": failing(denied) });
            assert.match(causeOf("AccessDenied", build), /s3:GetObject, which confirms it, failed: .*403/);
        });

        it("a record that is denied", () => {
            const denied = "An error occurred (AccessDenied) when calling the PutObject operation";
            const build = run({}, { "aws s3api put-object": failing(denied) });
            assert.match(
                causeOf("AccessDenied", build),
                /1\.29\.tar is complete, but its record could not be written: An error occurred/,
            );
        });
    });

    describe("skips", () => {
        let first: BuildResult;
        before(() => {
            first = run();
        });
        const objectAt = (key: string) => first.objects[key] ?? assert.fail(`no ${key}`);
        /** What the first build left, with one object changed. */
        const changed = (key: string, changes: Partial<StoredObject>) => ({
            ...first.objects,
            [key]: { ...objectAt(key), ...changes },
        });

        it("what is at the key already, and reports it as if it had been made now", () => {
            const build = run({}, {}, first.objects);
            assert.equal(build.status, 0, build.output);
            assert.deepEqual(build.exported, { ...first.exported, SKIPPED: "true" });
            assert(!isCalled(build, "docker pull") && !isCalled(build, "aws s3"), build.output);
            assert(!isCalled(build, "docker info"), "it does not wait for the daemon");
            assert.deepEqual(build.objects, first.objects);
            assert.match(build.output, /holds this export, as version version-1/);
        });

        it("nothing when it is forced to export", () => {
            const build = run({ FORCE: "true" }, {}, first.objects);
            assert.equal(build.exported["SKIPPED"], "false");
            assert(isCalled(build, "docker pull"));
        });

        const others: Record<
            string,
            [Partial<typeof variables>, objects?: (() => BuildResult["objects"]) | undefined, world?: World]
        > = {
            "another tag of the same image": [{ IMAGE_URI: `${registry}/web/nginx:latest` }],
            "the same image without its name": [{ IMAGE_URI: `${registry}/web/nginx@${digest}` }],
            "another platform": [
                { PLATFORM: "linux/arm64" },
                undefined,
                { "docker image inspect": "echo linux/arm64/" },
            ],
            "the image that the tag means now": [{}, undefined, { curl: answer(200, `${manifest} `) }],
            "an archive without a record": [
                {},
                () => ({ [variables.ARTIFACT_KEY]: objectAt(variables.ARTIFACT_KEY) }),
            ],
            "a record without an archive": [{}, () => ({ [recordKey]: objectAt(recordKey) })],
            "an archive that was put by hand": [
                {},
                () => changed(variables.ARTIFACT_KEY, { VersionId: "another", Metadata: {} }),
            ],
            "an archive of engine stream": [
                {},
                () => changed(recordKey, { Metadata: { ...objectAt(recordKey).Metadata, engine: "stream" } }),
            ],
        };
        for (const [what, [changes, objects = () => first.objects, world = {}]] of Object.entries(others)) {
            it(`not: ${what}`, () => {
                const build = run(changes, world, objects());
                assert.equal(build.status, 0, build.output);
                assert.equal(build.exported["SKIPPED"], "false");
                const { archive } = assertRecord(build.objects[recordKey]?.Body) as {
                    archive: { versionId: string };
                };
                assert.equal(archive.versionId, build.objects[variables.ARTIFACT_KEY]?.VersionId);
            });
        }

        it("nothing where S3 does not say what is there", () => {
            const build = run(
                {},
                { "aws s3api head-object": failing("An error occurred (403) when calling HeadObject") },
                first.objects,
            );
            assert(isCalled(build, "docker pull"), "what cannot be seen is exported");
        });
    });

    describe("that races another export for the key", () => {
        let other: BuildResult["objects"];
        let same: BuildResult["objects"];
        before(() => {
            other = run({ IMAGE_URI: `${registry}/web/nginx:other` }).objects;
            same = run().objects;
        });

        /** Bash that lets another export write an object, once. */
        function overtake(objects: BuildResult["objects"], key: string, once: string): string {
            const object = {
                ...(objects[key] ?? assert.fail(key)),
                VersionId: `other-${once}`,
                ETag: `"other-${once}"`,
            };
            const Metadata =
                key === recordKey
                    ? { ...object.Metadata, "archive-version-id": "other-archive" }
                    : { ...object.Metadata, "archive-sha256": "other" };
            const json = JSON.stringify({ ...object, Metadata });
            return `[[ -f $STATE/${once} ]] || { : >"$STATE/${once}"; printf '%s' ${quoted(json)} >"$(object ${quoted(key)})"; };`;
        }
        const head = `
            object=$(object "$(option --key)")
            [[ -f $object ]] || { echo "An error occurred (404) when calling HeadObject" >&2; exit 254; }
            cat "$object"`;
        const put = `
            there=$(jq -r .ETag "$(object "$(option --key)")" 2>/dev/null)
            [[ $(option --if-match) == "$there" ]] || { echo "An error occurred (PreconditionFailed)" >&2; exit 254; }
            store "$(option --key)" "$(option --metadata)" "$(option --body)"`;
        const isUploaded = `[[ -f $(object ${quoted(variables.ARTIFACT_KEY)}) ]] &&`;

        it("writes its record over that of an archive that its own has replaced", () => {
            // The other's record comes when this one has looked and found none.
            const record = overtake(other, recordKey, "record");
            const build = run({}, { "aws s3api put-object": `${record} ${put}` });
            assert.equal(build.status, 0, build.output);
            assert.equal(build.exported["SKIPPED"], "false");
            const { archive, imageName } = assertRecord(build.objects[recordKey]?.Body);
            assert.deepEqual(
                [imageName, (archive as { versionId: string }).versionId],
                [variables.IMAGE_URI, "version-1"],
            );
        });

        it("leaves the record to the export that has replaced its archive, and fails where that is another", () => {
            const archive = overtake(other, variables.ARTIFACT_KEY, "archive");
            const record = overtake(other, recordKey, "record");
            const build = run(
                {},
                { "aws s3api head-object": `${isUploaded} { ${archive} ${record} }; ${head}` },
            );
            assert.match(
                causeOf("ExportFailed", build),
                /Another export wrote s3:\/\/artifacts\/images\/web\/nginx\/1\.29\.tar at the same time/,
            );
            assert.equal(build.objects[recordKey]?.VersionId, "other-record");
        });

        it("reports the same export where that came in between, and waits for its record", () => {
            const archive = overtake(same, variables.ARTIFACT_KEY, "archive");
            const late = overtake(same, recordKey, "record");
            const build = run(
                {},
                { "aws s3api head-object": `${isUploaded} { ${archive} }; ${head}`, sleep: late },
            );
            assert.equal(build.status, 0, build.output);
            assert.equal(build.exported["SKIPPED"], "true");
            assert.equal(build.exported["ARTIFACT_VERSION_ID"], "other-archive");
            assert.equal(build.exported["ARCHIVE_SHA256"], same[recordKey]?.Metadata["archive-sha256"]);
        });

        it("fails where the record of the other never comes", () => {
            const archive = overtake(same, variables.ARTIFACT_KEY, "archive");
            const build = run({}, { "aws s3api head-object": `${isUploaded} { ${archive} }; ${head}` });
            assert.match(causeOf("ExportFailed", build), /at the same time/);
            assert.equal(build.objects[recordKey], undefined);
        });

        it("is content where only the answer to writing the record was lost", () => {
            const build = run(
                {},
                {
                    "aws s3api put-object": `store "$(option --key)" "$(option --metadata)" "$(option --body)"; ${failing("An error occurred (PreconditionFailed)")}`,
                },
            );
            assert.equal(build.status, 0, build.output);
            assert.equal(build.exported["SKIPPED"], "false");
        });

        it("gives up where others come first without end", () => {
            const build = run(
                {},
                { "aws s3api put-object": failing("An error occurred (ConditionalRequestConflict)") },
            );
            assert.match(causeOf("ExportFailed", build), /other exports to this key came first 10 times/);
        });
    });

    describe("reports causes that are safe to pass on:", () => {
        it("one line, without control characters", () => {
            const build = run({}, { "docker pull": `printf 'a\\n\\nb\\tc\\033[31md\\r\\n' >&2; exit 1` });
            const cause = causeOf("ExportFailed", build);
            assert.equal(cause, `The pull of ${variables.IMAGE_URI} failed: a b c[31md `);
        });

        it("at most 1,000 bytes, cut between characters", () => {
            const build = run({}, { "docker pull": failing("名".repeat(1000)) });
            const cause = causeOf("ExportFailed", build);
            assert(Buffer.byteLength(cause) <= 1000 && Buffer.byteLength(cause) > 990, cause);
            assert.match(cause, /: 名+$/);
        });

        it("without a command of theirs being run", () => {
            const build = run(
                {},
                { "docker pull": failing("$(touch pwned) `touch pwned`; touch pwned '\" \\") },
            );
            assert.match(
                causeOf("ExportFailed", build),
                /\$\(touch pwned\) `touch pwned`; touch pwned '" \\$/,
            );
            assert(!build.files.includes("pwned"));
        });

        it("without running what an image calls its platform", () => {
            const os = "$(touch${IFS}pwned)`touch${IFS}pwned`';touch${IFS}pwned";
            const index = JSON.stringify({ manifests: [{ digest, platform: { os, architecture: "x" } }] });
            const worlds: World[] = [
                { curl: answer(200, index) },
                { "docker image inspect": `printf '%s\\n' ${quoted(`${os}/x/`)}` },
            ];
            for (const world of worlds) {
                const build = run({}, world);
                assert(causeOf("ImageNotFound", build).includes(`It has ${os}/x.`));
                assert(!build.files.includes("pwned"));
            }
        });

        it("without the password, whatever fails", () => {
            const worlds: World[] = [
                { "docker login": "cat >/dev/null; exit 1" },
                { curl: answer(403, "") },
                { "docker pull": failing("denied") },
                { "aws s3 cp": failing("AccessDenied") },
            ];
            for (const world of worlds) {
                const { output, exported, calls } = run({}, world);
                assert(!JSON.stringify([output, exported, calls]).includes(password));
            }
        });
    });

    it("makes room for its report where the disk is full", () => {
        const full = `echo half; ${failing("no space left on device")}`;
        assert(!run({}, { "docker save": full }).files.includes("image.tar"));
    });

    it("names an error where a variable is missing", () => {
        const rest = Object.entries(variables).filter(([name]) => name !== "IMAGE_URI");
        causeOf("ExportFailed", runBuild(buildspec, Object.fromEntries(rest)));
    });

    it("exports nothing where it was killed before it could report", () => {
        assert.deepEqual(run({}, { "docker pull": "kill -9 $PPID" }).exported, {});
    });
});
