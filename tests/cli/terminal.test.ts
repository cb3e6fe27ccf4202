import assert from "node:assert/strict";

import {
    block,
    formatBytes,
    formatDuration,
    formatTime,
    outputTo,
    type Piece,
    printable,
    statusLine,
    styled,
    table,
    writeJson,
} from "../../cli/terminal";

/** An output that keeps what is written to it. */
function output(isTTY: boolean, env: Record<string, string> = {}) {
    const written: string[] = [];
    return { ...outputTo({ write: (text) => written.push(text), isTTY }, env), written };
}

/** What a file gets of some pieces. */
function plain(pieces: readonly Piece[]): string {
    const file = output(false);
    file.write(...pieces);
    return file.written.join("");
}

describe("the terminal", () => {
    it("has styles only on a terminal without NO_COLOR", () => {
        for (const [isTty, env, expected] of [
            [true, {}, "\u001b[1m\u001b[31mx\u001b[39m\u001b[22m"],
            [true, { NO_COLOR: "" }, "\u001b[1m\u001b[31mx\u001b[39m\u001b[22m"],
            [true, { NO_COLOR: "1" }, "x"],
            [true, { TERM: "dumb" }, "x"],
            [false, {}, "x"],
        ] as const) {
            const terminal = output(isTty, env);
            terminal.write(styled("x", "bold", "red"));
            assert.deepEqual(terminal.written, [expected]);
        }
    });

    it("shows what is foreign as text, styled or not", () => {
        const foreign = "a\u001b[2Jb\rc\u009bd\u202ee\u2066\u0000\u007f\tf\ng";
        const shown = String.raw`a\u001b[2Jb\u000dc\u009bd\u202ee\u2066\u0000\u007f` + "\tf\ng";
        assert.equal(printable(foreign), shown);
        assert.equal(plain([foreign, styled(foreign, "red")]), shown + shown);
        const terminal = output(true);
        terminal.write(styled("\u001b[8mhidden", "dim"));
        assert.deepEqual(terminal.written, ["\u001b[2m\\u001b[8mhidden\u001b[22m"]);
    });

    it("leaves every character of JSON what it is", () => {
        const value = { name: "\\\u009b\u202e\u001b" };
        const file = output(false);
        writeJson(file, value);
        assert.deepEqual(JSON.parse(file.written.join("")), value);
        assert.doesNotMatch(file.written.join(""), /[\u009b\u202e]/);
    });

    it("replaces a status, and keeps printed lines above it", () => {
        const terminal = output(true);
        const status = statusLine(terminal);
        status.show("one", "one");
        status.print("line");
        status.show("two", "two");
        status.clear();
        const line = (text: string) => `\r\u001b[K\u001b[?7l${text}\u001b[?7h`;
        assert.equal(
            terminal.written.join(""),
            [line("one"), line(""), "line\n", line("one"), line("two"), line("")].join(""),
        );
    });

    it("writes a line for each new status where there is no terminal, without escapes", () => {
        const pipe = output(false);
        const status = statusLine(pipe);
        status.show("upload", "upload 1 %");
        status.show("upload", "upload 2 %");
        status.print("line");
        status.show("done", "done");
        status.clear();
        assert.equal(pipe.written.join(""), "upload 1 %\nline\ndone\n");
    });

    it("lines up tables and blocks, and leaves out what has no value", () => {
        const rows = [
            ["A", "BB"],
            ["long", "x"],
            [styled("é", "red"), "y"],
        ];
        assert.equal(plain(table(rows)), "A     BB\nlong  x\né     y\n");
        const values = [
            ["a", "1"],
            ["none", undefined],
            ["bcd", "2"],
        ] as const;
        assert.equal(plain(block(values)), "a    1\nbcd  2\n");
    });

    it("says bytes and durations in units that fit", () => {
        const bytes = [0, 999, 1000, 9996, 99_960, 999_499, 999_500, 1_660_000_000, 3.2e15];
        assert.deepEqual(bytes.map(formatBytes), [
            "0 B",
            "999 B",
            "1.00 kB",
            "10.0 kB",
            "100 kB",
            "999 kB",
            "1.00 MB",
            "1.66 GB",
            "3.20 PB",
        ]);
        const durations = [0, 440, 9949, 9950, 59_499, 59_500, 185_000, 3_599_499, 3_599_500, 7_620_000];
        assert.deepEqual(durations.map(formatDuration), [
            "0.0 s",
            "0.4 s",
            "9.9 s",
            "10 s",
            "59 s",
            "1 min 00 s",
            "3 min 05 s",
            "59 min 59 s",
            "1 h 00 min",
            "2 h 07 min",
        ]);
    });

    it("says times in the zone of the machine, with its offset", () => {
        const before = process.env["TZ"];
        try {
            const time = Date.UTC(2026, 0, 2, 3, 4, 5);
            process.env["TZ"] = "Asia/Kolkata";
            assert.equal(formatTime(time), "2026-01-02 08:34:05 +05:30");
            process.env["TZ"] = "America/St_Johns";
            assert.equal(formatTime(new Date(time)), "2026-01-01 23:34:05 -03:30");
        } finally {
            if (before === undefined) delete process.env["TZ"];
            else process.env["TZ"] = before;
        }
    });
});
