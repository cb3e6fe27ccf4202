import * as path from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ImageRecord } from "../../../contract/record";
import { trailer } from "../../../exporter/archive/tar";
import { digestOf, mediaTypes } from "../support/images";
import {
    archiveOf,
    blob,
    blobFile,
    descriptor,
    type Entry,
    entry,
    evil,
    extended,
    good,
    goodEntries,
    image,
    indexOf,
    json,
    name,
    oldEntries,
    recordOf,
    tarOf,
    withType,
    writeChecksum,
} from "./craftedParts";

/** An archive that leads some reader to another image than the one of its record, or that costs too much to read. */
export interface Crafted {
    readonly kind: string;
    /**
     * `astray`: some reader may find another image. `lie`: it is the record that is wrong. `costly`: it is the size or the depth that is
     * too much, whatever a record says. `harmless`: every reader finds the good image, though engine `stream` does not write it.
     */
    readonly sort: "astray" | "lie" | "costly" | "harmless";
    readonly bytes: Buffer;
    /** A record that fits the archive in size and hash, and names the good image. */
    readonly record: ImageRecord;
}

/** How to make the archive of each kind. */
type Kinds = Readonly<Record<string, () => Entry[]>>;

const { oci, docker } = mediaTypes;
const evilBlobs = [evil.manifest, evil.config, evil.layer].map(blob);
const evilList = [evil.listed];
const otherName = "127.0.0.1:5999/other:1";
/** As the good one, but for what it runs; the identifier is one of those that Docker's first years gave to layers. */
const twin = image(
    good.layer,
    Buffer.from(
        good.config
            .toString()
            .replace("{", `{"id":"${"0".repeat(64)}",`)
            .replace('["good"]', '["evil"]'),
    ),
);
const twinBlobs = [twin.manifest, twin.config].map(blob);

const replaced = (file: string, body: unknown, more: readonly Entry[] = evilBlobs): Entry[] => [
    ...goodEntries().map((each) => (each.name === file ? entry(file, body) : each)),
    ...more,
];
const added = (...entries: readonly Entry[]): Entry[] => [...goodEntries(), ...evilBlobs, ...entries];
const before = (...entries: readonly Entry[]): Entry[] => [...entries, ...goodEntries(), ...evilBlobs];
const without = (file: string): Entry[] => goodEntries().filter((each) => each.name !== file);
const hidden = tarOf([entry("manifest.json", evilList), ...evilBlobs]);

/** Every trick at every place. */
function combined<Trick, Place>(
    tricks: Readonly<Record<string, Trick>>,
    places: Readonly<Record<string, Place>>,
    make: (trick: Trick, place: Place) => Entry[],
): Kinds {
    return Object.fromEntries(
        Object.entries(tricks).flatMap(([trick, how]) =>
            Object.entries(places).map(([place, where]) => [`${place}: ${trick}`, () => make(how, where)]),
        ),
    );
}

/** Files that say what the image is, each with what leads to the other image. */
const lists = {
    "manifest.json": ["manifest.json", json(evilList)],
    "index.json": ["index.json", json(indexOf(evil.manifest))],
} as const;
const places: Readonly<Record<string, readonly [string, Buffer]>> = {
    ...lists,
    "oci-layout": ["oci-layout", json({ imageLayoutVersion: "2.0.0" })],
    "the index of referrers": ["referrers/index.json", json(indexOf(evil.manifest))],
    "a manifest": [blobFile(good.manifest), evil.manifest],
    "a configuration": [blobFile(good.config), evil.config],
    "a layer": [blobFile(good.layer), evil.layer],
};

