import * as http from "node:http";
import * as https from "node:https";
import type { Agents } from "./connect";
import { ExportError } from "../../contract/errors";
import { networkError } from "./networkError";
import { TransientError } from "./retry";

/** A request for a document: a manifest, a token. */
export interface DocumentRequest {
    readonly method: "GET" | "HEAD" | "POST";
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly signal: AbortSignal;
}

/** The answer, its body whole. */
export interface DocumentResponse {
    readonly status: number;
    readonly headers: http.IncomingHttpHeaders;
    readonly body: Buffer;
}

/** Registries refuse manifests above 4 MiB (distribution's own limit), so nothing larger is a document. */
const documentLimitBytes = 8 * 1024 * 1024;
const redirectLimit = 5;

/** Sends requests for documents. */
export type HttpClient = (request: DocumentRequest) => Promise<DocumentResponse>;

/**
 * A client for small answers that follows redirects by hand, so that credentials stay with the host they are for.
 *
 * @param mayVisit which URLs may be spoken to; the others end in an ExportError
 * @param idleTimeoutMs a connection without a byte for so long is stalled
 */
export function createHttpClient(agents: Agents, mayVisit: (url: URL) => boolean, idleTimeoutMs: number): HttpClient {
    return async function request(first: DocumentRequest): Promise<DocumentResponse> {
        let current = { ...first, url: checked(first.url, mayVisit) };
        for (let hop = 0; hop <= redirectLimit; hop++) {
            const response = await send(current, agents, idleTimeoutMs);
            const { location } = response.headers;
            // Only a GET is followed: a POST carries a secret, and a HEAD has its answer (the thing exists).
            if (current.method !== "GET" || !isRedirect(response.status) || location === undefined) {
                return response;
            }
            current = redirected(current, location, mayVisit);
        }
        throw new ExportError("ExportFailed", `${first.url.origin} redirects more than ${redirectLimit} times.`);
    };
}

/** Whether a status is a redirect that a GET follows. */
export function isRedirect(status: number): boolean {
    return [301, 302, 303, 307, 308].includes(status);
}

/**
 * Where a redirect leads.
 *
 * @throws ExportError when it may not be followed, for example from TLS to plain HTTP
 */
export function redirectTarget(from: URL, location: string, mayVisit: (url: URL) => boolean): URL {
    return checked(new URL(location, from), mayVisit);
}

function checked(url: URL, mayVisit: (url: URL) => boolean): URL {
    if (!mayVisit(url)) {
        throw new ExportError(
            "ExportFailed",
            `The registry leads to ${url.origin}, which is not TLS; allow it with --insecure.`,
        );
    }
    return url;
}

function redirected(request: DocumentRequest, location: string, mayVisit: (url: URL) => boolean): DocumentRequest {
    const url = redirectTarget(request.url, location, mayVisit);
    const headers = Object.entries(request.headers).filter(
        ([name]) => url.origin === request.url.origin || name.toLowerCase() !== "authorization",
    );
    return { ...request, url, headers: Object.fromEntries(headers) };
}

function send(request: DocumentRequest, agents: Agents, idleTimeoutMs: number): Promise<DocumentResponse> {
    const { method, url, headers, body, signal } = request;
    const isTls = url.protocol === "https:";
    const options = { method, headers, signal, agent: isTls ? agents.httpsAgent : agents.httpAgent };
    return new Promise<DocumentResponse>((resolve, reject) => {
        const sent = (isTls ? https : http).request(url, options, (response) => {
            readBody(response).then((bytes) => {
                resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes });
            }, reject);
        });
        sent.setTimeout(idleTimeoutMs, () => {
            sent.destroy(new TransientError(`${url.origin}: the connection stalled`));
        });
        sent.on("error", reject);
        sent.end(body);
    }).catch((error: unknown) => {
        signal.throwIfAborted();
        throw networkError(error, url);
    });
}

async function readBody(response: http.IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > documentLimitBytes) {
            throw new ExportError("ExportFailed", `An answer is longer than ${documentLimitBytes} bytes.`);
        }
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}
