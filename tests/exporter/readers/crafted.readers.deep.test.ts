import * as assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import { verifyArchive } from "../../../exporter/archive/verify";
import { type Crafted, craftedArchives } from "../archive/crafted";
import { goodEntries, recordOf, tarOf } from "../archive/craftedParts";
import { craftedReferrers } from "../archive/craftedReferrers";
import { digestOf } from "../support/images";
import { assertInstalled, run, type Service, startDocker } from "../support/tools";

/** The digests of the configurations that a reader finds in an archive; none where it refuses the archive. */
type Reader = (archive: string, at: number) => Promise<string[]>;

describe("what verify calls good is the image of the record to", function () {
    this.timeout(0);
    let directory: string;
    let docker: Service & { host: string; containerd: string };

    before(async () => {
        await assertInstalled("docker", "dockerd", "ctr", "skopeo");
        directory = await mkdtemp(path.join(tmpdir(), "crafted-"));
        await mkdir(path.join(directory, "docker"));
        docker = await startDocker(path.join(directory, "docker"));
    });
    after(async () => {
        await docker.stop();
        await rm(directory, { recursive: true, force: true });
    });

    const readers: Readonly<Record<string, Reader>> = {
        "docker load": async (archive) => {
            const daemon = ["--host", docker.host];
            const ids = async () =>
                (await run("docker", ...daemon, "images", "--all", "--quiet", "--no-trunc")).trim().split("\n");
            await run("docker", ...daemon, "load", "--input", archive);
            const found = (await ids()).filter((id) => id !== "");
            if (found.length > 0) await run("docker", ...daemon, "rmi", "--force", ...new Set(found));
            return found;
        },
        "skopeo, as docker-archive": (archive) => skopeo(`docker-archive:${archive}`),
        "skopeo, as oci-archive": (archive) => skopeo(`oci-archive:${archive}`),
        "ctr images import": async (archive, at) => {
            const ctr = ["--address", docker.containerd, "--namespace", `crafted-${at}`];
            await run("ctr", ...ctr, "images", "import", archive);
            const digests = (await run("ctr", ...ctr, "images", "list")).match(/sha256:[0-9a-f]{64}/g) ?? [];
            const texts = digests.map((digest) => run("ctr", ...ctr, "content", "get", digest));
            const manifests = (await Promise.all(texts)).map((text) => JSON.parse(text) as Partial<Manifest>);
            return manifests.flatMap(({ config }) => config?.digest ?? []);
        },
    };
    interface Manifest {
        readonly config: { readonly digest: string };
    }
    /** It chooses one image from an index, by its platform. */
    async function skopeo(source: string): Promise<string[]> {
        const choice = ["--override-os", "linux", "--override-arch", "amd64"];
        return [digestOf(Buffer.from(await run("skopeo", ...choice, "inspect", "--config", "--raw", source)))];
    }

    for (const [name, read] of Object.entries(readers)) {
        it(name, async () => {
            const whole = tarOf(goodEntries());
            const good: Crafted = {
                kind: "as engine stream writes it",
                sort: "harmless",
                bytes: whole,
                record: recordOf(whole),
            };
            const crafted = [...craftedArchives(), ...craftedReferrers()];
            const archives = [good, ...crafted.filter(({ sort }) => sort !== "costly")];
            const astray: string[] = [];
            const counts = { refused: 0, same: 0, other: 0 };
            for (const [at, { kind, sort, bytes, record }] of archives.entries()) {
                const file = path.join(directory, "archive.tar");
                await writeFile(file, bytes);
                const found = await read(file, at).catch((): string[] => []);
                const isOther = found.some((digest) => digest !== record.images[0]?.configDigest);
                counts[isOther ? "other" : found.length === 0 ? "refused" : "same"] += 1;
                if (sort === "harmless" && isOther) astray.push(`${kind}, which is called harmless`);
                for (const engine of ["stream", "docker"] as const) {
                    const given = { ...record, engine: { name: engine, version: "1" } };
                    const { problems } = await verifyArchive(Readable.from([bytes]), given, { deep: true });
                    if (problems.length === 0 && isOther) astray.push(`${kind}, with a record of engine ${engine}`);
                }
                if (kind === good.kind) assert.equal(found.length > 0 && !isOther, true, `${name} reads the good one`);
            }
            console.log(`        ${name}, of ${archives.length}: ${JSON.stringify(counts)}`);
            assert.deepEqual(astray, [], `${name} finds another image where verify says good`);
            assert.ok(counts.other > 0, "no archive leads this reader astray: what is it crafted for?");
        });
    }
});
