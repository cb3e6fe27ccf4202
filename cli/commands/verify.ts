import { createPublicKey, type KeyObject, verify as verifySignature } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";

import { messageOf } from "../../contract/errors";
import { isDigest } from "../../contract/image";
import { type ExportRecord, exportsOf, type RecordedReferrer } from "../../contract/record";
import { baseProblems, baseText, needsNoBase } from "../../exporter/archive/merge";
import { readArchive } from "../../exporter/archive/readArchive";
import { type Verification, verifyArchive, type VerifyOptions } from "../../exporter/archive/verify";
import { findNewest, parsePlace, readInOrder, readStoredRecord, type StoredRecord, uriOf } from "../archiveObject";
import { type Context, exitCodes, type Flags } from "../context";
import { codeOf, usageFailure } from "../failure";
import { archiveRows, exportOf } from "../result";
import { block, formatBytes, styled, table, withProgress, writeJson } from "../terminal";

interface Options extends VerifyOptions, Flags<"json"> {
    /** File with the public key, as PEM, that has to have signed the record. */
    readonly publicKey?: string | undefined;
    /** File that has the layers which the archive leaves out. */
    readonly base?: string | undefined;
}

/** `image-export verify FILE` */
export async function verify(given: string, options: Options, context: Context): Promise<number> {
    if (options.digest !== undefined && !isDigest(options.digest)) {
        throw usageFailure(`--digest is "${String(options.digest)}".`, "Give sha256: and 64 hexadecimal digits.");
    }
    const publicKey = options.publicKey === undefined ? undefined : await readPublicKey(options.publicKey);
    const archive = given.startsWith("s3:") ? await openObject(context, given) : await openFile(context, given);
    const bytes = withProgress(context, "Verifying", archive.bytes, archive.sizeBytes);
    const found = await verifyArchive(bytes, archive.stored?.record, options).finally(() => {
        context.signal.throwIfAborted();
    });
    const based = options.base === undefined ? [] : await compareBase(options.base, archive.stored?.record, context);
    const shown = shownOf(archive, { ...found, problems: [...found.problems, ...based] }, options, publicKey);
    if (options.json === true) writeJson(context.stdout, shown);
    else print(context, given, shown);
    return shown.good ? exitCodes.success : exitCodes.failed;
}

/** What keeps a file from being the base of an archive. */
async function compareBase(base: string, record: ExportRecord | undefined, context: Context): Promise<string[]> {
    if (!record?.since) return [needsNoBase];
    const { bytes, sizeBytes, stored } = await openFile(context, base);
    const read = await readArchive(withProgress(context, "Verifying the base", bytes, sizeBytes)).finally(() => {
        context.signal.throwIfAborted();
    });
    return baseProblems(record.since, read, stored?.record);
}

/** What verifying has shown. */
function shownOf(
    { stored, problems: before }: Archive,
    found: Verification,
    { deep }: Options,
    publicKey: KeyObject | undefined,
) {
    const record = stored?.record;
    const { names, platforms, layers, roots } = found.contents;
    const unsigned = publicKey && signatureProblem(stored, publicKey);
    const problems = [...before, ...(unsigned === undefined ? [] : [unsigned]), ...found.problems];
    const files = found.uncovered.join(", ");
    return {
        good: problems.length === 0,
        problems,
        unchecked: [
            ...(record === undefined ? ["whether it is what was exported"] : []),
            ...(record === undefined && files !== "" ? [`whether these are as they were: ${files}`] : []),
            ...(publicKey === undefined && stored?.signature !== undefined ? ["the signature (--public-key)"] : []),
            ...(deep === true ? [] : ["what is in the layers (--deep): one that does not fit its image ends a load"]),
        ],
        fromRecord: statementsOf(record),
        signed: publicKey !== undefined && problems.length === 0,
        ...(record ? exportOf(record) : { imageDigest: roots.length === 1 ? roots[0]?.digest : undefined }),
        names,
        platforms,
        layers,
        referrers: record ? referrersOf(record) : null,
        sizeBytes: found.sizeBytes,
        sha256: found.sha256,
        record: record ?? null,
    };
}

/** What the archive's own bytes do not show: only the record says it. */
function statementsOf(record: ExportRecord | undefined): string[] {
    if (record === undefined) return [];
    // Docker makes the manifest anew, so the registry's is not in its archives.
    const fields = record.engine.name === "docker" ? ["imageDigest", "imageUri"] : ["imageUri"];
    const isFromIndex = exportsOf(record).some(({ indexDigest }) => indexDigest !== null);
    return [...fields, ...(isFromIndex ? ["indexDigest"] : []), "time", "executionId", "buildId"];
}

/** What came along with all images; null where that was not asked for. */
function referrersOf(record: ExportRecord): readonly RecordedReferrer[] | null {
    const asked = exportsOf(record).flatMap(({ referrers }) => (referrers === null ? [] : [referrers]));
    return asked.length === 0 ? null : asked.flat();
}

