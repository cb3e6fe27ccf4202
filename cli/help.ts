/** Help, made of what the commands declare. */
import type { Command, Context } from "./command";
import { commands } from "./commands";
import { stackVariables } from "./stack";
import { styles, width } from "./terminal";

/** `image-export --help` */
export function generalHelp({ stdout, env }: Pick<Context, "stdout" | "env">): string {
    const { bold, dim } = styles(stdout, env);
    return [
        `${bold("image-export")} exports container images from Amazon ECR as files, and looks after the exports.`,
        "",
        `${bold("Usage")}  image-export COMMAND [ARGUMENTS] [OPTIONS]`,
        "",
        bold("Commands"),
        ...aligned(Object.entries(commands).map(([name, { summary }]) => [name, summary])),
        "",
        bold("Options"),
        ...aligned([
            ["-h, --help", "this help; after a command its own, with examples"],
            ["-v, --version", "the version"],
        ]),
        "",
        bold("Environment"),
        ...aligned([
            [stackVariables.stateMachine, "state machine of the exports, in the place of --state-machine"],
            [stackVariables.stack, "Pulumi stack, in the place of --stack"],
            ["AWS_PROFILE, AWS_REGION, …", "credentials and region, as for every tool of AWS"],
            ["NO_COLOR", "no colours"],
        ]),
        "",
        dim("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 130 interrupted."),
        "",
    ].join("\n");
}

/** `image-export COMMAND --help` */
export function commandHelp(
    name: string,
    summary: string,
    command: Command,
    { stdout, env }: Pick<Context, "stdout" | "env">,
): string {
    const { bold, dim } = styles(stdout, env);
    const options = Object.entries(command.options).map(
        ([option, { short, value, description, choices }]) => [
            `${short === undefined ? "    " : `-${short}, `}--${option}${value === undefined ? "" : ` ${value}`}`,
            choices === undefined ? description : `${description}: ${choices.join(", ")}`,
        ],
    );
    return [
        `${bold(`image-export ${name}`)}: ${summary}`,
        "",
        `${bold("Usage")}  ${usageLine(name, command)}`,
        "",
        command.description,
        "",
        bold("Options"),
        ...aligned([...options, ["-h, --help", "this help"]]),
        "",
        bold("Examples"),
        ...command.examples.flatMap((example) => [`  ${dim(`# ${example.does}`)}`, `  ${example.command}`]),
        "",
    ].join("\n");
}

/** How a command is called. */
export function usageLine(name: string, { positionals, options }: Command): string {
    const given = Object.keys(options).length === 0 ? [] : ["[OPTIONS]"];
    return ["image-export", name, ...positionals, ...given].join(" ");
}

function aligned(rows: readonly (readonly string[])[]): string[] {
    const widest = Math.max(...rows.map(([left = ""]) => width(left)));
    return rows.map(([left = "", right = ""]) => `  ${left.padEnd(widest)}  ${right}`);
}
