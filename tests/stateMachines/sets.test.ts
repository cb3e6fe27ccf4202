import { strict as assert } from "node:assert";

import { setRequestKey } from "../../contract/keys";
import { referrersVariable, type RequestedImage, setVariable, sinceVariables } from "../../contract/request";
import { setDigest, type SetImage, setLimit, setNames } from "../../contract/set";
import { awsError, fails } from "../support/execution";
import {
    bucket,
    buildId,
    definitions,
    digest,
    exported,
    type Export,
    failedBuild,
    type Head,
    image,
    runExport,
    variablesOf,
    type World,
} from "../support/exportExecution";

const repository = image.uri.replace(/:.*$/, "");
const foreignUri = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/platform/base";
const artifactKey = "images/release.tar";
const other = `sha256:${"f".repeat(64)}`;

/** The heads of a set's archive and record. */
function exportedSet(images: readonly SetImage[], changes: Record<string, string | undefined> = {}) {
    const ofOne = { "image-name": undefined, "image-digest": undefined, platform: undefined };
    return exported(artifactKey, {
        ...ofOne,
        engine: "stream",
        "set-digest": setDigest(images),
        "set-names": setNames(images),
        "image-count": String(images.length),
        "saved-bytes": "1024",
        ...changes,
    });
}

function run(images: readonly RequestedImage[], world: World = {}, fields: object = {}): Promise<Export> {
    return runExport({ images, artifactKey, ...fields }, { definition: definitions.stream, ...world });
}

const amd64 = (imageName: string, of = digest): SetImage => ({ imageName, platform: "linux/amd64", digest: of });

