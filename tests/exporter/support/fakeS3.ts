import type * as http from "node:http";
import { crc32 } from "node:zlib";
import { crc32Base64 } from "../../../exporter/archive/crc32";
import { type Fault, type FaultRule, listen, readBody, send, type TestServer } from "./faults";

export interface StoredObject {
    body: Buffer;
    headers: Record<string, string>;
}

interface Upload {
    key: string;
    initiated: Date;
    headers: Record<string, string>;
    parts: Map<number, { body: Buffer; etag: string }>;
}

export interface FakeS3 extends TestServer {
    /** Objects by `bucket/key`. */
    objects: Map<string, StoredObject>;
    /** Open multipart uploads by id. */
    uploads: Map<string, Upload>;
    /** What was asked for, and what went wrong with it. */
    requests: { method: string; url: string; fault: Fault | undefined }[];
    fault: FaultRule | undefined;
    /** Waited for before a request is carried out: how tests put requests in an order. */
    gate: ((request: { method: string; url: string; range: string | undefined }) => Promise<void>) | undefined;
    /** Whether objects get versions, as in a bucket with versioning, or the version `null`. Only the newest version is kept. */
    versioned: boolean | "suspended";
    /** Keys that are listed at a time. */
    pageKeys: number;
    /** The environment that leads an AWS SDK here. */
    env: NodeJS.ProcessEnv;
}

const minPartBytes = 5 * 1024 * 1024;

