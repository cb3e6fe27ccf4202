import { ExportError } from "../../contract/errors";
import type { ImageReference } from "../../contract/image";
import {
    type Answer,
    type ClientOptions,
    createHttpClient,
    follow,
    said,
    transientAnswer,
} from "../network/httpClient";
import { createLeads, registryOrigin } from "../network/origin";
import { isTransientStatus, retry, type RetryPolicy } from "../network/retry";
import { type Authorized, createAuthorization, type LoginHeaders } from "./authorization";
import { type CredentialSource, defaultCredentials } from "./credentials";
import { createFrontToBack } from "./frontToBack";
import { acceptedManifestTypes, assertNotSchema1, digestOf } from "./manifest";
import { createRangeClient, RangeIgnored } from "./rangeClient";

/** How to speak to a registry. */
export interface RegistryOptions extends Omit<ClientOptions, "lookup"> {
    /** Connections at a time. */
    readonly concurrency: number;
    /** Whether hosts other than loopback may be spoken to without TLS. */
    readonly insecure: boolean;
    readonly retryPolicy: RetryPolicy;
    /** Where credentials come from; by default ECR's token or `docker login`. */
    readonly credentials?: CredentialSource | undefined;
}

type Send<A extends Answer> = (url: URL, login: LoginHeaders) => Promise<A>;

/** What is known of a blob. */
interface KnownBlob {
    /** What it is called in errors. */
    readonly what: string;
    readonly url: URL;
    /** Where the registry has redirected it to. ECR's are URLs of S3 that expire. */
    location?: URL | undefined;
    /** Whether the server has not sent a range that it was asked for. */
    isWhole?: boolean;
    readonly frontToBack: ReturnType<typeof createFrontToBack>;
    /** The stretch that was asked for last; it never fails. */
    last?: Promise<unknown>;
}

/** One repository of one registry. */
export type Registry = ReturnType<typeof openRegistry>;

/**
 * Opens the repository of a reference. Nothing is sent before the first operation; all operations retry what may pass, and end in
 * an ExportError.
 */
export function openRegistry({ registry, repository }: ImageReference, options: RegistryOptions) {
    const { env, insecure, retryPolicy, signal, credentials = defaultCredentials(env) } = options;
    const origin = registryOrigin(registry, insecure);
    const { lead, lookup } = createLeads(origin, insecure);
    const http = createHttpClient({ ...options, lookup });
    const ranges = createRangeClient({ ...options, lookup });
    const base = new URL(`/v2/${repository}/`, origin);
    const authorizations = new Map<string, Authorized>();
    const blobs = new Map<string, KnownBlob>();
    let kept: KnownBlob | undefined;

    /** The login was made for the registry's own origin: where it leads, there is an anonymous token at most. */
    function authorizationAt(url: URL): Authorized {
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
            assertNotSchema1(contentType);
            const digest = digestOf(bytes);
            const stated = headers["docker-content-digest"]?.toString();
            const expected = tagOrDigest.startsWith("sha256:") ? tagOrDigest : stated;
            if (expected !== undefined && expected !== digest) {
                throw new ExportError(
                    "DigestMismatch",
                    `${what}: expected ${expected}, got a document with ${digest}.`,
                );
            }
            return { bytes, digest, contentType };
        });
    }

    function blobOf(digest: string): KnownBlob {
        const known = blobs.get(digest);
        if (known !== undefined) return known;
        const blob: KnownBlob = {
            what: `${registry}/${repository}, blob ${digest}`,
            url: new URL(`blobs/${digest}`, base),
            frontToBack: createFrontToBack(async () => {
                await keep(undefined);
                const headers = { "accept-encoding": "identity" };
                const { chunks } = await visitBlob(blob, (url, login) =>
                    http.open({ url, headers: { ...headers, ...login } }),
                );
                return chunks;
            }),
        };
        blobs.set(digest, blob);
        return blob;
    }

    /**
     * Fills `target` with the blob's bytes from `offset` on. A transfer that breaks goes on where it broke.
     * The bytes are not checked here: a digest covers the whole blob.
     *
     * @param onPiece told of every piece of `target` right after it has arrived, in order, while it is in the processor's cache
     */
    async function readBlob(
        digest: string,
        offset: number,
        target: Uint8Array,
        onPiece?: (piece: Uint8Array) => void,
    ): Promise<void> {
        const blob = blobOf(digest);
        const before = blob.last;
        let done = 0;
        const onBytes = (length: number): void => {
            onPiece?.(target.subarray(done, done + length));
            done += length;
        };
        const readRest = async (): Promise<void> => {
            const rest = { offset: offset + done, target: target.subarray(done), onBytes };
            if (rest.target.length === 0) return;
            if (blob.isWhole !== true) {
                try {
                    await visitBlob(blob, (url, headers) => ranges.get({ ...rest, url, headers }));
                    return;
                } catch (error) {
                    if (!(error instanceof RangeIgnored)) throw error;
                    blob.isWhole = true;
                }
            }
            await before; // stretches are asked for in their order, so one answer serves them all
            if (kept === blob) kept = undefined;
            await blob.frontToBack.read(rest.offset, rest.target, onBytes);
        };
        const reading = retry(blob.what, retryPolicy, signal, readRest);
        const ended = reading.catch(() => undefined);
        blob.last = ended;
        await ended;
        if (blob.last === ended && blob.isWhole === true) await keep(blob);
        return reading;
    }

    /** Leaves the answer of a blob open for its next stretch: of one blob, since each has a connection. */
    async function keep(blob: KnownBlob | undefined): Promise<void> {
        const other = kept;
        kept = blob;
        if (other !== blob) await other?.frontToBack.close();
    }

    async function visitBlob<A extends Answer>(blob: KnownBlob, send: Send<A>): Promise<A> {
        const { answer, url } = await visit(blob.location ?? blob.url, send);
        const { status } = answer;
        const isElsewhere = url.href !== blob.url.href;
        blob.location = isElsewhere && status < 400 ? url : undefined;
        // A signed URL that has expired answers 400 or 403: the next attempt asks the registry for a new one.
        if (isElsewhere && (status === 400 || status === 403)) {
            const name = status === 403 ? "AccessDenied" : "ExportFailed";
            throw transientAnswer(`${url.origin}, where the registry keeps the blob,`, answer, name);
        }
        assertFound(blob.what, answer);
        return answer;
    }

    /** Closes kept connections. */
    function close(): void {
        ranges.close();
        http.close();
    }

    return { manifest, readBlob, close };
}

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
