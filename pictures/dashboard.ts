/** The layout of the CloudWatch dashboard, drawn from its own definition: places, titles and what each widget shows. */
import type { DashboardBody, Widget } from "../components/dashboard";
import { box, ink, looks, picture, text, widthOf } from "./svg";

/** Pixels of a cell of the grid, and of the room between two widgets. */
const cell = { width: 40, height: 26 };
const gap = 8;
const margin = { left: 20, top: 56, bottom: 20 };

/** Draws the layout of a dashboard. */
export function drawDashboard({ widgets }: DashboardBody): string {
    const rows = Math.max(...widgets.map(({ y, height }) => y + height));
    return picture(
        {
            title: "The dashboard",
            description: `Layout of the CloudWatch dashboard: ${widgets.map(({ properties }) => properties.title).join(", ")}`,
            width: margin.left * 2 + 24 * cell.width,
            height: margin.top + rows * cell.height + margin.bottom,
        },
        [
            text(margin.left, 34, "CloudWatch dashboard", { size: 16, bold: true }),
            ...widgets.flatMap(drawWidget),
        ],
    );
}

function drawWidget(widget: Widget): string[] {
    const x = margin.left + widget.x * cell.width + gap / 2;
    const y = margin.top + widget.y * cell.height + gap / 2;
    const width = widget.width * cell.width - gap;
    const height = widget.height * cell.height - gap;
    const small = { size: 12, fill: ink.muted };
    const lines = widget.type === "log" ? columnsOf(widget) : seriesOf(widget);
    const tooLong = lines.find((line) => widthOf(line, small) > width - 32);
    if (tooLong !== undefined) throw new Error(`"${tooLong}" is too long for ${widget.properties.title}`);
    return [
        box(x, y, width, height, widget.type === "log" ? looks.yellow : looks.blue),
        text(x + 16, y + 26, widget.properties.title, { bold: true }),
        ...lines.map((line, index) => text(x + 16, y + 50 + index * 19, line, small)),
    ];
}

/** What each curve is, and the line that is drawn across. */
function seriesOf({ properties }: Widget): string[] {
    const metrics = properties["metrics"] as (readonly [
        namespace: string,
        name: string,
        ...rest: (string | { label: string })[],
    ])[];
    const { horizontal = [] } = (properties["annotations"] ?? {}) as { horizontal?: { label: string }[] };
    const curves = metrics.map(([, name, ...rest]) => {
        const shown = rest.at(-1);
        return typeof shown === "object" ? `${name}: ${shown.label}` : name;
    });
    return [...curves, ...horizontal.map(({ label }) => `a line at the ${label}`)];
}

/** What a table of log events has. */
function columnsOf({ properties }: Widget): string[] {
    const parts = String(properties["query"]).split(" | ");
    return parts.filter((part) => !part.startsWith("SOURCE "));
}
