/**
 * Amazon ECR as Docker and curl see it: TLS under ECR's own host names, a password from `GetAuthorizationToken`, and
 * a permission for each manifest and each layer. Behind it stands a real registry.
 *
 * The names are not resolved: clients reach them through this proxy, as in a company network, and trust the lab's
 * certificate authority. So the image URI, the login and the pull are exactly those of the stack.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

import { parseEcrHost, repositoryArn } from "../contract/image";
import { indexType } from "../exporter/registry/manifest";
import { referrersTag } from "../exporter/registry/referrers";
import type { Account } from "./account";
import { handOn, listen } from "./http";
import { type Listening, run } from "./processes";

interface Setting {
    readonly account: Account;
    /** The hosts of ECR that the gateway stands for. */
    readonly hosts: readonly string[];
    /** Port of the real registry. */
    readonly registryPort: number;
    /** Folder for certificates. */
    readonly folder: string;
}

/**
 * Starts the gateway.
 *
 * @returns also the file with the system's certificate authorities and the lab's own.
 */
export async function startRegistryGateway(setting: Setting): Promise<Listening & { authoritiesFile: string }> {
    const { key, cert, authoritiesFile } = await makeCertificate(setting);
    const imported = new Set<string>();
    const registry = createTlsServer({ key, cert }, (incoming, response) => {
        answer(setting, imported, incoming, response).catch((error: unknown) => {
            response.writeHead(500).end(String(error));
        });
    });
    const proxy = createServer((_, response) => {
        response.writeHead(405).end("This is a proxy for HTTPS.");
    });
    proxy.on("connect", (incoming: IncomingMessage, socket: Socket) => {
        const [host = "", port = "443"] = (incoming.url ?? "").split(":");
        socket.on("error", () => socket.destroy());
        if (setting.hosts.includes(host)) {
            socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
            registry.emit("connection", socket);
        } else {
            tunnel(host, Number(port), socket);
        }
    });
    return { ...(await listen(proxy)), authoritiesFile };
}

/** Every other host is reached as it is: the daemon may have to pull the image of `--image` from its own registry. */
function tunnel(host: string, port: number, socket: Socket): void {
    const onward = connect(port, host, () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => {
        socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    });
}

async function answer(
    { account, registryPort: port }: Setting,
    imported: Set<string>,
    incoming: IncomingMessage,
    response: ServerResponse,
): Promise<void> {
    const host = (incoming.headers.host ?? "").split(":")[0] ?? "";
    const place = parseEcrHost(host);
    const basic = /^Basic (.+)$/.exec(incoming.headers.authorization ?? "")?.[1] ?? "";
    const [user, password = ""] = Buffer.from(basic, "base64").toString().split(":");
    const login = account.registryPasswords.get(password);
    if (place === undefined || user !== "AWS" || login?.region !== place.region) {
        response.setHeader("www-authenticate", `Basic realm="https://${host}/",service="ecr.amazonaws.com"`);
        sendError(response, 401, "UNAUTHORIZED", "authorization failed: no basic auth credentials");
        return;
    }
    const [, repository, kind, reference] =
        /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/?]+)(?:\?.*)?$/.exec(incoming.url ?? "") ?? [];
    if (repository === undefined || reference === undefined) {
        await handOn(incoming, response, { port });
        return;
    }
    // Where the images of a repository below the prefix of a rule come from: the lab's registry has them by that name.
    const [prefix = "", cached] = [...account.cacheRules].find(([each]) => repository.startsWith(`${each}/`)) ?? [];
    const upstream = cached && cached + repository.slice(prefix.length);
    // By digest ECR finds only what it has imported: github.com/aws/containers-roadmap/issues/2837
    const isTag = kind === "manifests" && !reference.includes(":");
    const imports = upstream !== undefined && !imported.has(repository) && isTag;
    const resource = repositoryArn({ ...place, name: repository });
    // docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
    const importing = imports ? ["ecr:CreateRepository", "ecr:BatchImportUpstreamImage"] : [];
    const ofLayer = incoming.method === "HEAD" ? "ecr:BatchCheckLayerAvailability" : "ecr:GetDownloadUrlForLayer";
    // Referrers too: docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
    const actions = kind === "blobs" ? [ofLayer] : ["ecr:BatchGetImage", ...importing];
    const refusal = await account.iam.refusal(login.accessKeyId, ...actions.map((action) => ({ action, resource })));
    if (refusal !== undefined) {
        sendError(response, 403, "DENIED", refusal);
        return;
    }
    if (imports) imported.add(repository);
    if (upstream !== undefined && !imported.has(repository)) {
        sendError(response, 404, "NAME_UNKNOWN", `The repository with name '${repository}' does not exist`);
        return;
    }
    const path = `/v2/${upstream ?? repository}`;
    if (kind !== "referrers") {
        await handOn(incoming, response, { port, path: `${path}/${kind ?? ""}/${reference}` });
        return;
    }
    // The lab's registry does not know the question: clients keep the answer in it under a tag.
    const instead = (status: number): Promise<boolean> => {
        if (status !== 404) return Promise.resolve(false);
        response.writeHead(200, { "content-type": indexType });
        response.end(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [] }));
        return Promise.resolve(true);
    };
    await handOn(incoming, response, { port, path: `${path}/manifests/${referrersTag(reference)}`, instead });
}

function sendError(response: ServerResponse, status: number, code: string, message: string): void {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ code, message }] }));
}

/** A certificate for the hosts, which is its own authority and lives as long as the lab. */
async function makeCertificate({ hosts, folder }: Setting) {
    const file = (name: string) => join(folder, name);
    const curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    const made = `req -x509 -days 1 ${curve} -keyout ${file("host.key")} -out ${file("host.pem")} -subj /CN=registry`;
    // The hosts are too long for a common name, which has room for 64 characters.
    const names = `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(",")}`;
    await run("openssl", [...made.split(" "), "-addext", names]);
    const cert = readFileSync(file("host.pem"));
    const system = "/etc/ssl/certs/ca-certificates.crt";
    const authoritiesFile = file("authorities.pem");
    writeFileSync(authoritiesFile, Buffer.concat([cert, existsSync(system) ? readFileSync(system) : Buffer.of()]));
    return { key: readFileSync(file("host.key")), cert, authoritiesFile };
}
