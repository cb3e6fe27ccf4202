import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import * as tls from "node:tls";
import { ExportError } from "../../contract/errors";
import { isLoopback } from "./origin";

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
    if (!URL.canParse(text) || !/^https?:/.test(text)) {
        throw new ExportError("InvalidInput", `${name.toUpperCase()} is "${value}": expected http://HOST:PORT.`);
    }
    return new URL(text);
}

/** NO_PROXY: `*`, or a list of hosts and domains; a domain covers its subdomains, a port narrows it. */
function isExempt(url: URL, env: NodeJS.ProcessEnv): boolean {
    const entries = (env["no_proxy"] ?? env["NO_PROXY"] ?? "").split(",").map((entry) => entry.trim());
    return entries.some((entry) => {
        const [host = "", port] = entry.split(":");
        const domain = host.replace(/^\*?\./, "");
        return (
            entry === "*" ||
            (domain !== "" &&
                (port === undefined || port === portOf(url).toString()) &&
                (url.hostname === domain || url.hostname.endsWith(`.${domain}`)))
        );
    });
}

/** Opens a connection to the host of a URL: TLS for https, through the proxy if there is one. */
export async function connect(url: URL, proxy: URL | undefined, receiving?: Receiving): Promise<net.Socket> {
    const onread = receiving && {
        buffer: () => receiving.room(),
        callback: (length: number) => {
            receiving.received(length);
            return true;
        },
    };
    if (proxy === undefined) {
        return openSocket(url, onread && { onread });
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

type OnRead = Pick<net.SocketConstructorOpts, "onread">;

function openSocket(url: URL, options: OnRead = {}): Promise<net.Socket> {
    const address = { host: hostOf(url), port: portOf(url), ...options };
    return url.protocol === "https:" ? openTls(url, address) : ready(net.connect(address), "connect");
}

function openTls(url: URL, options: tls.ConnectionOptions): Promise<net.Socket> {
    const servername = net.isIP(hostOf(url)) ? "" : hostOf(url);
    return ready(tls.connect({ ...options, servername, ALPNProtocols: ["http/1.1"] }), "secureConnect");
}

async function openTunnel(url: URL, proxy: URL): Promise<net.Socket> {
    const authority = `${url.hostname}:${portOf(url)}`;
    const login = decodeURIComponent(`${proxy.username}:${proxy.password}`);
    const authorization = `Basic ${Buffer.from(login).toString("base64")}`;
    const client = proxy.protocol === "https:" ? https : http;
    return new Promise((resolve, reject) => {
        const request = client.request({
            host: hostOf(proxy),
            port: portOf(proxy),
            method: "CONNECT",
            path: authority,
            agent: false,
            headers: { host: authority, ...(login !== ":" && { "proxy-authorization": authorization }) },
        });
        request.on("connect", (response: http.IncomingMessage, socket: net.Socket) => {
            if (response.statusCode === 200) {
                resolve(socket);
                return;
            }
            socket.destroy();
            reject(new Error(`the proxy ${proxy.host} answered ${response.statusCode ?? "nothing"} for ${authority}`));
        });
        request.on("error", reject);
        request.end();
    });
}

/** Waits until a socket is connected; it closes itself when that takes longer than {@link connectTimeoutMs}. */
function ready(socket: net.Socket, event: "connect" | "secureConnect"): Promise<net.Socket> {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
            socket.destroy(new Error(`no connection within ${connectTimeoutMs} ms`));
        }, connectTimeoutMs);
        socket.once("error", reject);
        socket.once("close", () => {
            clearTimeout(timer);
        });
        socket.once(event, () => {
            clearTimeout(timer);
            socket.off("error", reject);
            resolve(socket);
        });
    });
}

const connectTimeoutMs = 10_000;

function hostOf(url: URL): string {
    return url.hostname.replace(/^\[|\]$/g, "");
}

function portOf(url: URL): number {
    return url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
}

/** Node's agents for requests of other clients (the AWS SDK, small requests), made to go through the proxy. */
export interface Agents {
    readonly httpAgent: http.Agent;
    readonly httpsAgent: https.Agent;
}

/**
 * Keep-alive agents that honour the proxy variables.
 *
 * @param maxSockets connections at a time and host
 */
export function createAgents(env: NodeJS.ProcessEnv, maxSockets: number): Agents {
    const options = { keepAlive: true, maxSockets };
    const httpAgent = throughProxy(new http.Agent(options), "http:", env);
    const httpsAgent = throughProxy(new https.Agent(options), "https:", env);
    return { httpAgent, httpsAgent };
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
