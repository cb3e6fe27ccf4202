/** Image references and the names of Amazon ECR: the one grammar, taken apart, checked, put together. Pure. */
import { type AwsLocation, partitionOf, partitions } from "./aws";
import { ExportError } from "./errors";

/**
 * The parts of a reference, as sources of regular expressions that need neither flags nor lookaround, so that state
 * machines can use them as well. The grammar is that of github.com/distribution/reference.
 */
export const grammar = {
    host: "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9-]+)*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?",
    repository: "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*",
    tag: "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
    digest: "sha256:[0-9a-f]{64}",
} as const;

/** Characters of the longest name of a repository: docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html */
export const repositoryNameLimit = 256;

// The first component is a host if it looks like one: a dot, a port or `localhost` (Docker's own rule). In linear time: names come
// from the archives of others.
const looksLikeHost = "(?:[^/.:]*[.:][^/]*|localhost)/";
const referencePattern = new RegExp(
    `^(?:(?=${looksLikeHost})(${grammar.host})/|(?!${looksLikeHost}))` +
        `(${grammar.repository})(?::(${grammar.tag}))?(?:@(${grammar.digest}))?$`,
);
const repositoryPattern = new RegExp(`^${grammar.repository}$`);
const digestPattern = new RegExp(`^${grammar.digest}$`);

/** An image reference, taken apart. */
export interface ImageReference {
    /** Host of the registry, with its port if it has one; `docker.io` for short names. */
    readonly registry: string;
    /** Path of the repository in the registry. */
    readonly repository: string;
    /** The tag; `latest` where the reference has neither tag nor digest. */
    readonly tag?: string;
    /** The digest. It decides which image is meant, even beside a tag. */
    readonly digest?: string;
    /** The name that an archive carries: `REGISTRY/REPOSITORY:TAG`, or `REGISTRY/REPOSITORY@DIGEST` without a tag. */
    readonly name: string;
}

/** Whether a value is a digest that can be checked: `sha256:` and 64 hexadecimal digits. */
export function isDigest(value: unknown): value is string {
    return typeof value === "string" && digestPattern.test(value);
}

/**
 * Takes an image reference apart. A name without a host is one of Docker Hub's, as for `docker pull`.
 *
 * @throws ExportError `InvalidInput` when it is not a reference.
 */
export function parseReference(text: string): ImageReference {
    const [, host = "docker.io", path = "", tag, digest] = referencePattern.exec(text) ?? [];
    const registry = host === "index.docker.io" ? "docker.io" : host;
    const repository = registry === "docker.io" && !path.includes("/") ? `library/${path}` : path;
    if (path === "" || repository.length > repositoryNameLimit) {
        throw new ExportError(
            "InvalidInput",
            `"${text}" is not an image reference: expected HOST/REPOSITORY[:TAG][@sha256:DIGEST], the repository in lower case ` +
                `and of at most ${repositoryNameLimit} characters, the digest of 64 hexadecimal digits.`,
        );
    }
    const base = `${registry}/${repository}`;
    if (tag === undefined && digest !== undefined) return { registry, repository, digest, name: `${base}@${digest}` };
    const named = { registry, repository, tag: tag ?? "latest", name: `${base}:${tag ?? "latest"}` };
    return digest === undefined ? named : { ...named, digest };
}

/** A private registry of Amazon ECR, and which of its hosts is meant. */
export interface EcrHost extends AwsLocation {
    /** Whether this is a FIPS endpoint. */
    readonly fips: boolean;
}

// github.com/awslabs/amazon-ecr-credential-helper, ecr-login/api/client.go: plain, FIPS, dual-stack.
const ecrHostPattern = /^([0-9]{12})\.(dkr\.ecr|dkr\.ecr-fips|dkr-ecr|dkr-ecr-fips)\.([a-z0-9-]+)\./;

/** What the host of an ECR registry says; undefined for any other host, and for a domain of another partition. */
export function parseEcrHost(host: string): EcrHost | undefined {
    const [, accountId = "", service = "", region = ""] = ecrHostPattern.exec(host) ?? [];
    const partition = partitionOf(region);
    if (partition === undefined) return undefined;
    const at = { partition, region, accountId };
    return ecrHosts(at).includes(host) ? { ...at, fips: service.endsWith("-fips") } : undefined;
}

/** Every host of the ECR registry of an account and region: the plain one first, then FIPS, then both dual-stack ones. */
export function ecrHosts({ partition, region, accountId }: AwsLocation): [string, ...string[]] {
    return [
        `${accountId}.dkr.ecr.${region}.${partitions[partition].domain}`,
        `${accountId}.dkr.ecr-fips.${region}.${partitions[partition].domain}`,
        `${accountId}.dkr-ecr.${region}.${partitions[partition].dualStackDomain}`,
        `${accountId}.dkr-ecr-fips.${region}.${partitions[partition].dualStackDomain}`,
    ];
}

/** A repository of a private ECR registry; in lists of what may be exported also all those below a name. */
export interface EcrRepository extends AwsLocation {
    /** Name of the repository with its namespaces, for instance `team/app`; in lists also a pattern, `team/*`. */
    readonly name: string;
}

/** An image in ECR. */
export interface EcrImage {
    /** The URI as it was given. */
    readonly uri: string;
    readonly repository: EcrRepository;
    /** The tag, where the URI has one. */
    readonly tag?: string;
    /** The digest (`sha256:` and 64 hex digits), where the URI has one. */
    readonly digest?: string;
}

