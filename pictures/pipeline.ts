/** The pipeline: who calls whom. Its source are the two tables below. */
import { box, ink, line, type Look, looks, picture, text } from "./svg";

/** A part of the pipeline, and where it stands. */
interface Part {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
    readonly look: Look;
    readonly title: string;
    readonly lines?: readonly string[];
}

const parts = {
    requester: {
        ...{ left: 20, top: 140, width: 130, height: 130, look: looks.plain },
        title: "Requester",
        lines: ["person, script,", "other stack, event", "or schedule"],
    },
    machine: {
        ...{ left: 262, top: 140, width: 200, height: 130, look: looks.pink },
        title: "Step Functions",
        lines: ["checks the request,", "skips what is there already,", "waits for the build,", "reports"],
    },
    build: {
        ...{ left: 542, top: 140, width: 210, height: 130, look: looks.blue },
        title: "CodeBuild",
        lines: ["logs in, resolves the digest,", "reads the image,", "makes and hashes the tar,", "uploads"],
    },
    bucket: {
        ...{ left: 832, top: 140, width: 168, height: 130, look: looks.green },
        title: "S3 bucket",
        lines: ["tar and record per image,", "private, encrypted,", "versioned, expiring"],
    },
    registry: {
        ...{ left: 542, top: 40, width: 210, height: 52, look: looks.orange },
        title: "Amazon ECR",
        lines: ["this account's or another's"],
    },
    watch: {
        ...{ left: 402, top: 316, width: 210, height: 52, look: looks.quiet },
        title: "CloudWatch",
        lines: ["logs, alarms, dashboard"],
    },
} as const satisfies Record<string, Part>;

/** Who calls whom: from and to, through these points, with a label at its place. */
const calls: readonly {
    readonly through: readonly (readonly [x: number, y: number])[];
    readonly label?: { readonly x: number; readonly y: number; readonly lines: readonly string[] };
}[] = [
    {
        through: [
            [150, 185],
            [260, 185],
        ],
        label: { x: 205, y: 177, lines: ["request"] },
    },
    {
        through: [
            [262, 230],
            [152, 230],
        ],
        label: { x: 192, y: 248, lines: ["result or", "named error"] },
    },
    {
        through: [
            [462, 185],
            [540, 185],
        ],
        label: { x: 502, y: 177, lines: ["start build"] },
    },
    {
        through: [
            [542, 230],
            [464, 230],
        ],
        label: { x: 502, y: 248, lines: ["exported", "variables"] },
    },
    {
        through: [
            [752, 205],
            [830, 205],
        ],
        label: { x: 791, y: 197, lines: ["upload"] },
    },
    {
        through: [
            [647, 92],
            [647, 138],
        ],
        label: { x: 672, y: 120, lines: ["image"] },
    },
    {
        through: [
            [362, 140],
            [362, 66],
            [540, 66],
        ],
        label: { x: 430, y: 58, lines: ["which digest?"] },
    },
    {
        through: [
            [422, 270],
            [422, 300],
            [916, 300],
            [916, 272],
        ],
        label: { x: 770, y: 293, lines: ["is the export there?"] },
    },
    {
        through: [
            [302, 270],
            [302, 344],
            [400, 344],
        ],
    },
    {
        through: [
            [647, 270],
            [647, 344],
            [614, 344],
        ],
    },
];

const description =
    "A request starts an execution of a Step Functions state machine. The state machine checks the request, asks Amazon ECR and the S3 bucket whether the export is there already, and starts a CodeBuild build if it is not. The build logs in to Amazon ECR, reads the image by its digest, makes the tar archive and uploads it to the S3 bucket, with a record beside it. The state machine waits for the build and answers with a result or a named error. Both are watched by CloudWatch: logs, alarms and a dashboard.";

/** Draws the pipeline. */
export function drawPipeline(): string {
    return picture({ title: "The export pipeline", description, width: 1040, height: 400 }, [
        box(236, 20, 784, 360, looks.quiet, true),
        text(252, 44, "Your AWS account", { size: 14, fill: ink.muted }),
        ...Object.values(parts).flatMap(drawPart),
        ...calls.map(({ through }) => line(through)),
        ...calls.flatMap(({ label }) =>
            (label?.lines ?? []).map((content, at) =>
                text(label?.x ?? 0, (label?.y ?? 0) + at * 15, content, {
                    size: 12,
                    anchor: "middle",
                    fill: ink.muted,
                }),
            ),
        ),
    ]);
}

function drawPart({ left, top, width, height, look, title, lines = [] }: Part): string[] {
    const middle = left + width / 2;
    const titleAt = top + (lines.length === 0 ? height / 2 + 5 : lines.length === 1 ? 22 : 28);
    return [
        box(left, top, width, height, look),
        text(middle, titleAt, title, { size: 16, bold: true, anchor: "middle" }),
        ...lines.map((content, at) =>
            text(middle, titleAt + 20 + at * 19 + (lines.length > 1 ? 6 : 0), content, { anchor: "middle" }),
        ),
    ];
}
