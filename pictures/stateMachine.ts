/**
 * The state machine, drawn from its definition: one row a step, from top to bottom. Arrows down the left side are jumps over
 * rows; at the right are the named errors that a step can end in.
 */
import type { State, StateMachineDefinition } from "../components/definition";
import { box, line, type Look, looks, picture, text, widthOf } from "./svg";

/** States that are drawn as one: a chain of them, or alternatives that come from and lead to the same. */
interface Step {
    readonly states: readonly string[];
    readonly label: string;
    /** What it calls, or what runs within. */
    readonly note: string | undefined;
    readonly look: Look;
    /** The first states of the steps that it leads to. */
    readonly next: readonly string[];
    readonly errors: readonly string[];
}

const column = { left: 190, width: 400 };
const errorColumn = { left: 640, width: 380 };
const gap = 18;
const laneWidth = 20;
const chip = { height: 22, gap: 6 };

/** Draws a definition. */
export function drawStateMachine(definition: StateMachineDefinition): string {
    const steps = stepsOf(definition);
    const tops: number[] = [];
    let bottom = 96;
    for (const step of steps) {
        tops.push(bottom);
        bottom += heightOf(step) + gap;
    }
    const middles = steps.map((step, row) => (tops[row] ?? 0) + heightOf(step) / 2);
    const rowOf = new Map(steps.flatMap(({ states }, row) => states.map((state) => [state, row] as const)));
    const jumps = jumpsOf(steps, rowOf);
    return picture(
        {
            title: "The state machine of an export",
            description: `The states, from top to bottom, each with the named errors that it can end in: ${steps
                .map(({ label, errors }) => (errors.length > 0 ? `${label} (${errors.join(", ")})` : label))
                .join("; ")}.`,
            width: 1040,
            height: bottom + 8,
        },
        [
            ...legend(),
            ...steps.flatMap((step, row) => drawStep(step, tops[row] ?? 0)),
            ...steps.flatMap((step, row) => {
                const leadsDown = step.next.some((state) => rowOf.get(state) === row + 1);
                const [from, to] = [(tops[row] ?? 0) + heightOf(step), tops[row + 1] ?? 0];
                return leadsDown
                    ? [
                          line([
                              [centre, from],
                              [centre, to],
                          ]),
                      ]
                    : [];
            }),
            ...jumps.flatMap((jump) => drawJump(jump, middles)),
        ],
    );
}

const centre = column.left + column.width / 2;

function legend(): string[] {
    const kinds: [string, Look][] = [
        ["works on the request", looks.plain],
        ["decides", looks.yellow],
        ["calls AWS", looks.blue],
        ["success", looks.green],
        ["fails with", looks.red],
    ];
    return [
        text(24, 36, "One execution", { size: 16, bold: true }),
        ...kinds.flatMap(([label, look], at) => [
            box(190 + at * 166, 22, 20, 20, look),
            text(218 + at * 166, 37, label),
        ]),
        text(centre, 74, "a request", { anchor: "middle" }),
        line([
            [centre, 80],
            [centre, 96],
        ]),
    ];
}

function heightOf({ note, errors }: Step): number {
    const lines = chipLines(errors).length;
    return Math.max(note === undefined ? 30 : 48, lines * (chip.height + chip.gap) - chip.gap);
}

function drawStep(step: Step, top: number): string[] {
    const { label, note, look, errors } = step;
    const height = heightOf(step);
    const middle = top + height / 2;
    if (widthOf(label, { bold: true }) > column.width) {
        throw new Error(`The label "${label}" is too long for its box: make the column wider.`);
    }
    const lines = chipLines(errors);
    const chipsTop = middle - (lines.length * (chip.height + chip.gap) - chip.gap) / 2;
    return [
        box(column.left, top, column.width, height, look),
        text(centre, middle + (note === undefined ? 5 : -4), label, { bold: true, anchor: "middle" }),
        ...(note === undefined
            ? []
            : [text(centre, middle + 15, note, { size: 12, code: true, anchor: "middle" })]),
        ...(errors.length === 0
            ? []
            : [
                  line(
                      [
                          [column.left + column.width, middle],
                          [errorColumn.left - 4, middle],
                      ],
                      looks.red.stroke,
                  ),
              ]),
        ...lines.flatMap((chips, at) => {
            const y = chipsTop + at * (chip.height + chip.gap);
            return chips.flatMap(({ error, left, width }) => [
                box(left, y, width, chip.height, looks.red),
                text(left + width / 2, y + 15, error, { size: 12, anchor: "middle" }),
            ]);
        }),
    ];
}

interface Chip {
    readonly error: string;
    readonly left: number;
    readonly width: number;
}

/** The errors beside each other, and in further lines where there is no room. */
function chipLines(errors: readonly string[]): Chip[][] {
    const lines: Chip[][] = [];
    let left = Infinity;
    for (const error of errors) {
        const width = Math.ceil(widthOf(error, { size: 12 })) + 16;
        if (left + width > errorColumn.left + errorColumn.width) {
            lines.push([]);
            left = errorColumn.left;
        }
        lines.at(-1)?.push({ error, left, width });
        left += width + chip.gap;
    }
    return lines;
}

/** The arrows to one step from all those that do not lie right above it. They share a lane. */
interface Jump {
    readonly from: readonly number[];
    readonly to: number;
    readonly lane: number;
}

