import type { Command } from "@commander-js/extra-typings";

/**
 * A script that completes commands, options and known values. It asks nothing when it runs: `npx` would take a third of a
 * second at each key.
 */
export function completionScript(shell: "bash" | "zsh", program: Command): string {
    const names = program.commands.map((command) => command.name());
    const cases = program.commands.map((command) => {
        const options = [...command.options.flatMap(({ long }) => long ?? []), "--help"];
        const values = command.registeredArguments[0]?.argChoices ?? [];
        return `        ${command.name()}) options="${options.join(" ")}" values="${values.join(" ")}" ;;`;
    });
    // Zsh reads completions of bash.
    return `${shell === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : ""}_image_export() {
    local word=\${COMP_WORDS[COMP_CWORD]} options="--help --version"
    local values="${names.join(" ")}"
    if ((COMP_CWORD > 1)); then case \${COMP_WORDS[1]} in
${cases.join("\n")}
        *) options="" values="" ;;
    esac; fi
    [[ $word == -* ]] && values=$options
    COMPREPLY=($(compgen -W "$values" -- "$word"))
}
complete -o default -F _image_export image-export
`;
}
