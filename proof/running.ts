/**
 * The proofs that run: the pipeline in the lab, whose every call is judged by the declared policies. With all permissions
 * it does its work, so they suffice. Then each that it used is taken away, alone, and it has to fail and name the
 * permission, or not to do what it should.
 */
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";

import type { EngineName } from "../contract/engine";
import { pushEvent } from "../lab/events";
import { permission, type PolicyDocument } from "../lab/iam";
import { digestOf } from "../lab/image";
import { type Lab, startLab, uriOf } from "../lab/lab";
import type { ExecutionResult } from "../lab/executions";
import { configurationOf } from "../lab/stackFiles";
import { eagerClock } from "../lab/stateLanguage/interpreter";
import { actionsIn } from "./facts";

/** A piece of work that is done by the roles of the stack; what did not go as it should. */
type Work = (lab: Lab) => Promise<Shortcoming | undefined>;

/** What did not go as it should. */
interface Shortcoming {
    /** Whether something failed, which then has to name the permission. */
    readonly failed: boolean;
    /** Error and cause, or what happened. */
    readonly told: string;
}

const upstream = "public.ecr.aws";
/** Images that were imported through the cache: each can be once. */
let imports = 0;

/** What the lab is configured with, so that every statement that it can need is there. */
const configuration = {
    repositoryArns: ["arn:aws:ecr:ap-northeast-1:111122223333:repository/mirror/*"],
    pullThroughCache: [{ prefix: "mirror", upstreamRegistryUrl: upstream }],
    encryption: "kms",
    signing: "kms",
    triggers: { onPush: { repositories: ["nginx"] } },
};

/** All that the lab is asked to do. A statement whose actions none of this needs is proven by documentation, or goes. */
const works: Readonly<Record<string, Work>> = {
    "an export": async (lab) => {
        // A new image: the daemon asks for layers that it does not have.
        await lab.push(lab.image.repository.name, "new");
        return failureOf(await lab.execute({ imageUri: uriOf(lab, "new") }));
    },
    "an export of what is already there": async (lab) => {
        const result = await lab.execute({ imageUri: uriOf(lab, "there") });
        if (result.status !== "SUCCEEDED" || result.output["buildId"] === null) return failureOf(result);
        return { failed: false, told: "a build is started for what is already there" };
    },
    "the first export through a pull-through cache": async (lab) => {
        const image = `library/${imports++}`;
        await lab.push(`${upstream}/${image}`, "1");
        const cached = uriOf(lab, "1").replace(/\/.*/, `/mirror/${image}:1`);
        return failureOf(await lab.execute({ imageUri: cached }));
    },
    "a push": async (lab) => {
        const { repository } = lab.image;
        const pushed = await digestOf(lab.registryPort, repository.name, "there");
        for (const delivery of await lab.services.deliver(pushEvent(repository, "there", pushed))) {
            if ("undelivered" in delivery) return { failed: true, told: delivery.undelivered };
            const failure = failureOf(await delivery.execution.result);
            if (failure !== undefined) return failure;
        }
        const started = [...lab.services.executions.byArn].filter(([arn]) => arn.includes(":push-"));
        if (started.length === 0) return { failed: false, told: "a push starts no export" };
        const results = await Promise.all(started.map(([, { result }]) => result));
        return results.map(failureOf).find((failure) => failure !== undefined);
    },
    "a set": async (lab) => {
        const images = ["there", "new"].map((tag) => uriOf(lab, tag));
        return failureOf(await lab.execute({ images, artifactKey: "images/set.tar", force: true }));
    },
    "a batch": async (lab) => {
        const manifest = { bucket: bucketOf(lab), key: "batches/proof.json" };
        const result = await lab.executeBatch({ manifest });
        const failure = failureOf(result);
        return failure && { ...failure, told: `${failure.told}\n${await failedItems(lab, failure.told)}` };
    },
};

/** What the lab shows with one engine: permissions of the stack's roles, and what does not hold. */
export type Ran = Readonly<Record<"needed" | "unused" | "problems", readonly string[]>>;

