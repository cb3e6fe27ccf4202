import { strict as assert } from "node:assert";

import { type ExportRecord, metadataNames, parseRecord, recordMetadata, recordText } from "../../contract/record";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const record: ExportRecord = {
    schemaVersion: 1,
    layout: 1,
    engine: { name: "stream", version: "0.1.0" },
    imageUri: "registry.example/app:1",
    imageName: "registry.example/app:1",
    platform: "linux/amd64",
    imageDigest: digest("1"),
    indexDigest: digest("2"),
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
    signingKeyArn: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    executionId: "arn",
    buildId: "build",
    time: "2026-11-29T00:00:00.000Z",
};
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

describe("recordMetadata", () => {
    it("has a name for each of its facts, as strings, in the 2 KB that S3 allows", () => {
        const metadata = recordMetadata(record);
        assert.deepEqual(Object.keys(metadata).sort(), Object.values(metadataNames).sort());
        const { "image-digest": imageDigest, layout, "archive-version-id": versionId } = metadata;
        assert.deepEqual([imageDigest, layout, versionId], [record.imageDigest, "1", "version"]);
        const longest = recordMetadata({ ...record, imageName: "n".repeat(256 + 1 + 128 + 60) });
        assert.ok(Object.entries(longest).join("").length < 2048);
    });
    it("leaves out what is null", () => {
        const metadata = recordMetadata({ ...record, ...nothing, archive: { ...record.archive, versionId: null } });
        const left = Object.values(metadataNames).filter((name) => !(name in metadata));
        assert.deepEqual(left.sort(), ["archive-version-id", "build-id", "index-digest", "signing-key"]);
    });
});
