import * as http from "node:http";

/*
 * An object store that is not the bottleneck: it reads what it is sent and forgets it. It answers as S3 does, remembers
 * the metadata of objects (so that a second export finds the first) and keeps small objects (records).
 * A process of its own: `node -r ts-node/register bench/streamStore.ts`; it prints its port.
 */

interface Stored {
    headers: Record<string, string>;
    body: Buffer | undefined;
    sizeBytes: number;
}

const keptBytes = 64 * 1024;
const objects = new Map<string, Stored>();
const uploads = new Map<string, { headers: Record<string, string>; sizeBytes: number }>();

function metadataOf(request: http.IncomingMessage): Record<string, string> {
    const names = Object.entries(request.headers).filter(([name]) => name.startsWith("x-amz-meta-"));
    return Object.fromEntries(names.map(([name, value]) => [name, String(value)]));
}

function answer(
    request: http.IncomingMessage,
    sizeBytes: number,
    body: Buffer | undefined,
): [number, Stored | string] {
    const url = new URL(request.url ?? "", "http://store");
    const uploadId = url.searchParams.get("uploadId");
    const stored = objects.get(url.pathname);
    if (request.method === "HEAD" || request.method === "GET") {
        return stored ? [200, stored] : [404, ""];
    }
    if (request.method === "DELETE") {
        return [204, ""];
    }
    if (request.method === "POST" && uploadId === null) {
        const id = `upload-${uploads.size}`;
        uploads.set(id, { headers: metadataOf(request), sizeBytes: 0 });
        return [
            200,
            `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        ];
    }
    const upload = uploads.get(uploadId ?? "");
    if (request.method === "POST") {
        objects.set(url.pathname, { headers: {}, sizeBytes: 0, ...upload, body: undefined });
        return [200, '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>'];
    }
    if (upload) {
        upload.sizeBytes += sizeBytes;
    } else {
        objects.set(url.pathname, { headers: metadataOf(request), body, sizeBytes });
    }
    return [200, ""];
}

const server = http.createServer((request, response) => {
    const small: Buffer[] = [];
    let sizeBytes = 0;
    request.on("data", (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes <= keptBytes) {
            small.push(chunk);
        }
    });
    request.on("end", () => {
        const [status, found] = answer(
            request,
            sizeBytes,
            sizeBytes <= keptBytes ? Buffer.concat(small) : undefined,
        );
        response.statusCode = status;
        response.setHeader("etag", '"x"');
        if (typeof found === "string") {
            response.end(found);
            return;
        }
        for (const [name, value] of Object.entries(found.headers)) {
            response.setHeader(name, value);
        }
        response.setHeader("content-length", found.body?.length ?? found.sizeBytes);
        response.end(request.method === "GET" ? found.body : undefined);
    });
});
server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    console.log(typeof address === "object" ? address?.port : address);
});
