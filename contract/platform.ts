/**
 * Platforms of images: how they are written, which are the same, which one an index is searched for. The one rule of both
 * engines, and that of containerd, by which Docker chooses what it pulls: github.com/containerd/platforms, database.go (normal
 * forms) and compare.go (order of preference).
 */
import type { EngineName } from "./engine";
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

const architecture = "/[a-z0-9_-]+(?:/[a-z0-9._-]+)?";
const onePlatform = `[a-z0-9]+${architecture}`;

/** Sources of regular expressions for what each engine exports, without flags and lookaround, so that a state machine can use them. */
export const platformPatterns: Readonly<Record<EngineName, string>> = {
    docker: onePlatform,
    stream: `${onePlatform}|windows\\([0-9]+\\.[0-9]+\\.[0-9]+(?:\\.[0-9]+)?\\)${architecture}|${allPlatforms}`,
};

/** What a platform has to be for each engine, in words. Docker on Linux pulls no images of Windows, whatever their version. */
export const platformRules: Readonly<Record<EngineName, string>> = {
    docker: "os/architecture or os/architecture/variant, for instance linux/arm64; engine docker exports one platform, and none of Windows by its version",
    stream: `os/architecture or os/architecture/variant, for instance linux/arm64 or windows(10.0.20348)/amd64, or ${allPlatforms}`,
};

/** Whether a text is a platform, or what else an engine exports. */
export function isPlatform(text: string, engine: EngineName): boolean {
    return new RegExp(`^(?:${platformPatterns[engine]})$`).test(text);
}

/**
 * Reads `os/arch[/variant]`, the `os` of Windows with its version as containerd writes it, `windows(10.0.20348)/amd64`; or `all`.
 *
 * @throws ExportError `InvalidInput` for anything else.
 */
export function parsePlatform(text: string): PlatformRequest {
    if (text === allPlatforms) return allPlatforms;
    const [, os, osVersion, architecture, variant] = /^(\w+)(?:\((.+)\))?\/([^/]+)(?:\/(.+))?$/.exec(text) ?? [];
    if (os === undefined || architecture === undefined || !isPlatform(text, "stream")) {
        throw new ExportError("InvalidInput", `"${text}" is not a platform: expected ${platformRules.stream}.`);
    }
    return {
        os,
        architecture,
        ...(variant !== undefined && { variant }),
        ...(osVersion !== undefined && { osVersion }),
    };
}

/** Writes a platform as `os[(version)]/arch[/variant]`, or `all`. */
export function platformText(platform: PlatformRequest): string {
    if (platform === allPlatforms) return allPlatforms;
    const { os, osVersion } = platform;
    return osVersion === undefined ? plainText(platform) : plainText({ ...platform, os: `${os}(${osVersion})` });
}

/** Writes a platform as `os/arch[/variant]`, without the version of the operating system. */
export function plainText({ os, architecture, variant }: Platform): string {
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
    return plainText(normalPlatform(platform));
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

/** Server 2022: from its build on, Windows runs images of the builds between (containerd, platform_windows_compat.go). */
const stableWindowsBuild = 20348;

/** Whether a version of Windows runs images of another: any, where one of the two is not told. */
function runsVersion({ osVersion: asked }: Platform, { osVersion: offered }: Platform): boolean {
    if (asked === undefined || offered === undefined) return true;
    const [[major, minor, build = 0], [itsMajor, itsMinor, itsBuild = 0]] = [asked, offered].map((version) =>
        version.split(".").map(Number),
    ) as [number[], number[]];
    const isBuild =
        build < stableWindowsBuild ? itsBuild === build : stableWindowsBuild <= itsBuild && itsBuild <= build;
    return major === itsMajor && minor === itsMinor && isBuild;
}

/** Whether an image of a platform may be taken where another one is asked for. */
export function platformMatches(image: Platform, request: Platform): boolean {
    return acceptable(request).includes(normalText(image)) && runsVersion(request, image);
}

/**
 * Finds the best among what an index offers: the platform asked for, else the nearest that runs there; of those that are the same
 * but for their version the one with the version asked for, else the first listed.
 *
 * @returns undefined where nothing fits
 */
export function choosePlatform<Offer extends { readonly platform: Platform | undefined }>(
    offered: readonly Offer[],
    request: Platform,
): Offer | undefined {
    const fitting = offered.flatMap((offer) => {
        const { platform } = offer;
        return platform && runsVersion(request, platform) ? [{ offer, platform, text: normalText(platform) }] : [];
    });
    const best = acceptable(request).find((each) => fitting.some(({ text }) => text === each));
    const same = fitting.filter(({ text }) => text === best);
    const exact = same.find(({ platform }) => `${platform.osVersion ?? ""}.`.startsWith(`${request.osVersion ?? ""}.`));
    return (exact ?? same[0])?.offer;
}
