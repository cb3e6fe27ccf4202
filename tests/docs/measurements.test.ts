/** The measurements that the pages quote are those of the committed results, as ranges over their machines. */
import { strict as assert } from "node:assert";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { median } from "../../bench/streamMeter";
import { root } from "../../lab/stackFiles";
import { readPage } from "../support/markdown";

interface Results {
    readonly series: readonly {
        readonly method: string;
        readonly wallSeconds: readonly number[];
        readonly peakRssBytes: readonly number[];
        readonly peakDiskBytes: readonly number[];
    }[];
}

/** The ways by their names in the results, in the order of the table of docs/engines.md. */
const methods = [
    "engine stream to S3",
    "the limit: curl, openssl, curl in a pipe",
    "skopeo oci-archive + aws s3 cp",
    "skopeo docker-archive + aws s3 cp",
    "docker pull + save + aws s3 cp",
];
const limit = methods[1] ?? "";

const machines = globSync("bench/results/stream-500mb*.json", { cwd: root }).map(
    (file) => JSON.parse(readFileSync(join(root, file), "utf8")) as Results,
);

function seriesOf({ series }: Results, method: string): Results["series"][number] {
    return series.find((one) => one.method === method) ?? assert.fail(method);
}

/** The least and the largest of a number over the machines, as the page has it. */
function range(numberOf: (machine: Results) => number, text: (value: number) => string): string {
    const values = machines.map(numberOf).sort((one, other) => one - other);
    const [least, most] = [text(values[0] ?? 0), text(values.at(-1) ?? 0)];
    return least === most ? least : `${least} to ${most}`;
}

const seconds = (method: string) => (machine: Results) => median(seriesOf(machine, method).wallSeconds);
const rowOf = (method: string): string[] => [
    `${range(seconds(method), (value) => value.toFixed(1))} s`,
    range(
        (machine) => seconds(method)(machine) / seconds(limit)(machine),
        (value) => value.toFixed(2),
    ),
    `${range(
        (machine) => Math.max(...seriesOf(machine, method).peakRssBytes) / 1e6,
        (value) => value.toFixed(0),
    )} MB`,
    `${range(
        (machine) => median(seriesOf(machine, method).peakDiskBytes) / 1e9,
        (value) => value.toFixed(1),
    )} GB`,
];

describe("the measurements", () => {
    it("are of more than one machine", () => {
        assert(machines.length > 1);
    });

    it("are those of bench/results in docs/engines.md", async () => {
        const { tables } = await readPage("docs/engines.md");
        const table = tables.find(([head]) => head?.[0] === "way") ?? assert.fail("no table of the ways");
        assert.deepEqual(
            table.slice(1).map((row) => row.slice(1)),
            methods.map(rowOf),
        );
    });
});
