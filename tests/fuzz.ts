import * as assert from "node:assert/strict";
import { Readable } from "node:stream";
import * as pulumi from "@pulumi/pulumi";
import fc from "fast-check";
import { Failure } from "../cli/failure";
import { readManifest } from "../cli/manifest";
import { parseConfig as parseStackConfig } from "../config";
import { ExportError, exportErrors } from "../contract/errors";
import { parseReference } from "../contract/image";
import { isObject, JsonError, parseJson } from "../contract/json";
import { parsePlatform } from "../contract/platform";
import { exportsOf, parseRecord } from "../contract/record";
import { baseProblems } from "../exporter/archive/merge";
import { planArchive } from "../exporter/archive/plan";
import { readArchive } from "../exporter/archive/readArchive";
import { imagesIn, verifyArchive } from "../exporter/archive/verify";
import { findSince } from "../exporter/base";
import { said } from "../exporter/network/httpClient";
import { createLeads } from "../exporter/network/origin";
import { createAuthorization, parseChallenges } from "../exporter/registry/authorization";
import { loginIn } from "../exporter/registry/credentials";
import { parseConfig, parseManifest } from "../exporter/registry/manifest";
import { findReferrers } from "../exporter/registry/referrers";
import { readReferrers, type Registry } from "../exporter/registry/registry";
import { goodEntries, name, recordOf, tarOf } from "./exporter/archive/craftedParts";
import { digestOf, mediaTypes } from "./exporter/support/images";
import { configurationText } from "../lab/stackFiles";
import { assertHarmless, bucket, image, key, definitions, runExport } from "./support/exportExecution";

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
const root = { mediaType: oci.index, digest, size: 2 };
const referrer = {
    ...manifest,
    artifactType: "application/spdx+json",
    subject: root,
    annotations: { "vnd.docker.reference.digest": digest },
};
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
const delta = tarOf(goodEntries().slice(0, -1));
const deltaRecord = recordOfDelta();
const request = { imageUri: image.uri, artifactBucket: bucket, artifactKey: key, platform: "linux/amd64", force: true };
const requestSince = { ...request, since: { key: "images/base.tar", for: "containerd" } };
const ecr = "arn:aws:ecr:ap-northeast-1:111122223333:repository/";
const stack = {
    imageUri: image.uri,
    repositoryArns: [`${ecr}backend/*`, `${ecr}quay/*`],
    artifactPrefix: "images/",
    engine: "stream",
    compute: { type: "BUILD_GENERAL1_LARGE", timeoutMinutes: 60 },
    network: { vpcId: "vpc-0a1b2c3d", subnetIds: ["subnet-0a1b2c3d"], securityGroupIds: ["sg-0a1b2c3d"] },
    pullThroughCache: [{ prefix: "quay", upstreamRegistryUrl: "quay.io" }],
    retention: { archiveDays: 365, oldVersionDays: 90, protect: true },
    notifications: { emails: ["a@example.com"], slack: { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" } },
    triggers: {
        onPush: { repositories: ["backend/*"], since: "latest" },
        schedule: {
            expression: "rate(1 day)",
            request: { imageUri: image.uri, since: { key: "images/base.tar", for: "docker" }, force: true },
        },
    },
    tags: { team: "a" },
};

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

/** Lines, some of them good, others of any cells. */
function table(good: string, separator: string): fc.Arbitrary<string> {
    const cell = fc.oneof(
        fc.constantFrom(image.uri, "true", "", '"', '""', "\r", " "),
        fc.string(),
        fc.string({ unit: "binary" }),
    );
    const line = fc.oneof(
        fc.constant(good),
        fc.array(cell, { maxLength: 3 }).map((cells) => cells.join(separator)),
    );
    return fc.array(line, { maxLength: 4 }).map((lines) => lines.join("\n"));
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
        const isNamed =
            [ExportError, JsonError, Failure].some((kind) => error instanceof kind) ||
            pulumi.RunError.isInstance(error);
        assert.ok(isNamed && error instanceof Error, `ended in ${String(error)}`);
        assert.doesNotMatch(error.message, /undefined|\[object|is not a function|Cannot read|not iterable/);
    }
}

/** What is read of the world outside, each with inputs like those that it is meant for. */
export const borders: Readonly<Record<string, [fc.Arbitrary<string>, (text: string) => unknown]>> = {
    manifest: [like(manifest), (text) => parseManifest(Buffer.from(text), oci.manifest)],
    index: [like(index), (text) => parseManifest(Buffer.from(text), undefined, oci.index)],
    "list of referrers": [
        like({ ...index, artifactType: "a/b" }),
        (text) => readReferrers("a.io/b", { headers: { "content-type": oci.index }, body: Buffer.from(text) }),
    ],
    "link to further referrers": [
        fc.string({
            unit: fc.constantFrom("<", ">", ";", ",", " ", '"', "=", "rel", "next", "/", "https://", "a", ":"),
        }),
        followLink,
    ],
    referrer: [like(referrer), addReferrer],
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
    "record of a delta": [
        like(deltaRecord),
        async (text) => {
            const read = parseRecord(text);
            if (!("record" in read)) return;
            await verifyArchive(Readable.from([delta]), read.record);
            if (read.record.since === null) return;
            const problems = baseProblems(read.record.since, await readArchive(Readable.from([good])), read.record);
            assert.ok(read.record.since.sha256 === sha256Of(good) || problems.length > 0);
        },
    ],
    "record of a base": [like(deltaRecord), leaveOut],
    "list of an archive": [
        like(JSON.parse(goodEntries()[2]?.body.toString() ?? "")),
        (text) => verifyArchive(Readable.from([tarWith(2, text)])),
    ],
    "index of an archive": [
        like(JSON.parse(goodEntries()[1]?.body.toString() ?? "")),
        (text) => verifyArchive(Readable.from([tarWith(1, text)]), recordOf(good)),
    ],
    "words of a registry": [like({ errors: [{ code: "A", message: "b" }] }), (text) => said(Buffer.from(text))],
    "answer of a token server": [like({ token: "a", access_token: "b", expires_in: 300 }), logIn],
    challenge: [
        fc.oneof(fc.string(), fc.constantFrom("Bearer realm=", 'Basic x="', "Bearer , ,=,", 'Bearer realm="a\\"')),
        (text) => parseChallenges(text),
    ],
    reference: [
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("a", ":", "/", "@", ".", "A", "1") })),
        parseReference,
    ],
    request: [like(request), requestExport],
    "request since another": [like(requestSince), requestExport],
    "configuration of a stack": [
        like(stack),
        (text) => {
            const values = valueOf(text);
            if (!isObject(values)) return;
            const texts = Object.entries(values).map(([name, value]) => [name, configurationText(value)]);
            parseStackConfig(Object.fromEntries(texts) as Record<string, string>, "ap-northeast-1", {
                project: "ecr-image-export",
                stack: "dev",
            });
        },
    ],
    "batch in JSON": [like([request, requestSince, image.uri]), (text) => readManifest("a.json", text)],
    "batch in JSON Lines": [like(requestSince), (text) => readManifest("a.jsonl", `${text}\n${text}`)],
    "batch in CSV": [table(`${image.uri},true`, ","), (text) => readManifest("a.csv", `imageUri,force\n${text}`)],
    "batch of lines": [table(image.uri, ""), (text) => readManifest("a", text)],
    platform: [fc.string({ unit: fc.constantFrom("a", "/", "A", "1", "(", ")", " ") }), parsePlatform],
    JSON: [
        fc.oneof(fc.json(), fc.string({ unit: fc.constantFrom("{", "}", '"', ":", ",", "[", "]", "\\", "a", "1") })),
        parseJson,
    ],
};

