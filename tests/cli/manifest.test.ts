import assert from "node:assert/strict";

import { UsageFailure } from "../../cli/failure";
import { readManifest } from "../../cli/manifest";

const uri = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/nginx:1.29";

describe("the file of a batch", () => {
    it("is taken as it is where it is a list, lines or a table of requests", () => {
        const list = JSON.stringify([uri, { imageUri: uri, platform: "linux/arm64", force: true }]);
        assert.deepEqual(readManifest("a.json", list), { text: list, ending: ".json", count: 2 });
        const lines = `"${uri}"\n{"imageUri":"${uri}"}\n`;
        assert.deepEqual(readManifest("a.jsonl", `${lines}\n`), { text: lines, ending: ".jsonl", count: 2 });
        const table = `imageUri,artifactKey\n${uri},images/a.tar\n`;
        assert.deepEqual(readManifest("a.csv", table), { text: table, ending: ".csv", count: 1 });
    });

    it("becomes a list where it is one URI a line; comments and empty lines are left out", () => {
        assert.deepEqual(readManifest("images.txt", `# ours\n${uri}\r\n\n  ${uri}\n`), {
            text: JSON.stringify([uri, uri]),
            ending: ".json",
            count: 2,
        });
        assert.equal(readManifest("-", uri).count, 1);
    });

    for (const [name, text, says] of [
        ["a.json", "{}", "a.json holds no list"],
        ["a.json", "[", "a.json is no JSON"],
        ["a.json", "[]", "a.json names no image"],
        ["a.json", '[{"image":"x"}]', "a.json row 1 has the field image: expected artifactBucket"],
        ["a.json", "[7]", "a.json row 1 is 7"],
        ["a.jsonl", `"${uri}"\nnginx`, "a.jsonl row 2 is no JSON"],
        ["a.csv", "image\nx", 'The first line of a.csv is "image"'],
        ["a.csv", "imageUri\n", "a.csv names no image"],
        ["a.txt", `${uri}\nnginx`, 'a.txt row 2 is "nginx"'],
        ["a.txt", "# nothing\n", "a.txt names no image"],
    ] as const) {
        it(`is refused: ${says}`, () => {
            assert.throws(
                () => readManifest(name, text),
                (error) => error instanceof UsageFailure && error.message.includes(says),
            );
        });
    }
});