/** An object store that is as strict as S3 about what an export sends: checksums, conditions, part sizes, part lists. */
export async function startS3(): Promise<FakeS3> {
    const objects: FakeS3["objects"] = new Map();
    const uploads: FakeS3["uploads"] = new Map();
    const requests: FakeS3["requests"] = [];
    let count = 0;
    /** Uploads and versions so far: two requests that wait at the gate have one `count`. */
    let made = 0;

    const server = await listen((request, response) => {
        const [method, url] = [request.method ?? "", request.url ?? ""];
        count += 1;
        const fault = store.fault?.({ method, url, count });
        requests.push({ method, url, fault });
        // When objects are read or listed, it is the answer's body that breaks, and else the request's.
        const isRead = method === "GET";
        if (fault?.kind === "status") {
            request.resume();
            sendError(response, fault.status, fault.status === 403 ? "AccessDenied" : "SlowDown", fault);
            return;
        }
        if (fault?.kind === "reset" && !isRead) {
            // The connection breaks while the body is still coming: the request is not carried out.
            const reset = (): unknown => request.socket.destroy();
            request.once("data", reset).once("end", reset);
            return;
        }
        if (fault?.kind === "stall" && !isRead) {
            request.pause();
            return;
        }
        readBody(request).then(
            async (body) => {
                await store.gate?.({ method, url, range: request.headers.range });
                const received = fault?.kind === "corrupt" && body.length > 0 ? damaged(body) : body;
                const answer = carryOut(request, received);
                if (fault?.kind === "lostAnswer") {
                    response.destroy();
                } else if (method === "HEAD") {
                    const length = { "content-length": answer.body.length };
                    response.writeHead(answer.status, { ...answer.headers, ...length }).end();
                } else {
                    send(response, answer.status, answer.headers, answer.body, isRead ? fault : undefined);
                }
            },
            () => undefined,
        );
    });

    interface Answer {
        status: number;
        headers: Record<string, string>;
        body: Buffer;
    }
    const answer = (status: number, headers: Record<string, string> = {}, body = ""): Answer => ({
        status,
        headers,
        body: Buffer.from(body),
    });
    const refuse = (status: number, code: string): Answer =>
        answer(status, {}, `<Error><Code>${code}</Code><Message>${code}</Message></Error>`);

    function carryOut(request: http.IncomingMessage, body: Buffer): Answer {
        const url = new URL(request.url ?? "", "http://x");
        const query = url.searchParams;
        const key = decodeURIComponent(url.pathname.slice(1));
        const uploadId = query.get("uploadId");
        const headers = request.headers as Record<string, string>;
        if (!key.startsWith("bucket")) {
            return refuse(404, "NoSuchBucket");
        }
        switch (request.method) {
            case "HEAD":
            case "GET":
                if (query.has("list-type")) {
                    return listObjects(query);
                }
                return query.has("uploads")
                    ? listUploads(query.get("prefix") ?? "")
                    : getObject(key, headers, query.get("versionId"));
            case "DELETE":
                return uploadId === null ? deleteObject(key) : abortUpload(uploadId);
            case "POST":
                return uploadId === null ? createUpload(key, headers) : complete(uploadId, headers, body.toString());
            default:
                return uploadId === null
                    ? putObject(key, headers, body)
                    : putPart(uploadId, Number(query.get("partNumber")), headers, body);
        }
    }

    function getObject(key: string, asked: Record<string, string>, versionId: string | null): Answer {
        const object = objects.get(key);
        if (object === undefined) {
            return refuse(404, "NoSuchKey");
        }
        const { body, headers } = object;
        if (versionId !== null && versionId !== headers["x-amz-version-id"]) {
            return refuse(404, "NoSuchVersion");
        }
        if (asked["if-match"] !== undefined && asked["if-match"] !== headers["etag"]) {
            return refuse(412, "PreconditionFailed");
        }
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(asked["range"] ?? "") ?? [];
        if (from === undefined || to === undefined) {
            return { status: 200, headers, body };
        }
        // A checksum is that of the whole object: S3 leaves it out of the answer to a range.
        const others = Object.entries(headers).filter(([name]) => name !== "x-amz-checksum-crc32");
        const range = { "content-range": `bytes ${from}-${to}/${body.length}` };
        return {
            status: 206,
            headers: { ...Object.fromEntries(others), ...range },
            body: body.subarray(Number(from), Number(to) + 1),
        };
    }
    function listObjects(query: URLSearchParams): Answer {
        const [prefix, delimiter, after] = ["prefix", "delimiter", "continuation-token"].map((name) => query.get(name));
        const start = prefix ?? "";
        const found = [...objects]
            .map(([name, { headers }]) => ({ name: name.replace(/^bucket\//, ""), time: headers["last-modified"] }))
            .filter(({ name }) => name.startsWith(start) && name > (after ?? ""))
            .filter(({ name }) => !delimiter || !name.slice(start.length).includes(delimiter))
            .sort((one, other) => (one.name < other.name ? -1 : 1));
        const page = found.slice(0, store.pageKeys);
        const items = page.map(({ name, time }) => {
            const modified = time === undefined ? "" : `<LastModified>${new Date(time).toISOString()}</LastModified>`;
            return `<Contents><Key>${name}</Key>${modified}</Contents>`;
        });
        const next = found.length > page.length ? (page.at(-1)?.name ?? "") : undefined;
        const more = next === undefined ? "" : `<NextContinuationToken>${next}</NextContinuationToken>`;
        return answer(200, {}, `<ListBucketResult>${items.join("")}${more}</ListBucketResult>`);
    }
    function deleteObject(key: string): Answer {
        objects.delete(key);
        return answer(204);
    }
    function putObject(key: string, headers: Record<string, string>, body: Buffer): Answer {
        if (!matches(headers["x-amz-checksum-crc32"], body)) {
            return refuse(400, "BadDigest");
        }
        const { "if-match": eTag, "if-none-match": none } = headers;
        const there = objects.get(key);
        if (eTag !== undefined && there === undefined) {
            return refuse(404, "NoSuchKey");
        }
        if ((eTag !== undefined && there?.headers["etag"] !== eTag) || (none === "*" && there !== undefined)) {
            return refuse(412, "PreconditionFailed");
        }
        return answer(200, keep(key, headers, body));
    }
    /** Keeps an object; returns the headers that tell which one it is. */
    function keep(key: string, headers: Record<string, string>, body: Buffer): Record<string, string> {
        const version = store.versioned === "suspended" ? "null" : `version-${++made}`;
        const identity = { etag: etagOf(body), ...(store.versioned && { "x-amz-version-id": version }) };
        objects.set(key, { body, headers: { ...kept(headers, body), ...identity } });
        return identity;
    }
    function createUpload(key: string, headers: Record<string, string>): Answer {
        const id = `upload-${++made}`;
        uploads.set(id, { key, initiated: new Date(), headers, parts: new Map() });
        return answer(
            200,
            {},
            `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        );
    }
    function putPart(id: string, number: number, headers: Record<string, string>, body: Buffer): Answer {
        const upload = uploads.get(id);
        if (!upload) {
            return refuse(404, "NoSuchUpload");
        }
        if (!matches(headers["x-amz-checksum-crc32"], body)) {
            return refuse(400, "BadDigest");
        }
        upload.parts.set(number, { body, etag: etagOf(body) });
        return answer(200, { etag: etagOf(body) });
    }
    function complete(id: string, headers: Record<string, string>, document: string): Answer {
        const upload = uploads.get(id);
        if (!upload) {
            return refuse(404, "NoSuchUpload");
        }
        const listed = [...document.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = ""]) => ({
            number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
            etag: /<ETag>(.*?)</.exec(part)?.[1]?.replaceAll("&quot;", '"'),
        }));
        const parts = listed.map(({ number, etag }) => {
            const part = upload.parts.get(number);
            return part?.etag === etag ? part : undefined;
        });
        if (parts.length === 0 || parts.includes(undefined)) {
            return refuse(400, "InvalidPart");
        }
        const bodies = parts.map((part) => part?.body ?? Buffer.alloc(0));
        if (bodies.slice(0, -1).some(({ length }) => length < minPartBytes)) {
            return refuse(400, "EntityTooSmall");
        }
        const body = Buffer.concat(bodies);
        const isFull = upload.headers["x-amz-checksum-type"] === "FULL_OBJECT";
        if (!isFull || !matches(headers["x-amz-checksum-crc32"], body)) {
            return refuse(400, "BadDigest");
        }
        if (headers["x-amz-mp-object-size"] !== body.length.toString()) {
            return refuse(400, "InvalidRequest");
        }
        const { etag = "", ...identity } = keep(upload.key, upload.headers, body);
        uploads.delete(id);
        return answer(
            200,
            identity,
            `<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`,
        );
    }
    function abortUpload(id: string): Answer {
        return uploads.delete(id) ? answer(204) : refuse(404, "NoSuchUpload");
    }
    function listUploads(prefix: string): Answer {
        const found = [...uploads].map(([id, { key, initiated }]) => ({
            id,
            key: key.replace(/^bucket\//, ""),
            initiated,
        }));
        const items = found
            .filter(({ key }) => key.startsWith(prefix))
            .map(
                ({ id, key, initiated }) =>
                    `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${initiated.toISOString()}</Initiated></Upload>`,
            );
        return answer(200, {}, `<ListMultipartUploadsResult>${items.join("")}</ListMultipartUploadsResult>`);
    }

    const store: FakeS3 = {
        ...server,
        objects,
        uploads,
        requests,
        fault: undefined,
        gate: undefined,
        versioned: false,
        pageKeys: 1000,
        env: {
            AWS_ENDPOINT_URL_S3: server.origin,
            AWS_REGION: "us-east-1",
            AWS_ACCESS_KEY_ID: "id",
            AWS_SECRET_ACCESS_KEY: "secret",
        },
    };
    // The SDK's credential chain reads the process's own environment.
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" });
    return store;
}

function sendError(response: http.ServerResponse, status: number, code: string, fault: Fault): void {
    const retryAfter = fault.kind === "status" && fault.retryAfter ? { "retry-after": fault.retryAfter } : {};
    send(response, status, retryAfter, Buffer.from(`<Error><Code>${code}</Code></Error>`));
}

function damaged(body: Buffer): Buffer {
    const wrong = Buffer.from(body);
    wrong[0] = (wrong[0] ?? 0) ^ 1;
    return wrong;
}

const checksums = new WeakMap<Buffer, string>();

/** The CRC-32 of a body, in base64 as S3 has it; it is computed once. */
function checksumOf(body: Buffer): string {
    const checksum = checksums.get(body) ?? crc32Base64(crc32(body));
    checksums.set(body, checksum);
    return checksum;
}

function matches(checksum: string | undefined, body: Buffer): boolean {
    return checksum === undefined || checksum === checksumOf(body);
}

function etagOf(body: Buffer): string {
    return `"${checksumOf(body)}"`;
}

function kept(headers: Record<string, string>, body: Buffer): Record<string, string> {
    const metadata = Object.entries(headers).filter(([name]) => /^x-amz-meta-|^content-type$/.test(name));
    return { ...Object.fromEntries(metadata), "x-amz-checksum-crc32": checksumOf(body) };
}
