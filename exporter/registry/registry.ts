import { createHash } from "node:crypto";
import { createAuthorization } from "./authorization";
import { type Agents, createAgents } from "../network/connect";
import { type CredentialSource, defaultCredentials } from "./credentials";
import { ExportError } from "../../contract/errors";
import { createHttpClient, type DocumentResponse, isRedirect, redirectTarget } from "../network/httpClient";
import { acceptedManifestTypes } from "./manifest";
import { createRangeClient, type RangeResponse } from "./rangeClient";
import type { ImageReference } from "../../contract/image";
import { isLoopback, registryOrigin } from "../network/origin";
import { isTransientStatus, retry, retryAfterMs, type RetryPolicy, TransientError } from "../network/retry";

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

const redirectLimit = 5;

/** Opens the repository of a reference. Nothing is sent before the first operation. */
export function openRegistry(reference: ImageReference, options: RegistryOptions): Registry {
    const { env, signal, insecure, retryPolicy, idleTimeoutMs } = options;
    const { registry, repository } = reference;
    const agents: Agents = createAgents(env, options.concurrency);
    const mayVisit = (url: URL): boolean => url.protocol === "https:" || insecure || isLoopback(url.hostname);
    const http = createHttpClient(agents, mayVisit, idleTimeoutMs);
    const ranges = createRangeClient(env, agents, idleTimeoutMs);
    const source = options.credentials ?? defaultCredentials(env, agents);
    const authorization = createAuthorization(registry, `repository:${repository}:pull`, source, http, signal);
    const base = new URL(`/v2/${repository}/`, registryOrigin(registry, insecure));
    /** Where the registry has redirected a blob to. ECR's are URLs of S3 that expire. */
    const locations = new Map<string, URL>();

    async function authorized<R extends { status: number; headers: RangeResponse["headers"] | object }>(
        send: (header: Record<string, string>) => Promise<R>,
    ): Promise<R> {
        const used = await authorization.current();
        const response = await send(used === undefined ? {} : { authorization: used });
        if (response.status !== 401) return response;
        const challenge = (response.headers as Record<string, string | undefined>)["www-authenticate"];
        return send({ authorization: await authorization.renew(used, challenge) });
    }

    function document(method: "GET" | "HEAD", path: string): Promise<DocumentResponse> {
        const url = new URL(path, base);
        return authorized((header) =>
            http({ method, url, headers: { accept: acceptedManifestTypes, ...header }, signal }),
        );
    }

    async function manifest(tagOrDigest: string): Promise<RegistryDocument> {
        const what = `${registry}/${repository}, manifest ${tagOrDigest}`;
        return retry(what, retryPolicy, signal, async () => {
            const response = await document("GET", `manifests/${tagOrDigest}`);
            assertFound(response.status, response.headers["retry-after"], what, said(response.body));
            const digest = `sha256:${createHash("sha256").update(response.body).digest("hex")}`;
            const stated = response.headers["docker-content-digest"]?.toString();
            assertDigest(what, digest, tagOrDigest.startsWith("sha256:") ? tagOrDigest : stated);
            return { bytes: response.body, digest, contentType: response.headers["content-type"] };
        });
    }

    async function hasBlob(digest: string): Promise<boolean> {
        const what = `${registry}/${repository}, blob ${digest}`;
        return retry(what, retryPolicy, signal, async () => {
            const { status, headers } = await document("HEAD", `blobs/${digest}`);
            if (status === 404 || isRedirect(status)) {
                return status !== 404; // a redirect leads to where the blob is
            }
            assertFound(status, headers["retry-after"], what);
            return true;
        });
    }

    async function readBlob(
        digest: string,
        offset: number,
        target: Uint8Array,
        onPiece?: (piece: Uint8Array) => void,
    ): Promise<void> {
        let done = 0;
        const onBytes = (length: number): void => {
            onPiece?.(target.subarray(done, done + length));
            done += length;
            options.onBytes?.(length);
        };
        await retry(`${registry}/${repository}, blob ${digest}`, retryPolicy, signal, async () => {
            if (done < target.length) await readOnce(digest, offset + done, target.subarray(done), onBytes);
        });
    }

    async function readOnce(
        digest: string,
        offset: number,
        target: Uint8Array,
        onBytes: (length: number) => void,
    ): Promise<void> {
        let url = locations.get(digest);
        for (let hop = 0; hop <= redirectLimit; hop++) {
            const response: RangeResponse = await (url === undefined
                ? authorized((headers) =>
                      ranges.get({
                          url: new URL(`blobs/${digest}`, base),
                          headers,
                          offset,
                          target,
                          signal,
                          onBytes,
                      }),
                  )
                : ranges.get({ url, headers: {}, offset, target, signal, onBytes }));
            const { location } = response.headers;
            if (!isRedirect(response.status) || location === undefined) {
                assertBlobStatus(response, digest, url);
                return;
            }
            url = redirectTarget(url ?? base, location, mayVisit);
            locations.set(digest, url);
        }
        throw new ExportError("ExportFailed", `${registry} redirects a blob more than ${redirectLimit} times.`);
    }

    function assertBlobStatus({ status, headers }: RangeResponse, digest: string, redirectedTo?: URL): void {
        if (redirectedTo !== undefined && status >= 400) {
            // A signed URL that has expired answers 400 or 403: the next attempt asks the registry for a new one.
            locations.delete(digest);
            const lasting = status === 403 ? "AccessDenied" : "ExportFailed";
            const message = `${redirectedTo.origin}, where the registry keeps the blob, answered ${status}`;
            throw new TransientError(message, retryAfterMs(headers["retry-after"]), lasting);
        }
        assertFound(status, headers["retry-after"], `${registry}/${repository}, blob ${digest}`);
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

/** Turns the status of an answer that is not the thing asked for into the error that it means. */
function assertFound(status: number, retryAfter: string | undefined, what: string, words = ""): void {
    if (status === 200 || status === 206) return;
    if (isTransientStatus(status)) {
        throw new TransientError(`the registry answered ${status}`, retryAfterMs(retryAfter));
    }
    if (status === 404) {
        // ECR answers so for an archived image too, until it is restored.
        throw new ExportError("ImageNotFound", `${what}: not in the registry. Check the name, or restore the image.`);
    }
    if (status === 401 || status === 403) {
        throw new ExportError(
            "AccessDenied",
            `${what}: the registry answered ${status}.${words} For ECR the caller and the repository's policy both have to allow ` +
                "ecr:BatchGetImage and ecr:GetDownloadUrlForLayer.",
        );
    }
    throw new ExportError("ExportFailed", `${what}: the registry answered ${status}.`);
}

/** What the registry says of an error (github.com/opencontainers/distribution-spec, "Error Codes"), after a space. */
function said(body: Buffer): string {
    try {
        const { errors } = JSON.parse(body.toString()) as { errors?: { message?: unknown }[] };
        const message = errors?.[0]?.message;
        return typeof message === "string" && message !== "" ? ` ${message.slice(0, 500)}` : "";
    } catch {
        return "";
    }
}

function assertDigest(what: string, digest: string, expected: string | undefined): void {
    if (expected !== undefined && expected !== digest) {
        throw new ExportError("DigestMismatch", `${what}: expected ${expected}, got a document with ${digest}.`);
    }
}