/**
 * Runs the lab with one engine.
 *
 * @param tell Called with a line for each proof.
 */
export async function proveByRunning(engine: EngineName, tell: (line: string) => void): Promise<Ran> {
    const lab = await startLab({ configuration: configurationOf({ engine, ...configuration }), clock: eagerClock });
    const problems: string[] = [];
    const usedBy = new Map<string, [name: string, Work][]>();
    try {
        await prepare(lab);
        for (const work of Object.entries(works)) {
            const [name, run] = work;
            if (name === "a set" && engine === "docker") continue; // which has none
            lab.iam.used.clear();
            const failure = await run(lab);
            if (failure !== undefined) problems.push(`${name} fails: ${failure.told}`);
            for (const each of lab.iam.used) usedBy.set(each, [...(usedBy.get(each) ?? []), work]);
            tell(`engine ${engine}: ${name}: ${failure?.told ?? "the declared policies suffice"}`);
        }
        for (const [each, users] of [...usedBy].sort(([one], [other]) => one.localeCompare(other))) {
            const problem = await problemWithout(lab, each, users);
            if (problem === undefined) tell(`engine ${engine}: ${each} is needed`);
            else problems.push(problem);
        }
    } finally {
        await lab.stop();
    }
    const declared = [...lab.iam.roles.values()].flatMap(({ policies }) => policies.flatMap(permissionsIn));
    return {
        needed: [...usedBy.keys()],
        unused: declared.filter((each) => !usedBy.has(each)),
        problems: problems.map((problem) => `engine ${engine}: ${problem}`),
    };
}

function permissionsIn({ Statement }: PolicyDocument): string[] {
    return Statement.flatMap((each) => actionsIn(each).map((action) => permission(each.Sid ?? "", action)));
}

/** An image that is exported already, and a batch that names it. */
async function prepare(lab: Lab): Promise<void> {
    await lab.push(lab.image.repository.name, "there");
    await lab.execute({ imageUri: uriOf(lab, "there") });
    const Body = JSON.stringify([uriOf(lab, "there")]);
    await lab.s3.send(new PutObjectCommand({ Bucket: bucketOf(lab), Key: "batches/proof.json", Body }));
}

/** Takes a permission away: a problem where no work falls short of what it should do, or fails without naming the permission. */
async function problemWithout(
    lab: Lab,
    missing: string,
    users: readonly [string, Work][],
): Promise<string | undefined> {
    const [action = ""] = missing.split(" ");
    for (const [name, run] of users) {
        lab.iam.removed.add(missing);
        const shortcoming = await run(lab);
        lab.iam.removed.clear();
        if (shortcoming === undefined) continue;
        const named = new RegExp(`${action}(?![A-Za-z])`).test(shortcoming.told);
        return shortcoming.failed && !named
            ? `${missing}: without it ${name} fails, but does not name it: ${shortcoming.told}`
            : undefined;
    }
    return `${missing}: nothing is missing without it`;
}

function failureOf(result: ExecutionResult): Shortcoming | undefined {
    if (result.status === "SUCCEEDED") return undefined;
    return {
        failed: true,
        told: result.status === "FAILED" ? `${result.error}: ${result.cause}` : "the execution was aborted",
    };
}

/** The rows of a batch's failed items, which the cause of its failure leads to; empty where it does not. */
async function failedItems(lab: Lab, cause: string): Promise<string> {
    const [, folder] = /s3:\/\/[^/]+\/(\S+\/)manifest\.json/.exec(cause) ?? [];
    if (folder === undefined) return "";
    try {
        const key = `${folder}FAILED_0.jsonl`;
        const object = await lab.s3.send(new GetObjectCommand({ Bucket: bucketOf(lab), Key: key }));
        return (await object.Body?.transformToString()) ?? "";
    } catch (error) {
        if (error instanceof Error && error.name === "NoSuchKey") return ""; // every image was exported
        throw error;
    }
}

function bucketOf(lab: Lab): string {
    return String(lab.stack.outputs["artifactBucketName"]);
}
