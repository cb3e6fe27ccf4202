import type { Command, CommandUnknownOpts } from "@commander-js/extra-typings";

/**
 * A script that completes commands, options and known values. It asks nothing when it runs: `npx` would take a third of a
 * second at each key.
 */
export function completionScript(shell: "bash" | "fish" | "zsh", program: Command): string {
    const lines = shell === "fish" ? fishLines(program) : bashLines(program);
    // Zsh reads completions of bash.
    const prefix = shell === "zsh" ? ["autoload -U +X bashcompinit && bashcompinit"] : [];
    return `${[...prefix, ...lines].join("\n")}\n`;
}

/** What can follow a command: its options, then the values of its first argument. */
function wordsOf(command: CommandUnknownOpts): { options: string[]; values: readonly string[] } {
    const options = [...command.options.flatMap(({ long }) => long ?? []), "--help"];
    return { options, values: command.registeredArguments[0]?.argChoices ?? [] };
}

function bashLines(program: Command): string[] {
    const names = program.commands.map((command) => command.name());
    const cases = program.commands.map((command) => {
        const { options, values } = wordsOf(command);
        return `        ${command.name()}) options="${options.join(" ")}" values="${values.join(" ")}" ;;`;
    });
    return [
        "_image_export() {",
        '    local word=${COMP_WORDS[COMP_CWORD]} options="--help --version"',
        `    local values="${names.join(" ")}"`,
        "    if ((COMP_CWORD > 1)); then case ${COMP_WORDS[1]} in",
        ...cases,
        '        *) options="" values="" ;;',
        "    esac; fi",
        "    [[ $word == -* ]] && values=$options",
        '    COMPREPLY=($(compgen -W "$values" -- "$word"))',
        "}",
        "complete -o default -F _image_export image-export",
    ];
}

function fishLines(program: Command): string[] {
    const quote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
    return program.commands.flatMap((command) => {
        const [summary = ""] = command.description().split(". ");
        const seen = `complete -c image-export -n '__fish_seen_subcommand_from ${command.name()}'`;
        return [
            `complete -c image-export -n __fish_use_subcommand -f -a ${command.name()} -d ${quote(summary)}`,
            ...command.options.map(
                ({ long, required, description }) =>
                    `${seen} -l ${long?.slice(2) ?? ""}${required ? " -r" : ""} -d ${quote(description)}`,
            ),
            ...wordsOf(command).values.map((value) => `${seen} -f -a ${value}`),
        ];
    });
}
