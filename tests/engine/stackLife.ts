/** The life of a stack on the engine, as tests of it: deployed, the same after it, changed key by key, and destroyed. */
import { strict as assert } from "node:assert";

import { evaluateStack, runIndex } from "../../lab/program";
import { stackFile } from "../../lab/stackFiles";
import { bucketType, filledIn } from "./awsAccount";
import { namesIn } from "./awsStandIn";
import { type Change, stacks, withProject } from "./changes";
import { Engine, type EngineStack, type Operation, type StateResource, type Step } from "./engineStack";

const keyType = "aws:kms/key:Key";
/** What a change of configuration may never delete or replace, since archives are in it or need it. */
const holdsData = [bucketType, keyType];

/** A change, and what its preview shows. */
export interface Outcome {
    readonly change: Change;
    readonly preview: Operation;
}

/** Makes index.ts a stack by one of the project's files. */
export function createStack(engine: Engine, stack: keyof typeof stacks): Promise<EngineStack> {
    return engine.createStack(stack, ".", () => Promise.resolve(runIndex()), stackFile(stack, stacks[stack]));
}

/** Tests of one stack file: {@link Outcome}s are handed on as they come. */
export function describeStack(
    name: keyof typeof stacks,
    changes: readonly Change[],
    report: (outcome: Outcome) => void = () => undefined,
): void {
    describe(`the stack ${name}`, () => {
        let engine: Engine;
        let stack: EngineStack;
        before(async () => {
            engine = await Engine.start();
            await engine.aws.createBucket("first-archives", { owner: "release-team" });
            stack = await createStack(engine, name);
        });
        after(() => engine.stop());

        it("is deployed", async () => {
            const operation = succeeded(await stack.up(), `up ${name}`);
            assert.deepEqual([...new Set(operation.steps.map(({ op }) => op))], ["create"]);
        });

        it("has the resources that tests and lab see", async () => {
            const { resources } = await evaluateStack(name, false, {}, stacks[name]);
            const shown = (all: readonly Shown[]) => all.map(plainly).sort();
            const [deployed, evaluated] = [shown(await stack.resources()), shown(resources)];
            assert.deepEqual(
                deployed.filter((each) => !evaluated.includes(each)),
                evaluated.filter((each) => !deployed.includes(each)),
            );
            assert.equal(deployed.length, evaluated.length);
        });

        it("has the outputs that tests and lab see", async () => {
            const { result } = await evaluateStack(name, false, {}, stacks[name]);
            assert.deepEqual(plainText(await stack.outputs()), plainText(result));
        });

        it("stays as it is", async () => {
            assert.deepEqual(succeeded(await stack.up(), `up ${name} again`).steps, []);
            assert.deepEqual(succeeded(await stack.refresh(), `refresh ${name}`).steps, []);
        });

        for (const change of changes) {
            it(`takes a change of ${change.what}`, async () => {
                const before = await engine.aws.contents();
                const preview = await stack.preview(withProject(change.to));
                log(`preview ${name}, ${change.what}`, preview);
                report({ change, preview });
                assert.deepEqual(await engine.aws.contents(), before, "nothing is begun");
                if (!preview.succeeded) assert.match(reasonOf(preview.errors), /^protected: /);
                if (process.env["WRITE_CHANGES"] || !preview.succeeded) return;
                const operation = succeeded(
                    await stack.upWithoutPreview(withProject(change.to)),
                    `up ${name}, ${change.what}`,
                );
                assertKeepsData(operation);
                assert.deepEqual((await stack.preview(withProject(change.to))).steps, [], "no diff after it");
                assertKeepsData(succeeded(await stack.upWithoutPreview(), `up ${name}, back`));
                const deleted = engine.aws.deletions.filter((each) => holdsData.includes(each.split(" ")[0] ?? ""));
                assert.deepEqual(deleted, []);
            });
        }

        it("is destroyed, unless it is protected", async () => {
            const resources = await stack.resources();
            const guarded = resources.filter(({ protect }) => protect).map(({ urn }) => urn);
            // What others have made, and what an earlier change has let go of.
            const own = resources.map(({ type, id = "", inputs = {} }) => engine.aws.lineOf({ type, id, inputs }));
            const others = (await engine.aws.contents()).filter((line) => !own.includes(line));
            const operation = await stack.destroy();
            log(`destroy ${name}`, operation);
            if (guarded.length > 0) {
                assert.equal(operation.succeeded, false);
                for (const urn of guarded) {
                    assert(operation.errors.join("\n").includes(`${urn}" cannot be deleted`), urn);
                }
                assert.equal((await stack.resources()).length, resources.length);
            } else {
                assert.deepEqual(operation.errors, []);
                assert(others.includes(`${bucketType} first-archives`));
                assert.deepEqual(await engine.aws.contents(), others);
            }
        });
    });
}

