import type { Repository } from "./images";

/**
 * Pushes what a repository has as it is, whatever a client would say to it (github.com/opencontainers/distribution-spec).
 *
 * @param to `HOST/REPOSITORY`, and a tag for every manifest, `:TAG`; without it each has its own tags, or its digest only
 */
export async function pushByHand(to: string, { blobs, manifests, tags }: Repository): Promise<void> {
    const [, host = "", repository = "", tag] = /^(.*?)\/([^:]*)(?::(.*))?$/.exec(to) ?? [];
    const send = async (method: string, url: string, mediaType: string, body?: Buffer<ArrayBuffer>) => {
        const answer = await fetch(url, { method, headers: { "content-type": mediaType }, ...(body && { body }) });
        if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
        return answer;
    };
    const api = `http://${host}/v2/${repository}`;
    const binary = "application/octet-stream";
    for (const [digest, bytes] of blobs) {
        const begun = await send("POST", `${api}/blobs/uploads/`, binary);
        const location = new URL(begun.headers.get("location") ?? "", api);
        location.searchParams.set("digest", digest);
        await send("PUT", location.href, binary, Buffer.from(bytes));
    }
    for (const [digest, { bytes, mediaType }] of manifests) {
        const own = [...tags].flatMap(([each, tagged]) => (tagged === digest ? [each] : []));
        for (const name of tag !== undefined ? [tag] : own.length > 0 ? own : [digest]) {
            await send("PUT", `${api}/manifests/${name}`, mediaType, Buffer.from(bytes));
        }
    }
}
