import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { unescape } from "node:querystring";
import * as tls from "node:tls";
import { ExportError } from "../../contract/errors";
import { isLoopback } from "./origin";

/** How everybody speaks to a server. */
export interface NetworkOptions {
    /** Names the proxies; S3's endpoint and region too. */
    readonly env: NodeJS.ProcessEnv;
    /** Connections at a time and host. */
    readonly concurrency: number;
    /** A connection without a byte for so long is stalled and given up. */
    readonly idleTimeoutMs: number;
    /** Ends everything that is under way. */
    readonly signal: AbortSignal;
    /** Looks up names; Node's own by default. */
    readonly lookup?: net.LookupFunction;
}

/** Where received bytes go, so that a socket can write them there itself (`onread` of Node's net.connect). */
export interface Receiving {
    /** Room for the next bytes. */
    room(): Uint8Array;
    /** Called when `length` bytes have been put into the last room. */
    received(length: number): void;
}

/**
 * The proxy for a URL, from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` in either case, as curl and Go read them.
 * Loopback hosts never go through a proxy.
 *
 * @throws ExportError `InvalidInput` when the variable is not an http:// or https:// URL
 */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv): URL | undefined {
    const name = url.protocol === "https:" ? "https_proxy" : "http_proxy";
    const value = env[name] ?? env[name.toUpperCase()];
    if (value === undefined || value === "" || isLoopback(url.hostname) || isExempt(url, env)) {
        return undefined;
    }
    const text = value.includes("://") ? value : `http://${value}`;
    if (!URL.canParse(text) || !/^https?:/i.test(text)) {
        const shown = value.replace(/^(\w+:\/\/)?.*@/s, "$1…@"); // without the password
        throw new ExportError(
            "InvalidInput",
            `${name.toUpperCase()} is "${shown}": expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with %2F for a / in them, %23 for a #, %3F for a ?.`,
        );
    }
    return new URL(text);
}

/** NO_PROXY: `*`, or a list of hosts, domains with their subdomains, addresses and networks; a port narrows an entry. */
function isExempt(url: URL, env: NodeJS.ProcessEnv): boolean {
    const entries = (env["no_proxy"] ?? env["NO_PROXY"] ?? "").toLowerCase().split(/[\s,]+/);
    return entries.some((entry) => {
        if (entry === "*") return true;
        const [, host = entry, port] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
        const isPort = port === undefined || Number(port) === portOf(url);
        return isPort && covers(host.replace(/[[\]]/g, ""), hostOf(url));
    });
}

function covers(entry: string, host: string): boolean {
    const [address = "", length] = entry.split("/");
    const family = net.isIP(address);
    if (family === 0) {
        const domain = entry.replace(/^\*?\./, "");
        return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
    }
    const most = family === 6 ? 128 : 32;
    const bits = length ?? most.toString();
    if (family !== net.isIP(host) || !/^\d+$/.test(bits) || Number(bits) > most) return false;
    const network = new net.BlockList();
    network.addSubnet(address, Number(bits), family === 6 ? "ipv6" : "ipv4");
    return network.check(host, family === 6 ? "ipv6" : "ipv4");
}

/**
 * The proxy that a request of plain HTTP is sent to in absolute form (RFC 9112, 3.2.2), with these headers; one of TLS goes through
 * a tunnel, see {@link connect}.
 */
export function plainProxyFor(url: URL, env: NodeJS.ProcessEnv) {
    const proxy = url.protocol === "http:" ? proxyFor(url, env) : undefined;
    return proxy && { proxy, headers: proxyLogin(proxy) };
}

function proxyLogin({ username, password }: URL): Record<string, string> {
    if (username === "" && password === "") return {};
    const login = unescape(`${username}:${password}`); // as curl: a % that is no escape is a %
    return { "proxy-authorization": `Basic ${Buffer.from(login).toString("base64")}` };
}

