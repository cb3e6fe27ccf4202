import * as assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import { ExportError } from "../../contract/errors";
import type { RequestedImage } from "../../contract/request";
import { verifyArchive } from "../../exporter/archive/verify";
import { exportImage, type ExportOptions } from "../../exporter/exportImage";
import { type Descriptor, parseManifest } from "../../exporter/registry/manifest";
import { findReferrers } from "../../exporter/registry/referrers";
import { anyRecordOf } from "../support/readRecord";
import { type CannedAnswer, type FakeRegistry, type FakeRegistryOptions, startRegistry } from "./support/fakeRegistry";
import type { Fault } from "./support/faults";
import {
    addImage,
    addIndex,
    addManifest,
    addReferrer,
    addReferrersTag,
    digestOf,
    emptyRepository,
    fileLayer,
    mediaTypes,
    type Repository,
    tagOf,
} from "./support/images";
import { quickRetries } from "./support/quick";

const { manifest: manifestType, index: indexType, config: configType } = mediaTypes.oci;
const type = "application/spdx+json";
const empty = Buffer.from("{}");
const lost = `sha256:${"0".repeat(64)}`;

/** A repository with an image of one platform, in an index with another one, and all that a trick changes of its registry. */
interface World {
    repository: Repository;
    image: Descriptor;
    index: Descriptor;
    options: FakeRegistryOptions;
    /** Answers by the end of the path, in place of the registry's own. */
    answers: Map<string, (url: URL) => CannedAnswer>;
    faults: Map<string, Fault>;
    /** Of the registry. */
    port: string;
}

/** What an export ends in: an archive with so many referrers, or an error. */
type End = number | readonly [string, RegExp];
type Graph = readonly [(world: World) => unknown, End];

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const document = (content: string, more: object = {}) => ({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(empty), size: 2 },
    layers: [{ mediaType: type, digest: digestOf(Buffer.from(content)), size: content.length }],
    ...more,
});
const listOf = (manifests: readonly object[], more: object = {}) => ({
    schemaVersion: 2,
    mediaType: indexType,
    manifests,
    ...more,
});

/** Puts the answer in the place of the registry's list. */
function tell({ answers }: World, { digest }: Descriptor, body: Buffer, headers: object = {}, status = 200): void {
    const all = { "content-type": indexType, ...headers };
    answers.set(`/referrers/${digest}`, () => ({ status, headers: all, body }));
}

/** A manifest with its bytes, which is where a graph goes wrong. */
interface Thing {
    readonly bytes: Buffer;
    readonly mediaType?: string;
    readonly answer?: CannedAnswer;
    readonly fault?: Fault;
}

function put({ repository, answers, faults }: World, { bytes, mediaType = manifestType, answer, fault }: Thing) {
    repository.blobs.set(digestOf(empty), empty).set(digestOf(Buffer.from("bad")), Buffer.from("bad"));
    const digest = digestOf(bytes);
    repository.manifests.set(digest, { bytes, mediaType });
    if (answer) answers.set(`/manifests/${digest}`, () => answer);
    if (fault) faults.set(`/manifests/${digest}`, fault);
    return { mediaType, digest, size: bytes.length };
}

/** Where a manifest may lie that is not what it should be. */
const places: Readonly<Record<string, (world: World, thing: (subject?: Descriptor) => Thing) => void>> = {
    "what the registry lists": (world, thing) => {
        tell(world, world.image, json(listOf([put(world, thing(world.image))])));
    },
    "what the tag lists": (world, thing) => {
        delete world.options.referrers;
        const list = listOf([put(world, thing(world.image))]);
        addManifest(world.repository, list, indexType, tagOf(world.image));
    },
    "what cosign's tag is": (world, thing) => {
        const { digest } = put(world, thing());
        world.repository.tags.set(tagOf(world.image, ".att"), digest);
        for (const map of [world.answers, world.faults] as Map<string, unknown>[]) {
            const found = map.get(`/manifests/${digest}`);
            if (found) map.set(`/manifests/${tagOf(world.image, ".att")}`, found);
        }
    },
    "what belongs to a signature": (world, thing) => {
        const signature = addReferrer(world.repository, world.image, { tag: tagOf(world.image, ".sig") });
        tell(world, signature, json(listOf([put(world, thing(signature))])));
    },
    "what an index lists that belongs to the image": (world, thing) => {
        const { mediaType, digest, size } = world.image;
        const list = listOf([put(world, thing(world.image))], { subject: { mediaType, digest, size } });
        tell(world, world.image, json(listOf([put(world, { bytes: json(list), mediaType: indexType })])));
    },
};

