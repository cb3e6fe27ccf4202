import { ExportError, messageOf } from "../../contract/errors";
import type { ImageReference } from "../../contract/image";
import {
    type Answer,
    createHttpClient,
    type DocumentAnswer,
    follow,
    said,
    transientAnswer,
} from "../network/httpClient";
import type { NetworkOptions } from "../network/connect";
import { createLeads, registryOrigin } from "../network/origin";
import { isTransientStatus, retry, type RetryPolicy, TransientError } from "../network/retry";
import { createAuthorization } from "./authorization";
import { type CredentialSource, defaultCredentials } from "./credentials";
import {
    acceptedManifestTypes,
    assertNotSchema1,
    type Descriptor,
    digestOf,
    indexType,
    parseManifest,
} from "./manifest";
import { createRangeClient, RangeIgnored } from "./rangeClient";

/** How to speak to a registry. */
export interface RegistryOptions extends Omit<NetworkOptions, "lookup"> {
    /** Whether hosts other than loopback may be spoken to without TLS. */
    readonly insecure: boolean;
    readonly retryPolicy: RetryPolicy;
    /** Where credentials come from; by default ECR's token or `docker login`. */
    readonly credentials?: CredentialSource | undefined;
    /** Called with what a person should know: why something waits or is missing, where the registry contradicts itself. */
    readonly onNote?: ((note: string) => void) | undefined;
}

type Send<A extends Answer> = (url: URL, login: Record<string, string>) => Promise<A>;

/** One repository of one registry. */
export type Registry = ReturnType<typeof openRepository>;

/**
 * Opens registries. Nothing is sent before the first operation; all operations retry what may pass, and end in an ExportError. The
 * repositories of a registry share its connections.
 */
export function openRegistries(options: RegistryOptions) {
    const { env, onNote, credentials = defaultCredentials(env, onNote) } = options;
    const registries = new Map<string, ReturnType<typeof connect>>();
    const repositories = new Map<string, Registry>();
    return {
        /** The repository of a reference. */
        open: ({ registry, repository }: ImageReference): Registry => {
            const host = registries.get(registry) ?? connect(registry, { ...options, credentials });
            registries.set(registry, host);
            const name = `${registry}/${repository}`;
            const opened = repositories.get(name) ?? openRepository(host, repository, options);
            repositories.set(name, opened);
            return opened;
        },
        close: (): void => {
            for (const { http, ranges } of registries.values()) {
                ranges.close();
                http.close();
            }
        },
    };
}

/** What the repositories of a registry have in common. */
function connect(registry: string, options: RegistryOptions & { readonly credentials: CredentialSource }) {
    const { insecure, credentials } = options;
    const origin = registryOrigin(registry, insecure);
    const { lead, lookup } = createLeads(origin, insecure);
    const http = createHttpClient({ ...options, lookup });
    return { registry, origin, lead, http, ranges: createRangeClient({ ...options, lookup }), credentials };
}

