import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import fc from "fast-check";
import { ExportError } from "../../contract/errors";
import { parseReference } from "../../contract/image";
import { JsonError, parseJson } from "../../contract/json";
import { parsePlatform } from "../../contract/platform";
import { exportsOf, parseRecord } from "../../contract/record";
import { verifyArchive } from "../../exporter/archive/verify";
import { said } from "../../exporter/network/httpClient";
import { parseChallenges } from "../../exporter/registry/authorization";
import { loginIn } from "../../exporter/registry/credentials";
import { parseConfig, parseManifest } from "../../exporter/registry/manifest";
import { goodEntries, recordOf, tarOf } from "./archive/craftedParts";
import { digestOf, mediaTypes } from "./support/images";

const digest = digestOf(Buffer.from("{}"));
const { oci } = mediaTypes;
const descriptor = {
    mediaType: oci.config,
    digest,
    size: 2,
    platform: { os: "linux", architecture: "amd64", variant: "v1", "os.version": "1" },
    annotations: { a: "b" },
    data: "e30=",
    urls: ["https://a"],
};
const manifest = { schemaVersion: 2, mediaType: oci.manifest, config: descriptor, layers: [descriptor, descriptor] };
const index = { schemaVersion: 2, mediaType: oci.index, manifests: [descriptor, descriptor] };
const config = {
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: [digest] },
    history: [],
    config: {},
};
const auths = { "a.io": { auth: "YTpi", identitytoken: "x", username: "a", password: "b" } };
const logins = { auths, credHelpers: { "b.io": "none" }, credsStore: "none" };
const good = tarOf(goodEntries());

/** A document like another one: some of its values are anything at all, some of its members are gone, twice, or in another case. */
function like(document: unknown): fc.Arbitrary<string> {
    const places = placesOf(document);
    const strange = fc.oneof(
        fc.jsonValue(),
        fc.constantFrom(null, [], {}, "", 0, -1, 1.5, 1e300, true, "sha256:", "__proto__", [null], { __proto__: null }),
    );
    const change = fc.record({
        place: fc.nat(places.length - 1),
        value: strange,
        kind: fc.constantFrom("replace", "remove", "case", "double"),
    });
    const changed = fc.array(change, { maxLength: 3 }).map((changes) => {
        const copy = structuredClone(document);
        const doubled: string[] = [];
        for (const { place, value, kind } of changes) {
            const [path = [], last = ""] = [places[place]?.slice(0, -1), places[place]?.at(-1)];
            const parent = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | null)?.[key], copy);
            if (typeof parent !== "object" || parent === null) continue;
            const members = parent as Record<string, unknown>;
            if (kind === "replace") members[last] = structuredClone(value);
            if (kind === "remove") Reflect.deleteProperty(members, last);
            if (kind === "case") members[last.toUpperCase()] = structuredClone(value);
            if (kind === "double") doubled.push(last);
        }
        return doubled.reduce((text, key) => text.replace(`"${key}":`, `"${key}":0,"${key}":`), JSON.stringify(copy));
    });
    const cut = fc.tuple(changed, fc.nat()).map(([text, at]) => text.slice(0, at % (text.length + 1)));
    return fc.oneof(
        { weight: 8, arbitrary: changed },
        { weight: 1, arbitrary: cut },
        fc.json(),
        fc.string({ unit: "binary" }),
    );
}

function placesOf(value: unknown): string[][] {
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, below]) => [[key], ...placesOf(below).map((rest) => [key, ...rest])]);
}

/** Lets pass only what has a name of this project. */
async function assertNamed(action: () => unknown): Promise<void> {
    try {
        await action();
    } catch (error) {
        assert.ok(error instanceof ExportError || error instanceof JsonError, `ended in ${String(error)}`);
        assert.doesNotMatch(error.message, /undefined|\[object|is not a function|Cannot read|not iterable/);
    }
}

/** What is read of the world outside, each with inputs like those that it is meant for. */
export const borders: Readonly<Record<string, [fc.Arbitrary<string>, (text: string) => unknown]>> = {
    manifest: [like(manifest), (text) => parseManifest(Buffer.from(text), oci.manifest)],
    index: [like(index), (text) => parseManifest(Buffer.from(text), undefined, oci.index)],
    configuration: [like(config), (text) => parseConfig(Buffer.from(text))],
    "file of logins": [like(logins), (text) => loginIn(text, "config.json", "a.io", "app")],
    record: [
        like(recordOf(good)),
        (text) => {
            const read = parseRecord(text);
            assert.ok("problem" in read ? /^(is|has) /.test(read.problem) : exportsOf(read.record).length >= 0, text);
        },
    ],
    "record of an archive": [
        like(recordOf(good)),
        (text) => {
            const read = parseRecord(text);
            return "record" in read ? verifyArchive(Readable.from([good]), read.record) : undefined;
        },
    ],
    "list of an archive": [
        like(JSON.parse(goodEntries()[2]?.body.toString() ?? "")),
        (text) => verifyArchive(Readable.from([tarWith(2, text)])),
    ],
    "index of an archive": [
        like(JSON.parse(goodEntries()[1]?.body.toString() ?? "")),
        (text) => verifyArchive(Readable.from([tarWith(1, text)]), recordOf(good)),
    ],
    "words of a registry": [like({ errors: [{ code: "A", message: "b" }] }), (text) => said(Buffer.from(text))],
    challenge: [
        fc.oneof(fc.string(), fc.constantFrom("Bearer realm=", 'Basic x="', "Bearer , ,=,", 'Bearer realm="a\\"')),
        (text) => parseChallenges(text),
    ],
    reference: [
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("a", ":", "/", "@", ".", "A", "1") })),
        parseReference,
    ],
    platform: [fc.string({ unit: fc.constantFrom("a", "/", "A", "1", "(", ")", " ") }), parsePlatform],
    JSON: [
        fc.oneof(fc.json(), fc.string({ unit: fc.constantFrom("{", "}", '"', ":", ",", "[", "]", "\\", "a", "1") })),
        parseJson,
    ],
};

function tarWith(at: number, text: string): Buffer {
    return tarOf(goodEntries().map((each, place) => (place === at ? { ...each, body: Buffer.from(text) } : each)));
}

/** Gives each border so many inputs. */
export function describeBorders(numRuns: number): void {
    for (const [border, [inputs, read]] of Object.entries(borders)) {
        it(`ends with a name whatever comes as ${border}, ${numRuns} times`, async () => {
            await fc.assert(
                fc.asyncProperty(inputs, (text) => assertNamed(() => read(text))),
                { numRuns },
            );
        });
    }
}