/** Names that some reader takes for that of the file. */
const namings: Readonly<Record<string, (file: string) => string | readonly [string, Entry["header"]]>> = {
    "the same name": (file) => file,
    capitals: (file) => file.toUpperCase(),
    "./ before it": (file) => `./${file}`,
    "/ before it": (file) => `/${file}`,
    "../ before it": (file) => `../${file}`,
    "a way round": (file) => `blobs/../${file}`,
    "two slashes": (file) => `.//${file}`,
    "/. after it": (file) => `${file}/.`,
    "a blank after it": (file) => `${file} `,
    "a dot after it": (file) => `${file}.`,
    "a control character": (file) => `${file}\u0001`,
    "a character without width": (file) => `\u200b${file}`,
    backslashes: (file) => `.\\${file.replaceAll("/", "\\")}`,
    "letters that fold to ASCII": (file) => file.replace("s", "ſ").replace(/^o/, "º"),
    "more after a zero byte": (file) => [file, (block) => block.write("x", file.length + 1)],
    "the name of a folder": (file) => [`${file}/`, withType("0")],
    "a folder as of old": (file) => [`${file}/`, withType("\0")],
    "a prefix": (file) => [
        path.posix.basename(file),
        (block) => block.write(file.includes("/") ? path.posix.dirname(file) : ".", 345),
    ],
};

function named(naming: string | readonly [string, Entry["header"]], body: Buffer): Entry {
    return typeof naming === "string" ? entry(naming, body) : entry(naming[0], body, naming[1]);
}

/** Headers that give some reader a file of this name, or hide it from one. */
const headers: Readonly<Record<string, (file: string, body: Buffer) => Entry[]>> = {
    "an extended name": (file, body) => [extended([["path", file]]), entry("x", body)],
    "an extended name that is empty": (file, body) => [extended([["path", ""]]), entry(file, body)],
    "two extended names": (file, body) => [
        extended([
            ["path", "x"],
            ["path", file],
        ]),
        entry("y", body),
    ],
    "an extended name and its encoding": (file, body) => [
        extended([
            ["hdrcharset", "BINARY"],
            ["path", file],
        ]),
        entry("x", body),
    ],
    "an extended name with a wrong length": (file, body) => [
        entry("PaxHeader", Buffer.from(`99 path=${file}\n`), withType("x")),
        entry("x", body),
    ],
    "an extended name of Sun": (file, body) => [extended([["path", file]], "X"), entry("x", body)],
    "two extended headers": (file, body) => [extended([["path", file]]), extended([["mtime", "1"]]), entry("x", body)],
    "a long name of GNU": (file, body) => [longName(file, "L"), entry("x", body)],
    "a long name of GNU and an extended one": (file, body) => [
        longName("y", "L"),
        extended([["path", file]]),
        entry("x", body),
    ],
    "a long link of GNU": (file, body) => [longName(file, "K"), entry("x", body)],
    "a sparse file of GNU": (file, body) => [entry(file, body, withType("S"))],
    "an extended sparse file": (file, body) => [
        extended([
            ["GNU.sparse.major", "1"],
            ["GNU.sparse.minor", "0"],
            ["GNU.sparse.name", file],
            ["GNU.sparse.realsize", String(body.length)],
        ]),
        entry("x", Buffer.concat([Buffer.from(`1\n0\n${body.length}\n`.padEnd(512, "\0")), body])),
    ],
    "a contiguous file": (file, body) => [entry(file, body, withType("7"))],
    "a type that nobody knows": (file, body) => [entry(file, body, withType("Z"))],
    "a type beyond ASCII": (file, body) => [entry(file, body, withType("\u00b0"))],
    "no magic": (file, body) => [entry(file, body, (block) => block.fill(0, 257, 265))],
    "a magic that nobody knows": (file, body) => [entry(file, body, (block) => block.write("ustar\u000099", 257))],
    "a prefix with GNU's magic": (file, body) => [
        entry(file, body, (block) => {
            block.write("ustar  \0", 257);
            block.write("x", 345);
        }),
    ],
    "the end of star's header": (file, body) => [entry(file, body, (block) => block.write("tar\0", 508))],
    "a small size in base 256": (file, body) => [
        entry(file, body, (block) => {
            block.fill(0, 124, 136);
            block[124] = 0x80;
            block.writeUInt32BE(body.length, 132);
        }),
    ],
    "a size after blanks": (file, body) => [
        entry(file, body, (block) => block.write(body.length.toString(8).padStart(11), 124)),
    ],
    "a size with a sign": (file) => [entry(file, undefined, (block) => block.write("-0000000000 ", 124))],
    "a checksum of signed bytes": (file, body) => [
        entry(file, body, (block) => {
            block.write("\u00ff", 265, "latin1");
            writeChecksum(block, true);
        }),
    ],
    "a checksum with blanks": (file, body) => [
        entry(file, body, (block) => {
            writeChecksum(block);
            block.write(block.toString("latin1", 148, 154).replace(/^0/, " "), 148);
        }),
    ],
};