function openRepository(
    { registry, origin, lead, http, ranges, credentials }: ReturnType<typeof connect>,
    repository: string,
    { retryPolicy, signal }: RegistryOptions,
) {
    const base = new URL(`/v2/${repository}/`, origin);
    const authorizations = new Map<string, ReturnType<typeof createAuthorization>>();
    const blobs = new Map<string, ReturnType<typeof openBlob>>();
    /** The blob whose answer is open for its next stretch: of one blob only, since each has a connection. */
    let kept: ReturnType<typeof createFrontToBack> | undefined;

    /** The login was made for the registry's own origin: where it leads, there is an anonymous token at most. */
    function authorizationAt(url: URL) {
        const isOwn = url.origin === origin.origin;
        const known =
            authorizations.get(url.origin) ??
            createAuthorization({
                origin: url,
                registry: isOwn ? registry : url.host,
                scope: `repository:${repository}:pull`,
                credentials: async () => (isOwn ? credentials(registry, repository) : undefined),
                lead,
                http,
            });
        authorizations.set(url.origin, known);
        return known;
    }

    function visit<A extends Answer>(first: URL, send: Send<A>): Promise<{ answer: A; url: URL }> {
        return follow(first, lead, (url) => authorizationAt(url)((login) => send(url, login)));
    }

    /**
     * Reads a manifest or index by tag or digest, and checks that it has the digest asked for.
     *
     * @throws ExportError `ImageNotFound`, `AccessDenied`, `DigestMismatch` or `ExportFailed`
     */
    async function manifest(tagOrDigest: string) {
        const what = `${registry}/${repository}, manifest ${tagOrDigest}`;
        return retry(what, retryPolicy, signal, async () => {
            const { answer } = await visit(new URL(`manifests/${tagOrDigest}`, base), (url, login) =>
                http.send({ url, headers: { accept: acceptedManifestTypes, ...login } }),
            );
            assertFound(what, answer);
            const { body: bytes, headers } = answer;
            const contentType = headers["content-type"];
            assertNoPage(what, bytes);
            const digest = digestOf(bytes);
            const stated = headers["docker-content-digest"]?.toString();
            const expected = tagOrDigest.startsWith("sha256:") ? tagOrDigest : stated;
            if (expected !== undefined && expected !== digest) {
                assertNotSchema1(bytes, contentType);
                throw new ExportError(
                    "DigestMismatch",
                    `${what}: expected ${expected}, got a document with ${digest}.`,
                );
            }
            return { bytes, digest, contentType };
        });
    }

    /**
     * Asks what points to a manifest: github.com/opencontainers/distribution-spec, "Listing Referrers".
     *
     * @param limit how many may be listed
     * @param onBytes called with the length of each page; what it throws ends the search
     * @returns undefined where the registry does not know the question, as older ones do not
     * @throws ExportError `AccessDenied`, `InvalidInput` or `ExportFailed`
     */
    async function referrers(
        digest: string,
        limit: number,
        onBytes?: (length: number) => void,
    ): Promise<readonly Descriptor[] | undefined> {
        const what = `${registry}/${repository}, referrers of ${digest}`;
        const ask = (page: URL) =>
            retry(what, retryPolicy, signal, async () => {
                const found = await visit(page, (url, login) =>
                    http.send({ url, headers: { accept: indexType, ...login } }),
                );
                if (!unknownQuestion.has(found.answer.status)) assertFound(what, found.answer);
                return found;
            });
        const listed: Descriptor[] = [];
        let next: URL | undefined = new URL(`referrers/${digest}`, base);
        for (let page = 1; next !== undefined; page++) {
            const { answer, url }: Awaited<ReturnType<typeof ask>> = await ask(next);
            const { status, body } = answer;
            // Google's registries lead to a page for logins (github.com/oras-project/oras-go, issue 633).
            const isLogin = status === 200 && url.origin !== origin.origin && isPage(body);
            if (page === 1 && (unknownQuestion.has(status) || isLogin)) return undefined;
            assertFound(what, answer);
            onBytes?.(body.length);
            const { manifests, link } = readReferrers(what, answer);
            listed.push(...manifests);
            next = link === undefined ? undefined : lead(url, link);
            if (page > limit || listed.length > limit) {
                throw new ExportError("InvalidInput", `${what}: there are more than ${limit}.`);
            }
        }
        return listed;
    }

    /**
     * Gives what fills `target` with the blob's bytes from `offset` on. A transfer that breaks goes on where it broke. The bytes are not
     * checked here: a digest covers the whole blob. `onPiece` is told of every piece of `target` right after it has arrived, in
     * order, while it is in the processor's cache.
     */
    function openBlob(digest: string) {
        const what = `${registry}/${repository}, blob ${digest}`;
        const first = new URL(`blobs/${digest}`, base);
        /** Where the registry has redirected it to. ECR's are URLs of S3 that expire. */
        let location: URL | undefined;
        /** Whether the server has not sent a range that it was asked for. */
        let isWhole = false;
        /** The stretch that was asked for last; it never fails. */
        let last: Promise<unknown> = Promise.resolve();
        const frontToBack = createFrontToBack(async () => {
            await keep(undefined);
            const identity = { "accept-encoding": "identity" };
            const answer = await ask((url, login) => http.open({ url, headers: { ...identity, ...login } }));
            return answer.chunks;
        });

        async function ask<A extends Answer>(send: Send<A>): Promise<A> {
            const { answer, url } = await visit(location ?? first, send);
            const { status } = answer;
            const isElsewhere = url.href !== first.href;
            location = isElsewhere && status < 400 ? url : undefined;
            // A signed URL that has expired answers 400 or 403: the next attempt asks the registry for a new one.
            if (isElsewhere && (status === 400 || status === 403)) {
                const name = status === 403 ? "AccessDenied" : "ExportFailed";
                throw transientAnswer(`${url.origin}, where the registry keeps the blob,`, answer, name);
            }
            assertFound(what, answer);
            return answer;
        }

        return async (offset: number, target: Uint8Array, onPiece?: (piece: Uint8Array) => void): Promise<void> => {
            const before = last;
            let done = 0;
            const onBytes = (length: number): void => {
                onPiece?.(target.subarray(done, done + length));
                done += length;
            };
            const readRest = async (): Promise<void> => {
                const rest = { offset: offset + done, target: target.subarray(done), onBytes };
                if (rest.target.length === 0) return;
                if (!isWhole) {
                    try {
                        await ask((url, headers) => ranges.get({ ...rest, url, headers }));
                        return;
                    } catch (error) {
                        if (!(error instanceof RangeIgnored)) throw error;
                        isWhole = true;
                    }
                }
                await before; // stretches are asked for in their order, so one answer serves them all
                if (kept === frontToBack) kept = undefined;
                await frontToBack.read(rest.offset, rest.target, onBytes);
            };
            const reading = retry(what, retryPolicy, signal, readRest);
            const ended = reading.catch(() => undefined);
            last = ended;
            await ended;
            if (last === ended && isWhole) await keep(frontToBack);
            return reading;
        };
    }

    async function keep(blob: typeof kept): Promise<void> {
        const other = kept;
        kept = blob;
        if (other !== blob) await other?.close();
    }

    /** Reads a stretch of a blob, see {@link openBlob}. */
    function readBlob(digest: string, ...stretch: Parameters<ReturnType<typeof openBlob>>): Promise<void> {
        const read = blobs.get(digest) ?? openBlob(digest);
        blobs.set(digest, read);
        return read(...stretch);
    }

    return { manifest, referrers, readBlob };
}

