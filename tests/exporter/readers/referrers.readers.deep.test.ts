/** What belongs to images, as other programs make it, in the hands of other programs; what comes of it is docs/results/referrers.md. */
import * as assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import { recordKey } from "../../../contract/keys";
import { exportsOf } from "../../../contract/record";
import { exportImage } from "../../../exporter/exportImage";
import { root } from "../../../lab/stackFiles";
import { newDocker } from "../../support/newDocker";
import { anyRecordOf } from "../../support/readRecord";
import {
    assertInstalled,
    goTool,
    olareg,
    run,
    type Service,
    startDockerRegistry,
    startOlareg,
    useGoTools,
} from "../support/tools";
import { prepareBuilders } from "./builders";
import { startDocker } from "./readers";
import { referrersReasons } from "./reasons";
import { referenceDigest, referenceType } from "../../../exporter/registry/manifest";
import { refNameAnnotation } from "../../../exporter/archive/layout";

type Cosign = 2 | 3;
/** How cosign keeps signatures: under tags, or since version 2.5 in bundles, which have a subject. */
type Form = "tags" | "bundles";

const verifications = ["verify", "verify-attestation"] as const;
type Verification = (typeof verifications)[number];

/** An image with what belongs to it. */
interface Case {
    readonly platform: string;
    readonly isIndex?: boolean;
    /** Whether it is exported together with another image. */
    readonly isInSet?: boolean;
    /** In what forms cosign has signed it and attested to it. */
    readonly signed: readonly Form[];
    /** Lets something belong to an image, `HOST/REPOSITORY@DIGEST`. */
    readonly add: (image: string) => Promise<unknown>;
}

/** An archive, unpacked, and where its image is from. */
interface Unpacked extends Case {
    readonly what: string;
    readonly registry: string;
    /** `HOST/REPOSITORY`. */
    readonly source: string;
    /** Of what was signed: the image, or the index that it was chosen from. */
    readonly signedDigest: string;
    /** Of what was exported. */
    readonly digest: string;
    /** Of all that things may belong to. */
    readonly subjects: readonly string[];
    /** The second layout. */
    readonly layout: string;
    /** A repository that has nothing yet, in the same registry. */
    readonly target: (name: string) => string;
}

/** Nothing where all is well, `false` where there is nothing to find; throws what is wrong. */
type Check = (archive: Unpacked) => Promise<false | undefined>;
type Cell = Pick<Unpacked, "what" | "registry"> & {
    readonly check: string;
    readonly outcome: string | false | undefined;
};

/** A manifest or an index, as far as it is read here. */
interface Document {
    readonly manifests: readonly Listed[];
    readonly layers?: readonly Listed[];
}
interface Listed {
    readonly digest: string;
    readonly annotations?: Readonly<Record<string, string>>;
}
/** in-toto's: what is said of what. */
interface Statement {
    readonly subject: readonly { readonly digest: { readonly sha256: string } }[];
}

const packages = {
    2: "github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5",
    3: "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3",
} as const;
const tag = "1";
const predicate = { made: "by hand" };

