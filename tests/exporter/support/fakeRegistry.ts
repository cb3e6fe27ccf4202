import type * as http from "node:http";
import { type Fault, type FaultRule, listen, send, type TestServer } from "./faults";
import type { Descriptor } from "../../../exporter/registry/manifest";
import { mediaTypes, referrersOf, type Repository } from "./images";

export interface FakeRegistryOptions {
    repository: Repository;
    /** Further repositories of the registry. */
    others?: readonly Repository[];
    /** What goes wrong with which request. */
    fault?: FaultRule;
    /** Login that is asked for: user `user`, password `secret`. */
    login?: "basic" | "bearer" | "none";
    /** Requests a token is good for. */
    tokenUses?: number;
    /** Blobs are redirected to another server, whose URLs are good for so many requests. */
    redirectUses?: number;
    /** Whether a digest is found only after a tag has been, as in a pull-through cache of ECR. */
    importsByTag?: boolean;
    /** Whether the answer to a range is the whole blob. */
    ignoresRanges?: boolean;
    /** Whether it is asked for referrers, and how many it tells at a time. By default it does not know the question. */
    referrers?: number;
    /** Whether bodies come in chunks, without their length. */
    chunked?: boolean;
    /** Answers in place of the registry; undefined leaves the request to it. */
    answer?: (url: URL) => CannedAnswer | undefined;
}

/** An answer that a test has made. */
export interface CannedAnswer {
    status?: number;
    headers?: Record<string, string>;
    body?: Buffer;
}

export interface FakeRegistry extends TestServer {
    /** Everything asked, with the Authorization header it had. */
    requests: { method: string; url: string; authorization: string | undefined; host: "registry" | "storage" }[];
    /** The options, which may be changed while it runs. */
    options: FakeRegistryOptions;
}

/** A registry over HTTP, to the letter of the distribution specification as far as pulls go. */
export async function startRegistry(options: FakeRegistryOptions): Promise<FakeRegistry> {
    const requests: FakeRegistry["requests"] = [];
    const tokens = new Map<string, number>();
    const urls = new Map<string, number>();
    let count = 0;
    let isImported = false;
    const repositories = () => [registry.options.repository, ...(registry.options.others ?? [])];

    function note(request: http.IncomingMessage, host: "registry" | "storage"): Fault | undefined {
        const [method, url] = [request.method ?? "", request.url ?? ""];
        requests.push({ method, url, authorization: request.headers.authorization, host });
        count += 1;
        return registry.options.fault?.({ method, url, count });
    }

    const storage = await listen((request, response) => {
        const fault = note(request, "storage");
        const url = request.url ?? "";
        const left = urls.get(url) ?? 0;
        urls.set(url, left - 1);
        if (left < 1) {
            send(response, 403, {}, Buffer.from("<Error><Code>AccessDenied</Code></Error>"));
            return;
        }
        const digest = new URL(url, "http://x").pathname.slice(1);
        const owner = repositories().find(({ blobs }) => blobs.has(digest));
        sendBlob(registry.options, request, response, owner?.blobs.get(digest), fault);
    });

    function isLoggedIn(request: http.IncomingMessage): boolean {
        const { authorization } = request.headers;
        if (registry.options.login === "basic") {
            return authorization === basicLogin;
        }
        const left = tokens.get(authorization ?? "") ?? 0;
        tokens.set(authorization ?? "", left - 1);
        return (registry.options.login ?? "none") === "none" || left > 0;
    }

    const server = await listen((request, response) => {
        const fault = note(request, "registry");
        const url = new URL(request.url ?? "", registry.origin);
        const { login, tokenUses = Infinity, redirectUses } = registry.options;
        if (url.pathname === "/token") {
            const isKnown = request.headers.authorization === basicLogin;
            const token = `token-${tokens.size}`;
            tokens.set(`Bearer ${token}`, tokenUses);
            send(response, isKnown ? 200 : 401, {}, Buffer.from(JSON.stringify({ token })), fault);
            return;
        }
        if (!isLoggedIn(request)) {
            const bearer = `Bearer realm="${registry.origin}/token",service="fake",scope="repository:x:pull"`;
            send(
                response,
                401,
                { "www-authenticate": login === "basic" ? 'Basic realm="x"' : bearer },
                Buffer.from("{}"),
            );
            return;
        }
        const canned = registry.options.answer?.(url);
        if (canned !== undefined) {
            const { status = 200, headers = {}, body = Buffer.alloc(0) } = canned;
            send(response, status, headers, body, fault);
            return;
        }
        const [, path, kind, name = ""] = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/.exec(url.pathname) ?? [];
        const repository = repositories().find((each) => each.name === path);
        if (repository === undefined) {
            send(response, 404, {}, Buffer.from("{}"), fault);
        } else if (kind === "manifests") {
            const digest = repository.tags.get(name) ?? name;
            isImported ||= repository.tags.has(name);
            const isThere = isImported || registry.options.importsByTag !== true;
            const manifest = isThere ? repository.manifests.get(digest) : undefined;
            const headers = { "content-type": manifest?.mediaType ?? "", "docker-content-digest": digest };
            send(response, manifest ? 200 : 404, manifest ? headers : {}, manifest?.bytes ?? Buffer.from("{}"), fault);
        } else if (kind === "referrers") {
            const { referrers: count } = registry.options;
            const from = Number(url.searchParams.get("from"));
            const all = referrersOf(repository, name);
            const isMore = count !== undefined && from + count < all.length;
            const link = isMore && { link: `<${url.pathname}?from=${from + count}>; rel="next"` };
            const page = Buffer.from(JSON.stringify(indexOf(all.slice(from, from + (count ?? 0)))));
            const headers = { "content-type": mediaTypes.oci.index, ...link };
            send(response, count === undefined ? 404 : 200, headers, page, fault);
        } else if (redirectUses !== undefined && request.method === "GET") {
            const location = `/${name}?signature=${urls.size}`;
            urls.set(location, redirectUses);
            send(response, 307, { location: `${storage.origin}${location}` }, Buffer.alloc(0), fault);
        } else {
            sendBlob(registry.options, request, response, repository.blobs.get(name), fault);
        }
    });

    const registry: FakeRegistry = {
        ...server,
        requests,
        options,
        close: async () => {
            await Promise.all([server.close(), storage.close()]);
        },
    };
    return registry;
}

function indexOf(manifests: readonly Descriptor[]) {
    return { schemaVersion: 2, mediaType: mediaTypes.oci.index, manifests };
}

const basicLogin = `Basic ${Buffer.from("user:secret").toString("base64")}`;

function sendBlob(
    { ignoresRanges, chunked }: FakeRegistryOptions,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    blob: Buffer | undefined,
    fault: Fault | undefined,
): void {
    if (blob === undefined) {
        send(response, 404, {}, Buffer.from("{}"), fault);
        return;
    }
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined || to === undefined || ignoresRanges) {
        send(response, 200, {}, request.method === "HEAD" ? Buffer.alloc(0) : blob, fault);
        return;
    }
    const range = blob.subarray(Number(from), Number(to) + 1);
    const headers = { "content-range": `bytes ${from}-${to}/${blob.length}` };
    if (chunked && !fault) {
        response.writeHead(206, headers);
        response.write(range.subarray(0, 100));
        response.end(range.subarray(100));
        return;
    }
    send(response, 206, headers, range, fault);
}
