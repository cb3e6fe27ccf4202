import { type Context, defineCommand, exitCodes, type Option } from "../command";
import { commands } from "../commands";
import { UsageFailure } from "../failure";

const shells = ["bash", "zsh", "fish"];

/** `image-export completion SHELL` */
export const command = defineCommand({
    positionals: ["SHELL"],
    options: {},
    description:
        `Prints a script that completes commands and options. SHELL is ${shells.join(", ")}.\n` +
        "It completes the word image-export: make that a command with\n" +
        "  alias image-export='npx image-export'",
    examples: [
        { command: "source <(npx image-export completion bash)", does: "in ~/.bashrc" },
        { command: "source <(npx image-export completion zsh)", does: "in ~/.zshrc, after compinit" },
        {
            command: "npx image-export completion fish > ~/.config/fish/completions/image-export.fish",
            does: "once",
        },
    ],
    run({ positionals: [shell = ""] }, context: Context) {
        if (!shells.includes(shell)) {
            throw new UsageFailure(`SHELL is "${shell}": expected ${shells.join(", ")}.`);
        }
        const lines = shell === "fish" ? fishScript() : shell === "zsh" ? zshScript() : bashScript();
        context.stdout.write(`${lines.join("\n")}\n`);
        return Promise.resolve(exitCodes.success);
    },
});

/** Every command with its options, `--help` among them. */
function described(): readonly { name: string; summary: string; options: [string, Option][] }[] {
    const help: [string, Option] = [
        "help",
        { type: "boolean", short: "h", description: "help with examples" },
    ];
    return Object.entries(commands).map(([name, { summary, load }]) => ({
        name,
        summary,
        options: [...Object.entries(load().command.options), help],
    }));
}

function bashScript(): string[] {
    const all = described();
    const choices = all.flatMap(({ name, options }) =>
        options.flatMap(([option, { choices: values }]) =>
            values === undefined ? [] : [`        ${name}:--${option}) words="${values.join(" ")}" ;;`],
        ),
    );
    return [
        "_image_export() {",
        '    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=""',
        "    if [[ $COMP_CWORD == 1 ]]; then",
        `        words="${[...all.map(({ name }) => name), "--help", "--version"].join(" ")}"`,
        "    elif [[ $word == -* ]]; then",
        "        case $command in",
        ...all.map(
            ({ name, options }) =>
                `        ${name}) words="${options.map(([option]) => `--${option}`).join(" ")}" ;;`,
        ),
        "        esac",
        "    else",
        "        case $command:${COMP_WORDS[COMP_CWORD - 1]} in",
        ...choices,
        ...argumentChoices(),
        "        esac",
        "    fi",
        '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
        "}",
        "complete -o default -F _image_export image-export",
    ];
}

/** The one argument whose values are known. */
function argumentChoices(): string[] {
    return [`        completion:completion) words="${shells.join(" ")}" ;;`];
}

/** Zsh reads completions of bash. */
function zshScript(): string[] {
    return ["autoload -U +X bashcompinit && bashcompinit", ...bashScript()];
}

function fishScript(): string[] {
    const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
    const complete = "complete -c image-export";
    return described().flatMap(({ name, summary, options }) => [
        `${complete} -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
        ...options.map(([option, { type, short, description, choices }]) =>
            [
                `${complete} -n '__fish_seen_subcommand_from ${name}' -l ${option}`,
                ...(short === undefined ? [] : [`-s ${short}`]),
                ...(type === "string" ? ["-r"] : []),
                ...(choices === undefined ? [] : [`-a ${quoted(choices.join(" "))}`]),
                `-d ${quoted(description)}`,
            ].join(" "),
        ),
        ...(name === "completion"
            ? [`${complete} -n '__fish_seen_subcommand_from completion' -f -a ${quoted(shells.join(" "))}`]
            : []),
    ]);
}
