import { mergeArchives } from "../../exporter/archive/merge";
import type { Context, Flags, Values } from "../context";
import { usageFailure } from "../failure";
import { archiveRows, exportOf } from "../result";
import { block, styled, transferLine, writeJson } from "../terminal";

/** `image-export merge BASE DELTA -o FULL` */
export async function merge(
    base: string,
    delta: string,
    { output, json }: Flags<"json"> & Values<"output">,
    context: Context,
): Promise<void> {
    if (output === undefined) throw usageFailure("Missing --output.", "Give the file of the whole archive.");
    const line = transferLine(context, "Merging");
    const onProgress = (writtenBytes: number, totalBytes: number): void => {
        line.show({ writtenBytes, totalBytes });
    };
    const { signal } = context;
    const record = await mergeArchives(base, delta, output, { signal, onProgress }).finally(line.clear);
    if (json === true) {
        writeJson(context.stdout, record);
        return;
    }
    const rows = archiveRows({ ...exportOf(record), ...record.archive });
    context.stdout.write(...block([["status", styled("merged", "bold", "green")], ...rows, ["archive", output]]));
}
