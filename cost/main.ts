/** `npm run cost`: what a month of exports costs, by engine and option. */
import { writeFileSync } from "node:fs";

import { readMeasured } from "./estimate";
import { help, type Options, readOptions } from "./options";
import { pageFile, renderPage } from "./page";
import { billTable, optionsTable } from "./tables";

async function main(): Promise<number> {
    let options: Options;
    try {
        options = readOptions(process.argv.slice(2));
    } catch (error) {
        console.error(`${error instanceof Error ? error.message : String(error)}\n\n${help}`);
        return 2;
    }
    if (options.help) {
        console.log(help);
    } else if (options.write) {
        writeFileSync(pageFile, await renderPage());
    } else {
        console.log(`${billTable(options.usage, readMeasured())}\n\n${optionsTable(options.usage)}`);
    }
    return 0;
}

void main().then((code) => {
    process.exitCode = code;
});
