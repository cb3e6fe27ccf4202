/** What the pictures are drawn with: a few shapes, as SVG. */

/** Fill and line of a box. */
export interface Look {
    readonly fill: string;
    readonly stroke: string;
}

/** The colours of GitHub's light theme. Panels are opaque, so that a picture reads the same on light and dark pages. */
export const looks = {
    plain: { fill: "#ffffff", stroke: "#57606a" },
    quiet: { fill: "#f6f8fa", stroke: "#8c959f" },
    pink: { fill: "#fbe6f1", stroke: "#bf3989" },
    blue: { fill: "#ddf4ff", stroke: "#0969da" },
    green: { fill: "#dafbe1", stroke: "#1a7f37" },
    orange: { fill: "#fff1e5", stroke: "#bc4c00" },
    yellow: { fill: "#fff8c5", stroke: "#9a6700" },
    red: { fill: "#ffebe9", stroke: "#cf222e" },
} as const satisfies Record<string, Look>;

/** The colours of texts and lines. */
export const ink = { text: "#1f2328", muted: "#57606a" } as const;

const fonts = "-apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif";
const monospaced = "ui-monospace, 'Liberation Mono', Consolas, monospace";

/** How a text is set. */
export interface TextOptions {
    /** @default 13 */
    readonly size?: number;
    readonly bold?: boolean;
    /** Set in a font of fixed width. */
    readonly code?: boolean;
    /** @default "start" */
    readonly anchor?: "start" | "middle" | "end";
    /** @default {@link ink}.text */
    readonly fill?: string;
}

type Point = readonly [x: number, y: number];

/** A line of text; `y` is its baseline. */
export function text(x: number, y: number, content: string, options: TextOptions = {}): string {
    const { size = 13, bold = false, code = false, anchor = "start", fill = ink.text } = options;
    const attributes = [
        `x="${x}" y="${y}" font-size="${size}" fill="${fill}"`,
        ...(bold ? ['font-weight="600"'] : []),
        ...(code ? [`font-family="${monospaced}"`] : []),
        ...(anchor === "start" ? [] : [`text-anchor="${anchor}"`]),
    ];
    return `<text ${attributes.join(" ")}>${escape(content)}</text>`;
}

/**
 * How wide a text is at most, in the fonts that are asked for, roughly: nothing here can measure.
 *
 * @returns pixels
 */
export function widthOf(
    content: string,
    { size = 13, bold = false, code = false }: TextOptions = {},
): number {
    return content.length * size * (code ? 0.61 : bold ? 0.58 : 0.54);
}

/** A box with round corners. */
export function box(x: number, y: number, width: number, height: number, look: Look, dashed = false): string {
    const dashes = dashed ? ' stroke-dasharray="6 4"' : "";
    return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" fill="${look.fill}" stroke="${look.stroke}" stroke-width="1.5"${dashes}/>`;
}

/** A line through points. */
export function line(points: readonly Point[], stroke: string = ink.muted, arrow = true): string {
    const path = points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x} ${y}`).join(" ");
    return `<path d="${path}" fill="none" stroke="${stroke}" stroke-width="1.6"${arrow ? ` marker-end="url(#${arrowhead(stroke)})"` : ""}/>`;
}

/** The name of an arrowhead of a colour: not every browser gives a marker the colour of its line. */
function arrowhead(stroke: string): string {
    return `arrow-${stroke.slice(1)}`;
}

/** What a picture is, for those who do not see it, and how large. */
export interface Frame {
    readonly title: string;
    readonly description: string;
    readonly width: number;
    readonly height: number;
}

/** The whole file. */
export function picture({ title, description, width, height }: Frame, shapes: readonly string[]): string {
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc" font-family="${fonts}">
  <title id="title">${escape(title)}</title>
  <desc id="desc">${escape(description)}</desc>
  <defs>
${arrowheads(shapes).join("")}  </defs>
  <rect x="1" y="1" width="${width - 2}" height="${height - 2}" rx="12" fill="#ffffff" stroke="#d0d7de"/>
${shapes.map((shape) => `  ${shape}\n`).join("")}</svg>
`;
}

function arrowheads(shapes: readonly string[]): string[] {
    const colours = shapes.flatMap((shape) => /#arrow-([0-9a-f]{6})/.exec(shape)?.[1] ?? []);
    return [...new Set(colours)].sort().map(
        (
            colour,
        ) => `    <marker id="arrow-${colour}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
      <path d="M0 0 L10 5 L0 10 z" fill="#${colour}"/>
    </marker>
`,
    );
}

function escape(content: string): string {
    return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
