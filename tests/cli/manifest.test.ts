import assert from "node:assert/strict";

import { Failure } from "../../cli/failure";
import { anyImage, ecrImage, readManifest } from "../../cli/manifest";

const uri = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/nginx:1.29";
const request = { imageUri: uri, platform: "linux/arm64", referrers: true, force: true };

/** A batch of one set, as JSON. */
const setOf = (images: string) => `[{"artifactKey":"images/a.tar","images":${images}}]`;

describe("the file of a batch", () => {
    it("is read in each of its forms", () => {
        assert.deepEqual(readManifest("a.json", JSON.stringify([uri, request])), [{ imageUri: uri }, request]);
        assert.deepEqual(readManifest("a.jsonl", `"${uri}"\n\n${JSON.stringify(request)}\n`), [
            { imageUri: uri },
            request,
        ]);
        assert.deepEqual(readManifest("images.txt", `# ours\n${uri}\r\n\n  ${uri}\n`), [
            { imageUri: uri },
            { imageUri: uri },
        ]);
        assert.deepEqual(readManifest("-", uri), [{ imageUri: uri }]);
    });

    it("may say what the other side has already, as a key or as an object", () => {
        const of = (since: unknown) => [{ imageUri: uri, since }];
        for (const since of [
            "latest",
            "images/base.tar",
            { key: "images/base.tar" },
            { key: "latest", for: "containerd" },
        ]) {
            assert.deepEqual(readManifest("a.json", JSON.stringify(of(since))), of(since));
        }
        assert.deepEqual(readManifest("a.csv", `imageUri,since\n${uri},latest\n${uri},\n`), [
            ...of("latest"),
            { imageUri: uri },
        ]);
        for (const since of [
            null,
            5,
            [],
            {},
            { for: "docker" },
            { key: 5 },
            { key: "a", for: "podman" },
            { key: "a", as: 1 },
        ]) {
            const says = `a.json element 1 has the since ${JSON.stringify(since)}: expected the key of an archive, latest, or`;
            assert.throws(
                () => readManifest("a.json", JSON.stringify(of(since))),
                (error) => error instanceof Failure && error.message.includes(says),
            );
        }
    });

    it("may have a platform and a comment in a line, and sets as JSON", () => {
        const lines = `\uFEFF${uri} \t linux/arm64\r\n${uri} # ours\r\n  # linux/arm64\r\n`;
        assert.deepEqual(readManifest("a", lines), [{ imageUri: uri, platform: "linux/arm64" }, { imageUri: uri }]);
        const images = [uri, { imageUri: `${uri}-arm`, platform: "linux/arm64" }, { imageUri: uri, platform: "all" }];
        const set = { images, artifactKey: "images/a.tar", platform: "all" };
        assert.deepEqual(readManifest("a.json", JSON.stringify([set])), [set]);
        assert.deepEqual(readManifest("a.jsonl", JSON.stringify(set)), [set]);
    });

    it("has image URIs and platforms only where its rows are the images of a set, of ECR or of any registry", () => {
        const csv = `imageUri,platform\n${uri},linux/arm64\n`;
        assert.deepEqual(readManifest("a.csv", csv, ecrImage), [{ imageUri: uri, platform: "linux/arm64" }]);
        assert.deepEqual(readManifest("a", "nginx", anyImage), [{ imageUri: "nginx" }]);
        for (const [name, text, checks, message] of [
            ["a", "nginx", ecrImage, 'a line 1 has the imageUri "nginx": expected an image in Amazon ECR'],
            ["a", "NGINX", anyImage, 'a line 1 has the imageUri "NGINX": "NGINX" is not an image reference'],
            [
                "a.jsonl",
                JSON.stringify(request),
                ecrImage,
                "line 1 has the field referrers: expected imageUri, platform.",
            ],
            ["a.csv", "imageUri,force\nnginx,true\n", anyImage, "and any of imageUri, platform, each once"],
        ] as const) {
            assert.throws(
                () => readManifest(name, text, checks),
                (error) => error instanceof Failure && error.message.includes(message),
                message,
            );
        }
    });

    for (const [what, text] of [
        ["as it is", `imageUri,platform,referrers,force\n${uri},linux/arm64,true,true\n`],
        [
            "with Excel's byte order mark and line ends",
            `\uFEFFimageUri,platform,referrers,force\r\n${uri},linux/arm64,True,TRUE\r\n`,
        ],
        [
            "with blanks around names and cells",
            `imageUri, platform , referrers,force\n${uri}, linux/arm64 ,true ,true\n`,
        ],
        ["with quotes", `"imageUri","platform","force","referrers"\n"${uri}","linux/arm64","true","true"\n\n`],
    ] as const) {
        it(`is the same as CSV ${what}`, () => {
            assert.deepEqual(readManifest("a.csv", text), [request]);
        });
    }

    it("takes quoted commas, quotes and line ends of CSV as they are meant, and leaves empty cells out", () => {
        const text = `imageUri,artifactKey,platform\n${uri},"images/a,""b"".tar",\n`;
        assert.deepEqual(readManifest("a.csv", text), [{ imageUri: uri, artifactKey: 'images/a,"b".tar' }]);
    });

    for (const [name, text, says] of [
        ["a.json", "{}", "a.json holds no array"],
        ["a.json", "[", "a.json is not JSON"],
        ["a.json", "[]", "a.json names no image"],
        ["a.json", '[{"image":"x"}]', "a.json element 1 has the field image: expected imageUri, "],
        ["a.json", '[{"platform":"linux/arm64"}]', "a.json element 1 has no imageUri"],
        ["a.json", `["${uri}",{"imageUri":"${uri}","force":"yes"}]`, 'element 2 has the force "yes": expected'],
        ["a.json", `[{"imageUri":"${uri}","platform":"arm64"}]`, 'has the platform "arm64"'],
        ["a.json", '[{"imageUri":null}]', "has the imageUri null: expected a string"],
        ["a.json", "[7]", "a.json element 1 is 7"],
        ["a.jsonl", `"${uri}"\n\nnginx`, "a.jsonl line 3 is not JSON"],
        ["a.csv", "image\nx", "a.csv cannot be read as CSV: line 1 has the columns image: expected imageUri"],
        ["a.csv", `imageUri,color\n${uri},red\n`, "line 1 has the columns imageUri, color: expected"],
        ["a.csv", `imageUri,imageUri\n${uri},${uri}\n`, "each once"],
        ["a.csv", `imageUri,platform\n${uri},\n,linux/arm64\n`, "a.csv line 3 has no imageUri"],
        ["a.csv", `imageUri,platform\n${uri}\n`, "a.csv cannot be read as CSV: Invalid Record Length"],
        ["a.csv", `imageUri,force\n${uri},yes\n`, 'a.csv line 2 has the force "yes"'],
        ["a.csv", `imageUri,referrers\n${uri},2\n`, 'a.csv line 2 has the referrers "2": expected true or false'],
        ["a.csv", "imageUri\n", "a.csv names no image"],
        ["a.csv", "", "a.csv names no image"],
        ["a.txt", `${uri}\n\nnginx`, 'a.txt line 3 has the imageUri "nginx"'],
        ["a.txt", "# nothing\n", "a.txt names no image"],
        [
            "a.txt",
            `${uri} linux/arm64 force`,
            `a.txt line 1 is "${uri} linux/arm64 force": expected an image URI, and at most`,
        ],
        ["a.csv", `images,artifactKey\n${uri},k\n`, "line 1 has the column images: write sets as JSON or JSON Lines"],
        ["a.json", setOf('"x"'), 'a.json element 1 has the images "x": expected an array'],
        ["a.json", setOf("[]"), "a.json element 1: A set has 1 to 500 images, and this one has 0"],
        [
            "a.json",
            setOf(`["${uri}",7]`),
            "a.json element 1, image 2, is 7: expected an image URI, or an object with imageUri",
        ],
        ["a.json", setOf(`["${uri}","nginx"]`), 'element 1, image 2, has the imageUri "nginx": expected an image in'],
        [
            "a.json",
            setOf(`[{"imageUri":"${uri}","force":true}]`),
            "image 1, has the field force: expected imageUri, platform",
        ],
        ["a.json", setOf('[{"platform":"linux/arm64"}]'), "element 1, image 1, has no imageUri"],
        [
            "a.json",
            setOf(`["${uri}",{"imageUri":"${uri}","platform":"all"}]`),
            "element 1: An archive has one image of a name",
        ],
        ["a.json", setOf(`["${uri}"],"imageUri":"${uri}"`), "element 1 has imageUri and images: expected one of them"],
        ["a.json", `[{"images":["${uri}"]}]`, "a.json element 1 has images and no artifactKey"],
    ] as const) {
        it(`is refused: ${says}`, () => {
            assert.throws(
                () => readManifest(name, text),
                (error) => error instanceof Failure && error.details.exitCode === 2 && error.message.includes(says),
            );
        });
    }
});
