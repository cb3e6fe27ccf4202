/** docs/cost.md: its text is written by hand, its tables by this program. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { format, resolveConfig } from "prettier";

import { defaultUsage, readMeasured } from "./estimate";
import { batchTable, billTable, fillPage, optionsTable, pricesTable, sizesTable } from "./tables";

/** The page. */
export const pageFile = join(__dirname, "../docs/cost.md");

/** The page with its tables made anew, formatted as the repository is. */
export async function renderPage(): Promise<string> {
    const measured = readMeasured();
    const usage = defaultUsage(measured);
    const page = fillPage(readFileSync(pageFile, "utf8"), {
        bill: billTable(usage, measured),
        sizes: sizesTable(usage, measured, [50, 500, 5000], [10, 100, 1000]),
        batch: batchTable(usage, measured, [10, 1000, 100_000], [10, 100, 1000]),
        options: optionsTable(usage),
        prices: pricesTable(),
    });
    return format(page, { ...(await resolveConfig(pageFile)), parser: "markdown" });
}