/** Opens a connection to the host of a URL: TLS for https, through the proxy if there is one. */
export async function connect(
    url: URL,
    proxy: URL | undefined,
    { receiving, lookup }: { readonly receiving?: Receiving; readonly lookup?: net.LookupFunction | undefined } = {},
): Promise<net.Socket> {
    const onread = receiving && {
        buffer: () => receiving.room(),
        callback: (length: number) => {
            receiving.received(length);
            return true;
        },
    };
    if (proxy === undefined) {
        const options = { host: hostOf(url), port: portOf(url), ...(onread && { onread }), ...(lookup && { lookup }) };
        return url.protocol === "https:" ? openTls(url, options) : ready(net.connect(options), "connect");
    }
    const tunnel = await openTunnel(url, proxy);
    const socket = url.protocol === "https:" ? await openTls(url, { socket: tunnel }) : tunnel;
    if (receiving) {
        // A socket over another socket has no `onread`: its bytes are copied.
        socket.on("data", (chunk: Buffer) => {
            deliver(chunk, receiving);
        });
    }
    return socket;
}

/** Hands bytes over piece by piece, as they fit. */
function deliver(chunk: Buffer, receiving: Receiving): void {
    for (let offset = 0; offset < chunk.length;) {
        const room = receiving.room();
        const length = Math.min(room.length, chunk.length - offset);
        room.set(chunk.subarray(offset, offset + length));
        receiving.received(length);
        offset += length;
    }
}

function openTls(url: URL, options: tls.ConnectionOptions): Promise<net.Socket> {
    const servername = net.isIP(hostOf(url)) ? "" : hostOf(url);
    return ready(tls.connect({ ...options, servername, ALPNProtocols: ["http/1.1"] }), "secureConnect");
}

async function openTunnel(url: URL, proxy: URL): Promise<net.Socket> {
    const authority = `${url.hostname}:${portOf(url)}`;
    const request = (proxy.protocol === "https:" ? https : http).request({
        host: hostOf(proxy),
        port: portOf(proxy),
        method: "CONNECT",
        path: authority,
        agent: false,
        headers: { host: authority, ...proxyLogin(proxy) },
    });
    request.on("error", () => undefined); // also after what waits for it below has gone
    request.end();
    const [{ statusCode }, socket] = (await soon(request, "connect")) as [http.IncomingMessage, net.Socket];
    if (statusCode === 200) return socket;
    socket.destroy();
    throw new Error(`the proxy ${proxy.host} answered ${statusCode ?? "nothing"} for ${authority}`);
}

const connectTimeoutMs = 10_000;

async function ready(socket: net.Socket, event: "connect" | "secureConnect"): Promise<net.Socket> {
    await soon(socket, event);
    return socket;
}

/** Waits for what a socket or a request tells once it is connected, and closes it when that fails. */
async function soon(connecting: net.Socket | http.ClientRequest, event: string): Promise<unknown[]> {
    const signal = AbortSignal.timeout(connectTimeoutMs);
    try {
        return (await once(connecting, event, { signal })) as unknown[];
    } catch (error) {
        connecting.destroy();
        throw signal.aborted ? new Error(`no connection within ${connectTimeoutMs} ms`) : error;
    }
}

/** The host of a URL, an IPv6 address without its brackets. */
export function hostOf(url: URL): string {
    return url.hostname.replace(/^\[|\]$/g, "");
}

/** The port of a URL, also where it is that of the scheme. */
export function portOf(url: URL): number {
    return url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
}

/** Node's agents for requests of other clients (the AWS SDK, small requests): they keep connections, and go through the proxies. */
export function createAgents({ env, concurrency, lookup }: Pick<NetworkOptions, "env" | "concurrency" | "lookup">) {
    const options = { keepAlive: true, maxSockets: concurrency, ...(lookup && { lookup }) };
    return {
        httpAgent: throughProxy(new http.Agent(options), "http:", env),
        httpsAgent: throughProxy(new https.Agent(options), "https:", env),
    };
}

function throughProxy<A extends http.Agent>(agent: A, protocol: string, env: NodeJS.ProcessEnv): A {
    const direct = agent.createConnection.bind(agent);
    agent.createConnection = (options, callback) => {
        const host = options.host ?? "localhost";
        const url = new URL(`${protocol}//${host.includes(":") ? `[${host}]` : host}:${options.port ?? ""}`);
        const proxy = proxyFor(url, env);
        if (proxy === undefined) return direct(options, callback);
        connect(url, proxy).then(
            (socket) => callback?.(null, socket),
            (error: unknown) => callback?.(error as Error, new net.Socket()),
        );
        return undefined;
    };
    return agent;
}
