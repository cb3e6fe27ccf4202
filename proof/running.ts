/**
 * The proofs that run: the pipeline in the lab, whose every call is judged by the declared policies. One export with all
 * permissions shows that they suffice. Then each is taken away, alone, and the export has to fail and name it, or to do
 * what it should not.
 */
import type { EngineName } from "../components/definition";
import { permission } from "../lab/iam";
import { type Lab, startLab } from "../lab/lab";
import type { Builder } from "./program";
import { actionsOf, statementProofs } from "./statements";

/** What a run of the lab shows. */
export interface Ran {
    readonly engine: EngineName;
    /** Permissions without which the export failed and said so. */
    readonly needed: readonly string[];
    /** What does not hold. */
    readonly problems: readonly string[];
}

/**
 * Runs the lab with one engine.
 *
 * @param tell Called with a line for each proof.
 */
export async function proveByRunning(engine: EngineName, tell: (line: string) => void): Promise<Ran> {
    const lab = await startLab({ engine, tell: () => undefined });
    const problems: string[] = [];
    const needed: string[] = [];
    try {
        const failure = await shortcoming(lab, engine, "images/all-permissions.tar");
        if (failure !== undefined) return { engine, needed, problems: [`engine ${engine}: ${failure.told}`] };
        tell(`engine ${engine}: the declared policies suffice for an export`);
        const used = [...lab.iam.used].sort();
        problems.push(...difference(claimed(engine, lab), used));
        for (const each of used) {
            const action = each.split(" ")[0] ?? "";
            lab.iam.removed.add(each);
            const missing = await shortcoming(lab, engine, `images/without-${action.replace(":", "-")}.tar`);
            lab.iam.removed.clear();
            if (missing === undefined) {
                problems.push(`${each}: nothing is missing without it`);
            } else if (missing.failed && !namesRefusal(missing.told, action)) {
                problems.push(`${each}: without it the export fails, but does not name it: ${missing.told}`);
            } else {
                needed.push(each);
                tell(
                    `engine ${engine}: without ${each}: ${missing.told.split("\n")[0]?.slice(0, 160) ?? ""}`,
                );
            }
        }
    } finally {
        await lab.stop();
    }
    return { engine, needed, problems: problems.map((problem) => `engine ${engine}: ${problem}`) };
}

/** What the lab did not do as it should. */
interface Shortcoming {
    /** Whether an export failed. */
    readonly failed: boolean;
    /** Error and cause of the failed export, or what happened. */
    readonly told: string;
}

/**
 * Exports a new image, none of whose layers the daemon has; with engine `stream` then once more, which has to find that
 * the export is already there.
 */
async function shortcoming(
    lab: Lab,
    engine: EngineName,
    artifactKey: string,
): Promise<Shortcoming | undefined> {
    await lab.push(lab.image.repository.name, lab.image.tag ?? "latest");
    for (const again of engine === "stream" ? [false, true] : [false]) {
        const result = await lab.execute({ artifactKey });
        if (result.status === "FAILED") return { failed: true, told: `${result.error}: ${result.cause}` };
        if (result.status !== "SUCCEEDED")
            throw new Error(`An export that nobody aborted is ${result.status}.`);
        if (again && result.output["skipped"] !== true) {
            return { failed: false, told: "what was already there is exported again" };
        }
    }
    return undefined;
}

function namesRefusal(failure: string, action: string): boolean {
    return new RegExp(`^(AccessDenied|ExportFailed): .*${action}(?![A-Za-z])`, "s").test(failure);
}

/** The permissions of the lab's roles that `statements.ts` says the lab shows the need of. */
function claimed(engine: EngineName, lab: Lab): string[] {
    const declared = [...lab.iam.roles.values()].flatMap(({ policies }) =>
        policies.flatMap(({ Statement }) =>
            Statement.flatMap(({ Sid = "", Action }) =>
                [Action].flat().map((action) => permission(Sid, action)),
            ),
        ),
    );
    return Object.keys(statementProofs)
        .flatMap((builder) =>
            Object.entries(actionsOf(builder as Builder, engine))
                .filter(([, { proof }]) => proof === "lab")
                .map(([action]) => permission(statementName(builder), action)),
        )
        .filter((each) => declared.includes(each));
}

/** The `Sid` of a builder's statement. */
export function statementName(builder: string): string {
    return builder.charAt(0).toUpperCase() + builder.slice(1);
}

function difference(claims: readonly string[], used: readonly string[]): string[] {
    return [
        ...claims
            .filter((each) => !used.includes(each))
            .map((each) => `${each}: the lab is said to need it and never calls it`),
        ...used
            .filter((each) => !claims.includes(each))
            .map((each) => `${each}: the lab calls it, and proof/statements.ts gives another proof`),
    ];
}
