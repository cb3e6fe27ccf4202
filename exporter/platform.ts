import { ExportError } from "./errors";

/** The platform of an image, in the words of the OCI image index. */
export interface Platform {
    os: string;
    architecture: string;
    variant?: string;
}

/** The platform asked for: one, or every one of the index. */
export type PlatformRequest = Platform | "all";

/** What a request without a platform means. */
export const defaultPlatform = "linux/amd64";

// What a name without a variant stands for (containerd's platforms.Normalize).
const impliedVariants: Readonly<Record<string, string>> = { arm64: "v8", arm: "v7", amd64: "v1" };

/**
 * Reads `os/arch[/variant]` or `all`.
 *
 * @throws ExportError `InvalidInput` for anything else
 */
export function parsePlatform(text: string): PlatformRequest {
    if (text === "all") {
        return "all";
    }
    const [os, architecture, variant, ...rest] = text.split("/");
    const parts = [os, architecture, ...(variant === undefined ? [] : [variant])];
    if (os === undefined || architecture === undefined || rest.length > 0 || !parts.every(isWord)) {
        throw new ExportError(
            "InvalidInput",
            `"${text}" is not a platform: expected os/arch, os/arch/variant or all, e.g. ${defaultPlatform}.`,
        );
    }
    return { os, architecture, ...(variant !== undefined && { variant }) };
}

function isWord(text: string | undefined): boolean {
    return text !== undefined && /^[a-z0-9._-]+$/i.test(text);
}

/** Writes a platform as `os/arch[/variant]`, or `all`. */
export function platformText(platform: PlatformRequest): string {
    if (platform === "all") {
        return "all";
    }
    const { os, architecture, variant } = platform;
    return [os, architecture, ...(variant ? [variant] : [])].join("/");
}

/**
 * Whether an image's platform is the one asked for. A request without a variant takes any; one with a variant
 * takes that one, where `arm64` is the same as `arm64/v8`.
 */
export function platformMatches(image: Platform, request: Platform): boolean {
    return (
        image.os === request.os &&
        image.architecture === request.architecture &&
        (request.variant === undefined || variantOf(image) === variantOf(request))
    );
}

/** Whether an image's variant is what its architecture stands for when none is named. */
export function isImpliedVariant(image: Platform): boolean {
    return variantOf(image) === impliedVariants[image.architecture];
}

function variantOf(platform: Platform): string | undefined {
    return platform.variant === undefined || platform.variant === ""
        ? impliedVariants[platform.architecture]
        : platform.variant;
}