describe("what belongs to images, in archives", function () {
    this.timeout(0);
    let directory: string;
    const started: Service[] = [];
    const cells: Cell[] = [];
    const programs: Record<Cosign, string> = { 2: "", 3: "" };

    before(async () => {
        await assertInstalled("docker", "dockerd", "docker-registry", "openssl", "tar");
        await useGoTools();
        for (const version of [2, 3] as const) programs[version] = await goTool(packages[version]);
        directory = await mkdtemp(path.join(tmpdir(), "referrers-"));
        await writeFile(file("predicate.json"), JSON.stringify(predicate));
        await writeFile(file("sbom.json"), JSON.stringify({ spdxVersion: "SPDX-2.3" }));
        await writeFile(file("signature"), "a signature of the SBOM");
        for (const name of ["other", "cosign"]) {
            const keys = ["generate-key-pair", "--output-key-prefix", file(name)];
            await cosign(3, ...keys);
        }
        // cosign 2 asks for a list of whom to trust although there is a key.
        await cosign(2, "trusted-root", "create", "--out", file("trusted-root.json"));
    });
    after(async () => {
        for (const service of started.reverse()) await service.stop();
        await rm(directory, { recursive: true, force: true });
    });

    const file = (name: string): string => path.join(directory, name);

    const cosign = (version: Cosign, ...command: string[]) => {
        return run("env", "COSIGN_PASSWORD=", programs[version], ...command);
    };
    const sign = async (version: Cosign, form: Form, image: string) => {
        const signing = ["--key", file("cosign.key"), "--yes", "--tlog-upload=false"];
        const options = [
            `--new-bundle-format=${form === "bundles"}`,
            ...(version === 3 ? ["--use-signing-config=false"] : []),
        ];
        await cosign(version, "sign", ...signing, ...options, image);
        const attesting = ["--type", "custom", "--predicate", file("predicate.json")];
        await cosign(version, "attest", ...signing, ...options, ...attesting, image);
    };
    const attach = async (image: string, type: string, name: string): Promise<string> => {
        const attached = ["--artifact-type", type, "--format", "json", image, name];
        const said = await run("env", `--chdir=${directory}`, "oras", "attach", "--plain-http", ...attached);
        return `${image.split("@")[0]}@${(JSON.parse(said) as { digest: string }).digest}`;
    };
    const attachBoth = async (image: string) => {
        const sbom = await attach(image, "application/spdx+json", "sbom.json");
        await attach(sbom, "application/vnd.example.signature", "signature");
    };

    const one = { platform: "linux/amd64", signed: [] as const };
    const all: Case = {
        ...one,
        signed: ["tags", "bundles"],
        add: async (image) => {
            await attachBoth(image);
            for (const form of ["tags", "bundles"] as const) await sign(3, form, image);
        },
    };
    const cases: Readonly<Record<string, Case>> = {
        "an SBOM, and a signature of it, by `oras attach`": { ...one, add: attachBoth },
        "cosign 2, tags": { ...one, signed: ["tags"], add: (image) => sign(2, "tags", image) },
        "cosign 3, tags": { ...one, signed: ["tags"], add: (image) => sign(3, "tags", image) },
        "cosign 2, bundles": { ...one, signed: ["bundles"], add: (image) => sign(2, "bundles", image) },
        "cosign 3, bundles": { ...one, signed: ["bundles"], add: (image) => sign(3, "bundles", image) },
        "all of these": all,
        "all of these, in a set": { ...all, isInSet: true },
        ...Object.fromEntries(
            ["linux/amd64", "all"].flatMap((platform) => {
                const of = { platform, isIndex: true, signed: [] };
                const from = platform === "all" ? "an index" : "one platform of an index";
                return Object.entries({
                    [`${from}, BuildKit's attestations`]: { ...of, add: () => Promise.resolve() },
                    [`${from}, an SBOM of the index, by \`oras attach\``]: { ...of, add: attachBoth },
                    [`${from}, cosign 3, tags of the index`]: {
                        ...of,
                        signed: ["tags"],
                        add: (image) => sign(3, "tags", image),
                    },
                    [`${from}, cosign 3, bundles of the index`]: {
                        ...of,
                        signed: ["bundles"],
                        add: (image) => sign(3, "bundles", image),
                    },
                } satisfies Record<string, Case>);
            }),
        ),
    };

    const discover = async (subject: string, ...options: string[]): Promise<string[]> => {
        interface Node {
            readonly digest: string;
            readonly referrers?: readonly Node[];
        }
        const found = JSON.parse(await run("oras", "discover", "--format", "json", ...options, subject)) as Node;
        const digestsUnder = ({ referrers = [] }: Node): string[] =>
            referrers.flatMap((each) => [each.digest, ...digestsUnder(each)]);
        return digestsUnder(found).sort();
    };
    const regctl = (host: string, ...command: string[]) =>
        run("regctl", "--host", `reg=${host.split("/")[0]},tls=disabled`, ...command);
    const list = async (host: string, at: string, digest: string): Promise<string[]> => {
        const format = "{{range .Descriptors}}{{println .Digest}}{{end}}";
        const said = await regctl(host, "artifact", "list", "--format", format, `${at}@${digest}`);
        const own = said.split("\n").filter((line) => line !== "");
        const below: string[] = [];
        for (const each of own) below.push(...(await list(host, at, each)));
        return [...own, ...below].sort();
    };
    const tags = async (repository: string): Promise<string[]> => {
        const all = (await run("crane", "ls", repository)).split("\n");
        return all.filter((each) => /^sha256-\w+\.\w+$/.test(each)).sort();
    };
    const verify = (version: Cosign, what: Verification, form: Form | undefined, key: string, ...target: string[]) => {
        const isAsked = version === 2 && form === "bundles"; // cosign 3 looks for both
        const bundles = isAsked ? ["--new-bundle-format", "--trusted-root", file("trusted-root.json")] : [];
        const type = what === "verify" ? [] : ["--type", "custom"];
        const options = ["--key", file(key), "--insecure-ignore-tlog", ...bundles, ...type];
        return cosign(version, what, ...options, ...target);
    };

    /** What a program finds has to be the same in a layout or another registry as where it is from. */
    const compare = async (
        subjects: readonly string[],
        [expected, found]: readonly ((subject: string) => Promise<string[]>)[],
    ) => {
        let count = 0;
        for (const subject of subjects) {
            const there = (await expected?.(subject)) ?? [];
            if (there.length > 0) assert.deepEqual(await found?.(subject), there);
            count += there.length;
        }
        return count > 0 ? undefined : false;
    };
    /** By the tag; in a set that may be another's as well. */
    const imageIn = ({ layout, isInSet, digest }: Unpacked) => `${layout}${isInSet ? `@${digest}` : `:${tag}`}`;
    const copyWithOras = async (archive: Unpacked): Promise<string> => {
        const to = archive.target("oras");
        await run("oras", "copy", "-r", "--from-oci-layout", "--to-plain-http", imageIn(archive), `${to}:${tag}`);
        assert.equal((await run("crane", "digest", `${to}:${tag}`)).trim(), archive.digest);
        return to;
    };
    const copyWithRegctl = async (archive: Unpacked): Promise<string> => {
        const to = archive.target("regctl");
        const options = ["--referrers", "--digest-tags"];
        await regctl(to, "image", "copy", ...options, `ocidir://${imageIn(archive)}`, `${to}:${tag}`);
        assert.equal((await run("crane", "digest", `${to}:${tag}`)).trim(), archive.digest);
        return to;
    };
    const verifyBoth = async (
        version: Cosign,
        { signed, signedDigest }: Pick<Unpacked, "signed" | "signedDigest">,
        at: string,
    ) => {
        for (const what of verifications) {
            await verify(version, what, signed.at(-1), "cosign.pub", `${at}@${signedDigest}`);
        }
        return undefined;
    };

    const checks: Readonly<Record<string, Check>> = {
        "oras discover": ({ subjects, source, layout }) =>
            compare(subjects, [
                (subject) => discover(`${source}@${subject}`, "--plain-http"),
                (subject) => discover(`${layout}@${subject}`, "--oci-layout"),
            ]),
        "oras copy -r": async (archive) => {
            const to = await copyWithOras(archive);
            return compare(archive.subjects, [
                (subject) => discover(`${archive.source}@${subject}`, "--plain-http"),
                (subject) => discover(`${to}@${subject}`, "--plain-http"),
            ]);
        },
        "oras copy of cosign's tags": async (archive) => {
            const { source, layout, signed } = archive;
            if (!signed.includes("tags")) return false;
            const to = await copyWithOras(archive);
            for (const each of await tags(source)) {
                const target = `${to}:${each}`;
                await run("oras", "copy", "--from-oci-layout", "--to-plain-http", `${layout}:${each}`, target);
            }
            assert.deepEqual(await tags(to), await tags(source));
            return undefined;
        },
        "regctl artifact list": ({ subjects, source, layout }) =>
            compare(subjects, [
                (subject) => list(source, source, subject),
                (subject) => list(source, `ocidir://${layout}`, subject),
            ]),
        "regctl image copy": async (archive) => {
            const { source, subjects } = archive;
            const to = await copyWithRegctl(archive);
            assert.deepEqual(await tags(to), await tags(source));
            const outcome = await compare(subjects, [
                (subject) => list(source, source, subject),
                (subject) => list(to, to, subject),
            ]);
            return archive.signed.includes("tags") ? undefined : outcome;
        },
        ...Object.fromEntries(
            ([2, 3] as const).flatMap((version) => [
                ...verifications.map((what): [string, Check] => [
                    `cosign ${version} ${what} --local-image`,
                    async ({ signed, layout, signedDigest }) => {
                        const [form] = signed;
                        if (form === undefined) return false;
                        const ask = (key: string) => verify(version, what, form, key, "--local-image", layout);
                        const said = await ask("cosign.pub");
                        // Of a bundle cosign does not say what it is about.
                        const isTold = what === "verify" && (version === 2 || !signed.includes("bundles"));
                        if (isTold) assert.ok(said.includes(signedDigest), said);
                        await assert.rejects(ask("other.pub"));
                        return undefined;
                    },
                ]),
                [
                    `cosign ${version}, after oras copy -r`,
                    async (archive: Unpacked) =>
                        archive.signed.includes("bundles")
                            ? verifyBoth(version, { ...archive, signed: ["bundles"] }, await copyWithOras(archive))
                            : false,
                ],
                [
                    `cosign ${version}, after regctl image copy`,
                    async (archive: Unpacked) =>
                        archive.signed.length > 0 ? verifyBoth(version, archive, await copyWithRegctl(archive)) : false,
                ],
            ]),
        ),
        openssl: async ({ signed, layout, signedDigest }) => {
            if (!signed.includes("tags")) return false;
            const blob = (digest: string) => path.join(layout, "blobs", digest.replace(":", "/"));
            const { manifests } = await documentIn(path.join(layout, "index.json"));
            const name = `${signedDigest.replace(":", "-")}.sig`;
            const of =
                manifests.find(({ annotations }) => annotations?.[refNameAnnotation] === name)?.digest ??
                assert.fail(name);
            const { layers: [payload] = [] } = await documentIn(blob(of));
            const { digest = "", annotations } = payload ?? {};
            await writeFile(file("payload.sig"), annotations?.["dev.cosignproject.cosign/signature"] ?? "", "base64");
            const signature = ["-signature", file("payload.sig")];
            await run("openssl", "dgst", "-sha256", "-verify", file("cosign.pub"), ...signature, blob(digest));
            assert.ok((await readFile(blob(digest), "utf8")).includes(`"docker-manifest-digest":"${signedDigest}"`));
            return undefined;
        },
        "BuildKit's attestations": async ({ source, isIndex, layout, signedDigest, digest }) => {
            if (!isIndex) return false;
            const at = `ocidir://${layout}`;
            const read = async (of: string) =>
                JSON.parse(await regctl(source, "manifest", "get", "--format", "raw-body", `${at}@${of}`)) as Document;
            const isAll = digest === signedDigest;
            const { manifests } = isAll ? await read(digest) : await documentIn(path.join(layout, "index.json"));
            const attestations = manifests.filter(({ annotations }) => annotations?.[referenceType]);
            assert.equal(attestations.length, isAll ? 2 : 1);
            for (const { digest: of, annotations } of attestations) {
                const { layers: [statement] = [] } = await read(of);
                const { subject } = JSON.parse(
                    await regctl(source, "blob", "get", at, statement?.digest ?? ""),
                ) as Statement;
                const subjects = subject.map((each) => `sha256:${each.digest.sha256}`);
                assert.deepEqual(new Set(subjects), new Set([annotations?.[referenceDigest]]));
                if (!isAll) assert.deepEqual(new Set(subjects), new Set([digest]));
            }
            return undefined;
        },
    };

    it("are found and verified by other programs, or there is a sentence why not", async () => {
        const registries = { "docker-registry": await startDockerRegistry(directory), olareg: await startOlareg() };
        started.push(...Object.values(registries));
        const folder = file("docker-daemon");
        const docker = await startDocker(folder, await newDocker(), "--feature=containerd-snapshotter=true");
        started.push(docker);
        for (const [registry, { host }] of Object.entries(registries)) {
            const place = await mkdtemp(file("built-"));
            const builders = await prepareBuilders(
                { own: docker, graphDriver: docker, containerdStore: docker },
                place,
                host,
            );
            const another = `${host}/another:${tag}`;
            await builders["crane mutate, with annotations"]?.(another);
            await attachBoth(`${host}/another@${(await run("crane", "digest", another)).trim()}`);
            for (const [at, [what, parts]] of Object.entries(cases).entries()) {
                const source = `${host}/case-${at}/app`;
                const builder = parts.isIndex ? "BuildKit, of two platforms, with attestations" : "crane append, OCI";
                await builders[builder]?.(`${source}:${tag}`);
                const signedDigest = (await run("crane", "digest", `${source}:${tag}`)).trim();
                await parts.add(`${source}@${signedDigest}`);
                if (parts.signed.length > 0) {
                    for (const version of [2, 3] as const) {
                        await verifyBoth(version, { ...parts, signedDigest }, source);
                    }
                }
                const archive = {
                    ...parts,
                    what,
                    registry,
                    source,
                    signedDigest,
                    ...(await exported(source, parts, another)),
                };
                for (const [check, ask] of Object.entries(checks)) {
                    const target = (name: string) => `${host}/case-${at}/${name}-${Object.keys(checks).indexOf(check)}`;
                    const asking = ask({ ...archive, target });
                    const outcome = await asking.catch((error: unknown) => {
                        return (error as Error).message.trim().slice(0, 2000);
                    });
                    cells.push({ what, registry, check, outcome });
                }
                await rm(archive.unpacked, { recursive: true });
            }
        }
        const open = cells.filter((cell) => typeof cell.outcome === "string" && reasonOf(cell) === undefined);
        assert.deepEqual(
            open.map(({ what, registry, check, outcome }) => `${what}; ${registry}; ${check}: ${String(outcome)}`),
            [],
        );
    });

    after(async () => {
        if (cells.length > 0) await writeFile(path.join(root, "docs/results/referrers.md"), await page(cells));
    });

    async function exported(source: string, { platform, isInSet }: Case, another: string) {
        const destination = file("image.tar");
        const imageUri = `${source}:${tag}`;
        const image = isInSet ? [{ imageUri: another }, { imageUri }] : imageUri;
        await exportImage({ image, destination, platform, referrers: true, force: true });
        const images = exportsOf(anyRecordOf(await readFile(recordKey(destination), "utf8")));
        const { imageDigest: digest, indexDigest } =
            images.find((each) => each.imageName === imageUri) ?? assert.fail();
        const unpacked = await mkdtemp(file("unpacked-"));
        await run("tar", "-xf", destination, "-C", unpacked);
        const subjects = [...new Set([digest, ...(indexDigest === null ? [] : [indexDigest])])];
        // An archive of an index that nothing belongs to has no second layout; BuildKit's attestations are in the first.
        const second = path.join(unpacked, "referrers");
        return { layout: existsSync(second) ? second : unpacked, unpacked, digest, subjects };
    }
});