const of =
    (more: object | string, rest: Partial<Thing> = {}) =>
    (of?: Descriptor): Thing => {
        const subject = of && { subject: { mediaType: of.mediaType, digest: of.digest, size: of.size } };
        const made = typeof more === "string" ? more : JSON.stringify(document("bad", { ...subject, ...more }));
        return { bytes: Buffer.from(made), ...rest };
    };
const answered = (answer: CannedAnswer) => of({}, { answer });
const status = (code: number) => of({}, { fault: { kind: "status", status: code } });

type Things = Readonly<Record<string, readonly [(subject?: Descriptor) => Thing, End]>>;

/** What keeps it from being read. */
const documents: Things = {
    good: [of({}), 1],
    "a page of HTML": [of("<html>"), ["ExportFailed", /manifest sha256.*page of HTML/]],
    "not JSON": [of("signature"), ["InvalidInput", /: The manifest sha256:\w+ cannot be exported: it is not JSON/]],
    "an array": [of("[]"), ["InvalidInput", /it is not a JSON object/]],
    "of schema 1": [of({ schemaVersion: 1 }), ["InvalidInput", /schema 1/]],
    "a build cache": [
        of(JSON.stringify(listOf([{ mediaType: "application/vnd.buildkit.cacheconfig.v0", digest: lost, size: 1 }]))),
        ["InvalidInput", /build cache/],
    ],
    "an artifact manifest of OCI": [
        of({ mediaType: "application/vnd.oci.artifact.manifest.v1+json" }),
        ["InvalidInput", /"application\/vnd.oci.artifact.manifest.v1\+json", which is no image manifest/],
    ],
    "an artifact manifest of ORAS": [
        of({ mediaType: "application/vnd.cncf.oras.artifact.manifest.v1+json" }),
        ["InvalidInput", /oras.artifact.manifest/],
    ],
    "of an artifactType that is a number": [of({ artifactType: 7 }), ["InvalidInput", /the artifactType 7/]],
    "of an artifactType with a line feed": [of({ artifactType: "a\nb" }), ["InvalidInput", /artifactType "a\\nb"/]],
    "of an artifactType without end": [of({ artifactType: "a".repeat(1e5) }), ["InvalidInput", /artifactType "aaa/]],
    "of another digest": [
        answered({ headers: { "docker-content-digest": lost }, body: json(document("other")) }),
        ["DigestMismatch", /expected sha256/],
    ],
    "cut off": [of({}, { fault: { kind: "short", bytes: 20 } }), ["DigestMismatch", /manifest sha256/]],
    "not there": [status(404), ["ImageNotFound", /manifest sha256:\w+: not in the registry/]],
    "not for this caller": [status(403), ["AccessDenied", /manifest sha256.*answered 403/]],
    "behind a login": [status(401), ["AccessDenied", /asks for a login/]],
    throttled: [status(429), ["ExportFailed", /manifest sha256.* failed 5 times.*429/]],
    "out of order": [status(503), ["ExportFailed", /manifest sha256.* failed 5 times.*503/]],
    huge: [answered({ body: Buffer.alloc(9e6, " ") }), ["ExportFailed", /longer than 8388608 bytes/]],
    "of a layer with an impossible size": [
        of({ layers: [{ mediaType: type, digest: lost, size: 1e300 }] }),
        ["InvalidInput", /with the size 1e\+300/],
    ],
    "of another algorithm": [
        of({ layers: [{ mediaType: type, digest: `sha512:${"0".repeat(128)}`, size: 1 }] }),
        ["InvalidInput", /sha512/],
    ],
    "of data that are not its own": [
        of({ layers: [{ mediaType: type, digest: digestOf(empty), size: 2, data: "W10=" }] }),
        ["InvalidInput", /"data" of another content/],
    ],
};

/** What it may be, and have. */
const artifacts: Things = {
    "of a type with a line feed": [
        of({ config: { mediaType: `a${"\n".repeat(1000)}b`, digest: digestOf(empty), size: 2 } }),
        1,
    ],
    "of no type": [
        of({ config: { digest: digestOf(empty), size: 2 }, layers: [{ digest: digestOf(empty), size: 2 }] }),
        1,
    ],
    "of data that the registry has not": [
        of({ layers: [{ mediaType: type, digest: digestOf(Buffer.from("1")), size: 1, data: "MQ==" }] }),
        1,
    ],
    "of a layer that is missing": [
        of({ layers: [{ mediaType: type, digest: lost, size: 1 }] }),
        ["ImageNotFound", /blob sha256:0000/],
    ],
    "of a layer of another size": [
        of({ layers: [{ mediaType: type, digest: digestOf(Buffer.from("bad")), size: 2 }] }),
        ["DigestMismatch", /The blob sha256/],
    ],
    "of a layer without an end": [
        of({ layers: [{ mediaType: type, digest: lost, size: 2 ** 52 }] }),
        ["InvalidInput", /more than an S3 object can have/],
    ],
    "of an empty layer that is not": [
        of({ layers: [{ mediaType: type, digest: lost, size: 0 }] }),
        ["InvalidInput", /the size 0/],
    ],
    "of a configuration that is missing": [
        of({ config: { mediaType: configType, digest: lost, size: 2 } }),
        ["ImageNotFound", /blob sha256:0000/],
    ],
    "with the names of an image": [
        of({
            annotations: {
                "io.containerd.image.name": "docker.io/library/alpine:latest",
                "org.opencontainers.image.ref.name": "docker.io/library/alpine:latest",
                "vnd.docker.reference.digest": lost,
                __proto__: null,
            },
        }),
        1,
    ],
    "without its type": [of({ mediaType: undefined }), 1],
};

/** Lists that a registry may have of what belongs to the image: those with a page, and a tag. */
const entries = (world: World) => [put(world, of({})(world.image))];
const lists: Readonly<Record<string, readonly [(world: World) => Buffer, End, tag?: End]>> = {
    good: [(world) => json(listOf(entries(world))), 1],
    "of nothing": [() => json(listOf([])), 0],
    "of null": [() => json({ ...listOf([]), manifests: null }), 0],
    "without its type": [(world) => json(listOf(entries(world), { mediaType: undefined })), 1],
    "that lists twice": [(world) => json(listOf([...entries(world), ...entries(world)])), 1],
    "that is a page of HTML": [
        () => Buffer.from("<!DOCTYPE html><title>Sign in</title>"),
        ["ExportFailed", /page of HTML/],
    ],
    "that is not JSON": [() => Buffer.from("[{"), ["ExportFailed", /no list.*not JSON/], ["InvalidInput", /not JSON/]],
    "that is empty": [() => Buffer.alloc(0), ["ExportFailed", /no list/], ["InvalidInput", /not JSON/]],
    "that is null": [() => Buffer.from("null"), ["ExportFailed", /no list/], ["InvalidInput", /JSON object/]],
    "that is huge": [() => Buffer.alloc(9e6, " "), ["ExportFailed", /longer than 8388608/]],
    "that is a manifest": [() => json(document("bad")), ["ExportFailed", /no list/], ["InvalidInput", /no list/]],
    "of schema 1": [
        () => json(listOf([], { schemaVersion: 1 })),
        ["ExportFailed", /no list.*schema 1/],
        ["InvalidInput", /schema 1/],
    ],
    "that is a build cache": [
        () => json(listOf([{ mediaType: "application/vnd.buildkit.cacheconfig.v0", digest: lost, size: 1 }])),
        ["ExportFailed", /build cache/],
        ["InvalidInput", /build cache/],
    ],
    "of strings": [
        () => json(listOf(["a" as never])),
        ["ExportFailed", /not a descriptor/],
        ["InvalidInput", /not a desc/],
    ],
    "of another algorithm": [
        () => json(listOf([{ mediaType: manifestType, digest: "sha512:00", size: 1 }])),
        ["ExportFailed", /"sha512:00"/],
        ["InvalidInput", /"sha512:00"/],
    ],
    "of what is missing": [
        () => json(listOf([{ mediaType: manifestType, digest: lost, size: 1 }])),
        ["ImageNotFound", /manifest sha256:0000/],
    ],
    "with another size": [
        (world) => json(listOf(entries(world).map((each) => ({ ...each, size: 1 })))),
        ["InvalidInput", /gives sha256:\w+ the size 1,/],
    ],
    "with another media type": [
        (world) => json(listOf(entries(world).map((each) => ({ ...each, mediaType: "text/html" })))),
        1,
    ],
    "with the data of another": [
        (world) => json(listOf(entries(world).map((each) => ({ ...each, data: "e30=" })))),
        ["ExportFailed", /"data" of another content/],
        ["InvalidInput", /"data" of another content/],
    ],
    "of what belongs to another": [
        (world) => json(listOf([put(world, of({})(world.index))])),
        ["InvalidInput", /sha256:\w+ is listed, and says that it belongs to sha256/],
    ],
    "of what belongs to nothing": [
        (world) => json(listOf([put(world, of({})())])),
        ["InvalidInput", /is listed, and says that it belongs to nothing/],
    ],
    "of the image": [(world) => json(listOf([world.image])), ["InvalidInput", /belongs to nothing/]],
    "of the image's index": [(world) => json(listOf([world.index])), ["InvalidInput", /belongs to nothing/]],
};

/** Where a list may be. */
const listPlaces: Readonly<Record<string, (world: World, list: Buffer) => void>> = {
    "the registry's list": (world, list) => {
        tell(world, world.image, list);
    },
    "the second page": (world, list) => {
        const next = `/v2/app/referrers/${world.image.digest}?page=2`;
        const first = { headers: { "content-type": indexType, link: `<${next}>; rel="next"` }, body: json(listOf([])) };
        const second = { headers: { "content-type": indexType }, body: list };
        world.answers.set(`/referrers/${world.image.digest}`, ({ search }) => (search === "" ? first : second));
    },
    "the list under the tag": (world, list) => {
        delete world.options.referrers;
        put(world, { bytes: list, mediaType: indexType });
        world.repository.tags.set(tagOf(world.image), digestOf(list));
    },
};

/** A registry whose first page leads somewhere. */
const leads =
    (link: string, more: object = {}) =>
    (world: World): void => {
        tell(world, world.image, json(listOf(entries(world))), { link, ...more });
    };
const fault =
    (path: (world: World) => string, fault: Fault) =>
    (world: World): void => {
        addReferrer(world.repository, world.image, { tag: tagOf(world.image, ".sig") });
        addReferrer(world.repository, world.image);
        world.faults.set(path(world), fault);
    };
const question = ({ image }: World) => `/referrers/${image.digest}`;
const cosignTag = ({ image }: World) => `/manifests/${tagOf(image, ".sbom")}`;
const answers = (code: number): Fault => ({ kind: "status", status: code });

/** What a registry may answer. */
const registries: Readonly<Record<string, Graph>> = {
    "a list of 20,000": [
        (world) => {
            const manifests = Array.from({ length: 20_000 }, () => ({ digest: lost, size: 0 }));
            tell(world, world.image, json(listOf(manifests)));
        },
        ["InvalidInput", /there are more than 1000/],
    ],
    "a link to another host": [leads('<http://127.0.0.2:1/>; rel="next"'), ["ExportFailed", /127.0.0.2:1/]],
    "a link to a host without TLS": [leads('<http://registry.example/>; rel="next"'), ["ExportFailed", /is not TLS/]],
    "a link to a file": [leads('<file:///etc/passwd>; rel="next"'), ["ExportFailed", /leads to file:, which is/]],
    "a link to nowhere": [leads('<http://>; rel="next"'), ["ExportFailed", /"http:\/\/", which is not a URL/]],
    "a link to itself": [leads('<>; rel="next"'), ["InvalidInput", /more than 1000/]],
    "pages of a megabyte without end": [
        (world) => {
            const data = Buffer.alloc(2 ** 20);
            const entry = { digest: digestOf(data), size: data.length, data: data.toString("base64") };
            tell(world, world.image, json(listOf([entry])), { link: '<>; rel="next"' });
        },
        ["InvalidInput", /more than 8388608 bytes/],
    ],
    "a link back": [leads('</v2/app>; rel="prev"'), 1],
    "a link of much besides": [
        (world) => {
            const link = `</x>; rel="prev", </v2/app/referrers/${lost}>; title="a"; Rel = next`;
            tell(world, world.image, json(listOf([])), { link });
            tell(world, { ...world.image, digest: lost }, json(listOf(entries(world))));
        },
        1,
    ],
    "a link of brackets": [leads("<".repeat(8000)), 1],
    "a filter that nobody has asked for": [
        leads("", { "oci-filters-applied": "artifactType" }),
        ["ExportFailed", /some/],
    ],
    ...Object.fromEntries(
        [400, 404, 501].map((code): [string, Graph] => [
            `a registry that answers the question with ${code}`,
            [fault(question, answers(code)), 1],
        ]),
    ),
    ...Object.fromEntries(
        ([401, 403, 410, 429, 500, 503, 505] as const).flatMap((code): [string, Graph][] => {
            const name = code < 404 ? "AccessDenied" : "ExportFailed";
            const message = code === 401 ? /Looking for.*login/ : new RegExp(`Looking for what belongs to .*${code}`);
            return [
                [
                    `a registry that answers the question with ${code}`,
                    [fault(question, answers(code)), [name, message]],
                ],
                [
                    `a registry that answers cosign's tag with ${code}`,
                    [fault(cosignTag, answers(code)), [name, message]],
                ],
            ];
        }),
    ),
    "a registry that breaks off": [
        fault(question, { kind: "reset", afterBytes: 9 }),
        ["ExportFailed", /failed 5 times/],
    ],
    "a registry that falls silent": [
        fault(question, { kind: "stall", afterBytes: 9 }),
        ["ExportFailed", /failed 5 times, at last: .* stalled/],
    ],
    "a registry that answers by its second attempt": [
        (world) => {
            addReferrer(world.repository, world.image);
            let count = 0;
            world.options.fault = ({ url }) =>
                url.includes("/referrers/") && count++ % 2 === 0 ? answers(503) : undefined;
        },
        1,
    ],
    "a registry that takes the tag for the digest, as GitLab's": [
        ({ repository, options, image, index }) => {
            delete options.referrers;
            for (const each of [image, index]) repository.tags.set(tagOf(each), each.digest);
        },
        0,
    ],
    "a registry that leads to a page for logins, as Google's": [
        (world) => {
            const headers = { location: `http://localhost:${world.port}/v2/app/login` };
            for (const each of [world.image, world.index]) {
                world.answers.set(`/referrers/${each.digest}`, () => ({ status: 307, headers }));
            }
            world.answers.set("/login", () => ({ body: Buffer.from("<!doctype html>") }));
            addReferrer(world.repository, world.image);
            addReferrersTag(world.repository, world.image);
        },
        1,
    ],
    "a registry whose list grows": [
        (world) => {
            const first = json(listOf(entries(world)));
            world.answers.set(question(world), () => {
                addReferrer(world.repository, world.image, { content: `${world.repository.manifests.size}` });
                return { headers: { "content-type": indexType }, body: first };
            });
        },
        1,
    ],
    "a registry that has signed meanwhile": [
        (world) => {
            const { digest } = addReferrer(world.repository, world.image);
            world.answers.set(`/referrers/${digest}`, () => {
                addReferrer(world.repository, world.image, { tag: tagOf(world.image, ".sig") });
                return { status: 404 };
            });
        },
        1,
    ],
    "a registry that calls a manifest without its type now this, now that": [
        ({ repository, image, answers: given }) => {
            const text = repository.manifests.get(image.digest)?.bytes.toString() ?? "";
            const body = Buffer.from(text.replace(`"mediaType":"${manifestType}",`, ""));
            const headers = { "content-type": mediaTypes.docker.manifest };
            repository.manifests.set(digestOf(body), { bytes: body, mediaType: manifestType });
            repository.tags.set("1", digestOf(body));
            given.set(`/manifests/${tagOf({ ...image, digest: digestOf(body) }, ".sig")}`, () => ({ headers, body }));
        },
        1,
    ],
};

/** What points to what. */
const graphs: Readonly<Record<string, Graph>> = {
    "a signature that is the image": [
        ({ repository, image }) => {
            for (const suffix of [".sig", ".att"]) repository.tags.set(tagOf(image, suffix), image.digest);
        },
        2,
    ],
    "signatures of each other": [
        ({ repository, image }) => {
            const signature = addReferrer(repository, image, { tag: tagOf(image, ".sig") });
            repository.tags.set(tagOf(signature, ".sig"), image.digest);
            repository.tags.set(tagOf(signature, ".att"), signature.digest);
        },
        3,
    ],
    "a signature that is the index of all": [
        ({ repository, image, index }) => {
            repository.tags.set(tagOf(image, ".sig"), index.digest);
            repository.tags.set(tagOf(index, ".sig"), image.digest);
        },
        2,
    ],
    "an index that belongs to the image, of the image": [
        ({ repository, image }) => {
            const { mediaType, digest, size } = image;
            addManifest(repository, listOf([image], { subject: { mediaType, digest, size } }), indexType);
        },
        1,
    ],
    "an index that is nested five deep": [
        (world) => {
            let below = put(world, of({})());
            for (let level = 0; level < 5; level++) {
                below = put(world, {
                    bytes: json(listOf([below], { subject: level === 4 ? world.image : undefined })),
                    mediaType: indexType,
                });
            }
        },
        ["InvalidInput", /Looking for what belongs to .* nested deeper than 4/],
    ],
    "an index whose child has its type from the registry": [
        (world) => {
            const child = { ...put(world, of({ mediaType: undefined })()), mediaType: "" };
            put(world, { bytes: json(listOf([child], { subject: world.image })), mediaType: indexType });
        },
        ["InvalidInput", /Looking for .* the media type "", which is no image manifest/],
    ],
    "eight in a row": [
        ({ repository, image }) => {
            chain(repository, image, 8);
        },
        8,
    ],
    "nine in a row": [
        ({ repository, image }) => {
            chain(repository, image, 9);
        },
        ["InvalidInput", /more than 8 one after the other. Export it without referrers/],
    ],
    "a layer that is the image's manifest": [
        (world) => {
            const { mediaType, digest, size } = world.image;
            put(world, of({ layers: [{ mediaType, digest, size }] })(world.image));
        },
        1,
    ],
    "a layer that is the image's, of another size": [
        (world) => {
            const { mediaType, digest, size } = world.image;
            put(world, of({ layers: [{ mediaType, digest, size: size + 1 }] })(world.image));
        },
        ["InvalidInput", /the size/],
    ],
    "a subject of another size and type": [
        (world) => put(world, of({ subject: { mediaType: "text/html", digest: world.image.digest, size: 1 } })()),
        1,
    ],
    "a foreign layer": [
        (world) => {
            const mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar";
            put(world, of({ layers: [{ mediaType, digest: lost, size: 1 }] })(world.image));
        },
        ["ImageNotFound", /blob sha256:0000/],
    ],
    "a layer that changes": [
        ({ repository, image }) => {
            addReferrer(repository, image, { content: "signed" });
            repository.blobs.set(digestOf(Buffer.from("signed")), Buffer.from("forged"));
        },
        ["DigestMismatch", /The blob sha256/],
    ],
    "an image that belongs to the image": [
        ({ repository, image }) => {
            const bytes = repository.manifests.get(image.digest)?.bytes.toString() ?? "";
            const { mediaType, digest, size } = image;
            const subject = { subject: { mediaType, digest, size } };
            addManifest(repository, { ...(JSON.parse(bytes) as object), ...subject }, mediaType, "signed");
        },
        1,
    ],
};

/** So many referrers, each of the one before it. */
function chain(repository: Repository, image: Descriptor, length: number): void {
    for (let at = 0, below = image; at < length; at++) below = addReferrer(repository, below);
}

describe("hostile referrers", () => {
    let registry: FakeRegistry;
    let folder: string;
    let world: World;

    before(async () => {
        registry = await startRegistry({ repository: emptyRepository("app") });
        folder = await mkdtemp(path.join(os.tmpdir(), "referrers-"));
    });
    after(() => Promise.all([registry.close(), rm(folder, { recursive: true })]));
    beforeEach(() => {
        const repository = emptyRepository("app");
        const image = addImage(repository, { layers: [fileLayer("amd", Buffer.from("amd"))], tag: "1" });
        const arm = addImage(repository, {
            layers: [fileLayer("arm", Buffer.from("arm"))],
            architecture: "arm64",
            tag: "2",
        });
        const index = addIndex(repository, [image, arm], { tag: "index" });
        const [answers, faults] = [new Map<string, (url: URL) => CannedAnswer>(), new Map<string, Fault>()];
        registry.options = {
            repository,
            referrers: 2,
            answer: ({ href, pathname }) => answers.get(pathname.slice("/v2/app".length))?.(new URL(href)),
            fault: ({ url }) => faults.get(url.slice("/v2/app".length)),
        };
        world = {
            repository,
            image,
            index,
            options: registry.options,
            answers,
            faults,
            port: new URL(registry.origin).port,
        };
        registry.requests.length = 0;
    });

    const uri = (tag: string) => `${registry.host}/app:${tag}`;
    const run = (image: string | readonly RequestedImage[], options: Partial<ExportOptions> = {}) =>
        exportImage({
            image,
            destination: path.join(folder, "app.tar"),
            referrers: true,
            env: {},
            force: true,
            retryPolicy: quickRetries,
            idleTimeoutMs: 50,
            ...options,
        });

    /** Exports, and looks at what has come of it. */
    async function check(end: End, image: string | readonly RequestedImage[], options: Partial<ExportOptions> = {}) {
        const exporting = run(image, options);
        if (typeof end !== "number") {
            const [name, message] = end;
            await assert.rejects(exporting, { name, message });
            assert.deepEqual(await readdir(folder), []);
        } else {
            const { referrerCount } = await exporting;
            const archive = await readFile(path.join(folder, "app.tar"));
            const record = anyRecordOf(await readFile(path.join(folder, "app.tar.json"), "utf8"));
            for (const file of await readdir(folder)) await rm(path.join(folder, file));
            for (const given of [record, undefined]) {
                const { problems } = await verifyArchive(Readable.from([archive]), given, { deep: true });
                assert.deepEqual(problems, []);
            }
            assert.equal(referrerCount, end);
            assert.doesNotMatch(JSON.stringify(record), /\\n/);
        }
        assert.ok(registry.requests.length < 1100, `${registry.requests.length} requests`);
    }

    for (const [place, lay] of Object.entries(places)) {
        const isTag = place.startsWith("what cosign");
        const isSecond = place.startsWith("what belongs");
        const things = isTag || isSecond ? { ...documents, ...artifacts } : documents;
        for (const [what, [thing, end]] of Object.entries(things)) {
            it(`end in an archive, or in an error that says where: ${place} is ${what}`, async () => {
                lay(world, thing);
                if (isTag && what === "not there") await check(0, uri("1"));
                else await check(typeof end === "number" && isSecond ? end + 1 : end, uri("1"));
            });
        }
    }
    for (const [place, lay] of Object.entries(listPlaces)) {
        for (const [what, [list, end, inTag = end]] of Object.entries(lists)) {
            if (place === "the second page" && typeof end === "number" && what !== "good") continue;
            it(`end in an archive, or in an error that says where: ${place} is one ${what}`, async () => {
                lay(world, list(world));
                await check(place.endsWith("tag") ? inTag : end, uri("1"));
            });
        }
    }
    for (const [what, [make, end]] of Object.entries({ ...registries, ...graphs })) {
        it(`end in an archive, or in an error that says where: ${what}`, async () => {
            make(world);
            await check(end, uri("1"));
        });
    }
    for (const [what, [make, end]] of Object.entries(graphs)) {
        it(`end so in a set: ${what}`, async () => {
            make(world);
            await check(end, [uri("1"), { imageUri: uri("2"), platform: "linux/arm64" }]);
        });
        it(`end so below an index: ${what}`, async () => {
            make(world);
            await check(end, uri("index"), { platform: "all" });
        });
    }
});

describe("findReferrers", () => {
    const bytesOf = new Map<string, Buffer>();
    const made = (value: object): Descriptor => {
        const bytes = json(value);
        bytesOf.set(digestOf(bytes), bytes);
        return { mediaType: indexType, digest: digestOf(bytes), size: bytes.length };
    };
    const root = made(listOf([]));
    const subject = ({ mediaType, digest, size }: Descriptor) => ({ subject: { mediaType, digest, size } });
    const many = (length: number, make: (at: number) => object) => Array.from({ length }, (_, at) => made(make(at)));

    /** Looks for what belongs to the root, in a registry that lists this for a digest. */
    async function find(list: (digest: string) => readonly Descriptor[], index = root) {
        const read: string[] = [];
        const manifest = async (digest: string) => {
            read.push(digest);
            const bytes = bytesOf.get(digest);
            await Promise.resolve();
            if (bytes === undefined) throw new ExportError("ImageNotFound", digest);
            return { bytes, digest, contentType: indexType };
        };
        const document = ({ digest }: Descriptor) => {
            const bytes = bytesOf.get(digest) ?? assert.fail();
            return { descriptor: root, bytes, manifest: parseManifest(bytes, indexType) };
        };
        const referrers = (digest: string) => Promise.resolve(list(digest));
        try {
            const found = await findReferrers(
                { manifest, referrers },
                { documents: [document(root)], index: document(index) },
            );
            return { found: found.length, read: read.length, message: "" };
        } catch (error) {
            assert.ok(error instanceof ExportError && error.name === "InvalidInput", String(error));
            return { found: 0, read: read.length, message: error.message };
        }
    }
    const ofRoot = (all: readonly Descriptor[]) => (digest: string) => (digest === root.digest ? all : []);

    it("takes 1,000 of an image and not 1,001, which it does not read", async () => {
        const all = many(1001, (at) => listOf([], { ...subject(root), at }));
        assert.equal((await find(ofRoot(all.slice(1)))).found, 1000);
        const { message, read } = await find(ofRoot(all));
        assert.match(message, /more than 1000 referrers. Export it without referrers/);
        assert.ok(read < 10, `${read} read`);
    });

    it("reads of a graph without end no more than it takes", async () => {
        let at = 0;
        const grow = (count: number) => (digest: string) =>
            digest === root.digest || bytesOf.has(digest)
                ? many(count, () => listOf([], { subject: { mediaType: indexType, digest, size: 1 }, at: at++ }))
                : [];
        const deep = await find(grow(1));
        assert.match(deep.message, /more than 8 one after the other/);
        assert.ok(deep.read < 50, `${deep.read} read`);
        const wide = await find(grow(30));
        assert.match(wide.message, /more than 1000 referrers/);
        assert.ok(wide.read < 10_000, `${wide.read} read`);
    });

    it("reads of indexes with thousands of manifests each no more than one", async () => {
        const below = many(600, (at) => listOf([], { below: at }));
        const all = many(20, (at) => listOf(below, { ...subject(root), at }));
        const { message, read } = await find(ofRoot(all));
        assert.match(message, /more than 1000 referrers/);
        assert.ok(read < 1300, `${read} read`);
    });

    it("keeps no more bytes of them than there is memory for", async () => {
        const all = many(20, (at) => listOf([], { ...subject(root), at, more: "x".repeat(1e6) }));
        const { message, read } = await find(ofRoot(all));
        assert.match(message, /more than 8388608 bytes/);
        assert.ok(read < 18, `${read} read`);
        const index = made(listOf(all));
        assert.ok((await find((digest) => (digest === index.digest ? all : []), index)).read < 18);
    });

    it("does not read the attestations that an index lists by the thousand", async () => {
        const annotations = { "vnd.docker.reference.digest": root.digest };
        const index = made(listOf(Array.from({ length: 20_000 }, () => ({ ...root, annotations }))));
        const { message, read } = await find(() => [], index);
        assert.match(message, /more than 1000 referrers/);
        assert.ok(read < 10, `${read} read`);
    });
});
