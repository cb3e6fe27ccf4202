/** Keys of the bucket: who has which prefix, where an archive and its record lie, what a key may not be. */
import type { EcrImage } from "./image";

/** Key prefix of the exporter of engine `stream`. No `artifactPrefix` can begin with it. */
export const exporterPrefix = ".exporter/";

/** Key prefix of the requests for sets, which a state machine writes for a build. */
export const setRequestPrefix = ".sets/";

/** Key of the request for a set, out of the digest that contract/set.ts gives the images as they are asked for. */
export function setRequestKey(requestDigest: string): string {
    return `${setRequestPrefix}${requestDigest.slice("sha256:".length)}.json`;
}

/** Key prefix of the manifests of batches, which people put there. */
export const manifestPrefix = "batches/";

/** Key prefix of the results of batches: a folder for each execution, in it one for each Map Run. */
export const resultPrefix = "batch-results/";

/** What the key of a record ends in, after the key of its archive. */
export const recordSuffix = ".json";

/** What the key of a record's signature ends in, after the key of the record. */
const signatureSuffix = ".sig";

/** What no key of an archive ends in: the suffixes of what lies beside another archive. */
export const besideSuffixes = [recordSuffix, recordSuffix + signatureSuffix] as const;

/** Bytes of the longest key of an archive: S3's 1,024, less those of what its record's signature has after it. */
export const keyLimitBytes = 1024 - besideSuffixes[1].length;

/** Key, or file name, of the record beside an archive. */
export function recordKey(artifactKey: string): string {
    return `${artifactKey}${recordSuffix}`;
}

/** Key, or file name, of the signature beside a record. */
export function signatureKey(artifactKey: string): string {
    return `${recordKey(artifactKey)}${signatureSuffix}`;
}

/**
 * The key at which an image is stored when a request names none: prefix, repository, `/`, tag, `.tar`. No two names share one:
 * without a tag, `@` and the digest's hex digits stand in its place, and images of another account or region than the stack's lie
 * below `@ACCOUNT/REGION/`. No name of a repository and no tag begins with an `@`.
 *
 * @param artifactPrefix Key prefix of the archives, with its closing slash.
 * @param home Account and region of the stack.
 */
export function defaultArtifactKey(
    artifactPrefix: string,
    { repository, tag, digest }: EcrImage,
    home: { readonly accountId: string; readonly region: string },
): string {
    const { accountId, region, name } = repository;
    const registry = accountId === home.accountId && region === home.region ? "" : `@${accountId}/${region}/`;
    const reference = tag ?? (digest === undefined ? "latest" : `@${digest.slice("sha256:".length)}`);
    return `${artifactPrefix}${registry}${name}/${reference}.tar`;
}

/**
 * What the key of an archive has to be, in words. {@link artifactKeyPattern} and {@link keyLimitBytes} say the same.
 *
 * @param artifactPrefix Empty where any will do.
 */
export function artifactKeyRule(artifactPrefix: string): string {
    const begins = artifactPrefix === "" ? "" : ` that begins with ${artifactPrefix} and has a name after it`;
    return (
        `a key of at most ${keyLimitBytes} bytes${begins}, without control ` +
        `characters, without empty, . or .. folders, and not ending in ${besideSuffixes.join(" or ")}, as records and their signatures do`
    );
}

/**
 * Source of a regular expression for keys of archives, without lookaround, so that a state machine can use it: no control
 * characters, no empty, `.` or `..` folders. Prefix, length and {@link besideSuffixes} are compared besides.
 */
export const artifactKeyPattern = (() => {
    const other = "[^/\\u0000-\\u001f\\u007f]";
    const notDot = "[^./\\u0000-\\u001f\\u007f]";
    // A folder or name: neither empty nor one or two dots alone.
    const part = `(?:${notDot}${other}*|\\.${notDot}${other}*|\\.\\.${other}+)`;
    return `${part}(?:/${part})*`;
})();

/** Whether a text may be the key of an archive below a prefix. */
export function isArtifactKey(key: string, artifactPrefix: string): boolean {
    return (
        key.startsWith(artifactPrefix) &&
        key.length > artifactPrefix.length &&
        // Half of a pair of surrogates has no UTF-8, and is not what was asked for once it is sent.
        !/[\ud800-\udfff]/u.test(key) &&
        !besideSuffixes.some((suffix) => key.endsWith(suffix)) &&
        new TextEncoder().encode(key).length <= keyLimitBytes &&
        new RegExp(`^${artifactKeyPattern}$`).test(key)
    );
}
