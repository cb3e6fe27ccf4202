import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { relative } from "node:path";

import { root } from "../../lab/stackFiles";
import { drawDashboard } from "../../pictures/dashboard";
import { drawnDashboard, drawnDefinition, pictures } from "../../pictures/pictures";
import { drawStateMachine } from "../../pictures/stateMachine";
import { box, looks, picture, text } from "../../pictures/svg";

const textsOf = (svg: string) =>
    [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, content = ""]) => content);

describe("the pictures of the documentation", () => {
    for (const [file, draw] of Object.entries(pictures)) {
        it(`${relative(root, file)} is as it is drawn now (npm run pictures)`, () => {
            assert.equal(readFileSync(file, "utf8"), draw());
        });
    }
});

describe("the picture of the state machine", () => {
    const shown = textsOf(drawStateMachine(drawnDefinition)).flatMap((content) => content.split(/ [·/|] /));

    it("shows every state, or the error that it names", () => {
        for (const [name, state] of Object.entries(drawnDefinition.States)) {
            const { error } = (state["Parameters"] ?? state["Result"] ?? {}) as { error?: string };
            const isEnd = state.Type === "Fail" || name === "Fail as build says";
            if (!isEnd) assert(shown.includes(name) || (error !== undefined && shown.includes(error)), name);
        }
        assert(shown.includes("the one that the build names"));
    });

    it("shows what the tasks call", () => {
        for (const call of [
            "aws-sdk:ecr:describeImages",
            "aws-sdk:s3:headObject",
            "codebuild:startBuild.sync",
        ]) {
            assert(shown.includes(call), call);
        }
    });

    it("refuses a name that its box has no room for", () => {
        const StartAt = "A name that is so long that no box of the picture has room for all of its letters";
        assert.throws(
            () => drawStateMachine({ Comment: "", StartAt, States: { [StartAt]: { Type: "Succeed" } } }),
            /is too long for its box/,
        );
    });
});

describe("the picture of the dashboard", () => {
    it("shows every widget by its title, and every metric", () => {
        const shown = textsOf(drawDashboard(drawnDashboard));
        for (const { properties } of drawnDashboard.widgets) {
            assert(shown.includes(properties.title), properties.title);
            for (const [, name = ""] of (properties["metrics"] ?? []) as string[][]) {
                assert(
                    shown.some((line) => line.startsWith(`${name}: `)),
                    name,
                );
            }
        }
    });

    it("refuses what a widget has no room for", () => {
        const [widget = assert.fail()] = drawnDashboard.widgets;
        assert.throws(
            () => drawDashboard({ widgets: [{ ...widget, width: 3 }] }),
            /is too long for Exports by result/,
        );
    });
});

describe("a picture", () => {
    it("says what it is, and escapes what it is given", () => {
        const frame = { title: "a < b", description: "x & y", width: 10, height: 20 };
        const svg = picture(frame, [box(1, 2, 3, 4, looks.red), text(1, 2, "<script>")]);
        assert(svg.includes('<title id="title">a &lt; b</title>') && svg.includes("x &amp; y"));
        assert(svg.includes("&lt;script&gt;") && !svg.includes("<script>"));
    });
});
