/** The commands of the Pulumi CLI that the pages name, with the options that they use. */
import { strict as assert } from "node:assert";

/** Options that every command has. */
const everywhere = ["--stack", "--cwd"];

/** By command, its own options. `npm run test:engine` holds them to the CLI. */
export const pulumiCommands: Readonly<Record<string, readonly string[]>> = {
    config: [],
    "config get": [],
    "config set": ["--path"],
    "deployment settings edit": ["--deploy-tags", "--tag-filter"],
    destroy: [],
    login: [],
    preview: ["--diff"],
    stack: ["--show-urns"],
    "stack init": [],
    "stack output": ["--json"],
    "stack rm": ["--preserve-config"],
    "state delete": [],
    "state unprotect": ["--all"],
    up: [],
};

/** A call of the CLI. */
export interface PulumiCall {
    /** Its command, a key of {@link pulumiCommands}. */
    readonly command: string;
    readonly positional: readonly string[];
    readonly options: Readonly<Record<string, string | true>>;
}

/** Reads the arguments of a call. What the CLI would not know fails. */
export function readPulumiCall(args: readonly string[]): PulumiCall {
    const words = args.slice(0, 3).map((_, at) => args.slice(0, at + 1).join(" "));
    const command = words.findLast((each) => Object.hasOwn(pulumiCommands, each));
    const call = `pulumi ${args.join(" ")}`;
    assert(command, `${call}: not a command of tests/support/pulumiCommands.ts`);
    const known = [...(pulumiCommands[command] ?? []), ...everywhere];
    const positional: string[] = [];
    const options: Record<string, string | true> = {};
    const rest = args.slice(command.split(" ").length);
    for (let at = 0; at < rest.length; at++) {
        const arg = rest[at] ?? "";
        if (!arg.startsWith("-")) {
            positional.push(arg);
            continue;
        }
        assert(known.includes(arg), `${call}: ${arg} is not an option of tests/support/pulumiCommands.ts`);
        options[arg] = [...everywhere, "--tag-filter"].includes(arg) ? (rest[++at] ?? "") : true;
    }
    return { command, positional, options };
}

/** The calls in a text of commands or in code within a sentence, each as its arguments. */
export function pulumiCallsIn(text: string): string[][] {
    const lines = text.replaceAll("\\\n", " ");
    return [...lines.matchAll(/(?<![\w/.:-])pulumi ((?:'[^']*'|"[^"]*"|[^\s|;&)>#'"]+|[ \t]+)+)/g)].map(
        ([, args = ""]) => (args.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((arg) => arg.replaceAll(/^['"]|['"]$/g, "")),
    );
}
