import * as http from "node:http";
import * as https from "node:https";
import { ExportError } from "../../contract/errors";
import { type Agents, hostOf, plainProxyFor, portOf } from "./connect";
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

/** Sends requests. It follows no redirects: {@link follow} does. */
export interface HttpClient {
    /** The answer as it comes; who asks for it reads its body, or destroys it. */
    open(request: DocumentRequest): Promise<http.IncomingMessage>;
    /** The answer as a whole. */
    send(request: DocumentRequest): Promise<DocumentResponse>;
}

/**
 * A client for answers that need not be fast.
 *
 * @param idleTimeoutMs a connection without a byte for so long is stalled
 */
export function createHttpClient(env: NodeJS.ProcessEnv, agents: Agents, idleTimeoutMs: number): HttpClient {
    function open(request: DocumentRequest): Promise<http.IncomingMessage> {
        const { method, url, headers, body, signal } = request;
        const via = plainProxyFor(url, env);
        const target = via?.proxy ?? url;
        const isTls = target.protocol === "https:";
        const agent = via === undefined && (isTls ? agents.httpsAgent : agents.httpAgent);
        return new Promise<http.IncomingMessage>((resolve, reject) => {
            const options = {
                host: hostOf(target),
                port: portOf(target),
                path: via === undefined ? `${url.pathname}${url.search}` : url.href,
                method,
                headers: { host: url.host, ...via?.headers, ...headers },
                signal,
                agent,
            };
            const sent = (isTls ? https : http).request(options, resolve);
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

    async function send(request: DocumentRequest): Promise<DocumentResponse> {
        const response = await open(request);
        const { statusCode: status = 0, headers } = response;
        try {
            return { status, headers, body: await readBody(response) };
        } catch (error) {
            request.signal.throwIfAborted();
            throw networkError(error, request.url);
        }
    }

    return { open, send };
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

/** Whether a status is a redirect that a GET follows. */
export function isRedirect(status: number | undefined): boolean {
    return status !== undefined && [301, 302, 303, 307, 308].includes(status);
}

/**
 * Follows the redirects of a GET.
 *
 * @param lead where an answer leads, or an error
 * @param send sends the request to a URL; whoever logs in does so here, URL by URL
 * @returns the last answer, and the URL that gave it
 */
export async function follow<R>(
    first: URL,
    lead: (from: URL, location: string) => URL,
    send: (url: URL) => Promise<R>,
    headOf: (response: R) => { readonly status?: number | undefined; readonly location?: string | undefined },
): Promise<{ response: R; url: URL }> {
    let url = first;
    for (let hop = 0; hop <= redirectLimit; hop++) {
        const response = await send(url);
        const { status, location } = headOf(response);
        if (!isRedirect(status) || location === undefined) return { response, url };
        url = lead(url, location);
    }
    throw new ExportError("ExportFailed", `${first.origin} redirects more than ${redirectLimit} times.`);
}