function jumpsOf(steps: readonly Step[], rowOf: ReadonlyMap<string, number>): Jump[] {
    const sources = new Map<number, number[]>();
    for (const [row, { next }] of steps.entries()) {
        for (const to of new Set(next.map((state) => rowOf.get(state) ?? row))) {
            if (to !== row + 1) sources.set(to, [...(sources.get(to) ?? []), row]);
        }
    }
    const jumps: Jump[] = [];
    // Short ones first: they get the lanes next to the boxes.
    const bySpan = [...sources].sort(([a, [first = a]], [b, [other = b]]) => a - first - (b - other));
    for (const [to, from] of bySpan) {
        const overlapping = jumps.filter(
            (jump) => Math.min(...jump.from) <= to && Math.min(...from) <= jump.to,
        );
        let lane = 0;
        while (overlapping.some((jump) => jump.lane === lane)) lane++;
        jumps.push({ from, to, lane });
    }
    return jumps;
}

function drawJump({ from, to, lane }: Jump, middles: readonly number[]): string[] {
    const x = column.left - 24 - lane * laneWidth;
    const y = (row: number) => middles[row] ?? 0;
    const target = y(to) - 6;
    const [first = to, ...others] = from;
    return [
        line([
            [column.left, y(first) + 6],
            [x, y(first) + 6],
            [x, target],
            [column.left - 1, target],
        ]),
        ...others.map((row) =>
            line(
                [
                    [column.left, y(row) + 6],
                    [x, y(row) + 6],
                ],
                undefined,
                false,
            ),
        ),
    ];
}

/** The steps in an order in which each comes after all that lead to it. */
function stepsOf({ StartAt, States }: StateMachineDefinition): Step[] {
    const errors = new Map(
        Object.entries(States).flatMap(([name, state]) => {
            const error = errorOf(state, States);
            return error === undefined ? [] : [[name, error] as const];
        }),
    );
    const next = new Map(Object.entries(States).map(([name, state]) => [name, successorsOf(state)] as const));
    const proceed = (name: string) => (next.get(name) ?? []).filter((state) => !errors.has(state));
    const fail = (name: string) => (next.get(name) ?? []).flatMap((state) => errors.get(state) ?? []);

    const order = sorted(StartAt, proceed);
    const before = (name: string) => order.filter((state) => proceed(state).includes(name));
    const groups: string[][] = [];
    for (const name of order) {
        const isAlike = (other: string) =>
            States[other]?.Type === "Pass" &&
            States[name]?.Type === "Pass" &&
            `${before(other).join()} → ${proceed(other).join()}` ===
                `${before(name).join()} → ${proceed(name).join()}`;
        const alternatives = groups.find((group) => group.every(isAlike));
        if (alternatives) alternatives.push(name);
        else groups.push([name]);
    }

    const steps: Step[] = [];
    for (const states of groups) {
        const [name = ""] = states;
        const state = States[name];
        const last = steps.at(-1);
        const label = states.join(" / ");
        const continues =
            last?.next.join() === name &&
            before(name).length === 1 &&
            last.look === looks.plain &&
            last.note === undefined;
        if (state === undefined) continue;
        const step: Step = {
            states,
            label,
            note: noteOf(state),
            look: lookOf(state),
            next: [...new Set(states.flatMap(proceed))],
            errors: [...new Set(states.flatMap(fail))],
        };
        if (last && continues && states.length === 1 && step.note === undefined) {
            steps[steps.length - 1] = {
                ...step,
                states: [...last.states, ...states],
                label: `${last.label} · ${label}`,
            };
        } else {
            steps.push(step);
        }
    }
    return steps;
}

/** Depth first, in reverse: a topological order, since the definition has no cycle. */
function sorted(start: string, next: (state: string) => string[]): string[] {
    const done: string[] = [];
    const visit = (state: string): void => {
        if (done.includes(state)) return;
        for (const successor of next(state).toReversed()) visit(successor);
        done.push(state);
    };
    visit(start);
    return done.reverse();
}

/** The error that a state names for the Fail state behind it. */
function errorOf(state: State, states: StateMachineDefinition["States"]): string | undefined {
    if (state.Type === "Fail") return "";
    if (states[String(state["Next"])]?.Type !== "Fail") return undefined;
    const { error } = (state["Parameters"] ?? state["Result"]) as { error?: string };
    return error ?? "the one that the build names";
}

function successorsOf(state: State): string[] {
    const lists = [state["Choices"], state["Catch"]].flatMap((list) => (list ?? []) as { Next: string }[]);
    const single = [state["Next"], state["Default"]].filter((name) => typeof name === "string");
    // Where an execution goes on in the best case comes first for a task, last for a choice.
    const names = lists.map(({ Next }) => Next);
    return [...new Set(state.Type === "Choice" ? [...names, ...single] : [...single, ...names])];
}

function lookOf(state: State): Look {
    if (state["End"] === true) return looks.green;
    if (state.Type === "Choice") return looks.yellow;
    return state.Type === "Task" ? looks.blue : looks.plain;
}

function noteOf(state: State): string | undefined {
    if (state.Type === "Task") return String(state["Resource"]).split(":::")[1];
    if (state.Type !== "Parallel") return undefined;
    const branches = state["Branches"] as readonly StateMachineDefinition[];
    return branches.map(({ States }) => Object.keys(States).join(" · ")).join(" | ");
}
