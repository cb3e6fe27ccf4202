import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";

import { isDigest } from "../../contract/image";
import { recordKey } from "../../contract/keys";
import type { ExportRecord } from "../../contract/record";
import { type Verification, verifyArchive, type VerifyOptions } from "../../exporter/archive/verify";
import { findNewest, parsePlace, readInOrder, readRecord } from "../archiveObject";
import { type Context, exitCodes, type Flags } from "../context";
import { codeOf, usageFailure } from "../failure";
import { archiveRows } from "../result";
import { block, formatBytes, styled, table, withProgress, writeJson } from "../terminal";

/** `image-export verify FILE` */
export async function verify(given: string, options: VerifyOptions & Flags<"json">, context: Context): Promise<number> {
    if (options.digest !== undefined && !isDigest(options.digest)) {
        throw usageFailure(`--digest is "${String(options.digest)}".`, "Give sha256: and 64 hexadecimal digits.");
    }
    const archive = given.startsWith("s3:") ? await openObject(context, given) : await openFile(context, given);
    const bytes = withProgress(context, "Verifying", archive.bytes, archive.sizeBytes);
    const found = await verifyArchive(bytes, archive.record, options).finally(() => {
        context.signal.throwIfAborted();
    });
    const shown = shownOf(archive, found, options);
    if (options.json === true) writeJson(context.stdout, shown);
    else print(context, given, shown);
    return shown.good ? exitCodes.success : exitCodes.failed;
}

/** What verifying has shown. */
function shownOf({ record, problems: before }: Archive, found: Verification, { deep }: VerifyOptions) {
    const { names, platforms, layers } = found.contents;
    const problems = [...before, ...found.problems];
    const files = found.uncovered.join(", ");
    return {
        good: problems.length === 0,
        problems,
        unchecked: [
            ...(record === undefined ? ["whether it is what was exported"] : []),
            ...(record === undefined && files !== "" ? [`whether these are as they were: ${files}`] : []),
            ...(deep === true ? [] : ["what is in the layers (--deep): one that does not fit its image ends a load"]),
        ],
        fromRecord: statementsOf(record),
        imageUri: record?.imageUri ?? null,
        imageDigest: record?.imageDigest ?? found.contents.imageDigest ?? null,
        names,
        platforms,
        layers,
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
    return [...fields, ...(record.indexDigest === null ? [] : ["indexDigest"]), "time", "executionId", "buildId"];
}

/** An archive that can be read. */
interface Archive {
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly sizeBytes: number;
    readonly record: ExportRecord | undefined;
    /** What is wrong already, before it has been read. */
    readonly problems: readonly string[];
}

async function openFile({ signal }: Context, file: string): Promise<Archive> {
    const { size: sizeBytes } = await stat(file);
    const text = await readFile(recordKey(file), "utf8").catch((error: unknown) => {
        if (codeOf(error) !== "ENOENT") throw error;
        return undefined;
    });
    return {
        bytes: createReadStream(file, { highWaterMark: 1024 * 1024, signal }),
        sizeBytes,
        record: text === undefined ? undefined : readRecord(text, recordKey(file)),
        problems: [],
    };
}

async function openObject(context: Context, uri: string): Promise<Archive> {
    const { record, object } = await findNewest(context, parsePlace(uri));
    const { versionId, sizeBytes } = object;
    const isOther = record !== undefined && record.archive.versionId !== versionId;
    const other = `the archive is version ${String(versionId)}, the record describes version ${String(record?.archive.versionId)}`;
    return { bytes: readInOrder(context, object), sizeBytes, record, problems: isOther ? [other] : [] };
}

function print({ stdout }: Context, given: string, shown: ReturnType<typeof shownOf>): void {
    const { record, problems, layers } = shown;
    const good =
        record === null
            ? styled("good as far as it could be checked: there is no record", "bold", "yellow")
            : styled("good", "bold", "green");
    const bad = styled("damaged, or not what was exported", "bold", "red");
    stdout.write(
        ...block([
            ["archive", given],
            ["status", shown.good ? good : bad],
            ["image", record?.imageUri],
            ["digest", shown.imageDigest],
            ["names", shown.names.join(", ")],
            ["platforms", shown.platforms.join(", ")],
            ...archiveRows({ sizeBytes: shown.sizeBytes, sha256: shown.sha256 }),
            ["engine", record && `${record.engine.name} ${record.engine.version}`],
            ["exported", record?.time],
        ]),
    );
    const rows = layers.map((each) => [each.digest, formatBytes(each.sizeBytes), String(each.offset)]);
    if (rows.length > 0) stdout.write("\n", ...table([["LAYER", "SIZE", "AT BYTE"], ...rows]));
    if (problems.length > 0) stdout.write("\n");
    for (const problem of problems) stdout.write(styled("wrong", "red"), ` ${problem}\n`);
    if (shown.fromRecord.length > 0) {
        stdout.write("\n", styled("only the record says", "dim"), ` ${shown.fromRecord.join(", ")}\n`);
    }
    for (const each of shown.unchecked) stdout.write("\n", styled("not checked", "dim"), ` ${each}\n`);
}