/** Fails unless an operation succeeded, and logs it. */
export function succeeded(operation: Operation, what: string): Operation {
    log(what, operation);
    assert(operation.succeeded, operation.errors.join("\n"));
    assert.deepEqual(operation.warnings, []);
    return operation;
}

/** One line of a deployment's log: what was done to how many of which types, or why nothing was. */
export function log(what: string, { succeeded: done, steps, errors }: Operation): void {
    console.log(`        ${what}: ${done ? summaryOf(steps) || "no changes" : `refused, ${reasonOf(errors)}`}`);
}

/** What was done to which types, for instance `update Project, Role ×2; create FlowLog`. */
export function summaryOf(steps: readonly Step[]): string {
    const ops = [...new Set(steps.map(({ op }) => op))].sort();
    return ops.map((op) => `${op} ${countedTypes(steps.filter((step) => step.op === op))}`).join("; ");
}

function countedTypes(steps: readonly Step[]): string {
    const types = steps.map(({ type }) => type.split(":").at(-1) ?? "").sort();
    return [...new Set(types)]
        .map((type) => [type, types.filter((each) => each === type).length] as const)
        .map(([type, count]) => (count > 1 ? `${type} ×${count}` : type))
        .join(", ");
}

/** The names of what is protected, or the message's first sentence. */
export function reasonOf(errors: readonly string[]): string {
    const text = errors.join("\n");
    const named = [...text.matchAll(/::([\w-]+)" cannot be deleted|unable to replace resource "[^"]*::([\w-]+)"/g)];
    const names = [...new Set(named.map(([, deleted, replaced]) => deleted ?? replaced ?? ""))];
    return names.length > 0 ? `protected: ${names.join(", ")}` : (text.split("\n")[0] ?? "");
}

/** Fails where an operation deletes or replaces what archives need; the stack may let go of what then stays in AWS. */
export function assertKeepsData({ steps }: Operation): void {
    const lost = steps.filter(
        ({ op, type, isRetained }) =>
            holdsData.includes(type) &&
            !["create", "update", "import"].includes(op) &&
            !(op === "delete" && isRetained),
    );
    assert.deepEqual(lost, []);
}

type Shown = Pick<StateResource, "urn" | "inputs" | "parent" | "protect" | "retainOnDelete" | "deletedWith">;

/** A resource as engine and evaluation both show it. */
function plainly({
    urn,
    inputs,
    parent = "",
    protect = false,
    retainOnDelete = false,
    deletedWith = "",
}: Shown): string {
    const { [filledIn]: properties = [], ...given } = inputs ?? {};
    for (const property of properties as string[]) Reflect.deleteProperty(given, property);
    const { type, name } = namesIn(urn);
    const nameOf = (other: string) => (other.includes("::pulumi:pulumi:Stack::") ? "" : namesIn(other).name);
    return plainText({
        resource: `${type} ${name}`,
        inputs: type.startsWith("aws:") ? given : {},
        parent: nameOf(parent),
        protect,
        retainOnDelete,
        deletedWith: nameOf(deletedWith),
    });
}

/** Values as JSON, their keys sorted, and without what is random in names. */
function plainText(value: unknown): string {
    // The engine knows assets by their hashes, the SDK by its classes.
    const ofAssets = ["hash", "__pulumiAsset", "__pulumiArchive"];
    const sorted = JSON.stringify(value, (_, each: unknown) =>
        typeof each === "object" && each !== null && !Array.isArray(each)
            ? Object.fromEntries(
                  Object.entries(each)
                      .filter(([key]) => !ofAssets.includes(key))
                      .sort(([a], [b]) => (a < b ? -1 : 1)),
              )
            : each,
    );
    return sorted
        .replaceAll(/((?:image-export|cross-account)[\w-]*)-[0-9a-f]{7}(?![0-9a-f])/g, "$1-0a1b2c3")
        .replaceAll(/\b(fl|rtb|rtbassoc|sg|sgr|subnet|vpc|vpce|pl)-[0-9a-f]{17}\b/g, "$1-ID")
        .replaceAll(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "KEY");
}
