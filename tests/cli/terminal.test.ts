import assert from "node:assert/strict";

import {
    block,
    cut,
    formatBytes,
    formatDuration,
    formatRate,
    formatTime,
    statusLine,
    styles,
    table,
    width,
} from "../../cli/terminal";

const red = (text: string) => `\u001b[31m${text}\u001b[39m`;

/** An output that keeps what is written to it. */
function output(isTty: boolean, columns = 20) {
    const written: string[] = [];
    return { isTty, columns, written, write: (text: string) => void written.push(text) };
}

describe("the terminal", () => {
    it("has colours only on a terminal without NO_COLOR", () => {
        assert.equal(styles({ isTty: true }, {}).red("x"), red("x"));
        assert.equal(styles({ isTty: true }, { NO_COLOR: "" }).red("x"), red("x"));
        assert.equal(styles({ isTty: true }, { NO_COLOR: "1" }).red("x"), "x");
        assert.equal(styles({ isTty: true }, { TERM: "dumb" }).red("x"), "x");
        assert.equal(styles({ isTty: false }, {}).red("x"), "x");
    });

    it("replaces a status, and keeps printed lines above it", () => {
        const terminal = output(true);
        const status = statusLine(terminal);
        status.show("one");
        status.show("one");
        status.print("line");
        status.show("two");
        status.clear();
        assert.equal(terminal.written.join(""), "one\r\u001b[Kline\none\r\u001b[Ktwo\r\u001b[K");
    });

    it("cuts a status to one line of the terminal", () => {
        const terminal = output(true, 8);
        statusLine(terminal).show("0123456789");
        assert.equal(terminal.written.join(""), "012345…");
    });

    it("writes a line for each new status where there is no terminal, without escapes", () => {
        const pipe = output(false);
        const status = statusLine(pipe);
        status.show("upload 1 %", "upload");
        status.show("upload 2 %", "upload");
        status.print("line");
        status.show("done");
        status.clear();
        assert.equal(pipe.written.join(""), "upload 1 %\nline\ndone\n");
    });

    it("counts no colours as width, and closes those that it cuts", () => {
        assert.equal(width(red("äb")), 2);
        assert.equal(cut(red("abcdef"), 4), `${red("abc")}…`);
        assert.equal(cut(red("abcd"), 4), red("abcd"));
    });

    it("lines up tables and blocks", () => {
        assert.equal(
            table(
                ["A", "BB"],
                [
                    ["long", "x"],
                    [red("é"), "y"],
                ],
            ),
            `A     BB\nlong  x\n${red("é")}     y\n`,
        );
        assert.equal(
            block([
                ["a", "1"],
                ["bcd", "2"],
            ]),
            "a    1\nbcd  2\n",
        );
    });

    it("tells bytes, rates and durations in units that fit", () => {
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
            "3200 TB",
        ]);
        assert.equal(formatRate(212_400_000), "212 MB/s");
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

    it("tells times in the zone of the machine, with its offset", () => {
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
