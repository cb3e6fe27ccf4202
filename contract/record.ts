/**
 * The export record, JSON beside each archive: what was exported, and what the archive has to be. Both engines write it;
 * docs/export-record.schema.json, its contract with other programs, says what each field is.
 */
import { engineNames } from "./engine";
import { messageOf } from "./errors";
import { isDigest } from "./image";
import { receivers } from "./request";
import { isObject, type JsonObject, parseJsonObject } from "./json";
import { setDigest, setNames } from "./set";

/** Version of the record's schema. A reader refuses one that it does not know. */
export const schemaVersion = 1;

/** The arrangement of an archive's bytes that engine `stream` writes. A reader refuses one that it does not know. */
export const archiveLayout = 1;

/** Whether a value is what a field of the record has to be. */
type Check<Value> = (value: unknown) => value is Value;
/** What a check lets pass. */
type Checked<C> = C extends Check<infer Value> ? Value : never;

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isSha256 = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isTime = (value: unknown): value is string => typeof value === "string" && !Number.isNaN(Date.parse(value));
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function oneOf<Value>(...known: readonly Value[]) {
    return (value: unknown): value is Value => known.some((each) => each === value);
}

function orNull<Value>(check: Check<Value>) {
    return (value: unknown): value is Value | null => value === null || check(value);
}

function listOf<Value>(check: Check<Value>) {
    return (value: unknown): value is readonly Value[] => Array.isArray(value) && value.every(check);
}

/** An object of which each of these fields has passed its check. */
type Fields<Checks> = { readonly [Name in keyof Checks]: Checked<Checks[Name]> };

/** An object with these fields; further ones do no harm. */
function objectOf<Checks extends Readonly<Record<string, Check<unknown>>>>(checks: Checks) {
    return (value: unknown): value is Fields<Checks> =>
        isObject(value) && Object.entries(checks).every(([name, check]) => check(value[name]));
}

// Of a layer that a delta leaves out, the offset is null.
const isLayer = objectOf({ digest: isDigest, sizeBytes: isCount, offset: orNull(isCount) });

/** Which archive, by its key or path and its SHA-256. */
const linkFields = { key: isText, versionId: orNull(isText), sha256: isSha256 };

const isSince = objectOf({
    ...linkFields,
    for: oneOf(...receivers),
    savedBytes: isCount,
    missing: listOf(objectOf({ digest: isDigest, sizeBytes: isCount })),
    // What the base needs itself, the nearest first.
    chain: listOf(objectOf(linkFields)),
});

const isImage = objectOf({
    platform: orNull(isText),
    configDigest: isDigest,
    diffIds: orNull(listOf(isDigest)),
    layers: orNull(listOf(isLayer)),
});

const isReferrer = objectOf({ type: isText, digest: isDigest, subject: isDigest, tag: orNull(isText) });

/** What was exported of one image: the fields of its record, or of one entry of a set's. */
const imageFields = {
    imageUri: isText,
    imageName: isText,
    platform: isText,
    imageDigest: isDigest,
    indexDigest: orNull(isDigest),
    images: listOf(isImage),
    // Null where they were not asked for.
    referrers: orNull(listOf(isReferrer)),
};
const isImageExport = objectOf(imageFields);

/** What the record of a set has instead. */
const setFields = { setDigest: isDigest, savedBytes: isCount, set: listOf(isImageExport) };

const commonFields = {
    schemaVersion: oneOf(schemaVersion),
    layout: oneOf(archiveLayout),
    engine: objectOf({ name: oneOf(...engineNames), version: isText }),
    // Bucket and key are null for a file.
    archive: objectOf({
        sha256: isSha256,
        sizeBytes: isCount,
        bucket: orNull(isText),
        key: orNull(isText),
        versionId: orNull(isText),
    }),
    // The archive whose layers this one leaves out; null where it is whole.
    since: orNull(isSince),
    // SHA-256 of the delta that this one was merged from; null where it was exported so.
    mergedFrom: orNull(isSha256),
    // Of the KMS key that has signed the record; null where there is no signature.
    signingKeyArn: orNull(isText),
    executionId: orNull(isText),
    buildId: orNull(isText),
    time: isTime,
};

/** A layer of an image. */
export type RecordedLayer = Checked<typeof isLayer>;

/** What belongs to an image and came along: a signature, an SBOM, an attestation. */
export type RecordedReferrer = Checked<typeof isReferrer>;

/** An image in an archive. */
export type RecordedImage = Checked<typeof isImage>;

/** What a delta leaves out, and which archive has it: its base. */
export type Since = Checked<typeof isSince>;