function longName(file: string, type: string): Entry {
    return entry("././@LongLink", Buffer.from(`${file}\0`), withType(type));
}

/** Files that are something else, instead of the good one. */
const links: Readonly<Record<string, (file: string) => Entry>> = {
    "a symbolic link": (file) => entry(file, undefined, withType("2", upFrom(file, "other"))),
    "a symbolic link from the root": (file) => entry(file, undefined, withType("2", "/other")),
    "a hard link": (file) => entry(file, undefined, withType("1", "other")),
    "an extended link": (file) => entry(file, undefined, withType("2", "x")),
    "a link out of the archive": (file) => entry(file, undefined, withType("2", "../../../../etc/passwd")),
    "a device": (file) => entry(file, undefined, withType("3")),
};

function upFrom(file: string, target: string): string {
    return path.posix.relative(path.posix.dirname(file), target);
}

/** Entries that have no content for some readers, and a whole archive for others. */
const bodies: Kinds = Object.fromEntries(
    Object.entries({
        "a hard link": "1",
        "a symbolic link": "2",
        "a device of characters": "3",
        "a device of blocks": "4",
        "a folder": "5",
        "a pipe": "6",
        "a folder of GNU": "D",
        "a volume of GNU": "V",
        "a part of a volume": "M",
        "a list of names of GNU": "N",
        "an access list of Sun": "A",
        "an inode of Sun": "I",
    }).map(([what, type]) => [
        `${what} with a body`,
        () => added(entry(type === "5" ? "x/" : "x", hidden, withType(type, "oci-layout"))),
    ]),
);

const sizes: Kinds = {
    "an extended size that is smaller": () => added(extended([["size", "512"]]), entry("x", hidden)),
    "an extended size that is larger": () =>
        added(extended([["size", "1024"]]), entry("x"), entry("manifest.json", evilList)),
    "an extended size of a folder": () =>
        added(extended([["size", String(hidden.length)]]), entry("x/"), entry("y", hidden)),
    "an extended header at the end": () => [...goodEntries(), extended([["path", "manifest.json"]])],
    "a global header that names a list": () => before(extended([["path", "manifest.json"]], "g")),
    "a global header that links": () => before(extended([["linkpath", "x"]], "g")),
    "a global size": () => before(extended([["size", "0"]], "g")),
};

/** A second name within a text of JSON, as readers may take it. */
const doubles: Readonly<Record<string, (key: string, found: string, other: string) => string>> = {
    "another one first": (key, found, other) => `"${key}":${other},${found}`,
    "another one last": (key, found, other) => `${found},"${key}":${other}`,
    "another one in another case": (key, found, other) => `${found},"${otherCase(key)}":${other}`,
    "another one with an escaped name": (key, found, other) => `${found},"${escaped(key)}":${other}`,
};

function otherCase(key: string): string {
    return key.toUpperCase() === key ? key.toLowerCase() : key.toUpperCase();
}

function escaped(key: string): string {
    return `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`;
}

