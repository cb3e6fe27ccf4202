import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { ExportError } from "../../contract/errors";
import type { ImageReference } from "../../contract/image";
import { type Agents, createAgents } from "../network/connect";
import { createHttpClient, type DocumentResponse, follow, isRedirect } from "../network/httpClient";
import { networkError } from "../network/networkError";
import { createLeads, registryOrigin } from "../network/origin";
import { isTransientStatus, retry, retryAfterMs, type RetryPolicy, TransientError } from "../network/retry";
import { type Authorization, createAuthorization } from "./authorization";
import { type CredentialSource, defaultCredentials } from "./credentials";
import { createFrontToBack, type FrontToBack } from "./frontToBack";
import { acceptedManifestTypes, assertNotSchema1, digestOf } from "./manifest";
import { createRangeClient, RangeIgnored, type RangeRequest, type RangeResponse } from "./rangeClient";
import { said } from "./words";

/** A manifest or index as the registry sent it. */
export interface RegistryDocument {
    readonly bytes: Buffer;
    readonly digest: string;
    readonly contentType: string | undefined;
}

/** One repository of one registry. All operations retry what may pass, and end in an ExportError. */
export interface Registry {
    /**
     * Reads a manifest or index by tag or digest, and checks that it has the digest asked for.
     *
     * @throws ExportError `ImageNotFound`, `AccessDenied`, `DigestMismatch` or `ExportFailed`
     */
    manifest(tagOrDigest: string): Promise<RegistryDocument>;
    /** Whether the repository has a blob. */
    hasBlob(digest: string): Promise<boolean>;
    /**
     * Fills `target` with the blob's bytes from `offset` on. A transfer that breaks goes on where it broke.
     * The bytes are not checked here: a digest covers the whole blob.
     *
     * @param onPiece told of every piece of `target` right after it has arrived, in order, while it is in the processor's cache
     */
    readBlob(digest: string, offset: number, target: Uint8Array, onPiece?: (piece: Uint8Array) => void): Promise<void>;
    /** Closes kept connections. */
    close(): void;
}

/** How to speak to a registry. */
export interface RegistryOptions {
    readonly env: NodeJS.ProcessEnv;
    /** Connections at a time. */
    readonly concurrency: number;
    /** Whether hosts other than loopback may be spoken to without TLS. */
    readonly insecure: boolean;
    readonly retryPolicy: RetryPolicy;
    /** A connection without a byte for so long is stalled and given up. */
    readonly idleTimeoutMs: number;
    readonly signal: AbortSignal;
    /** Where credentials come from; by default ECR's token or `docker login`. */
    readonly credentials?: CredentialSource | undefined;
    /** Told of every piece of a blob that arrives. */
    readonly onBytes?: ((length: number) => void) | undefined;
}

/** What is known of a blob. */
interface KnownBlob {
    /** Where the registry has redirected it to. ECR's are URLs of S3 that expire. */
    location?: URL | undefined;
    /** Whether the server has not sent a range that it was asked for. */
    isWhole?: boolean;
    readonly stretches: FrontToBack;
}

