/**
 * Deltas: archives without the layers that the other side has from an earlier one, their base. What loads archives opens the file of a
 * layer only where it does not have that layer already.
 */
import type { RecordedImage, Since } from "../../contract/record";
import type { Receiver } from "../../contract/request";
import { documentsOf, imagesOf, type ResolvedImage } from "../registry/image";

/**
 * The layers that can be left out of an archive, each once.
 *
 * For `docker` these are the first ones of an image, as far as they are, by digest and by diff id, the first ones of an image of the
 * base too: Docker's graph driver knows a layer by all those below it (github.com/moby/moby, image/tarexport/load.go), others by its
 * digest. For `containerd` they are all that images of the base have.
 *
 * @param images of the archive
 * @param base the images of the base
 */
export function missingLayers(
    images: readonly ResolvedImage[],
    base: readonly RecordedImage[],
    receiver: Receiver,
): Since["missing"] {
    const there = new Set(base.flatMap(({ layers }) => (layers ?? []).map(({ digest }) => digest)));
    const stacks = base.map(({ layers, diffIds }) =>
        (layers ?? []).map(({ digest }, at) => ({ digest, diffId: diffIds?.[at] })),
    );
    const missing = new Map<string, number>();
    const needed = new Set<string>();
    for (const image of images) {
        const diffIdsOf = new Map(imagesOf(image).map(({ manifest, diffIds = [] }) => [manifest, diffIds]));
        for (const { descriptor, manifest } of documentsOf(image)) {
            needed.add(descriptor.digest);
            if (manifest.kind === "index") continue;
            const diffIds = diffIdsOf.get(manifest);
            const isShared = (at: number, stack: (typeof stacks)[number]): boolean =>
                diffIds?.[at] !== undefined &&
                stack[at]?.digest === manifest.layers[at]?.digest &&
                stack[at]?.diffId === diffIds[at];
            const shared = stacks.map((stack) => {
                const first = manifest.layers.findIndex((_, at) => !isShared(at, stack));
                return first < 0 ? manifest.layers.length : first;
            });
            const count = Math.max(0, ...shared);
            needed.add(manifest.config.digest);
            manifest.layers.forEach(({ digest, size }, at) => {
                const isThere = receiver === "docker" ? at < count : diffIds !== undefined && there.has(digest);
                if (isThere) missing.set(digest, size);
                else needed.add(digest);
            });
        }
    }
    return [...missing].flatMap(([digest, sizeBytes]) => (needed.has(digest) ? [] : [{ digest, sizeBytes }]));
}
