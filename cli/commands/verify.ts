import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";

import { recordKey } from "../../contract/keys";
import { type ExportRecord, parseRecord } from "../../contract/record";
import { type Verification, verifyArchive } from "../../exporter/archive/verify";
import { headObject, parsePlace, readInOrder, readRecord, uriOf } from "../archiveObject";
import { type Context, defineCommand, exitCodes } from "../command";
import { Failure } from "../failure";
import { transferLine } from "../progress";
import { block, formatBytes, styles, table } from "../terminal";

/** `image-export verify FILE` */
export const command = defineCommand({
    positionals: ["FILE"],
    options: {
        json: { type: "boolean", description: "print what was found as JSON" },
    } as const,
    description:
        "Reads an archive to its last byte: compares it with its record, FILE.json, and every blob and layer with its digest, and tells\n" +
        "what it holds. FILE is a file, for which nothing else is needed, or s3://BUCKET/KEY. Archives of both engines can be read.\n" +
        "Without a record it says what could not be checked.\n" +
        "Exit codes: 0 nothing is wrong, 1 something is.",
    examples: [
        { command: "image-export verify nginx.tar", does: "verifies a file, offline" },
        {
            command: "image-export verify s3://my-bucket/images/nginx/1.29.tar",
            does: "verifies an archive where it is",
        },
        {
            command: "image-export verify nginx.tar --json | jq -r '.layers[].digest'",
            does: "lists the layers",
        },
    ],
    async run({ values, positionals: [given = ""] }, context) {
        const archive = given.startsWith("s3:")
            ? await openObject(context, given)
            : await openFile(context, given);
        const found = await verifyArchive(watched(context, archive), archive.record);
        const problems = [...archive.problems, ...found.problems];
        const outcome = { given, archive, found, problems };
        context.stdout.write(values.json === true ? asJson(outcome) : asText(context, outcome));
        return problems.length === 0 ? exitCodes.success : exitCodes.failed;
    },
});

/** An archive that can be read. */
interface Archive {
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly sizeBytes: number;
    readonly record: ExportRecord | undefined;
    /** What is wrong already, before it has been read. */
    readonly problems: readonly string[];
}

async function openFile(context: Context, file: string): Promise<Archive> {
    const found = await stat(file).catch((error: unknown) => {
        throw new Failure(`${file} cannot be read: ${(error as Error).message}`, {
            next: "Give the path of an archive, or s3://BUCKET/KEY.",
            cause: error,
        });
    });
    if (!found.isFile()) throw new Failure(`${file} is no file.`, { next: "Give the path of an archive." });
    return {
        bytes: createReadStream(file, { highWaterMark: 1024 * 1024, signal: context.signal }),
        sizeBytes: found.size,
        record: await recordOfFile(recordKey(file)),
        problems: [],
    };
}

async function recordOfFile(file: string): Promise<ExportRecord | undefined> {
    const text = await readFile(file, "utf8").catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
    });
    if (text === undefined) return undefined;
    const read = parseRecord(text);
    if ("record" in read) return read.record;
    throw new Failure(`The export record ${file} ${read.problem}.`, {
        next: "Move it away to verify the archive without a record, or get it again with `image-export get`.",
    });
}

async function openObject(context: Context, uri: string): Promise<Archive> {
    const place = parsePlace(uri);
    const [record, object] = await Promise.all([readRecord(context, place), headObject(context, place)]);
    if (object === undefined) {
        throw new Failure(`There is nothing at ${uriOf(place)}.`, {
            code: "NoSuchKey",
            next: "`image-export list` shows the exports; the output of each names its key.",
        });
    }
    const { versionId } = object;
    const isOther = record !== undefined && record.archive.versionId !== versionId;
    const other = `the archive is version ${String(versionId)}, the record describes version ${String(record?.archive.versionId)}`;
    return {
        bytes: readInOrder(context, object),
        sizeBytes: object.sizeBytes,
        record,
        problems: isOther ? [other] : [],
    };
}

async function* watched(context: Context, { bytes, sizeBytes }: Archive): AsyncIterable<Uint8Array> {
    const line = transferLine(context, "Verifying");
    let done = 0;
    try {
        for await (const chunk of bytes) {
            yield chunk;
            done += chunk.length;
            line.show(done, sizeBytes);
        }
    } catch (error) {
        context.signal.throwIfAborted();
        throw error;
    } finally {
        line.clear();
    }
}

interface Outcome {
    readonly given: string;
    readonly archive: Archive;
    readonly found: Verification;
    readonly problems: readonly string[];
}

/** What nothing within the archive tells. */
function unchecked({ archive: { record }, found }: Outcome): string[] {
    if (record !== undefined) return [];
    const files =
        found.uncovered.length === 0
            ? ""
            : `, and whether these are as they were: ${found.uncovered.join(", ")}`;
    return [`whether it is what was exported${files}`];
}

function asJson(outcome: Outcome): string {
    const { archive, found, problems } = outcome;
    const { record } = archive;
    const shown = {
        good: problems.length === 0,
        problems,
        unchecked: unchecked(outcome),
        imageUri: record?.imageUri ?? null,
        imageDigest: record?.imageDigest ?? found.imageDigest ?? null,
        names: found.contents.names,
        platforms: found.contents.platforms,
        layers: found.contents.layers,
        sizeBytes: found.sizeBytes,
        sha256: found.sha256,
        record: record ?? null,
    };
    return `${JSON.stringify(shown, undefined, 2)}\n`;
}

function asText(context: Context, outcome: Outcome): string {
    const { given, archive, found, problems } = outcome;
    const { record } = archive;
    const { contents, sizeBytes, sha256 } = found;
    const { bold, green, red, yellow, dim } = styles(context.stdout, context.env);
    const isGood = problems.length === 0;
    const good =
        record === undefined
            ? yellow("good as far as it could be checked: there is no record")
            : green("good");
    const rows: (readonly [string, string | undefined])[] = [
        ["archive", given],
        ["status", bold(isGood ? good : red(`damaged, or not what was exported`))],
        ["image", record?.imageUri],
        ["digest", record?.imageDigest ?? found.imageDigest],
        ["names", contents.names.join(", ")],
        ["platforms", contents.platforms.join(", ")],
        ["size", `${formatBytes(sizeBytes)} (${sizeBytes} bytes)`],
        ["sha256", sha256],
        ["engine", record && `${record.engine.name} ${record.engine.version}`],
        ["exported", record?.time],
    ];
    const layers = table(
        ["LAYER", "SIZE", "AT BYTE"],
        contents.layers.map((layer) => [layer.digest, formatBytes(layer.sizeBytes), String(layer.offset)]),
    );
    return [
        block(rows.filter((row): row is [string, string] => row[1] !== undefined && row[1] !== "")),
        contents.layers.length === 0 ? "" : `\n${layers}`,
        ...problems.map((problem, at) => `${at === 0 ? "\n" : ""}${red("wrong")} ${problem}\n`),
        ...unchecked(outcome).map((what) => `\n${dim("not checked")} ${what}\n`),
    ].join("");
}