/** Asks the state machine for this. */
async function requestExport(text: string): Promise<void> {
    const input = valueOf(text);
    if (input === undefined) return;
    const { outcome, builds, stored } = await runExport(input, { definition: definitions.stream });
    for (const build of builds) assertHarmless(build, stored);
    if (outcome.status !== "SUCCEEDED") assert.ok(outcome.status === "FAILED" && outcome.error in exportErrors);
}

/** Leaves out of an archive of the good image what it has since an archive of this record, by its key and as the latest. */
async function leaveOut(text: string): Promise<void> {
    const read = parseRecord(text);
    const record = "record" in read ? read.record : undefined;
    const whole = recordOf(good);
    const needed = { ...whole, archive: { ...whole.archive, versionId: "1" } };
    const archives = {
        newest: () => Promise.resolve(["a"]),
        recordAt: (at: string) => Promise.resolve(at === "a" ? record : needed),
        expiryOf: () => Promise.resolve(undefined),
    };
    const { files, contents } = await verifyArchive(Readable.from([good]));
    const reference = parseReference(name);
    const images = await imagesIn(files, contents, whole);
    const platform = parsePlatform("linux/amd64");
    const found = images.map((each) => ({
        imageUri: name,
        reference,
        platform,
        image: each,
        registry: {} as Registry,
    }));
    for (const since of ["latest", "a"]) {
        await findSince({ key: "own", isSet: false, onNote: undefined }, since, found, archives, undefined);
    }
}