async function readPublicKey(file: string): Promise<KeyObject> {
    const next = "Give a file with the stack's output signingPublicKey: pulumi stack output signingPublicKey >FILE";
    const text = await readFile(file).catch((error: unknown) => {
        throw usageFailure(`--public-key is "${file}": ${messageOf(error)}.`, next);
    });
    try {
        return createPublicKey(text);
    } catch {
        throw usageFailure(`--public-key is "${file}", which is not a public key as PEM.`, next);
    }
}

/** Why a record is not one that the holder of a key has signed; undefined where it is. */
function signatureProblem(stored: StoredRecord | undefined, publicKey: KeyObject): string | undefined {
    if (stored === undefined) return "there is no record, and so nothing that could be signed";
    const { record, bytes, signature } = stored;
    if (record.signingKeyArn === null) return "the record says that it is not signed";
    if (signature === undefined) return "the record's signature is missing beside it";
    const isSigned = verifySignature("sha256", bytes, publicKey, signature);
    return isSigned ? undefined : "the record is not as the holder of this key has signed it";
}

/** An archive that can be read. */
interface Archive {
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly sizeBytes: number;
    readonly stored: StoredRecord | undefined;
    /** What is wrong already, before it has been read. */
    readonly problems: readonly string[];
}

async function openFile({ signal }: Context, file: string): Promise<Archive> {
    const { size: sizeBytes } = await stat(file);
    const readBeside = (name: string) =>
        readFile(name).catch((error: unknown) => {
            if (codeOf(error) !== "ENOENT") throw error;
            return undefined;
        });
    return {
        bytes: createReadStream(file, { highWaterMark: 1024 * 1024, signal }),
        sizeBytes,
        stored: await readStoredRecord(file, readBeside),
        problems: [],
    };
}

async function openObject(context: Context, uri: string): Promise<Archive> {
    const place = parsePlace(uri);
    const { stored, object } = await findNewest(context, place);
    const { versionId, sizeBytes } = object;
    const problems: string[] = [];
    if (stored !== undefined) {
        const [is, recorded] = [uriOf(place), placeOf(stored.record) ?? "a file"];
        const [version, described] = [versionId, stored.record.archive.versionId].map((id) => `version ${String(id)}`);
        if (is !== recorded) problems.push(`the archive is ${is}, the record describes ${recorded}`);
        else if (version !== described) problems.push(`the archive is ${version}, the record describes ${described}`);
    }
    return { bytes: readInOrder(context, object), sizeBytes, stored, problems };
}

/** Where the archive of a record was written; undefined for a file. */
function placeOf({ archive: { bucket, key } }: ExportRecord): string | undefined {
    return bucket === null || key === null ? undefined : uriOf({ bucket, key });
}

function print({ stdout }: Context, given: string, shown: ReturnType<typeof shownOf>): void {
    const { record, problems, layers, referrers } = shown;
    const set = record !== null && "set" in record ? record.set : undefined;
    const good =
        record === null
            ? styled("good as far as it could be checked: there is no record", "bold", "yellow")
            : styled("good", "bold", "green");
    const bad = styled("damaged, or not what was exported", "bold", "red");
    stdout.write(
        ...block([
            ["archive", given],
            ["status", shown.good ? good : bad],
            ...archiveRows(shown),
            ["names", set === undefined ? shown.names.join(", ") : undefined],
            ["platforms", shown.platforms.join(", ")],
            ["engine", record && `${record.engine.name} ${record.engine.version}`],
            ["exported", record?.time],
            ["to", record && placeOf(record)],
            ["needs", record?.since ? baseText(record.since) : undefined],
            ["signed", shown.signed ? `by ${String(record?.signingKeyArn)}` : undefined],
        ]),
    );
    if (set !== undefined) {
        const images = set.map((each) => [each.imageName, each.platform, each.imageDigest]);
        stdout.write("\n", ...table([["IMAGE", "PLATFORM", "DIGEST"], ...images]));
    }
    const rows = layers.map((each) => [each.digest, formatBytes(each.sizeBytes), String(each.offset)]);
    if (rows.length > 0) stdout.write("\n", ...table([["LAYER", "SIZE", "AT BYTE"], ...rows]));
    if (referrers !== null && referrers.length > 0) {
        const each = referrers.map(({ type, digest, subject }) => [type, digest, subject]);
        stdout.write("\n", ...table([["TYPE", "DIGEST", "SUBJECT"], ...each]));
    }
    if (problems.length > 0) stdout.write("\n");
    for (const problem of problems) stdout.write(styled("wrong", "red"), ` ${problem}\n`);
    if (shown.fromRecord.length > 0) {
        stdout.write("\n", styled("only the record says", "dim"), ` ${shown.fromRecord.join(", ")}\n`);
    }
    for (const each of shown.unchecked) stdout.write("\n", styled("not checked", "dim"), ` ${each}\n`);
}
