import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import { readArchive } from "../../../exporter/archive/readArchive";
import { layersOf } from "../../support/readRecord";
import { describeDamage, saved, streamed, verify } from "./damage";

describeDamage(100, 31);

describe("what an archive holds", () => {
    it("is told of engine stream, with the registry's digests", async () => {
        const { bytes, record } = await streamed("all");
        const { contents } = await verify(bytes);
        assert.equal(contents.roots[0]?.digest, record.imageDigest);
        assert.deepEqual(contents.platforms, ["linux/amd64", "linux/arm64"]);
        assert.deepEqual(contents.names, [record.imageName, `${record.imageName}-linux-arm64`]);
        // The attestation's layer is in the archive, and is none of an image.
        assert.equal(contents.layers.length, new Set(layersOf(record).map(({ digest }) => digest)).size + 1);
        for (const layer of layersOf(record)) {
            assert.deepEqual(
                contents.layers.find(({ digest }) => digest === layer.digest),
                layer,
            );
        }
    });
    for (const layout of ["folders", "blobs"] as const) {
        it(`is told of engine docker with ${layout}, each layer once`, async () => {
            const { bytes, record } = await saved(layout);
            const { contents, problems } = await verify(bytes);
            assert.deepEqual(problems, []);
            assert.deepEqual([contents.names, contents.platforms], [[record.imageName], ["linux/arm64/v8"]]);
            assert.deepEqual(
                contents.layers.map(({ sizeBytes }) => sizeBytes),
                [3000, 1024],
            );
        });
    }
    it("takes a size from an extended header, as Docker writes for layers of 8 GiB", async () => {
        const { pack } = await import("tar-stream");
        const { buffer } = await import("node:stream/consumers");
        const tar = pack();
        tar.entry({ name: "n".repeat(120), pax: { comment: "x" } }, "content");
        tar.finalize();
        const { files } = await readArchive(Readable.from([await buffer(tar)]));
        assert.deepEqual(
            [...files.values()].map(({ name, sizeBytes }) => [name, sizeBytes]),
            [["n".repeat(120), 7]],
        );
    });
});