/** What was exported of one image. */
export type ImageExport = Checked<typeof isImageExport>;

/** What the record of a set says of its images. */
export type SetExport = Fields<typeof setFields>;

/** The record of one image. */
export type ImageRecord = Fields<typeof commonFields> & ImageExport;

/** The export record. */
export type ExportRecord = ImageRecord | (Fields<typeof commonFields> & SetExport);

/** What was exported: one image, or those of a set, in the order of their names. */
export function exportsOf(record: ImageExport | SetExport): readonly ImageExport[] {
    return "set" in record ? record.set : [record];
}

/** How many referrers came along; null where they were not asked for. */
export function referrerCountOf(record: ImageExport | SetExport): number | null {
    const all = exportsOf(record).map(({ referrers }) => referrers);
    return all.reduce<number | null>((sum, each) => (each === null ? sum : (sum ?? 0) + each.length), null);
}

/** The layers that an archive leaves out, by their digests. */
export function missingIn({ since }: { readonly since: Pick<Since, "missing"> | null }): ReadonlySet<string> {
    return new Set(since?.missing.map(({ digest }) => digest));
}

/** The digest of the set that a record describes. */
export function setDigestOf(set: readonly ImageExport[]): string {
    return setDigest(set.map((each) => ({ ...each, digest: each.indexDigest ?? each.imageDigest })));
}

/**
 * Names of the metadata of the record's object: enough to report an export again without reading a body, as the state machine
 * does, which asks S3 for the heads of both objects. S3 allows 2 KB in all.
 */
export const metadataNames = {
    layout: "layout",
    engine: "engine",
    imageName: "image-name",
    imageDigest: "image-digest",
    indexDigest: "index-digest",
    platform: "platform",
    setDigest: "set-digest",
    setNames: "set-names",
    imageCount: "image-count",
    savedBytes: "saved-bytes",
    referrerCount: "referrer-count",
    baseSha256: "base-sha256",
    sha256: "archive-sha256",
    versionId: "archive-version-id",
    signingKeyArn: "signing-key",
    buildId: "build-id",
} as const;

/** The metadata of a record's object. What is null in the record, or not of its kind, has no entry. */
export function recordMetadata(record: ExportRecord): Record<string, string> {
    const ofSet = "set" in record ? { setNames: setNames(record.set), imageCount: record.set.length } : {};
    const [referrerCount, baseSha256] = [referrerCountOf(record), record.since?.sha256];
    const values: JsonObject = {
        ...record,
        ...record.archive,
        engine: record.engine.name,
        ...ofSet,
        referrerCount,
        baseSha256,
    };
    return Object.fromEntries(
        Object.entries(metadataNames).flatMap(([field, name]) => {
            const value = values[field];
            return typeof value === "string" || typeof value === "number" ? [[name, String(value)]] : [];
        }),
    );
}

/** The metadata of the archive's object: which export it is. */
export function archiveMetadata(record: ImageExport | Pick<SetExport, "setDigest">): Record<string, string> {
    return "setDigest" in record
        ? { [metadataNames.setDigest]: record.setDigest }
        : { [metadataNames.imageDigest]: record.imageDigest, [metadataNames.platform]: record.platform };
}

/** The record as the text that is stored. */
export function recordText(record: ExportRecord): string {
    return `${JSON.stringify(record, null, 2)}\n`;
}

/**
 * Reads a stored record.
 *
 * @returns the record, or what is wrong with the text, as the second half of a sentence: "is not JSON"
 */
export function parseRecord(text: string): { record: ExportRecord } | { problem: string } {
    let given: JsonObject;
    try {
        given = parseJsonObject(text, Object.keys({ ...commonFields, ...imageFields, ...setFields }));
    } catch (error) {
        return { problem: messageOf(error) };
    }
    const ofSet = "set" in given;
    const checks: Readonly<Record<string, Check<unknown>>> = { ...commonFields, ...(ofSet ? setFields : imageFields) };
    const [wrong] = Object.entries(checks).find(([name, check]) => !check(given[name])) ?? [];
    const other = Object.keys(ofSet ? imageFields : setFields).find((name) => name in given);
    if (wrong === undefined && other === undefined) return { record: given as unknown as ExportRecord };
    if (wrong === undefined) return { problem: `is of ${ofSet ? "a set" : "one image"} and has ${String(other)} too` };
    const isVersion = wrong === "schemaVersion" || wrong === "layout";
    const unknown = `has the ${wrong} ${JSON.stringify(given[wrong])}, and this version reads ${wrong} 1 only`;
    return { problem: isVersion ? unknown : `has no usable ${wrong}` };
}
