import * as assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type * as http from "node:http";
import { tmpdir } from "node:os";
import * as path from "node:path";

import type { ImageRecord } from "../../../contract/record";
import { exportImage, type ExportOptions } from "../../../exporter/exportImage";
import { recordOf } from "../../support/readRecord";
import { type FakeRegistry, startRegistry } from "./fakeRegistry";
import { listen, type TestServer } from "./faults";
import { emptyRepository, type Repository } from "./images";
import { quickIdleTimeoutMs, quickRetries } from "./quick";
import { verifyFile } from "./verifyExport";

/** Answers a request itself, and says so; what it does not answer goes on to the registry. */
export type Before = (request: http.IncomingMessage, response: http.ServerResponse, url: URL) => boolean;

/** A registry with the repository `app`, servers before it, and a folder with the archive, which is also the home. */
export interface Bench {
    readonly repository: Repository;
    readonly registry: FakeRegistry;
    readonly directory: string;
    readonly archive: string;
    /** What the exports have told a person. */
    readonly notes: string[];
    /** A server before the registry. */
    before(answer: Before): Promise<TestServer>;
    /** Any server; it is closed with the bench. */
    serve(handler: http.RequestListener): Promise<TestServer>;
    /** Puts a file into the home, JSON of anything but a text. */
    put(name: string, content: unknown): Promise<void>;
    /** Exports `HOST/app:TAG`, and verifies the archive. */
    run(tag: string, options?: Partial<ExportOptions> & { readonly host?: string }): Promise<ImageRecord>;
    close(): Promise<void>;
}

/** Opens a bench of its own for a test. */
export async function openBench(): Promise<Bench> {
    const repository = emptyRepository("app");
    const registry = await startRegistry({ repository });
    const directory = await mkdtemp(path.join(tmpdir(), "bench-"));
    const archive = path.join(directory, "app.tar");
    const notes: string[] = [];
    const servers: TestServer[] = [registry];

    async function serve(handler: http.RequestListener): Promise<TestServer> {
        const server = await listen(handler);
        servers.push(server);
        return server;
    }

    function before(answer: Before): Promise<TestServer> {
        return serve((request, response) => {
            const url = new URL(request.url ?? "", registry.origin);
            if (answer(request, response, url)) return;
            const { accept = "", range } = request.headers;
            const headers = { accept, ...(range !== undefined && { range }) };
            void fetch(url, { method: request.method ?? "GET", headers }).then(async (passed) => {
                const kept = [...passed.headers].filter(([name]) => name !== "connection");
                response.writeHead(passed.status, Object.fromEntries(kept));
                response.end(Buffer.from(await passed.arrayBuffer()));
            });
        });
    }

    async function put(name: string, content: unknown): Promise<void> {
        const text = typeof content === "string" ? content : JSON.stringify(content);
        await writeFile(path.join(directory, name), text, { mode: 0o755 });
    }

    const run: Bench["run"] = async (tag, { host = registry.host, ...options } = {}) => {
        await exportImage({
            image: `${host}/app:${tag}`,
            destination: archive,
            retryPolicy: quickRetries,
            idleTimeoutMs: quickIdleTimeoutMs * 10,
            env: { HOME: directory },
            onNote: (note) => notes.push(note),
            ...options,
        });
        assert.deepEqual((await verifyFile(archive)).problems, []);
        return recordOf(await readFile(`${archive}.json`, "utf8"));
    };

    async function close(): Promise<void> {
        await Promise.all(servers.map((server) => server.close()));
        await rm(directory, { recursive: true });
    }

    return { repository, registry, directory, archive, notes, before, serve, put, run, close };
}