/**
 * For a blob of a server that does not know ranges: who reads it stretch by stretch, each after the one before it, needs one
 * answer for all of them.
 *
 * @param open asks for the whole blob
 */
function createFrontToBack(open: () => Promise<AsyncIterable<Uint8Array>>) {
    let source: AsyncIterator<Uint8Array> | undefined;
    let position = 0;
    let rest: Uint8Array = new Uint8Array();

    /** Gives up the answer that is under way. */
    async function close(): Promise<void> {
        const old = source;
        source = undefined;
        await old?.return?.();
    }

    /** Fills `target` with the blob's bytes from `from` on. */
    async function read(from: number, target: Uint8Array, onBytes: (length: number) => void): Promise<void> {
        if (source === undefined || from < position) {
            await close();
            source = (await open())[Symbol.asyncIterator]();
            [position, rest] = [0, new Uint8Array()];
        }
        try {
            for (let filled = 0; filled < target.length;) {
                while (rest.length === 0) {
                    const found = await source.next();
                    if (found.done === true) throw new TransientError("the answer is shorter than the blob");
                    rest = found.value;
                }
                const skipped = Math.min(from + filled - position, rest.length);
                const piece = rest.subarray(skipped, skipped + target.length - filled);
                target.set(piece, filled);
                filled += piece.length;
                position += skipped + piece.length;
                rest = rest.subarray(skipped + piece.length);
                if (piece.length > 0) onBytes(piece.length);
            }
        } catch (error) {
            await close().catch(() => undefined);
            throw error;
        }
    }

    return { read, close };
}

/**
 * Reads a page of a list of referrers.
 *
 * @param what names the list in errors
 * @returns also where the next page is
 * @throws ExportError `ExportFailed`
 */
export function readReferrers(what: string, { headers, body }: Pick<DocumentAnswer, "headers" | "body">) {
    assertNoPage(what, body);
    const answered = (how: string, error?: unknown): ExportError =>
        new ExportError("ExportFailed", `${what}: the registry answered with ${how}`, error);
    if (headers["oci-filters-applied"] !== undefined) throw answered("some of them only.");
    try {
        const index = parseManifest(body, headers["content-type"]);
        const [, link] = nextLink.exec(headers["link"]?.toString() ?? "") ?? [];
        if (index.kind === "index") return { manifests: index.manifests, link };
    } catch (error) {
        throw answered(`no list. ${messageOf(error)}`, error);
    }
    throw answered("a manifest, and no list.");
}

/** The link to the next page, whatever else its header says (RFC 8288, 3). */
const nextLink = /<([^<>]*)>[^<]*?;\s*rel\s*=\s*"?next\b/i;

function isPage(bytes: Buffer): boolean {
    return /^\s*</.test(bytes.toString("latin1", 0, 64));
}

function assertNoPage(what: string, bytes: Buffer): void {
    if (!isPage(bytes)) return;
    const advice = "A proxy or a firewall may have answered in place of the registry.";
    throw new ExportError("ExportFailed", `${what}: got a page of HTML.${said(bytes)} ${advice}`);
}

/** What registries answer to a question that they do not know. */
const unknownQuestion: ReadonlySet<number> = new Set([400, 404, 405, 406, 501]);

/** Turns an answer that is not the thing asked for into the error that it means. */
function assertFound(what: string, answer: Answer): void {
    const { status, body } = answer;
    if (status === 200 || status === 206) return;
    if (isTransientStatus(status)) throw transientAnswer("the registry", answer);
    const words = said(body);
    if (status === 404) {
        // ECR answers so for an archived image too, until it is restored.
        throw new ExportError(
            "ImageNotFound",
            `${what}: not in the registry.${words} Check the name, or restore the image.`,
        );
    }
    if (status === 401 || status === 403) {
        throw new ExportError(
            "AccessDenied",
            `${what}: the registry answered ${status}.${words} For ECR the caller and the repository's policy both have to allow ` +
                "ecr:BatchGetImage and ecr:GetDownloadUrlForLayer.",
        );
    }
    throw new ExportError("ExportFailed", `${what}: the registry answered ${status}.${words}`);
}
