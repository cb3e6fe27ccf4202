/** One run of `start.ts`: evaluates the program for the stack dev, then prints its measurement as JSON. */
import { createRequire } from "node:module";

import * as pulumi from "@pulumi/pulumi";

import { readProject, stackConfiguration } from "../lab/stackFiles";

async function main(): Promise<void> {
    let resources = 0;
    pulumi.runtime.setAllConfig(stackConfiguration("dev"));
    await pulumi.runtime.setMocks(
        {
            newResource: ({ name, inputs }) => {
                resources += 1;
                return { id: name, state: { ...(inputs as object), arn: `arn:aws:::${name}`, name } };
            },
            call: () => ({ accountId: "111122223333" }),
        },
        readProject().name,
        "dev",
        false,
    );
    createRequire(__filename)("../index");
    await pulumi.runtime.disconnect();
    const seconds = process.uptime();
    const megabytes = process.resourceUsage().maxRSS / 1024;
    console.log(JSON.stringify({ seconds, megabytes, resources }));
}

void main();
