import { strict as assert } from "node:assert";

import {
    type ImageRecord,
    metadataNames,
    parseRecord,
    recordMetadata,
    recordText,
    setDigestOf,
} from "../../contract/record";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const record: ImageRecord = {
    schemaVersion: 1,
    layout: 1,
    engine: { name: "stream", version: "0.1.0" },
    imageUri: "registry.example/app:1",
    imageName: "registry.example/app:1",
    platform: "linux/amd64",
    imageDigest: digest("1"),
    indexDigest: digest("2"),
    referrers: [
        { type: "application/spdx+json", digest: digest("a"), subject: digest("1"), tag: null },
        { type: "text/plain", digest: digest("b"), subject: digest("a"), tag: `sha256-${"a".repeat(64)}.sig` },
    ],
    images: [
        {
            platform: "linux/amd64",
            configDigest: digest("3"),
            diffIds: [digest("4")],
            layers: [{ digest: digest("5"), sizeBytes: 10, offset: 4096 }],
        },
        { platform: null, configDigest: digest("6"), diffIds: null, layers: null },
    ],
    archive: { sha256: "7".repeat(64), sizeBytes: 10_240, bucket: "bucket", key: "images/a.tar", versionId: "version" },
    since: {
        key: "images/old.tar",
        versionId: null,
        sha256: "8".repeat(64),
        for: "docker",
        savedBytes: 5120,
        missing: [{ digest: digest("c"), sizeBytes: 4096 }],
        chain: [{ key: "images/older.tar", versionId: "version", sha256: "9".repeat(64) }],
    },
    mergedFrom: null,
    signingKeyArn: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    executionId: "arn",
    buildId: "build",
    time: "2026-11-29T00:00:00.000Z",
};
const { imageUri, imageName, platform, imageDigest, indexDigest, referrers, images, ...common } = record;
const one = { imageUri, imageName, platform, imageDigest, indexDigest, referrers, images };
const set = [one, { ...one, imageName: "registry.example/web:1", imageDigest: digest("8"), indexDigest: null }];
const ofSet = { ...common, setDigest: setDigestOf(set), savedBytes: 512, set };
const nothing = { indexDigest: null, signingKeyArn: null, executionId: null, buildId: null };

describe("parseRecord", () => {
    it("reads what recordText has written, with fields that a later release may add", () => {
        assert.deepEqual(parseRecord(recordText(record)), { record });
        const bare = { ...record, ...nothing, images: [], archive: { ...record.archive, versionId: null } };
        assert.deepEqual(parseRecord(recordText(bare)), { record: bare });
        const later = { ...record, added: 1, engine: { ...record.engine, added: 1 } };
        assert.deepEqual(parseRecord(recordText(later)), { record: later });
    });

    const [image] = record.images;
    const refused: readonly (readonly [problem: string, changes: object])[] = [
        ["has the schemaVersion 2, and this version reads schemaVersion 1 only", { schemaVersion: 2 }],
        ["has the layout 2, and this version reads layout 1 only", { layout: 2 }],
        ["has the layout undefined, and this version reads layout 1 only", { layout: undefined }],
        ["has no usable engine", { engine: { name: "podman", version: "1" } }],
        ["has no usable engine", { engine: null }],
        ["has no usable imageUri", { imageUri: "" }],
        ["has no usable imageName", { imageName: 1 }],
        ["has no usable platform", { platform: undefined }],
        ["has no usable imageDigest", { imageDigest: "sha256:1" }],
        ["has no usable indexDigest", { indexDigest: undefined }],
        ["has no usable images", { images: {} }],
        ["has no usable images", { images: [{ ...image, configDigest: null }] }],
        ["has no usable images", { images: [{ ...image, diffIds: ["x"] }] }],
        ["has no usable images", { images: [{ ...image, layers: [{ digest: digest("5"), sizeBytes: 1 }] }] }],
        [
            "has no usable images",
            { images: [{ ...image, layers: [{ digest: digest("5"), sizeBytes: 1, offset: -1 }] }] },
        ],
        ["has no usable archive", { archive: { ...record.archive, sha256: digest("7") } }],
        ["has no usable archive", { archive: { ...record.archive, sizeBytes: 1.5 } }],
        ["has no usable archive", { archive: { ...record.archive, bucket: undefined } }],
        ["has no usable archive", { archive: { ...record.archive, key: "" } }],
        ["has no usable signingKeyArn", { signingKeyArn: undefined }],
        ["has no usable executionId", { executionId: "" }],
        ["has no usable buildId", { buildId: undefined }],
        ["has no usable time", { time: "yesterday" }],
    ];
    for (const [problem, changes] of refused) {
        it(`refuses ${JSON.stringify(changes).slice(0, 60)}: it ${problem}`, () => {
            assert.deepEqual(parseRecord(JSON.stringify({ ...record, ...changes })), { problem });
        });
    }
    for (const text of ["null", "[]", "1", '"text"']) {
        it(`refuses ${text}`, () => {
            assert.deepEqual(parseRecord(text), { problem: "is not a JSON object" });
        });
    }
    it("refuses what is not JSON", () => {
        for (const text of ["", "{", "<html>"]) assert.deepEqual(parseRecord(text), { problem: "is not JSON" });
    });
});