/** Opens the repository of a reference. Nothing is sent before the first operation. */
export function openRegistry(reference: ImageReference, options: RegistryOptions): Registry {
    const { env, signal, insecure, retryPolicy, idleTimeoutMs } = options;
    const { registry, repository } = reference;
    const origin = registryOrigin(registry, insecure);
    const leads = createLeads(origin, insecure);
    const agents: Agents = createAgents(env, options.concurrency, leads.lookup);
    const http = createHttpClient(env, agents, idleTimeoutMs);
    const ranges = createRangeClient({ env, lookup: leads.lookup, http, idleTimeoutMs });
    const source = options.credentials ?? defaultCredentials(env);
    const base = new URL(`/v2/${repository}/`, origin);
    const authorizations = new Map<string, Authorization>();
    const blobs = new Map<string, KnownBlob>();

    /** The login was made for the registry's own origin: where it leads, there is an anonymous token at most. */
    function authorizationAt(url: URL): Authorization {
        const isOwn = url.origin === origin.origin;
        const known =
            authorizations.get(url.origin) ??
            createAuthorization({
                origin: url,
                registry: isOwn ? registry : url.host,
                scope: `repository:${repository}:pull`,
                credentials: () => (isOwn ? source(registry, repository) : Promise.resolve(undefined)),
                lead: leads.follow,
                http,
                signal,
            });
        authorizations.set(url.origin, known);
        return known;
    }

    async function authorized<R>(
        url: URL,
        send: (url: URL, headers: Record<string, string>) => Promise<R>,
        headOf: (response: R) => Head,
    ): Promise<R> {
        const authorization = authorizationAt(url);
        const used = await authorization.current();
        const response = await send(url, used === undefined ? {} : { authorization: used });
        const { status, challenge } = headOf(response);
        if (status !== 401) return response;
        return send(url, { authorization: await authorization.renew(used, challenge) });
    }

    function visit<R>(
        first: URL,
        send: (url: URL, headers: Record<string, string>) => Promise<R>,
        headOf: (response: R) => Head,
    ): Promise<{ response: R; url: URL }> {
        return follow(first, leads.follow, (url) => authorized(url, send, headOf), headOf);
    }

    async function manifest(tagOrDigest: string): Promise<RegistryDocument> {
        const what = `${registry}/${repository}, manifest ${tagOrDigest}`;
        const headers = { accept: acceptedManifestTypes };
        return retry(what, retryPolicy, signal, async () => {
            const { response } = await visit(
                new URL(`manifests/${tagOrDigest}`, base),
                (url, login) => http.send({ method: "GET", url, headers: { ...headers, ...login }, signal }),
                headOfAnswer,
            );
            assertFound(response.status, response.headers["retry-after"], what, response.body);
            const contentType = response.headers["content-type"];
            assertNotSchema1(contentType);
            const digest = digestOf(response.body);
            const stated = response.headers["docker-content-digest"]?.toString();
            assertDigest(what, digest, tagOrDigest.startsWith("sha256:") ? tagOrDigest : stated);
            return { bytes: response.body, digest, contentType };
        });
    }

    async function hasBlob(digest: string): Promise<boolean> {
        const what = `${registry}/${repository}, blob ${digest}`;
        return retry(what, retryPolicy, signal, async () => {
            const { status, headers } = await authorized(
                blobUrl(digest),
                (url, login) => http.send({ method: "HEAD", url, headers: login, signal }),
                headOfAnswer,
            );
            if (status === 404 || isRedirect(status)) return status !== 404; // a redirect leads to where the blob is
            assertFound(status, headers["retry-after"], what);
            return true;
        });
    }

    function blobUrl(digest: string): URL {
        return new URL(`blobs/${digest}`, base);
    }

    async function readBlob(
        digest: string,
        offset: number,
        target: Uint8Array,
        onPiece?: (piece: Uint8Array) => void,
    ): Promise<void> {
        const blob = blobs.get(digest) ?? { stretches: createFrontToBack() };
        blobs.set(digest, blob);
        let done = 0;
        const onBytes = (length: number): void => {
            onPiece?.(target.subarray(done, done + length));
            done += length;
            options.onBytes?.(length);
        };
        const readRest = async (): Promise<void> => {
            const [from, rest] = [offset + done, target.subarray(done)];
            if (rest.length === 0) return;
            if (blob.isWhole !== true) {
                try {
                    await readRange(digest, blob, { offset: from, target: rest, signal, onBytes });
                    return;
                } catch (error) {
                    if (!(error instanceof RangeIgnored)) throw error;
                    blob.isWhole = true;
                }
            }
            await blob.stretches.read(offset, from, rest, () => openWhole(digest, blob), onBytes);
        };
        const what = `${registry}/${repository}, blob ${digest}`;
        await blob.stretches.during(offset, () => retry(what, retryPolicy, signal, readRest));
    }

    async function readRange(
        digest: string,
        blob: KnownBlob,
        range: Omit<RangeRequest, "url" | "headers">,
    ): Promise<void> {
        await visitBlob(digest, blob, (url, headers) => ranges.get({ ...range, url, headers }), headOfAnswer);
    }

    async function openWhole(digest: string, blob: KnownBlob): Promise<AsyncIterable<Uint8Array>> {
        const response = await visitBlob(
            digest,
            blob,
            (url, login) =>
                http.open({
                    method: "GET",
                    url,
                    headers: { "accept-encoding": "identity", ...login },
                    signal,
                }),
            headOfMessage,
        );
        return named(response, new URL(origin));
    }

    /** An answer whose breaks are told as those of other answers are. */
    async function* named(response: IncomingMessage, url: URL): AsyncIterable<Uint8Array> {
        try {
            for await (const chunk of response as AsyncIterable<Buffer>) yield chunk;
        } catch (error) {
            signal.throwIfAborted();
            throw networkError(error, url);
        }
    }

    async function visitBlob<R>(
        digest: string,
        blob: KnownBlob,
        send: (url: URL, headers: Record<string, string>) => Promise<R>,
        headOf: (response: R) => Head,
    ): Promise<R> {
        const own = blobUrl(digest);
        const { response, url } = await visit(blob.location ?? own, send, headOf);
        const { status, retryAfter, body } = headOf(response);
        const isElsewhere = url.href !== own.href;
        blob.location = isElsewhere && status < 400 ? url : undefined;
        // A signed URL that has expired answers 400 or 403: the next attempt asks the registry for a new one.
        if (isElsewhere && (status === 400 || status === 403)) {
            const message = `${url.origin}, where the registry keeps the blob, answered ${status}.${said(body)}`;
            throw new TransientError(
                message,
                retryAfterMs(retryAfter),
                status === 403 ? "AccessDenied" : "ExportFailed",
            );
        }
        assertFound(status, retryAfter, `${registry}/${repository}, blob ${digest}`, body);
        return response;
    }

    return {
        manifest,
        hasBlob,
        readBlob,
        close: () => {
            ranges.close();
            agents.httpAgent.destroy();
            agents.httpsAgent.destroy();
        },
    };
}

/** What is asked of an answer of any client. */
interface Head {
    readonly status: number;
    readonly location: string | undefined;
    readonly challenge: string | undefined;
    readonly retryAfter: string | undefined;
    readonly body?: Uint8Array | undefined;
}

function headOfAnswer({ status, headers, body }: DocumentResponse | RangeResponse): Head {
    return { status, body, ...headOf(headers) };
}

function headOfMessage({ statusCode: status = 0, headers }: IncomingMessage): Head {
    return { status, ...headOf(headers) };
}

function headOf(headers: IncomingHttpHeaders) {
    return {
        location: headers.location,
        challenge: headers["www-authenticate"],
        retryAfter: headers["retry-after"],
    };
}

/** Turns the status of an answer that is not the thing asked for into the error that it means. */
function assertFound(status: number, retryAfter: string | undefined, what: string, body?: Uint8Array): void {
    if (status === 200 || status === 206) return;
    const words = said(body);
    if (isTransientStatus(status)) {
        throw new TransientError(`the registry answered ${status}.${words}`, retryAfterMs(retryAfter));
    }
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

function assertDigest(what: string, digest: string, expected: string | undefined): void {
    if (expected !== undefined && expected !== digest) {
        throw new ExportError("DigestMismatch", `${what}: expected ${expected}, got a document with ${digest}.`);
    }
}
