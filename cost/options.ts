/** The options of `npm run cost`. */
import { parseArgs } from "node:util";

import { computeTypes, defaultUsage, readMeasured, type Usage } from "./estimate";
import { prices } from "./prices";

const defaults = defaultUsage(readMeasured());

/** What `--help` shows. */
export const help = `Usage: npm run cost [-- OPTIONS]

Estimates what a month of exports costs, from the prices in cost/prices.ts, the measurements in bench/results and the
assumptions in cost/estimate.ts. docs/cost.md says how.

  --exports N           exports a month, each of another image (default: ${defaults.exports})
  --mb N                size of an image as ECR shows it, in MB (default: ${defaults.mb})
  --unpacked N          how many times larger its layers are unpacked (default: ${defaults.unpackedRatio.toFixed(2)})
  --region REGION       ${Object.keys(prices).join(" or ")} (default: ${defaults.region})
  --compute TYPE        ${computeTypes.join(", ")}
                        (default: ${defaults.computeType})
  --archive-days N      retention.archiveDays (default: ${defaults.archiveDays})
  --old-version-days N  retention.oldVersionDays (default: ${defaults.oldVersionDays})
  --write               writes the tables of docs/cost.md again
  --help                shows this text
`;

/** What the command was asked for. */
export interface Options {
    readonly usage: Usage;
    readonly write: boolean;
    readonly help: boolean;
}

/**
 * Reads the options.
 *
 * @throws Error that says which option is wrong, and what is expected.
 */
export function readOptions(args: string[]): Options {
    const { values } = parseArgs({
        args,
        options: {
            exports: { type: "string" },
            mb: { type: "string" },
            unpacked: { type: "string" },
            region: { type: "string", default: defaults.region },
            compute: { type: "string", default: defaults.computeType },
            "archive-days": { type: "string" },
            "old-version-days": { type: "string" },
            write: { type: "boolean", default: false },
            help: { type: "boolean", default: false },
        },
    });
    const number = (
        name: "exports" | "mb" | "unpacked" | "archive-days" | "old-version-days",
        own: number,
    ) => {
        const value = Number(values[name] ?? own);
        if (!(value > 0 && value < Infinity)) {
            throw new Error(`--${name} is ${values[name] ?? ""}: expected a number above 0`);
        }
        return value;
    };
    const computeType = computeTypes.find((type) => type === values.compute);
    if (computeType === undefined) {
        throw new Error(`--compute is ${values.compute}: expected one of ${computeTypes.join(", ")}`);
    }
    if (!Object.hasOwn(prices, values.region)) {
        throw new Error(`--region is ${values.region}: expected one of ${Object.keys(prices).join(", ")}`);
    }
    return {
        usage: {
            exports: number("exports", defaults.exports),
            mb: number("mb", defaults.mb),
            unpackedRatio: number("unpacked", defaults.unpackedRatio),
            region: values.region,
            computeType,
            archiveDays: number("archive-days", defaults.archiveDays),
            oldVersionDays: number("old-version-days", defaults.oldVersionDays),
        },
        write: values.write,
        help: values.help,
    };
}
