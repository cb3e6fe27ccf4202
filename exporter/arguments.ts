/** The arguments of an export, for the exporter and for `image-export run`. Loads nothing of the exporter. */
import { ExportError } from "../contract/errors";
import { defaultPlatform } from "../contract/platform";
import type { ExportOptions } from "./exportImage";

/** An option, as `node:util` parseArgs takes it, and what help says of it. */
export interface ExporterOption {
    readonly type: "boolean" | "string";
    /** What help calls its value. */
    readonly value?: string;
    readonly description: string;
}

/** The options of an export, here and of `image-export run`. {@link readArguments} reads them. */
export const exporterOptions = {
    platform: {
        type: "string",
        value: "PLATFORM",
        description: `os/arch[/variant], or all for every platform (default ${defaultPlatform})`,
    },
    force: { type: "boolean", description: "export although the same export is there already" },
    concurrency: {
        type: "string",
        value: "N",
        description: "ranges fetched and parts written at a time (default 8)",
    },
    "memory-mib": { type: "string", value: "N", description: "memory for parts under way (default 80)" },
    insecure: { type: "boolean", description: "plain HTTP to registries that are not on this machine" },
} as const satisfies Readonly<Record<string, ExporterOption>>;

/** What was given for {@link exporterOptions}. */
export type ExporterValues = {
    readonly [Name in keyof typeof exporterOptions]?:
        ((typeof exporterOptions)[Name]["type"] extends "boolean" ? boolean : string) | undefined;
};

/**
 * Reads the arguments of an export.
 *
 * @param positionals Image and destination.
 * @throws ExportError `InvalidInput` when they cannot be used.
 */
export function readArguments(positionals: readonly string[], values: ExporterValues): ExportOptions {
    const [image, destination] = positionals;
    if (image === undefined || destination === undefined || positionals.length > 2) {
        throw new ExportError("InvalidInput", `Expected IMAGE and DESTINATION, got ${positionals.length} arguments.`);
    }
    const memoryMib = numberOf("--memory-mib", values["memory-mib"]);
    return {
        image,
        destination,
        platform: values.platform,
        force: values.force,
        insecure: values.insecure,
        concurrency: numberOf("--concurrency", values.concurrency),
        memoryBytes: memoryMib === undefined ? undefined : memoryMib * 1024 * 1024,
    };
}

function numberOf(option: string, text: string | undefined): number | undefined {
    if (text !== undefined && !/^[1-9]\d{0,8}$/.test(text)) {
        throw new ExportError("InvalidInput", `${option} is "${text}": expected a whole number from 1 on.`);
    }
    return text === undefined ? undefined : Number(text);
}