/** The documents that are read, and how to make an archive with another text of one. */
const texts = {
    "manifest.json": { of: json([good.listed]), other: json(evilList), put: raw("manifest.json") },
    "index.json": { of: json(indexOf(good.manifest)), other: json(indexOf(evil.manifest)), put: raw("index.json") },
    "a manifest": { of: good.manifest, other: evil.manifest, put: withManifest },
    "a configuration": { of: good.config, other: evil.config, put: withConfig },
};
const keys: readonly (readonly [keyof typeof texts, string, unknown?])[] = [
    ["manifest.json", "Config"],
    ["manifest.json", "Layers"],
    ["manifest.json", "RepoTags", [otherName]],
    ["index.json", "manifests"],
    ["index.json", "mediaType", oci.manifest],
    ["index.json", "digest"],
    ["index.json", "size", 1],
    ["index.json", "annotations", { "io.containerd.image.name": otherName }],
    ["a manifest", "config"],
    ["a manifest", "layers"],
    ["a manifest", "mediaType", oci.index],
    ["a manifest", "digest"],
    ["a configuration", "rootfs"],
    ["a configuration", "diff_ids"],
    ["a configuration", "config"],
    ["a configuration", "os", "windows"],
    ["a configuration", "architecture", "arm64"],
];
const fields = Object.fromEntries(
    keys.map(([document, key, other]) => {
        const { of, other: otherText, put } = texts[document];
        const [was, will] = [of, otherText].map((text) => JSON.stringify(valueOf(JSON.parse(text.toString()), key)));
        const change = (double: (typeof doubles)[string]) => {
            const found = `"${key}":${was ?? ""}`;
            const value = other === undefined ? will : JSON.stringify(other);
            return put(of.toString().replace(found, double(key, found, value ?? "")));
        };
        return [`"${key}" of ${document}`, change];
    }),
);

/** The first value with this name, however deep it is. */
function valueOf(document: unknown, key: string): unknown {
    if (typeof document !== "object" || document === null) return undefined;
    if (key in document) return (document as Record<string, unknown>)[key];
    return Object.values(document)
        .map((value) => valueOf(value, key))
        .find((value) => value !== undefined);
}

function raw(file: string) {
    return (text: string | Buffer): Entry[] => replaced(file, Buffer.from(text as string));
}

/** Good but for a document, and what depends on it. */
function withConfig(text: string | Buffer): Entry[] {
    return [...archiveOf(image(good.layer, Buffer.from(text as string))), ...evilBlobs];
}

function withManifest(text: string | Buffer): Entry[] {
    return [...archiveOf({ ...good, manifest: Buffer.from(text as string) }), ...evilBlobs];
}

const changedManifest = (from: string, to: string): Entry[] =>
    archiveOf({ ...good, manifest: Buffer.from(good.manifest.toString().replace(from, to)) });
const changedConfig = (from: string | RegExp, to: string): Entry[] =>
    archiveOf(image(good.layer, Buffer.from(good.config.toString().replace(from, to))));

/** What is JSON to some readers only. */
const notations: Readonly<Record<string, (text: string, other: string) => string | Buffer>> = {
    "another one after it": (text, other) => text + other,
    "another one after a zero byte": (text, other) => `${text}\0${other}`,
    "another one in a comment": (text, other) => `/*${other}*/${text}`,
    "a byte order mark": (text) => `\ufeff${text}`,
    "UTF-16": (text) => Buffer.from(`\ufeff${text}`, "utf16le"),
    "a comma at the end": (text) => text.replace(/([\]}])$/, ",$1"),
    "names without quotation marks": (text) => text.replaceAll(/"(\w+)":/g, "$1:"),
    "a blank beyond ASCII before it": (text) => `\u00a0${text}`,
};

