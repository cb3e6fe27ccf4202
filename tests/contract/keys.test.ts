import { strict as assert } from "node:assert";

import * as fc from "fast-check";

import { parseImageUri } from "../../contract/image";
import {
    artifactKeyPattern,
    artifactKeyRule,
    defaultArtifactKey,
    isArtifactKey,
    keyLimitBytes,
    recordKey,
    signatureKey,
} from "../../contract/keys";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";

describe("defaultArtifactKey", () => {
    const home = { accountId: "111122223333", region: "ap-northeast-1" };
    const key = (reference: string, of = registry) =>
        defaultArtifactKey("images/", parseImageUri(`${of}/web/nginx${reference}`), home);

    it("is made of the tag, where there is one", () => {
        assert.equal(key(":1.29"), "images/web/nginx/1.29.tar");
        assert.equal(key(`:1.29@${digest}`), "images/web/nginx/1.29.tar");
    });

    it("is made of the digest, where there is no tag", () => {
        assert.equal(key(`@${digest}`), `images/web/nginx/@${digest.slice(7)}.tar`);
    });

    it("is made of the tag that a registry takes for none", () => {
        assert.equal(key(""), "images/web/nginx/latest.tar");
    });

    it("names account and region, where they are not the stack's", () => {
        const elsewhere = registry.replace("ap-northeast-1", "eu-west-1");
        assert.equal(key(":1.29", elsewhere), "images/@111122223333/eu-west-1/web/nginx/1.29.tar");
        const foreign = registry.replace("111122223333", "444455556666");
        assert.equal(
            key(`@${digest}`, foreign),
            `images/@444455556666/ap-northeast-1/web/nginx/@${digest.slice(7)}.tar`,
        );
    });

    it("is a key, and of no other image", () => {
        const accountIds = fc.constantFrom("111122223333", "444455556666");
        const regions = fc.constantFrom("ap-northeast-1", "eu-west-1");
        const names = fc.constantFrom("aa", "aa/b", "444455556666/eu-west-1/aa", "aa/latest", digest.slice(7));
        const references = fc.constantFrom(
            ":a",
            ":latest",
            `:${digest.slice(7)}`,
            `@${digest}`,
            `:sha256-${digest.slice(7)}`,
        );
        const images = fc.tuple(accountIds, regions, names, references);
        const keyOf = ([accountId, region, name, reference]: readonly string[]): string => {
            const uri = `${accountId}.dkr.ecr.${region}.amazonaws.com/${name}${reference}`;
            return defaultArtifactKey("images/", parseImageUri(uri), home);
        };
        fc.assert(
            fc.property(images, images, (one, other) => {
                assert(isArtifactKey(keyOf(one), "images/"));
                assert.equal(keyOf(one) === keyOf(other), String(one) === String(other));
            }),
            { numRuns: 2000 },
        );
    });
});

describe("isArtifactKey", () => {
    const longest = `images/${"k".repeat(keyLimitBytes - "images/".length)}`;
    for (const key of [
        "images/a.tar",
        "images/a/b/c",
        "images/...",
        "images/..a/.b",
        "images/\u00e9 *",
        "images/.json/a",
        longest,
    ]) {
        it(`takes ${JSON.stringify(key.slice(0, 40))}`, () => {
            assert.ok(isArtifactKey(key, "images/"));
        });
    }
    const refused = {
        "another prefix": "image/a.tar",
        "the prefix only": "images/",
        "a closing slash": "images/a/",
        "an empty folder": "images//a",
        "a folder of one dot": "images/./a",
        "a folder of two dots": "images/../a",
        "two dots at the end": "images/a/..",
        "the key of a record": "images/a.json",
        "a line feed": "images/a\n",
        "a delete": "images/a\u007f",
        "a key that is too long": `${longest}k`,
        "one that is too long in bytes": `images/${"\u00e9".repeat(510)}`,
    };
    for (const [what, key] of Object.entries(refused)) {
        it(`refuses ${what}`, () => {
            assert.ok(!isArtifactKey(key, "images/"));
        });
    }
    it("refuses what a path would resolve to another key", () => {
        const part = fc.constantFrom("", ".", "..", "a", ".a", "...");
        fc.assert(
            fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
                const key = `images/${parts.join("/")}`;
                const isPlain = parts.every((each) => !["", ".", ".."].includes(each));
                assert.equal(isArtifactKey(key, "images/"), isPlain, key);
            }),
        );
    });
    it("says its rule with the prefix and the limit, and has a pattern that state machines can use", () => {
        assert.match(artifactKeyRule("images/"), /at most 1015 bytes that begins with images\/ /);
        assert.match(artifactKeyRule(""), /^a key of at most 1015 bytes, without control/);
        assert.doesNotMatch(artifactKeyPattern, /\(\?[^:]/);
    });
});

describe("recordKey", () => {
    it("is beside the archive, and no archive's own", () => {
        assert.equal(recordKey("images/a.tar"), "images/a.tar.json");
        assert.ok(!isArtifactKey(recordKey("images/a.tar"), "images/"));
        assert.equal(signatureKey("images/a.tar"), "images/a.tar.json.sig");
        assert.ok(!isArtifactKey(signatureKey("images/a.tar"), "images/"));
        assert.equal(Buffer.byteLength(signatureKey("k".repeat(keyLimitBytes))), 1024);
    });
});
