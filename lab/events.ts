/**
 * EventBridge and its Scheduler on this machine: which declared rules an event matches, and what their targets are then
 * given. Who may start what is judged by the lab, which does it.
 */
import { randomUUID } from "node:crypto";

import type { AwsLocation } from "../contract/aws";
import type { EcrRepository } from "../contract/image";
import { isObject } from "../contract/json";
import { arnIn } from "./awsTypes";

/** An event, as EventBridge hands it on. */
export interface Event {
    readonly id: string;
    readonly source: string;
    readonly "detail-type": string;
    readonly account: string;
    readonly region: string;
    /** ISO 8601. */
    readonly time: string;
    readonly resources: readonly string[];
    readonly detail: Record<string, unknown>;
}

/** What Amazon ECR reports of a push: docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html */
export function pushEvent({ accountId: account, region, name }: EcrRepository, tag: string, digest = ""): Event {
    return {
        id: randomUUID(),
        source: "aws.ecr",
        "detail-type": "ECR Image Action",
        account,
        region,
        time: new Date().toISOString(),
        resources: [],
        detail: {
            result: "SUCCESS",
            "repository-name": name,
            "image-digest": digest,
            "action-type": "PUSH",
            "image-tag": tag,
        },
    };
}

/** What is started, and by which role. */
interface Target {
    readonly arn: string;
    readonly roleArn: string;
    /** The queue for what cannot be delivered. */
    readonly deadLetterConfig?: { readonly arn: string };
}

/** `aws:cloudwatch:EventTarget` as the program declares it; other ways to make an input are refused. */
export interface DeclaredTarget extends Target {
    readonly rule: string;
    readonly inputTransformer?: { readonly inputPaths?: Record<string, string>; readonly inputTemplate: string };
}

/** `aws:scheduler:Schedule` as the program declares it. */
export interface DeclaredSchedule {
    readonly groupName: string;
    readonly target: Target & { readonly input: string };
}

/** What EventBridge or its Scheduler does when the time has come: starts a target with an input. */
export interface Invocation {
    readonly service: "events.amazonaws.com" | "scheduler.amazonaws.com";
    /** Whom the service acts for, as trust policies and policies of queues name it: a rule, or the group of a schedule. */
    readonly sourceArn: string;
    readonly target: Target;
    readonly input: unknown;
}

/** The rules and schedules of a stack. */
export class EventBridge {
    /** Rules by name. */
    public readonly rules = new Map<string, { matches: (event: Event) => boolean; targets: DeclaredTarget[] }>();
    /** Schedules by name. */
    public readonly schedules = new Map<string, DeclaredSchedule>();

    public constructor(private readonly location: AwsLocation) {}

    /**
     * Takes a rule, which keeps the targets that it has.
     *
     * @throws Error when the lab does not know an operator of the pattern.
     */
    public putRule(name: string, eventPattern: string): void {
        const pattern = JSON.parse(eventPattern) as Record<string, unknown>;
        const { targets = [] } = this.rules.get(name) ?? {};
        this.rules.set(name, { matches: compilePattern(pattern), targets });
    }

    /**
     * Takes a target of a rule.
     *
     * @throws Error when its input is made in a way that the lab does not know.
     */
    public putTarget(target: DeclaredTarget): void {
        const known = ["rule", "arn", "roleArn", "inputTransformer", "retryPolicy", "deadLetterConfig"];
        const unknown = Object.keys(target).filter((field) => !known.includes(field));
        if (unknown.length > 0) {
            throw new Error(`The lab does not know what ${unknown.join(", ")} of a rule's target does.`);
        }
        this.rules.get(target.rule)?.targets.push(target);
    }

    /** What an event starts: each target of each rule that it matches. */
    public onEvent(event: Event): Invocation[] {
        return [...this.rules].flatMap(([rule, { matches, targets }]) =>
            (matches(event) ? targets : []).map((target) => ({
                service: "events.amazonaws.com" as const,
                sourceArn: arnIn(this.location, "events", `rule/${rule}`),
                target,
                input: target.inputTransformer ? transform(target.inputTransformer, event) : event,
            })),
        );
    }

    /**
     * What the schedules start at a time that they were set for. The expression is not evaluated: who asks says that the
     * time has come.
     */
    public onTime(scheduledTime: Date): Invocation[] {
        return [...this.schedules].map(([name, { groupName, target }]) => ({
            service: "scheduler.amazonaws.com" as const,
            sourceArn: arnIn(this.location, "scheduler", `schedule-group/${groupName}`),
            target,
            input: fillIn(target.input, {
                "schedule-arn": arnIn(this.location, "scheduler", `schedule/${groupName}/${name}`),
                "scheduled-time": scheduledTime.toISOString().replace(/\.\d+Z$/, "Z"),
                // Of one attempt, also where that is delivered more than once.
                "execution-id": `${name}-${scheduledTime.getTime().toString(16)}`,
            }),
        }));
    }
}