const listed = (change: object): Entry[] => replaced("manifest.json", [{ ...good.listed, ...change }]);
const documents: Kinds = {
    "another list": () => replaced("manifest.json", evilList),
    "a list of two": () => replaced("manifest.json", [good.listed, evil.listed]),
    "a list of two, the other one first": () => replaced("manifest.json", [evil.listed, good.listed]),
    "a list of none": () => replaced("manifest.json", []),
    "a list with another name": () => listed({ RepoTags: [otherName] }),
    "a list with a name more": () => listed({ RepoTags: [name, otherName] }),
    "a list with no name that is one": () => listed({ RepoTags: [name, "A B"] }),
    "a list with a digest for a name": () => listed({ RepoTags: ["0".repeat(64)] }),
    "a list with another layer": () => listed({ Layers: evil.listed.Layers }),
    "a list with another configuration": () => listed({ Config: evil.listed.Config }),
    "a list with a layer more": () => listed({ Layers: [...good.listed.Layers, ...evil.listed.Layers] }),
    "a list with a layer less": () => listed({ Layers: [] }),
    "a list with a long s": () => listed({ Layerſ: evil.listed.Layers }),
    "a list with a configuration by ./": () => listed({ Config: `./${good.listed.Config}` }),
    "a list with a configuration by ..": () => listed({ Config: `blobs/../${good.listed.Config}` }),
    "a list with a configuration by backslashes": () => listed({ Config: evil.listed.Config.replaceAll("/", "\\") }),
    "an object for a list": () => replaced("manifest.json", good.listed),
    "null for a list": () => replaced("manifest.json", null),
    "null in a list": () => replaced("manifest.json", [null, evil.listed]),
    "another index": () => replaced("index.json", indexOf(evil.manifest)),
    "an index of two": () => replaced("index.json", indexOf(good.manifest, evil.manifest)),
    "an index of two, the other one first": () => replaced("index.json", indexOf(evil.manifest, good.manifest)),
    "an index that is a manifest too": () => replaced("index.json", { ...indexOf(good.manifest), layers: [] }),
    "an index that is the other manifest": () => replaced("index.json", evil.manifest),
    "an index of nothing": () => replaced("index.json", { ...indexOf(), manifests: null }),
    "an index with another name": () =>
        replaced(
            "index.json",
            indexOf({ ...descriptor(good.manifest), annotations: { "io.containerd.image.name": otherName } }),
        ),
    "an index with another name of Apple": () =>
        replaced(
            "index.json",
            indexOf({
                ...descriptor(good.manifest),
                annotations: { "com.apple.containerization.image.name": otherName },
            }),
        ),
    "an index with another name as its tag": () =>
        replaced(
            "index.json",
            indexOf({ ...descriptor(good.manifest), annotations: { "org.opencontainers.image.ref.name": otherName } }),
            [],
        ),
    "an index with a manifest as data": () =>
        replaced("index.json", indexOf({ ...descriptor(good.manifest), data: evil.manifest.toString("base64") })),
    "an index with another size": () =>
        replaced("index.json", indexOf({ ...descriptor(good.manifest), size: good.manifest.length - 1 })),
    "an index that calls a manifest an index": () =>
        replaced("index.json", indexOf(descriptor(good.manifest, oci.index))),
    "an index that calls the other manifest nothing": () =>
        replaced("index.json", indexOf(good.manifest, descriptor(evil.manifest, ""))),
    "a manifest that is an index too": () => changedManifest('"layers"', '"manifests":[],"layers"'),
    "a manifest of schema 1": () => changedManifest('"schemaVersion":2', '"schemaVersion":1'),
    "a manifest with layers of schema 1": () => changedManifest('"layers"', '"fsLayers":[],"layers"'),
    "a manifest without layers": () => changedManifest('"layers":[', '"layers":[],"x":['),
    "a manifest with a layer twice": () =>
        changedManifest('"layers":[', `"layers":[${JSON.stringify(descriptor(good.layer, oci.layer))},`),
    "a manifest with another layer as data": () =>
        changedManifest('"layers":[{', `"layers":[{"data":"${evil.layer.toString("base64")}",`),
    "a configuration of no layers": () => changedConfig(/"diff_ids":\[[^\]]*\]/, '"diff_ids":[]'),
    "a configuration that is none": () => archiveOf(image(good.layer, Buffer.from("[]"))),
    "a configuration with a strange platform": () => changedConfig('"amd64"', '"amd64\\u202e"'),
    "blobs that nothing leads to": () => added(),
    "a file that nothing leads to": () => [...goodEntries(), entry("layer.tar", evil.layer)],
    "a layer with another content": () => [...goodEntries().slice(0, -1), entry(blobFile(good.layer), evil.layer)],
    "no layer": () => goodEntries().slice(0, -1),
    "no lists": () => without("index.json").filter((each) => each.name !== "manifest.json"),
};