async function documentIn(file: string): Promise<Document> {
    return JSON.parse(await readFile(file, "utf8")) as Document;
}

function reasonOf({ what, registry, check, outcome }: Cell) {
    return referrersReasons.find(
        (reason) =>
            typeof outcome === "string" &&
            reason.archives.test(`${what}; ${registry}`) &&
            reason.readers.test(check) &&
            reason.says.test(outcome),
    );
}

async function page(cells: readonly Cell[]): Promise<string> {
    const used = referrersReasons.filter((reason) => cells.some((cell) => reasonOf(cell) === reason));
    const textOf = (cell: Cell): string => {
        const at = used.findIndex((reason) => reason === reasonOf(cell));
        if (typeof cell.outcome !== "string") return cell.outcome === false ? "" : "ok";
        return at < 0 ? "**fails**" : `(${at + 1})`;
    };
    const distinct = (name: "what" | "registry" | "check") => [...new Set(cells.map((cell) => cell[name]))];
    const rows = distinct("what").flatMap((what) => {
        const texts = distinct("registry").map((registry) =>
            cells.filter((cell) => cell.what === what && cell.registry === registry).map(textOf),
        );
        const isSame = new Set(texts.map(String)).size === 1;
        if (isSame) return [[what, "both", ...(texts[0] ?? [])]];
        return texts.map((each, at) => [what, distinct("registry")[at], ...each]);
    });
    const head = ["what belongs to the image", "registry", ...distinct("check")];
    const table = [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`);
    const asked = cells.filter(({ outcome }) => outcome !== false);
    const good = asked.filter(({ outcome }) => outcome === undefined).length;
    const version = async (...command: readonly [string, ...string[]]) =>
        /\d+\.\d+\.\d+/.exec(await run(...command))?.[0] ?? "";
    const versions = {
        oras: await version("oras", "version"),
        regctl: await version("regctl", "version"),
        cosign: Object.values(packages)
            .map((each) => each.replace(/.*@v/, ""))
            .join(" and "),
        openssl: await version("openssl", "version"),
        "docker-registry, without the referrers API": await version("docker-registry", "--version"),
        "olareg, with it": olareg.replace(/.*@v/, ""),
    };
    return `# Who finds what belongs to an image

Written by \`tests/exporter/readers/referrers.readers.deep.test.ts\` in \`.ci/deep\`: what other programs have attached to images and signed, in registries with
the referrers API and without, exported with \`referrers\`, unpacked, and looked for in the archive's \`referrers\` folder by other programs. **ok**: the program
finds there, or has copied into an empty repository, the same as it finds in the registry; cosign and openssl verify with the key. Empty: there
is nothing for it to find. ${asked.length} cells, ${good} ok; a number says why not.

${table.join("\n")}

## Why not

${used.map(({ why }, at) => `${at + 1}. ${why}`).join("\n")}

## The programs

${Object.entries(versions)
    .map(([name, text]) => `- ${name}: ${text}`)
    .join("\n")}

- **cosign** signs and verifies with keys, without a transparency log; another key is refused.
- **BuildKit's attestations** are read with regctl, by the digest under which an index lists them, and are of the image. They name no subject:
  with one platform no program takes them along when it copies the image.
`;
}