type Matcher = (value: unknown) => boolean;

/**
 * Reads an event pattern. Of the operators of EventBridge it knows those that this program uses
 * (docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html). All fields have to match; one that the
 * event lacks does not.
 *
 * @returns whether an event matches
 * @throws Error when it does not know an operator, or the pattern is none.
 */
export function compilePattern(pattern: Record<string, unknown>, path = ""): Matcher {
    const fields = Object.entries(pattern).map(([name, expected]): [string, Matcher] => {
        const field = path === "" ? name : `${path}.${name}`;
        if (isObject(expected)) return [name, compilePattern(expected, field)];
        if (name.startsWith("$") || !Array.isArray(expected)) throw unknownPattern(expected, field);
        // One of the values has to match; of an array in the event, one of its elements.
        const alternatives = expected.map((each) => compileValue(each, field));
        return [name, (value) => [value].flat().some((each) => alternatives.some((matches) => matches(each)))];
    });
    return (value) => isObject(value) && fields.every(([name, matches]) => matches(value[name]));
}

function compileValue(expected: unknown, field: string): Matcher {
    if (!isObject(expected)) return (value) => value === expected;
    const matches = compileOperator(expected);
    if (matches === undefined) throw unknownPattern(expected, field);
    return (value) => typeof value === "string" && matches(value);
}

/** Whether a text matches; undefined for an operator that is not known. */
function compileOperator(operators: Record<string, unknown>): ((text: string) => boolean) | undefined {
    const [[name, operand] = [], ...others] = Object.entries(operators);
    if (others.length > 0) return undefined;
    if (name === "anything-but") {
        if (Array.isArray(operand)) return (text) => !operand.includes(text);
        const excluded = isObject(operand) && !(name in operand) ? compileOperator(operand) : undefined;
        return excluded && ((text) => !excluded(text));
    }
    if (typeof operand !== "string") return undefined;
    if (name === "prefix") return (text) => text.startsWith(operand);
    if (name !== "wildcard" || !/^(?:[^\\*]|\\[*\\]|\*(?!\*))*$/.test(operand)) return undefined;
    const parts = operand.match(/\\?./gs) ?? [];
    // `*` stands for any characters, none included; `\*` and `\\` for themselves.
    const expression = parts.map((part) => (part === "*" ? ".*" : part.slice(-1).replace(/\W/, "\\$&")));
    const wildcard = new RegExp(`^${expression.join("")}$`, "s");
    return (text) => wildcard.test(text);
}

function unknownPattern(expected: unknown, field: string): Error {
    return new Error(
        `The event pattern's ${field} has ${JSON.stringify(expected)}: the lab knows arrays of exact values, "prefix", "wildcard" ` +
            `(no two stars in a row, a backslash only before a star or a backslash) and "anything-but". Teach lab/events.ts what it means.`,
    );
}

/**
 * Makes the input of a target. What is known of EventBridge's ways: a variable that stands outside of quotes becomes JSON;
 * within quotes the value is put in as it is, nothing escaped; one whose path leads nowhere is left out
 * (docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html, API_InputTransformer.html).
 *
 * @throws Error when the template has a variable without a path, or what comes out is no JSON.
 */
export function transform(
    { inputPaths = {}, inputTemplate }: NonNullable<DeclaredTarget["inputTransformer"]>,
    event: Event,
): unknown {
    let quoted = false;
    const input = inputTemplate.replace(/\\.|"|<([^<>]+)>/gs, (part, variable: string | undefined) => {
        if (part === '"') quoted = !quoted;
        if (variable === undefined) return part;
        const path = variable === "aws.events.event.json" ? "$" : inputPaths[variable];
        if (path === undefined || !/^\$(\.[\w-]+)*$/.test(path)) {
            throw new Error(
                `The input template has <${variable}>, whose path is ${String(path)}: the lab knows "aws.events.event.json" and paths of names, as $.detail.status.`,
            );
        }
        const names = path.split(".").slice(1);
        const value = names.reduce<unknown>((from, name) => (isObject(from) ? from[name] : undefined), event);
        if (value === undefined) return "";
        return quoted && typeof value === "string" ? value : JSON.stringify(value);
    });
    return JSON.parse(input);
}

/** docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html */
function fillIn(input: string, attributes: Record<string, string>): unknown {
    const filled = input.replace(/<aws\.scheduler\.([^<>]*)>/g, (_, name: string) => {
        const value = attributes[name];
        if (value !== undefined) return value;
        throw new Error(`The lab does not know <aws.scheduler.${name}> of a schedule.`);
    });
    return JSON.parse(filled);
}
