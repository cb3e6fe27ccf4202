import * as http from "node:http";
import * as https from "node:https";
import { ExportError, type ExportErrorName } from "../../contract/errors";
import { createAgents, hostOf, type NetworkOptions, plainProxyFor, portOf } from "./connect";
import type { Lead } from "./origin";
import { networkError, retryAfterMs, TransientError } from "./retry";

/** A request for a document: a manifest, a token. */
interface HttpRequest {
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    /** What is posted; without it the request is a GET. */
    readonly body?: string;
}

/** An answer of any client. */
export interface Answer {
    readonly status: number;
    readonly headers: Pick<http.IncomingHttpHeaders, "location" | "retry-after" | "www-authenticate">;
    /** What has come of the body. */
    readonly body?: Uint8Array | undefined;
}

/** An answer whose body is whole. */
export type DocumentAnswer = Awaited<ReturnType<HttpClient["send"]>>;

/** Registries refuse manifests above 4 MiB (distribution's own limit), so nothing larger is a document. */
const documentLimitBytes = 8 * 1024 * 1024;
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const redirectLimit = 5;

export type HttpClient = ReturnType<typeof createHttpClient>;

/** A client for answers that need not be fast. It follows no redirects: {@link follow} does. */
export function createHttpClient(options: NetworkOptions) {
    const { env, idleTimeoutMs, signal } = options;
    const agents = createAgents(options);

    function responseTo({ url, headers, body }: HttpRequest): Promise<http.IncomingMessage> {
        const via = plainProxyFor(url, env);
        const target = via?.proxy ?? url;
        const isTls = target.protocol === "https:";
        return new Promise((resolve, reject) => {
            const sent = (isTls ? https : http).request({
                host: hostOf(target),
                port: portOf(target),
                path: via === undefined ? `${url.pathname}${url.search}` : url.href,
                method: body === undefined ? "GET" : "POST",
                headers: { host: url.host, ...via?.headers, ...headers },
                signal,
                agent: via === undefined && (isTls ? agents.httpsAgent : agents.httpAgent),
            });
            let stream: http.ClientRequest | http.IncomingMessage = sent;
            sent.on("response", (response) => {
                stream = response;
                resolve(response);
            });
            sent.setTimeout(idleTimeoutMs, () => {
                stream.destroy(new TransientError(`${url.origin}: the connection stalled`));
            });
            sent.on("error", reject);
            sent.on("close", () => {
                reject(new Error("the connection was closed without an answer"));
            });
            sent.end(body);
        });
    }

    /**
     * The answer with its body as it comes; who asks for it reads that to its end, or returns from it. That of a failure is read: what
     * is not keeps its connection.
     */
    async function open(request: HttpRequest) {
        const response = await responseTo(request).catch((error: unknown) => {
            throw failure(error, request.url);
        });
        const { statusCode: status = 0, headers } = response;
        const chunks = chunksOf(response, request.url);
        const body = [200, 206].includes(status) ? undefined : await readDocument(chunks);
        return { status, headers, chunks, body };
    }

    async function send(request: HttpRequest) {
        const { chunks, body, ...answer } = await open(request);
        return { ...answer, body: body ?? (await readDocument(chunks)) };
    }

    async function* chunksOf(response: http.IncomingMessage, url: URL): AsyncIterable<Buffer> {
        try {
            yield* response as AsyncIterable<Buffer>;
        } catch (error) {
            throw failure(error, url);
        }
    }

    function failure(error: unknown, url: URL): unknown {
        return signal.aborted ? signal.reason : networkError(error, url);
    }

    function close(): void {
        agents.httpAgent.destroy();
        agents.httpsAgent.destroy();
    }

    return { open, send, close };
}

async function readDocument(source: AsyncIterable<Buffer>): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of source) {
        length += chunk.length;
        if (length > documentLimitBytes) {
            throw new ExportError("ExportFailed", `An answer is longer than ${documentLimitBytes} bytes.`);
        }
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}

/**
 * Follows the redirects of a GET.
 *
 * @param send sends the request to a URL; whoever logs in does so here, URL by URL
 * @returns the last answer, and the URL that gave it
 */
export async function follow<A extends Answer>(
    first: URL,
    lead: Lead,
    send: (url: URL) => Promise<A>,
): Promise<{ answer: A; url: URL }> {
    let url = first;
    for (let hop = 0; hop <= redirectLimit; hop++) {
        const answer = await send(url);
        const { location } = answer.headers;
        if (!redirects.has(answer.status) || location === undefined) return { answer, url };
        url = lead(url, location);
    }
    throw new ExportError("ExportFailed", `${first.origin} redirects more than ${redirectLimit} times.`);
}

/** A failure that may pass, as a server tells it. */
export function transientAnswer(who: string, answer: Answer, lastingName?: ExportErrorName): TransientError {
    const waitMs = retryAfterMs(answer.headers["retry-after"]);
    return new TransientError(`${who} answered ${answer.status}.${said(answer.body)}`, waitMs, lastingName);
}

/**
 * What the body of a failure says, after a space; empty where it says nothing that can be read. Registries answer with JSON
 * (github.com/opencontainers/distribution-spec, "Error Codes"), token servers too (RFC 6749, 5.2), S3 with XML, proxies with HTML,
 * and some with a line of text.
 */
export function said(body: Uint8Array = new Uint8Array()): string {
    const text = Buffer.from(body)
        .toString("utf8", 0, 64 * 1024)
        .trim();
    const message = text.startsWith("<") ? /<(?:Message|title)>([^<]*)</i.exec(text)?.[1] : messageIn(text);
    const line = message?.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
    return line === undefined || line === "" ? "" : ` ${line.slice(0, 500)}`;
}

function messageIn(text: string): string | undefined {
    try {
        const body = Object(JSON.parse(text)) as Record<string, unknown>;
        const { message, code } = Object(Array.isArray(body["errors"]) ? body["errors"][0] : undefined) as Record<
            string,
            unknown
        >;
        const words = [message, code, body["message"], body["details"], body["error_description"], body["error"]];
        return words.find((each) => typeof each === "string" && each !== "") as string | undefined;
    } catch {
        return /^[{["]/.test(text) ? undefined : text;
    }
}