/** An index below `index.json`, of which each reader chooses one image; Docker finds the good one in `manifest.json`. */
function chosen(...manifests: readonly object[]): Entry[] {
    const index = json({ schemaVersion: 2, mediaType: oci.index, manifests });
    return [...replaced("index.json", indexOf(descriptor(index, oci.index)), [blob(index)]), ...twinBlobs];
}
const [amd64, other, unknown] = [
    { os: "linux", architecture: "amd64" },
    { os: "linux", architecture: "s390x" },
    { os: "unknown", architecture: "unknown" },
].map((platform) => ({ platform }));
const attestation = { annotations: { "vnd.docker.reference.type": "attestation-manifest" } };
const windows = image(good.layer, Buffer.from(twin.config.toString().replace('"linux"', '"windows"')));
const artifact = {
    ...twin,
    manifest: Buffer.from(twin.manifest.toString().replace(oci.config, "application/vnd.example.config.v1+json")),
};
const asChosen = (of: Buffer, change: object = {}) => ({ ...descriptor(of), ...amd64, ...change });
const asOther = { ...descriptor(good.manifest), ...other };

const trees: Kinds = {
    "the platform of another image": () => chosen(asChosen(twin.manifest), asOther),
    "the platform of what is called an attestation": () => chosen(asChosen(twin.manifest, attestation), asOther),
    "the platform of what is called nothing": () => chosen(asChosen(twin.manifest, { mediaType: "" }), asOther),
    "the platform of what is called a layer": () => chosen(asChosen(twin.manifest, { mediaType: oci.layer }), asOther),
    "the platform of an image of Windows": () => [
        ...chosen(asChosen(windows.manifest), asOther).slice(0, -twinBlobs.length),
        ...[windows.manifest, windows.config].map(blob),
    ],
    "the platform of an artifact": () => [
        ...chosen(asChosen(artifact.manifest), asOther).slice(0, -twinBlobs.length),
        ...[artifact.manifest, artifact.config].map(blob),
    ],
    "an index below an index": () => {
        const below = json({ schemaVersion: 2, mediaType: oci.index, manifests: [asChosen(twin.manifest)] });
        return [...chosen({ ...descriptor(below, oci.index), ...amd64 }, asOther), blob(below)];
    },
    "an image of Windows beside the image": () => [
        ...replaced("index.json", indexOf(good.manifest, windows.manifest), []),
        ...[windows.manifest, windows.config].map(blob),
    ],
    "an attestation beside the image": () => [
        ...replaced(
            "index.json",
            indexOf(good.manifest, {
                ...descriptor(twin.manifest),
                annotations: { ...attestation.annotations, "io.containerd.image.name": name },
            }),
            twinBlobs,
        ),
    ],
    "an artifact beside the image": () => [
        ...replaced("index.json", indexOf(good.manifest, artifact.manifest), []),
        ...[artifact.manifest, artifact.config].map(blob),
    ],
    "what is called nothing beside the image": () =>
        replaced("index.json", indexOf(good.manifest, descriptor(twin.manifest, "")), twinBlobs),
    "an unknown platform beside the image": () =>
        replaced("index.json", indexOf(good.manifest, { ...descriptor(twin.manifest), ...unknown }), twinBlobs),
};

/** Archives of the old form, whose files have any name, for what readers make of that. */
const oldConfig = entry("a/json", good.config);
const formerly: Kinds = {
    // Docker takes such a link from the archive's root, others from the folder that it is in.
    "a link from the root to another configuration": () => [
        ...oldEntries("b/c").filter((each) => each.name !== "a/json"),
        entry("a/json", twin.config),
        entry("b/"),
        entry("b/c", undefined, withType("2", "/a/json")),
        entry("b/a/"),
        entry("b/a/json", good.config),
    ],
    // A name of star has a shorter prefix, and a time in place of its end.
    "another configuration by a prefix of star": () => {
        const folder = "a".repeat(131);
        const within = (prefix: string) => (block: Buffer) => block.write(prefix, 345);
        const star = (block: Buffer): void => {
            within(`${folder}00000000000\0`)(block);
            block.write("00000000000\0", 488);
            block.write("tar\0", 508);
        };
        const old = oldEntries(`${folder}/json`).slice(3);
        const [layer = oldConfig, ...lists] = old.map((each) =>
            each.name === "manifest.json"
                ? entry(each.name, [
                      {
                          ...(JSON.parse(each.body.toString()) as [object])[0],
                          Layers: [`${folder}00000000000/layer.tar`],
                      },
                  ])
                : each,
        );
        return [
            entry("layer.tar", layer.body, within(`${folder}00000000000`)),
            entry("json", good.config, within(folder)),
            entry("json", twin.config, star),
            ...lists,
        ];
    },
    "a layer that is another folder's": () => [
        ...oldEntries("a/json").map((each) => (each.name === "a/json" ? oldConfig : each)),
        entry("a"),
    ],
};

