import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parseTerminal, terminalPicture } from "../../pictures/terminal";

const escape = "\u001b";

describe("pictures of the terminal", () => {
    it("know colours, bold and dim, and where they end", () => {
        const [runs = []] = parseTerminal(
            `a${escape}[1;32mb${escape}[22mc${escape}[39md${escape}[2me${escape}[0mf\n`,
        );
        assert.deepEqual(
            runs.map(({ text, style }) => [text, style.colour, style.isBold, style.isDim]),
            [
                ["a", "#e6edf3", false, false],
                ["b", "#7ee787", true, false],
                ["c", "#7ee787", false, false],
                ["d", "#e6edf3", false, false],
                ["e", "#e6edf3", false, true],
                ["f", "#e6edf3", false, false],
            ],
        );
    });

    it("refuse a style that they would leave out", () => {
        assert.throws(() => parseTerminal(`${escape}[4mx`), /SGR code 4/);
    });

    it("put each run at its column, and escape what SVG would read", () => {
        const svg = terminalPicture("A <title>", `ab${escape}[31m<&>`, 10);
        assert.match(svg, /<title id="title">A &lt;title&gt;<\/title>/);
        assert.match(svg, /<text x="16\.0" y="45\.2" textLength="16\.8"[^>]*>ab<\/text>/);
        assert.match(
            svg,
            /<text x="32\.8" y="45\.2" textLength="25\.2" fill="#ff7b72"[^>]*>&lt;&amp;&gt;<\/text>/,
        );
    });

    it("say in words what is committed as a picture", () => {
        const folder = join(__dirname, "../../docs/terminal");
        const pictures = readdirSync(folder);
        assert.ok(pictures.includes("start.svg"));
        for (const name of pictures) {
            const svg = readFileSync(join(folder, name), "utf8");
            assert.match(svg, /<desc id="desc">\$ npx image-export /, name);
        }
    });
});
