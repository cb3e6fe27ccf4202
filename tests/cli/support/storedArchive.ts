/** An export in the store: the real exporter's, of a made-up image. */
import { exportImage } from "../../../exporter/exportImage";
import { startRegistry } from "../../exporter/support/fakeRegistry";
import type { FakeS3 } from "../../exporter/support/fakeS3";
import { addImage, emptyRepository, fileLayer, randomBytesOf } from "../../exporter/support/images";
import { recordOf } from "../../support/readRecord";

/**
 * Exports an image of so many random bytes to a key.
 *
 * @param since Key of such an archive, whose layer is left out.
 * @returns the archive and its record
 */
export async function storeArchive(s3: FakeS3, key: string, layerBytes: number, seed = 1, since?: string) {
    const repository = emptyRepository("app");
    const added = since === undefined ? [] : [fileLayer("g", Buffer.from("more"))];
    addImage(repository, { layers: [fileLayer("f", randomBytesOf(layerBytes, seed)), ...added], tag: "1" });
    const registry = await startRegistry({ repository });
    try {
        const image = `${registry.host}/app:1`;
        await exportImage({ image, destination: `s3://bucket/${key}`, env: s3.env, since });
    } finally {
        await registry.close();
    }
    const bytes = s3.objects.get(`bucket/${key}`)?.body;
    const record = recordOf(s3.objects.get(`bucket/${key}.json`)?.body.toString());
    if (bytes === undefined) throw new Error("the export left nothing");
    return { bytes, record };
}