describe("the record of a set", () => {
    it("is read again as it was written, and names the set by its images in any order", () => {
        assert.deepEqual(parseRecord(recordText(ofSet)), { record: ofSet });
        assert.equal(setDigestOf([...ofSet.set].reverse()), ofSet.setDigest);
        const [first, other = assert.fail()] = ofSet.set;
        const changes = [{ platform: "all" }, { imageName: "x" }, { imageDigest: digest("e"), indexDigest: null }];
        for (const change of changes) {
            assert.notEqual(setDigestOf([{ ...other, ...change }, first ?? other]), ofSet.setDigest);
        }
    });
    it("is refused where it is that of one image too, or a part is missing", () => {
        const problemOf = (changes: object) => parseRecord(JSON.stringify({ ...ofSet, ...changes }));
        assert.deepEqual(problemOf({ imageUri: "a" }), { problem: "is of a set and has imageUri too" });
        assert.deepEqual(problemOf({ set: [{}] }), { problem: "has no usable set" });
        assert.deepEqual(problemOf({ savedBytes: undefined }), { problem: "has no usable savedBytes" });
        assert.deepEqual(parseRecord(JSON.stringify({ ...record, setDigest: digest("e") })), {
            problem: "is of one image and has setDigest too",
        });
    });
    it("says in 2 KB what it takes to report it again", () => {
        const { "image-count": count, "saved-bytes": saved, "set-names": names } = recordMetadata(ofSet);
        assert.deepEqual([count, saved, names?.length], ["2", "512", 71]);
    });
});

describe("recordMetadata", () => {
    it("has a name for each of its facts, as strings, in the 2 KB that S3 allows", () => {
        const metadata = recordMetadata(record);
        const names = new Set([...Object.keys(metadata), ...Object.keys(recordMetadata(ofSet))]);
        assert.deepEqual([...names].sort(), Object.values(metadataNames).sort());
        const { "image-digest": imageDigest, layout, "archive-version-id": versionId } = metadata;
        assert.deepEqual([imageDigest, layout, versionId], [record.imageDigest, "1", "version"]);
        const longest = recordMetadata({ ...record, imageName: "n".repeat(256 + 1 + 128 + 60) });
        assert.ok(Object.entries(longest).join("").length < 2048);
    });
    it("leaves out what is null", () => {
        const metadata = recordMetadata({ ...record, ...nothing, archive: { ...record.archive, versionId: null } });
        const left = Object.values(metadataNames).filter((name) => !(name in metadata));
        const ofSets = ["image-count", "saved-bytes", "set-digest", "set-names"];
        assert.deepEqual(
            left.sort(),
            ["archive-version-id", "build-id", "index-digest", "signing-key", ...ofSets].sort(),
        );
    });
});