/** Nothing but zeros may come after the end, and nothing may be packed. */
const wholes: Readonly<Record<string, () => Buffer>> = {
    "an archive after the end": () => Buffer.concat([tarOf(goodEntries()), hidden]),
    "an archive after one block of zeros": () =>
        Buffer.concat([tarOf(goodEntries()).subarray(0, -trailer.length), Buffer.alloc(512), hidden]),
    "an archive after many blocks of zeros": () =>
        Buffer.concat([tarOf(goodEntries()), Buffer.alloc(64 * 1024), hidden]),
    "a block of zeros within": () => {
        const [first, rest] = [goodEntries().slice(0, 2), goodEntries().slice(2)];
        return Buffer.concat([tarOf(first).subarray(0, -512), tarOf(rest)]);
    },
    "an archive before it": () => Buffer.concat([hidden.subarray(0, -trailer.length), tarOf(goodEntries())]),
    "no end": () => tarOf(goodEntries()).subarray(0, -trailer.length),
    "half an end": () => tarOf(goodEntries()).subarray(0, -512),
    "a packed archive": () => gzipSync(tarOf(archiveOf(evil))),
    "a packed archive of Zstandard": () => zstdCompressSync(tarOf(archiveOf(evil))),
    "the archive, and a packed one after it": () =>
        Buffer.concat([tarOf(goodEntries()), gzipSync(tarOf(archiveOf(evil)))]),
    "padding with something in it": () => {
        const bytes = tarOf(added(entry("manifest.json", evilList)));
        bytes[1023] = 0x7b;
        return bytes;
    },
    "the other image as a whole": () => tarOf(archiveOf(evil)),
};

const costly: Kinds = {
    "indexes that lead to each other many times over": () => {
        let below: Buffer = good.manifest;
        const all: Entry[] = [];
        for (let level = 0; level < 6; level++) {
            const type = level === 0 ? oci.manifest : oci.index;
            const manifests = Array.from({ length: 60 }, () => descriptor(below, type));
            below = json({ schemaVersion: 2, mediaType: oci.index, manifests, level });
            all.push(blob(below));
        }
        const index = { ...indexOf(), manifests: [descriptor(below, oci.index)] };
        return [...replaced("index.json", index, []), ...all];
    },
    "30,000 files": () => [...goodEntries(), ...Array.from({ length: 30_000 }, (_, at) => entry(`f${at}`))],
    "a list that is nested 100,000 deep": () => raw("manifest.json")("[".repeat(100_000) + "]".repeat(100_000)),
    "a list of two million values": () => raw("manifest.json")(`[${"{},".repeat(2_000_000)}{}]`),
    "a list of a million names": () =>
        raw("manifest.json")(`[{${Array.from({ length: 1_100_000 }, (_, at) => `"${at}":0`).join()}}]`),
};