/** The record of an archive without its only layer. */
function recordOfDelta() {
    const record = recordOf(delta);
    const missing = record.images.flatMap(({ layers }) => layers ?? []);
    const link = { key: "images/base.tar", versionId: "1", sha256: sha256Of(good) };
    return {
        ...record,
        images: record.images.map((each) => ({
            ...each,
            layers: missing.map((layer) => ({ ...layer, offset: null })),
        })),
        since: {
            ...link,
            for: "docker",
            savedBytes: good.length - delta.length,
            missing: missing.map(({ digest: left, sizeBytes }) => ({ digest: left, sizeBytes })),
            chain: [{ ...link, key: "images/first.tar" }],
        },
    };
}

function sha256Of(bytes: Buffer): string {
    return digestOf(bytes).slice("sha256:".length);
}

/** Undefined for what is no JSON: neither AWS nor Pulumi hands that over. */
function valueOf(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

/** Goes where this header leads. */
function followLink(link: string): void {
    const { link: next } = readReferrers("a.io/b", { headers: { link }, body: Buffer.from(JSON.stringify(index)) });
    const origin = new URL("https://a.io");
    if (next !== undefined) assert.equal(createLeads(origin, false).lead(origin, next).protocol, "https:");
}

/** Plans an archive with what belongs to an empty index: this manifest. */
async function addReferrer(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    const listed = { mediaType: oci.manifest, digest: digestOf(bytes), size: bytes.length };
    const document = {
        descriptor: root,
        bytes: Buffer.from("{}"),
        manifest: parseManifest(Buffer.from("{}"), oci.index),
    };
    const image = { name: "a.io/b:1", documents: [document], configs: new Map<string, Buffer>() } as const;
    const referrers = await findReferrers(
        {
            manifest: (name) =>
                name === listed.digest
                    ? Promise.resolve({ bytes, digest: name, contentType: undefined })
                    : Promise.reject(new ExportError("ImageNotFound", name)),
            referrers: (subject) => Promise.resolve(subject === digest ? [listed] : []),
        },
        image,
    );
    assert.ok(referrers.every(({ type }) => /^[!-~]+$/.test(type)));
    planArchive([{ ...image, referrers }]);
}

/** Logs in with this answer of the token server. */
async function logIn(text: string): Promise<void> {
    const server = new URL("https://a.io/token");
    const authorize = createAuthorization({
        origin: server,
        registry: server.host,
        scope: "",
        credentials: () => Promise.resolve(undefined),
        lead: () => server,
        http: { send: () => Promise.resolve({ status: 200, headers: {}, body: Buffer.from(text) }) },
    });
    const headers = { "www-authenticate": `Bearer realm="${server.href}"` };
    const { status } = await authorize(({ authorization }) =>
        Promise.resolve({ status: authorization === undefined ? 401 : 200, headers, body: Buffer.alloc(0) }),
    );
    assert.equal(status, 200);
}

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
