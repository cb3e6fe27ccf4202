/** The measurements that the pages quote are those of the committed results. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { median } from "../../bench/streamReport";
import { root } from "../../lab/stackFiles";
import { readPage } from "../support/markdown";

interface Results {
    readonly series: readonly {
        readonly method: string;
        readonly wallSeconds: readonly number[];
        readonly peakRssBytes: readonly number[];
        readonly peakDiskBytes: readonly number[];
        readonly movedBytes: number;
    }[];
}

/** The ways in the order of the tables, by their names in the results. */
const methods = [
    "engine stream to S3",
    "the limit: curl, openssl, curl in a pipe",
    "skopeo oci-archive + aws s3 cp",
    "skopeo docker-archive + aws s3 cp",
    "docker pull + save + aws s3 cp",
];

function size(bytes: number): string {
    return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

function expectedRows(none: string): string[][] {
    const file = join(root, "bench/results/stream-500mb.json");
    const { series } = JSON.parse(readFileSync(file, "utf8")) as Results;
    return methods.map((method) => {
        const found = series.find((one) => one.method === method);
        assert(found, method);
        const disk = median(found.peakDiskBytes);
        return [
            `${median(found.wallSeconds).toFixed(2)} s`,
            size(Math.max(...found.peakRssBytes)),
            disk < 1e6 ? none : size(disk),
            size(found.movedBytes),
        ];
    });
}

describe("the measurements", () => {
    for (const [file, none] of [
        ["README.md", "none"],
        ["README.ja.md", "なし"],
        ["docs/engines.md", "none"],
    ] as const) {
        it(`are those of bench/results in ${file}`, async () => {
            const { tables } = await readPage(file);
            const table = tables.find((rows) => /^\d+\.\d\d s$/.test(rows[1]?.[1] ?? ""));
            assert.deepEqual(
                table?.slice(1).map((row) => row.slice(1)),
                expectedRows(none),
            );
        });
    }
});