/** What other tools write, or might. */
const harmless: Kinds = {
    "an image chosen from an index": () => chosen(asChosen(good.manifest)).slice(0, -twinBlobs.length),
    "one image for two platforms": () => chosen(asChosen(good.manifest), asOther).slice(0, -twinBlobs.length),
    "an index whose other images are not there": () =>
        chosen(asChosen(good.manifest), { ...descriptor(evil.manifest), ...other }).slice(0, -twinBlobs.length),
    "an attestation of the image": () => [
        ...chosen(asChosen(good.manifest), { ...descriptor(twin.manifest), ...unknown, ...attestation }),
    ],
    "a manifest without its type": () => changedManifest(`"mediaType":"${oci.manifest}",`, ""),
    "a manifest about another one": () =>
        changedManifest('"layers"', `"subject":${JSON.stringify(descriptor(evil.manifest))},"layers"`),
    "a manifest with addresses of a layer": () =>
        changedManifest('"layers":[{', '"layers":[{"urls":["https://registry.example/layer"],'),
    "a configuration as data": () =>
        changedManifest('"config":{', `"config":{"data":"${good.config.toString("base64")}",`),
    "the types of Docker": () =>
        archiveOf({
            ...good,
            manifest: Buffer.from(
                good.manifest
                    .toString()
                    .replace(oci.manifest, docker.manifest)
                    .replace(oci.config, docker.config)
                    .replace(oci.layer, docker.layer),
            ),
        }).map((each) =>
            each.name === "index.json"
                ? entry(each.name, Buffer.from(each.body.toString().replace(oci.manifest, docker.manifest)))
                : each,
        ),
    "a list with a parent": () => listed({ Parent: digestOf(evil.config) }).slice(0, -evilBlobs.length),
    "names of old": () => [...goodEntries(), entry("repositories", { "127.0.0.1:5999/app": { 1: "0".repeat(64) } })],
    "no oci-layout": () => without("oci-layout"),
    "no index": () => without("index.json").filter((each) => each.name !== blobFile(good.manifest)),
};

const [goodImage] = recordOf(Buffer.alloc(0)).images;
const inImage =
    (change: object) =>
    (record: ImageRecord): object => ({ images: record.images.map((each) => ({ ...each, ...change })) });
const inLayer = (change: object) => inImage({ layers: goodImage?.layers?.map((layer) => ({ ...layer, ...change })) });
/** Of a good archive, what a record says that is not so. */
const lies: Readonly<Record<string, (record: ImageRecord) => object>> = {
    "another image": () => ({ imageDigest: digestOf(evil.manifest) }),
    "the configuration for the image": () => ({ imageDigest: digestOf(good.config) }),
    "another name": () => ({ imageName: otherName }),
    "no image": () => ({ images: [] }),
    "an image twice": ({ images }) => ({ images: [...images, ...images] }),
    "another configuration": inImage({ configDigest: digestOf(evil.config) }),
    "another platform": inImage({ platform: "linux/arm64" }),
    "another content of a layer": inImage({ diffIds: [digestOf(evil.layer)] }),
    "no content of a layer": inImage({ diffIds: null }),
    "no layer": inImage({ layers: [] }),
    "no word of layers": inImage({ layers: null }),
    "another layer": inLayer({ digest: digestOf(evil.layer) }),
    "another size of a layer": inLayer({ sizeBytes: 1 }),
    "another place of a layer": inLayer({ offset: 512 }),
};

/** All kinds, made anew. */
export function craftedArchives(): Crafted[] {
    const astray: Kinds = {
        ...combined(namings, places, (naming, [file, body]) => added(named(naming(file), body))),
        ...combined({ "one of the same name before": named }, places, (make, [file, body]) => before(make(file, body))),
        ...combined(headers, lists, (header, [file, body]) => added(...header(file, body))),
        ...combined(links, places, (link, [file, body]) => [
            ...without(file),
            ...evilBlobs.filter((each) => each.name !== file),
            entry("other", body),
            link(file),
        ]),
        ...bodies,
        ...sizes,
        ...combined(doubles, fields, (double, change) => change(double)),
        ...combined(notations, texts, (notation, { of, other: otherText, put }) =>
            put(notation(of.toString(), otherText.toString())),
        ),
        ...documents,
        ...trees,
        ...formerly,
    };
    const made = Object.entries({ astray, costly, harmless }).flatMap(([sort, kinds]) =>
        Object.entries(kinds).map(([kind, make]) => ({ kind, sort: sort as Crafted["sort"], bytes: tarOf(make()) })),
    );
    const others = Object.entries(wholes).map(([kind, make]) => ({ kind, sort: "astray" as const, bytes: make() }));
    const archives = [...made, ...others].map((archive) => ({ ...archive, record: recordOf(archive.bytes) }));
    const bytes = tarOf(goodEntries());
    const wrong = Object.entries(lies).map(([lie, change]): Crafted => {
        const record = recordOf(bytes);
        return { kind: `a record of ${lie}`, sort: "lie", bytes, record: { ...record, ...change(record) } };
    });
    return [...archives, ...wrong];
}
