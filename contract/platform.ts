/**
 * Platforms of images: how they are written, which are the same, which one an index is searched for. The one rule of both
 * engines, and that of containerd, by which Docker chooses what it pulls: github.com/containerd/platforms, database.go (normal
 * forms) and compare.go (order of preference).
 */
import { ExportError } from "./errors";

/** The platform of an image, in the words of the OCI image index. */
export interface Platform {
    readonly os: string;
    readonly architecture: string;
    readonly variant?: string;
    /** `os.version`, by which Windows images are told apart. */
    readonly osVersion?: string;
}

/** The platform asked for: one, or every one of the index. */
export type PlatformRequest = Platform | "all";

/** The platform that is exported when a request names none. */
export const defaultPlatform = "linux/amd64";

/** The word for every platform of an index. */
export const allPlatforms = "all";

/**
 * Source of a regular expression for one platform, `os/arch[/variant]`, without flags and lookaround, so that a state machine
 * can use it.
 */
export const platformPattern = "[a-z0-9]+/[a-z0-9_-]+(?:/[a-z0-9._-]+)?";

/** What a platform has to be, in words. */
export const platformRule = "os/architecture or os/architecture/variant, for instance linux/arm64";

const wholePlatform = new RegExp(`^${platformPattern}$`);

/**
 * Reads `os/arch[/variant]` or `all`, as it is written.
 *
 * @throws ExportError `InvalidInput` for anything else.
 */
export function parsePlatform(text: string): PlatformRequest {
    if (text === allPlatforms) return allPlatforms;
    const [os, architecture, variant] = text.split("/");
    if (os === undefined || architecture === undefined || !wholePlatform.test(text)) {
        throw new ExportError(
            "InvalidInput",
            `"${text}" is not a platform: expected ${platformRule}, or ${allPlatforms}.`,
        );
    }
    return { os, architecture, ...(variant !== undefined && { variant }) };
}

/** Writes a platform as `os/arch[/variant]`, or `all`. */
export function platformText(platform: PlatformRequest): string {
    if (platform === allPlatforms) return allPlatforms;
    const { os, architecture, variant } = platform;
    return [os, architecture, ...(variant ? [variant] : [])].join("/");
}

/** Names of architectures that stand for another one, with the variant that they imply. */
const aliases: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
    i386: ["386", ""],
    x86_64: ["amd64"],
    "x86-64": ["amd64"],
    aarch64: ["arm64"],
    armhf: ["arm", "v7"],
    armel: ["arm", "v6"],
};

/** Variants that are written otherwise in normal form; where nothing is left, the architecture alone says it. */
const normalVariants: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    amd64: { v1: "" },
    arm64: { "8": "", v8: "" },
    arm: { "": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8" },
};

/** The normal form of a platform: two platforms are the same if these are. */
export function normalPlatform({ os, architecture, variant = "", osVersion }: Platform): Platform {
    const lowerOs = os.toLowerCase();
    const lower = architecture.toLowerCase();
    const [name, implied] = aliases[lower] ?? [lower];
    const given = implied ?? variant.toLowerCase();
    const normal = normalVariants[name]?.[given] ?? given;
    return {
        os: lowerOs === "macos" ? "darwin" : lowerOs,
        architecture: name,
        ...(normal !== "" && { variant: normal }),
        ...(osVersion !== undefined && { osVersion }),
    };
}

/** A platform's normal form as it is written, without `os.version`. */
export function normalText(platform: Platform): string {
    return platformText(normalPlatform(platform));
}

/**
 * What may be taken where a platform is asked for, in normal form, the platform itself first: an image for an older variant runs
 * on a newer one, one of 32 bits on one of 64.
 */
function acceptable(request: Platform): string[] {
    const { os, architecture, variant = "" } = normalPlatform(request);
    const of = (name: string, ...variants: readonly string[]): string[] =>
        variants.map((each) => normalText({ os, architecture: name, variant: each }));
    switch (architecture) {
        case "amd64":
            return [...of("amd64", variant, ...below(variant, 1)), ...of("386", "")];
        case "arm":
            return of("arm", variant, ...below(variant, 5));
        case "arm64": {
            const arm = variant === "" || /^v[89]\./.test(variant) ? "v8" : variant;
            return [
                ...of("arm64", variant, ...olderArm64(variant === "" ? "v8" : variant)),
                ...of("arm", arm, ...below(arm, 5)),
            ];
        }
        default:
            return of(architecture, variant);
    }
}

/** The variants before one, the newest first: `v7` with the least `5` gives `v6` and `v5`. */
function below(variant: string, least: number): string[] {
    const [, digits] = /^v?(\d{1,2})$/.exec(variant) ?? [];
    const count = Math.max(Number(digits ?? least) - least, 0);
    return Array.from({ length: count }, (_, index) => `v${least + count - 1 - index}`);
}

/** The versions of the architecture that one of arm64 contains: v9.N has all of v8.(N+5), after which v9 was named. */
function olderArm64(variant: string): string[] {
    const [, major, minor = "0"] = /^v([89])(?:\.(\d))?$/.exec(variant) ?? [];
    const minors = (ofMajor: string, count: number): string[] =>
        Array.from({ length: count }, (_, index) => count - 1 - index).map((each) =>
            each > 0 ? `${ofMajor}.${each}` : ofMajor,
        );
    if (major === "9") return [...minors("v9", Number(minor)), ...minors("v8", Number(minor) + 6)];
    return major === "8" ? minors("v8", Number(minor)) : [];
}

/** Whether an image of a platform may be taken where another one is asked for. */
export function platformMatches(image: Platform, request: Platform): boolean {
    return acceptable(request).includes(normalText(image));
}

/**
 * Finds the best among what an index offers: the platform asked for, else the nearest that runs there; the first listed where
 * two are the same.
 *
 * @returns undefined where nothing fits
 */
export function choosePlatform<Offer extends { readonly platform: Platform | undefined }>(
    offered: readonly Offer[],
    request: Platform,
): Offer | undefined {
    const texts = offered.map(({ platform }) => platform && normalText(platform));
    const best = acceptable(request).find((each) => texts.includes(each));
    return best === undefined ? undefined : offered[texts.indexOf(best)];
}