describe("a request for a set", () => {
    const three = [`${repository}:b`, { imageUri: `${repository}:a`, platform: "all" }, `${repository}@${other}`];
    const known = [
        { ...amd64(`${repository}:a`), platform: "all" },
        amd64(`${repository}:b`),
        amd64(`${repository}@${other}`, other),
    ];
    const builds = (images: readonly SetImage[], changes = {}) => ({
        build: (): Record<string, Head> => exportedSet(images, { "build-id": buildId, ...changes }),
    });

    it("asks ECR for each tag, hands the build its images by their digest, and reports what S3 shows", async () => {
        const { outcome, builds: started, asked, stored } = await run(three, builds(known));
        assert.deepEqual(outcome, {
            status: "SUCCEEDED",
            output: {
                setDigest: setDigest(known),
                imageCount: 3,
                savedBytes: 1024,
                artifactBucket: bucket,
                artifactKey,
                artifactVersionId: "version-1",
                sizeBytes: 12345678901,
                sha256: "f".repeat(64),
                referrerCount: null,
                baseSha256: null,
                skipped: false,
                engine: "stream",
                buildId,
            },
        });
        const tags = asked.flatMap((call) => ("ImageIds" in call ? (call.ImageIds as { ImageTag: string }[]) : []));
        assert.deepEqual(tags.map(({ ImageTag }) => ImageTag).sort(), ["a", "b"]);
        const { [setVariable]: given, IMAGE_URI: uri } = variablesOf(started[0] ?? assert.fail("no build"));
        assert.deepEqual([given, uri], [setDigest(known), ""]);
        assert.deepEqual(stored, {
            [setRequestKey(setDigest(known))]: {
                images: [
                    { imageUri: `${repository}:a@${digest}`, platform: "all" },
                    { imageUri: `${repository}:b@${digest}`, platform: "linux/amd64" },
                    { imageUri: `${repository}@${other}`, platform: "linux/amd64" },
                ],
            },
        });
    });

    it("is skipped where the very set is at the key, in any order, and made with force", async () => {
        const heads = exportedSet(known);
        for (const images of [three, [...three].reverse(), [...three, ...three]]) {
            const { outcome, builds: started } = await run(images, { heads });
            assert.equal(outcome.status === "SUCCEEDED" && (outcome.output as { skipped: boolean }).skipped, true);
            assert.equal(started.length, 0);
        }
        const forced = await run(three, { heads, ...builds(known) }, { force: true });
        assert.equal(forced.builds.length, 1);
        const others = [known.slice(1), [...known, amd64(`${repository}:c`)], [amd64(`${repository}:b`, other)]];
        for (const there of others) {
            const { builds: started } = await run(three, { heads: exportedSet(there), ...builds(known) });
            assert.equal(started.length, 1);
        }
        // A record of one image at the key, and one with what is no number.
        for (const there of [exported(artifactKey, { engine: "stream" }), exportedSet(known, { "saved-bytes": "x" })]) {
            assert.equal((await run(three, { heads: there, ...builds(known) })).builds.length, 1);
        }
    });

    it("is made with its referrers where these are asked for, and the other way round", async () => {
        const [counted, none] = [{ "referrer-count": "3" }, {}];
        for (const [referrers, there, made, variable] of [
            [true, none, counted, "true"],
            [true, counted, counted, "true"],
            [false, counted, none, "false"],
        ] as const) {
            const world = { heads: exportedSet(known, there), ...builds(known, made) };
            const { outcome, builds: started } = await run(three, world, { referrers });
            const { referrerCount } = (outcome.status === "SUCCEEDED" ? outcome.output : {}) as Record<string, unknown>;
            assert.equal(referrerCount, referrers ? 3 : null);
            assert.deepEqual(
                started.map((each) => variablesOf(each)[referrersVariable]),
                [variable],
            );
        }
        assert.equal((await run(three, { heads: exportedSet(known) }, { referrers: false })).builds.length, 0);
        const wrong = await run(three, builds(known), { referrers: true });
        assert.ok(wrong.outcome.status === "FAILED" && wrong.outcome.cause.includes("another export has written"));
    });

    it("leaves out what an earlier set has, which only a build can compare", async () => {
        const since = "images/earlier.tar";
        const base = "b".repeat(64);
        const delta = { "base-sha256": base };
        for (const [there, made, isSkipped] of [
            [{}, builds(known, delta), false],
            [delta, { build: () => ({}) }, true],
        ] as const) {
            const { outcome, builds: started } = await run(
                three,
                { heads: exportedSet(known, there), ...made },
                { since },
            );
            const { baseSha256, skipped } = (outcome.status === "SUCCEEDED" ? outcome.output : {}) as Record<
                string,
                unknown
            >;
            assert.deepEqual([baseSha256, skipped], [base, isSkipped]);
            const variables = variablesOf(started[0] ?? assert.fail("no build"));
            assert.deepEqual([variables[sinceVariables.key], variables[sinceVariables.for]], [since, "docker"]);
        }
        const whole = await run(three, { heads: exportedSet(known, delta), ...builds(known) });
        assert.equal(whole.builds.length, 1);
    });

    it("names every image that ECR does not have, and starts nothing", async () => {
        const describeImages = ({ ImageIds: [id] }: { ImageIds: [{ ImageTag: string }] }): unknown => {
            if (id.ImageTag.startsWith("gone")) throw awsError("Ecr.ImageNotFoundException", "not there");
            return { ImageDetails: [{ ImageDigest: digest }] };
        };
        const images = ["a", "gone-1", "b", "gone-2"].map((tag) => `${repository}:${tag}`);
        const {
            outcome,
            builds: started,
            stored,
        } = await run(images, { describeImages: describeImages as NonNullable<World["describeImages"]> });
        assert.deepEqual(outcome, {
            status: "FAILED",
            error: "ImageNotFound",
            cause: `2 of the 4 images do not exist in the registry: ${repository}:gone-1, ${repository}:gone-2`,
        });
        assert.deepEqual([started, stored], [[], {}]);
    });

    it("leaves to the build what nobody may ask, and takes what it has made", async () => {
        const images = [`${repository}:a`, `${foreignUri}:1`];
        const made = [amd64(`${repository}:a`), amd64(`${foreignUri}:1`, other)];
        const { outcome, builds: started, stored } = await run(images, builds(made));
        assert.equal(outcome.status, "SUCCEEDED", JSON.stringify(outcome));
        const asked = setDigest([made[0] ?? assert.fail(), amd64(`${foreignUri}:1`, "")]);
        assert.equal(variablesOf(started[0] ?? assert.fail())[setVariable], asked);
        const [request] = Object.values(stored) as [{ images: { imageUri: string }[] }];
        assert.deepEqual(
            request.images.map(({ imageUri }) => imageUri),
            [`${repository}:a@${digest}`, `${foreignUri}:1`],
        );
        // ECR that does not answer is the same.
        const silent = await run(three, { describeImages: fails("Ecr.EcrException", "throttled"), ...builds(known) });
        assert.equal(silent.outcome.status, "SUCCEEDED");
        const wrong = await run(images, builds([amd64(`${repository}:a`)]));
        assert.equal(wrong.outcome.status === "FAILED" && wrong.outcome.error, "ExportFailed");
    });

    it("fails by name where the images cannot be written, or the build fails", async () => {
        const denied = await run(three, { putObject: fails("S3.S3Exception", "Access Denied") });
        assert.deepEqual(denied.builds, []);
        assert.ok(
            denied.outcome.status === "FAILED" && /could not be written.*Access Denied/.test(denied.outcome.cause),
        );
        const failed = await run(three, { build: failedBuild(JSON.stringify({ BuildStatus: "FAILED" })) });
        assert.ok(failed.outcome.status === "FAILED" && failed.outcome.error === "ExportFailed");
    });

    const refused: readonly [what: string, request: object, ...words: string[]][] = [
        ["images that are no list", { images: "a" }, "images is", "expected a list"],
        ["no image", { images: [] }, "images has 0 images"],
        ["501", { images: Array.from({ length: setLimit + 1 }, (_, at) => `${repository}:${at}`) }, "has 501 images"],
        ["imageUri beside it", { images: three, imageUri: image.uri }, "both imageUri and images"],
        ["what is no image", { images: [`${repository}:a`, 7] }, "images[1] is 7: expected an image URI"],
        ["null", { images: [null] }, "images[0] is null"],
        ["nothing", { images: [{}] }, "images[0] is {}"],
        ["an unknown field", { images: [{ imageUri: image.uri, tag: "a" }] }, "images[0]", "imageUri and platform"],
        ["no image URI", { images: [`${repository}:a`, "nginx"] }, 'images[1] is "nginx": expected an image in'],
        ["a line feed", { images: [`${image.uri}\n`] }, "images[0]", "expected an image in"],
        ["another repository", { images: [`${repository}-2:a`] }, "may not read that repository"],
        ["a platform", { images: [{ imageUri: image.uri, platform: "amd64" }] }, "images[0]", "for the platform"],
        ["a platform that is none", { images: [{ imageUri: image.uri, platform: 1 }] }, "for the platform"],
        ["the platform of all", { images: three, platform: "amd64" }, "platform"],
        ["one name twice", { images: [`${repository}:a`, `${repository}:a@${other}`] }, ":a with different platforms"],
        ["too much", { images: Array.from({ length: 400 }, () => "a".repeat(400)) }, "longer than 131072"],
        ["a key outside", { images: three, artifactKey: "other/a.tar" }, "artifactKey"],
        ["the newest archive", { images: three, since: "latest" }, 'since is "latest"', "latest for one image"],
        ["itself as its base", { images: three, since: artifactKey }, "since is", "other than artifactKey"],
    ];
    for (const [what, request, ...words] of refused) {
        it(`is refused with ${what}`, async () => {
            const given = { artifactKey, ...request };
            const {
                outcome,
                builds: started,
                asked,
                stored,
            } = await runExport(given, { definition: definitions.stream });
            assert.ok(outcome.status === "FAILED" && outcome.error === "InvalidInput", JSON.stringify(outcome));
            for (const word of words) assert.ok(outcome.cause.includes(word), outcome.cause);
            assert.deepEqual([started, asked, stored], [[], [], {}]);
        });
    }

    it("is refused without a key, and with engine docker", async () => {
        const keyless = await runExport({ images: three }, { definition: definitions.stream });
        assert.ok(keyless.outcome.status === "FAILED" && keyless.outcome.cause.includes("give artifactKey"));
        const docker = await runExport({ images: three, artifactKey }, { definition: definitions.docker });
        assert.ok(docker.outcome.status === "FAILED" && docker.outcome.cause.includes("engine: stream"));
    });

    it("may have 500 images with long names, within what Step Functions holds", async () => {
        const tag = (at: number) => `${String(at).padStart(3, "0")}${"t".repeat(110)}`;
        const names = Array.from({ length: setLimit }, (_, at) => `${repository}:${tag(at)}`);
        const made = names.map((name) => amd64(name));
        const { outcome, stored } = await run(names, builds(made));
        assert.equal(outcome.status, "SUCCEEDED", JSON.stringify(outcome).slice(0, 500));
        assert.deepEqual(Object.keys(stored), [setRequestKey(setDigest(made))]);
    });
});
