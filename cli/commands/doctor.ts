import { check, type Finding, type Purpose, purposes } from "../checks";
import { type Context, defineCommand, exitCodes } from "../command";
import { UsageFailure } from "../failure";
import { stackOptions } from "../stack";
import { styles, table } from "../terminal";

/** `image-export doctor` */
export const command = defineCommand({
    positionals: ["[PURPOSE]"],
    options: {
        json: { type: "boolean", description: "print the findings as JSON" },
        ...stackOptions,
    } as const,
    description:
        "Looks for what is missing, and tells the remedy. PURPOSE is lab (to run the pipeline on this machine), deploy (to deploy a\n" +
        "stack) or start (to start exports and fetch archives); all three by default. It changes nothing: permissions are tried with\n" +
        "calls that only read, and what cannot be tried in that way is reported as unknown.\n" +
        "Exit codes: 0 nothing is missing, 1 something is.",
    examples: [
        { command: "image-export doctor", does: "looks for everything" },
        {
            command: "image-export doctor start --stack dev",
            does: "looks for what it takes to start exports of a stack",
        },
    ],
    async run({ values, positionals: [given] }, context) {
        const wanted = given === undefined ? purposes : [purposeOf(given)];
        const findings: Finding[] = [];
        for (const purpose of wanted) findings.push(...(await check(purpose, values, context)));
        const isReady = findings.every(({ state }) => state !== "missing");
        context.stdout.write(
            values.json === true
                ? `${JSON.stringify({ ready: isReady, findings }, undefined, 2)}\n`
                : wanted.map((purpose) => asText(context, purpose, findings)).join("\n"),
        );
        return isReady ? exitCodes.success : exitCodes.failed;
    },
});

function purposeOf(given: string): Purpose {
    const purpose = purposes.find((each) => each === given);
    if (purpose === undefined) {
        throw new UsageFailure(
            `PURPOSE is "${given}": expected ${purposes.join(", ")}.`,
            "Leave it out to look for everything.",
        );
    }
    return purpose;
}

const titles: Readonly<Record<Purpose, string>> = {
    lab: "To run the lab",
    deploy: "To deploy a stack",
    start: "To start exports and fetch archives",
};

function asText({ stdout, env }: Context, purpose: Purpose, all: readonly Finding[]): string {
    const { bold, dim, green, red, yellow } = styles(stdout, env);
    const colour = { ok: green, missing: red, unknown: yellow };
    const findings = all.filter((finding) => finding.purpose === purpose);
    const rows = findings.map(({ name, state, found }) => [`  ${colour[state](state)}`, name, found]);
    // A header of nothing: the columns are as wide as what is in them.
    const lines = table(["", "", ""], rows).split("\n").slice(1);
    const isReady = findings.every(({ state }) => state !== "missing");
    return [
        `${bold(titles[purpose])}: ${isReady ? green("ready") : red("something is missing")}`,
        ...findings.flatMap(({ next }, at) => [
            lines[at] ?? "",
            ...(next?.split("\n").map((line) => `    ${dim("next")} ${line}`) ?? []),
        ]),
        "",
    ].join("\n");
}
