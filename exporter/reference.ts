import { ExportError } from "./errors";

/** An image reference taken apart. */
export interface ImageReference {
    /** Host of the registry, with its port if it has one; `docker.io` for short names. */
    registry: string;
    /** Path of the repository in the registry. */
    repository: string;
    /** Tag asked for; `latest` when neither tag nor digest was given. */
    tag?: string;
    /** Digest asked for. It decides what is exported, even beside a tag. */
    digest?: string;
    /**
     * The name the archive carries: `registry/repository:tag`, or `registry/repository@digest` without a tag.
     * It is the only part of a request, besides the image itself, that the archive's bytes depend on.
     */
    name: string;
}

/** What an ECR registry's host name says. */
export interface EcrHost {
    /** The account that owns the registry. */
    account: string;
    /** The region of the registry, e.g. `ap-northeast-1`. */
    region: string;
    /** Whether this is a FIPS endpoint. */
    fips: boolean;
}

// The grammar of github.com/distribution/reference.
const hostPattern =
    /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d+)?$/;
const repositoryPattern =
    /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

// The hosts of awslabs/amazon-ecr-credential-helper (ecr-login/api/client.go).
const ecrHostPattern =
    /^(\d{12})\.dkr[.-]ecr(-fips)?\.([a-z0-9][a-z0-9-]*)\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/;

const expected = "expected HOST/REPOSITORY[:TAG][@sha256:DIGEST]";

/**
 * Takes an image reference apart. A name without a host is one of Docker Hub's, as for `docker pull`.
 *
 * @throws ExportError `InvalidInput` when it is not a reference
 */
export function parseReference(text: string): ImageReference {
    const [named = "", digest, ...rest] = text.split("@");
    if (rest.length > 0 || (digest !== undefined && !digestPattern.test(digest))) {
        throw invalid(text, "the digest has to be sha256: and 64 hexadecimal digits");
    }
    const { path, tag } = splitTag(named);
    if (tag !== undefined && !tagPattern.test(tag)) {
        throw invalid(text, `"${tag}" is not a tag`);
    }
    const { registry, repository } = splitHost(path);
    if (!hostPattern.test(registry)) {
        throw invalid(text, `"${registry}" is not a host`);
    }
    if (!repositoryPattern.test(repository) || repository.length > 256) {
        throw invalid(text, `"${repository}" is not a repository name (lower case)`);
    }
    return assemble(registry, repository, tag, digest);
}

function assemble(registry: string, repository: string, tag?: string, digest?: string): ImageReference {
    const base = `${registry}/${repository}`;
    if (tag !== undefined) {
        return { registry, repository, tag, name: `${base}:${tag}`, ...(digest !== undefined && { digest }) };
    }
    return digest === undefined
        ? { registry, repository, tag: "latest", name: `${base}:latest` }
        : { registry, repository, digest, name: `${base}@${digest}` };
}

function splitTag(named: string): { path: string; tag?: string } {
    const colon = named.lastIndexOf(":");
    return colon > named.lastIndexOf("/")
        ? { path: named.slice(0, colon), tag: named.slice(colon + 1) }
        : { path: named };
}

/** The first component is a host if it looks like one: a dot, a port or `localhost` (Docker's own rule). */
function splitHost(path: string): { registry: string; repository: string } {
    const slash = path.indexOf("/");
    const first = path.slice(0, Math.max(slash, 0));
    if (slash > 0 && (/[.:]/.test(first) || first === "localhost")) {
        const registry = first === "index.docker.io" ? "docker.io" : first;
        return { registry, repository: officialName(registry, path.slice(slash + 1)) };
    }
    return { registry: "docker.io", repository: officialName("docker.io", path) };
}

function officialName(registry: string, repository: string): string {
    return registry === "docker.io" && !repository.includes("/") ? `library/${repository}` : repository;
}

function invalid(text: string, why: string): ExportError {
    return new ExportError("InvalidInput", `"${text}" is not an image reference: ${why}; ${expected}.`);
}

/** Whether a text is a digest that this exporter can check: `sha256:` and 64 hexadecimal digits. */
export function isDigest(text: string): boolean {
    return digestPattern.test(text);
}

/** What the host name of an ECR private registry says; undefined for any other registry. */
export function parseEcrHost(registry: string): EcrHost | undefined {
    const match = ecrHostPattern.exec(registry);
    const [, account, fips, region] = match ?? [];
    return account === undefined || region === undefined
        ? undefined
        : { account, region, fips: fips !== undefined };
}

/**
 * Where a registry's API is. Plain HTTP is for loopback hosts only, or for any host when asked for.
 *
 * @param insecure whether a host that is not loopback may be spoken to without TLS
 */
export function registryOrigin(registry: string, insecure: boolean): URL {
    if (registry === "docker.io") {
        return new URL("https://registry-1.docker.io");
    }
    const scheme = insecure || isLoopback(new URL(`http://${registry}`).hostname) ? "http" : "https";
    return new URL(`${scheme}://${registry}`);
}

/** Whether a host name can only mean this machine. */
export function isLoopback(hostname: string): boolean {
    return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}
