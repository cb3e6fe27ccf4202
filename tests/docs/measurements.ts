/** The measurements of bench/results, as docs/engines.md has them: ranges over the machines that they were made on. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { median } from "../../bench/streamMeter";
import { root } from "../../lab/stackFiles";

interface Results {
    readonly series: readonly Series[];
}

interface Series {
    readonly method: string;
    readonly wallSeconds: readonly number[];
    readonly peakRssBytes: readonly number[];
    readonly peakDiskBytes: readonly number[];
}

const limit = "the limit";

/** The ways by their names in the results, with the names that the page gives them. */
const ways: Readonly<Record<string, string>> = {
    "engine stream to S3": "engine `stream`",
    [limit]: limit,
    "regctl image export into curl": "`regctl image export` into curl, not hashed",
    "regctl image export into sha256sum and curl": "`regctl image export` into `sha256sum` and curl",
    "crane pull + aws s3 cp": "`crane pull`, `aws s3 cp`",
    "regctl image export + aws s3 cp": "`regctl image export`, `aws s3 cp`",
    "oras backup + aws s3 cp": "`oras backup`, `aws s3 cp`",
    "skopeo oci-archive + aws s3 cp": "`skopeo copy` to `oci-archive`, `aws s3 cp`",
    "skopeo docker-archive + aws s3 cp": "`skopeo copy` to `docker-archive`, `aws s3 cp`",
    "docker pull + save + aws s3 cp": "`docker pull`, `docker save`, `aws s3 cp`",
    "engine stream to a file": "engine `stream` to a file",
    "crane pull to a file": "`crane pull` to a file",
};

/** The rows of the ways that have been measured. */
export function measurementRows(): string[][] {
    const files = globSync("bench/results/stream-500mb*.json", { cwd: root });
    const machines = files.map((file) => JSON.parse(readFileSync(join(root, file), "utf8")) as Results);
    return Object.entries(ways).flatMap(([method, name]) => {
        const measured = machines.flatMap((machine) => {
            const [one, best] = [method, limit].map((name) => machine.series.find((each) => each.method === name));
            return one ? [{ one, seconds: median(one.wallSeconds), limit: best && median(best.wallSeconds) }] : [];
        });
        if (measured.length === 0) return [];
        const ratios = measured.flatMap((each) => (each.limit === undefined ? [] : [each.seconds / each.limit]));
        return [
            [
                name,
                `${range(
                    measured.map(({ seconds }) => seconds),
                    1,
                )} s`,
                range(ratios, 2),
                `${range(
                    measured.map(({ one }) => Math.max(...one.peakRssBytes) / 1e6),
                    0,
                )} MB`,
                `${range(
                    measured.map(({ one }) => median(one.peakDiskBytes) / 1e9),
                    1,
                )} GB`,
            ],
        ];
    });
}

/** The least and the largest, as the page has them. */
function range(values: readonly number[], digits: number): string {
    const [least, most] = [Math.min(...values).toFixed(digits), Math.max(...values).toFixed(digits)];
    return least === most ? least : `${least} to ${most}`;
}
