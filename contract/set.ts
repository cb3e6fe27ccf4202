/** Sets: many images in one archive, every blob once. What a set is known by. */
import { createHash } from "node:crypto";

/** Images of the largest set. */
export const setLimit = 500;

/** An image of a set, by what decides its bytes in the archive. No two images of a set have the same name. */
export interface SetImage {
    /** The name that the archive carries: contract/image.ts. */
    readonly imageName: string;
    readonly platform: string;
    /** What the registry answers to the name: the digest of the index, where one platform is chosen from one. */
    readonly digest: string;
}

/**
 * The digest of a set, `sha256:` and 64 hexadecimal digits: the same for the same images in any order. Each line,
 * `NAME PLATFORM DIGEST`, is hashed together with the hash of those before it, since the state machine, which computes it too, can
 * hash no long string.
 */
export function setDigest(images: readonly SetImage[]): string {
    return digestOfLines(images.map(({ imageName, platform, digest }) => `${imageName} ${platform} ${digest}`));
}

/** The same of the names and platforms only: what is known of a set before the registry is asked. */
export function setNames(images: readonly Omit<SetImage, "digest">[]): string {
    return digestOfLines(images.map(({ imageName, platform }) => `${imageName} ${platform}`));
}

/** A name is at the beginning of each line, so the order of the lines is that of the names. */
function digestOfLines(lines: readonly string[]): string {
    const hash = (text: string): string => createHash("sha256").update(text).digest("hex");
    return `sha256:${[...lines].sort().reduce((before, line) => hash(before + line), "")}`;
}
