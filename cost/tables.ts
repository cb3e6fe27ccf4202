/** The estimates as Markdown, for the terminal and for docs/cost.md. */
import {
    buildSeconds,
    type Measured,
    monthlyCost,
    optionCosts,
    type Position,
    total,
    type Usage,
    type Way,
    ways,
} from "./estimate";
import { estimateBatch } from "./batch";
import { type Item, items, prices } from "./prices";

/** The bill of a month, one column for each way. */
export function billTable(usage: Usage, measured: Measured): string {
    const bills = ways.map((way) => monthlyCost(way, usage, measured));
    const names = bills.find((bill) => bill !== undefined)?.map(({ name }) => name) ?? [];
    const row = (name: string, value: (bill: Position[]) => number) => [
        name,
        ...bills.map((bill) => (bill === undefined ? "–" : dollars(value(bill)))),
    ];
    return table(
        ["US dollars a month", ...ways.map(shown)],
        [
            ["Seconds of a build", ...ways.map((way) => buildSeconds(way, usage, measured).toFixed(0))],
            ...names.map((name, index) => row(name, (bill) => bill[index]?.usd ?? NaN)),
            row("**Together**", total),
        ],
    );
}

/** The sums for several numbers and sizes of exports. */
export function sizesTable(
    usage: Usage,
    measured: Measured,
    sizesMb: readonly number[],
    counts: readonly number[],
): string {
    const rows = sizesMb.flatMap((mb) =>
        counts.map((exports) => [
            grouped(mb),
            grouped(exports),
            ...ways.map((way) => {
                const bill = monthlyCost(way, { ...usage, mb, exports }, measured);
                return bill === undefined ? "–" : dollars(total(bill));
            }),
        ]),
    );
    return table(["MB of an image", "Exports a month", ...ways.map(shown)], rows);
}

/** Batches of several sizes, with several images at a time. */
export function batchTable(
    usage: Usage,
    measured: Measured,
    counts: readonly number[],
    concurrencies: readonly number[],
): string {
    const rows = counts.flatMap((images) =>
        concurrencies
            .filter((maxConcurrency) => maxConcurrency <= images)
            .flatMap((maxConcurrency) =>
                (["docker", "stream"] as const).map((way) => {
                    const batch = estimateBatch(way, { ...usage, images, maxConcurrency }, measured);
                    if (batch === undefined) throw new Error(`${way} cannot export ${usage.mb} MB.`);
                    return [
                        grouped(images),
                        batch.fitsInput ? "list or manifest" : "manifest",
                        grouped(maxConcurrency),
                        shown(way),
                        duration(batch.hours),
                        dollars(batch.usd),
                        dollars(batch.againUsd),
                    ];
                }),
            ),
    );
    return table(
        ["Images", "Given as", "`batch.maxConcurrency`", "Engine", "Time", "US dollars", "Started again"],
        rows,
    );
}

/** What the options add to a month. */
export function optionsTable(usage: Usage): string {
    return table(
        ["Option", "US dollars a month", "Made of"],
        optionCosts(usage).map(({ name, usd, why }) => [name, dollars(usd), why]),
    );
}

/** Every price with its date and the page to look it up. */
export function pricesTable(): string {
    const regions = Object.keys(prices);
    return table(
        ["What", ...regions.flatMap((region) => [region, "as of"]), "Page"],
        (Object.keys(items) as Item[]).map((item) => [
            items[item].unit,
            ...regions.flatMap((region) => {
                const price = prices[region]?.[item];
                return [price?.usd.toFixed(8).replace(/0{1,6}$/, "") ?? "", price?.asOf ?? ""];
            }),
            `[${items[item].page}](https://aws.amazon.com/${items[item].page}/pricing/)`,
        ]),
    );
}

/** Puts tables into a page: each between `<!-- table: NAME -->` and `<!-- end -->`. */
export function fillPage(page: string, tables: Record<string, string>): string {
    return page.replace(
        /(<!-- table: (\w+) -->\n)[^]*?(<!-- end -->)/g,
        (_, begin: string, name: string, end: string) => {
            const text = tables[name];
            if (text === undefined) throw new Error(`The page asks for a table ${name}, which is none.`);
            return `${begin}\n${text}\n\n${end}`;
        },
    );
}

function duration(hours: number): string {
    if (hours < 1) return `${Math.ceil(hours * 60)} minutes`;
    return hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`;
}

function shown(way: Way): string {
    return way.replace(/^\w+/, "`$&`");
}

function dollars(usd: number): string {
    return usd > 0 && usd < 0.005 ? "< 0.01" : usd.toFixed(2);
}

function grouped(value: number): string {
    return value.toLocaleString("en-US");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
    return [head, head.map(() => "---"), ...rows].map(line).join("\n");
}
