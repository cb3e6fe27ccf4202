/** A terminal as a picture: what `tmux capture-pane -e` gives, with its colours, as SVG. Pure. */

const columnWidth = 8.4;
const lineHeight = 19;
const margin = 16;
const barHeight = 30;

/** Colours of the terminal; by the codes of ECMA-48, SGR. */
const foregrounds: Readonly<Record<number, string>> = {
    31: "#ff7b72",
    32: "#7ee787",
    33: "#e3b341",
    34: "#79c0ff",
    35: "#d2a8ff",
    36: "#76e3ea",
};
const foreground = "#e6edf3";
const background = "#0d1117";

interface Style {
    readonly colour: string;
    readonly isBold: boolean;
    readonly isDim: boolean;
}

const plain: Style = { colour: foreground, isBold: false, isDim: false };

/** A piece of a line in one style. */
export interface Run {
    readonly text: string;
    readonly style: Style;
}

/** Splits lines with SGR escapes into runs. A style goes on over the end of a line. */
export function parseTerminal(text: string): Run[][] {
    let style = plain;
    return text
        .trimEnd()
        .split("\n")
        .map((line) => {
            const runs: Run[] = [];
            // eslint-disable-next-line no-control-regex -- the escape character is what is looked for
            for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
                if (part.startsWith("\u001b")) style = styled(style, part);
                else if (part !== "") runs.push({ text: part, style });
            }
            return runs;
        });
}

function styled(before: Style, escape: string): Style {
    let style = before;
    const codes = escape.slice(2, -1).split(";").map(Number);
    for (const code of codes) {
        const colour = foregrounds[code];
        if (code === 0) style = plain;
        else if (code === 1) style = { ...style, isBold: true };
        else if (code === 2) style = { ...style, isDim: true };
        else if (code === 22) style = { ...style, isBold: false, isDim: false };
        else if (code === 39) style = { ...style, colour: foreground };
        // The background stays that of the picture.
        else if (code === 49) continue;
        else if (colour !== undefined) style = { ...style, colour };
        else throw new Error(`The picture has no style for SGR code ${code}.`);
    }
    return style;
}

/**
 * Draws a terminal.
 *
 * @param title What the picture shows, for those who cannot see it; its text is read out after that.
 */
export function terminalPicture(title: string, text: string, columns: number): string {
    const lines = parseTerminal(text);
    const width = Math.ceil(columns * columnWidth + 2 * margin);
    const height = Math.ceil(barHeight + lines.length * lineHeight + margin);
    const description = lines
        .map((runs) =>
            runs
                .map((run) => run.text)
                .join("")
                .trimEnd(),
        )
        .join("\n");
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc" font-family="ui-monospace, 'SF Mono', Menlo, 'DejaVu Sans Mono', monospace" font-size="14">`,
        `  <title id="title">${escaped(title)}</title>`,
        `  <desc id="desc">${escaped(description)}</desc>`,
        `  <rect width="${width}" height="${height}" rx="8" fill="${background}"/>`,
        ...["#ff5f57", "#febc2e", "#28c840"].map(
            (colour, index) => `  <circle cx="${20 + 18 * index}" cy="16" r="5.5" fill="${colour}"/>`,
        ),
        ...lines.flatMap((runs, line) => drawnLine(runs, barHeight + (line + 0.8) * lineHeight)),
        "</svg>",
        "",
    ].join("\n");
}

/** Each run at its column: whatever font there is, columns stay below each other. */
function drawnLine(runs: readonly Run[], y: number): string[] {
    let column = 0;
    return runs.flatMap(({ text, style }) => {
        const at = column;
        const length = Array.from(text).length;
        column += length;
        if (text.trim() === "") return [];
        const look = `fill="${style.colour}"${style.isBold ? ' font-weight="bold"' : ""}${style.isDim ? ' opacity="0.65"' : ""}`;
        const place = `x="${(margin + at * columnWidth).toFixed(1)}" y="${y.toFixed(1)}" textLength="${(length * columnWidth).toFixed(1)}"`;
        return [`  <text ${place} ${look} xml:space="preserve">${escaped(text)}</text>`];
    });
}

function escaped(text: string): string {
    return text
        .replaceAll("&", "&amp;")
        .replaceAll("<", "&lt;")
        .replaceAll(">", "&gt;")
        .replaceAll('"', "&quot;");
}