/**
 * Takes the URI of an image in ECR apart: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@DIGEST]`, or one of ECR's
 * other host forms (FIPS, dual-stack, China, European Sovereign Cloud).
 *
 * @throws ExportError `InvalidInput` when `uri` is not such a URI; the message says what is expected.
 */
export function parseImageUri(uri: string): EcrImage {
    const [, registry = "", name, tag, digest] = referencePattern.exec(uri) ?? [];
    const host = parseEcrHost(registry);
    if (host === undefined || name === undefined || !isEcrName(name)) {
        throw new ExportError(
            "InvalidInput",
            "expected an image in Amazon ECR, ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@sha256:DIGEST], " +
                "at the domain of the region's partition",
        );
    }
    const { partition, region, accountId } = host;
    return {
        uri,
        repository: { partition, region, accountId, name },
        ...(tag !== undefined && { tag }),
        ...(digest !== undefined && { digest }),
    };
}

/** What every pattern ends in: for all repositories below a name. */
const everythingBelow = "/*";

/** Whether a name or an ARN is a pattern: `backend/*` stands for every repository below `backend/`, at any depth. */
export function isPattern(listed: string): boolean {
    return listed.endsWith(everythingBelow);
}

/** What the names begin with that a pattern stands for: `backend/` for `backend/*`. */
export function prefixOf(pattern: string): string {
    return pattern.slice(0, -1);
}

/**
 * Whether what is listed stands for a repository, or for all those of another pattern. Both are names, or both are ARNs, in
 * which IAM reads the pattern the same way.
 */
export function covers(listed: string, other: string): boolean {
    return listed === other || (isPattern(listed) && other.startsWith(prefixOf(listed)));
}

/** Whether this is the name of a repository, or a pattern of such names. */
export function isNameOrPattern(text: string): boolean {
    const name = isPattern(text) ? text.slice(0, -everythingBelow.length) : text;
    return repositoryPattern.test(name) && isEcrName(text);
}

/** A list without what is in it twice, and without what a pattern in it covers. */
export function withoutCovered<T>(listed: readonly T[], nameOf: (each: T) => string): T[] {
    const byName = new Map(listed.map((each) => [nameOf(each), each]));
    const wide = [...byName.keys()].filter(isPattern);
    return [...byName].flatMap(([name, each]) =>
        wide.some((other) => other !== name && covers(other, name)) ? [] : [each],
    );
}

/**
 * What to do about a list that is too long: the pattern that saves just enough, since none should cover more repositories than it has
 * to, or else the one that saves most.
 *
 * @param listed Names, or ARNs.
 * @param excess How many characters are too many.
 */
export function shorterList(listed: readonly string[], excess: number): string {
    const saved = new Map<string, { count: number; characters: number }>();
    for (const name of listed) {
        // Not the slash of `:repository/`, below which are all.
        for (const { index } of name.matchAll(/(?<!:repository)\/(?!\*$)/g)) {
            const pattern = `${name.slice(0, index)}${everythingBelow}`;
            // As JSON, with quotation marks and a comma.
            const { count, characters } = saved.get(pattern) ?? { count: 0, characters: -pattern.length - 3 };
            saved.set(pattern, { count: count + 1, characters: characters + name.length + 3 });
        }
    }
    const useful = [...saved].filter(([, { count }]) => count > 1).sort(([, a], [, b]) => a.characters - b.characters);
    const best = useful.find(([, { characters }]) => characters >= excess) ?? useful.at(-1);
    if (best === undefined) return "shorten the list, or split it between two stacks";
    const [pattern, { count }] = best;
    return `${count} repositories begin with ${prefixOf(pattern).replace(/^arn:.*:repository\//, "")}: write ${pattern} for them`;
}

const repositoryArnPattern = /^arn:([a-z-]+):ecr:([a-z0-9-]+):([0-9]{12}):repository\/(.+)$/;

/**
 * Takes the ARN of an ECR repository apart, or of all those below a name, which ends in `/*`. Other wildcards are refused: `api*`
 * would grant `api-secrets` as well.
 *
 * @throws ExportError `InvalidInput` when `arn` is neither; the message says what is expected.
 */
export function parseRepositoryArn(arn: string): EcrRepository {
    const [, partition, region = "", accountId, name = ""] = repositoryArnPattern.exec(arn) ?? [];
    const own = partitionOf(region);
    if (accountId === undefined || !isNameOrPattern(name) || own === undefined) {
        throw new ExportError(
            "InvalidInput",
            "expected the ARN of an ECR repository, arn:aws:ecr:REGION:ACCOUNT:repository/NAME; NAME may end in /* (backend/* is " +
                "every repository below backend/), and has no other wildcard",
        );
    }
    if (partition !== own) {
        throw new ExportError("InvalidInput", `the region ${region} is in the partition ${own}, not in ${partition}`);
    }
    return { partition: own, region, accountId, name };
}

/** ECR's own names have two characters or more. */
function isEcrName(name: string): boolean {
    return name.length >= 2 && name.length <= repositoryNameLimit;
}

/** The ARN of a repository. */
export function repositoryArn({ partition, region, accountId, name }: EcrRepository): string {
    return `arn:${partition}:ecr:${region}:${accountId}:repository/${name}`;
}
