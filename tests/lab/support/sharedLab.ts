/** One lab for each engine, which the tests of a run share: a start takes longer than most tests. */
import type { EngineName } from "../../../contract/engine";
import type { ExecutionResult } from "../../../lab/executions";
import { type Lab, startLab } from "../../../lab/lab";
import { configurationOf } from "../../../lab/stackFiles";
import { eagerClock } from "../../../lab/stateLanguage/interpreter";

/** Repositories of another account; the owner of neither has attached a policy. */
export const foreign = {
    base: "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base",
    elsewhere: "arn:aws:ecr:eu-west-1:444455556666:repository/platform/elsewhere",
};

/** Everything that a stack can have and that does not exclude something else. */
const configuration = {
    encryption: "kms",
    signing: "kms",
    repositoryArns: ["docker-hub/library/nginx", "mirror/library/nginx"].map(
        (name) => `arn:aws:ecr:ap-northeast-1:111122223333:repository/${name}`,
    ),
    crossAccountRepositoryArns: Object.values(foreign),
    // Two rules for one registry: what is imported by one of them has yet to be imported by the other.
    pullThroughCache: [
        { prefix: "docker-hub", upstreamRegistryUrl: "public.ecr.aws" },
        { prefix: "mirror", upstreamRegistryUrl: "public.ecr.aws" },
    ],
    notifications: {
        emails: ["platform@example.com"],
        slack: { workspaceId: "T07EA123LEP", channelId: "C07EZ1ABC23" },
        onSuccess: true,
    },
    triggers: {
        onPush: { repositories: ["nginx"], tags: ["v*", "latest"] },
        schedule: { expression: "cron(0 3 * * ? *)", timeZone: "Asia/Tokyo" },
    },
};

const labs = new Map<EngineName, Promise<Lab>>();

/** The lab of an engine; to be called in a hook `before`. */
export function sharedLab(engine: EngineName): Promise<Lab> {
    const running = labs.get(engine);
    if (running !== undefined) return running;
    const starting = startLab({ configuration: configurationOf({ engine, ...configuration }), clock: eagerClock });
    labs.set(engine, starting);
    return starting;
}

afterEach(async () => {
    for (const lab of labs.values()) (await lab).iam.removed.clear();
});

after(async () => {
    for (const lab of labs.values()) await (await lab).stop();
});

/** What something starts, once that and all that it has started has ended: the ARNs and results of executions. */
export async function endOfAll(lab: Lab): Promise<void> {
    const { byArn } = lab.services.executions;
    for (let ended = 0; ended < byArn.size;) {
        ended = (await Promise.all([...byArn.values()].map(({ result }) => result))).length;
    }
}

/** Runs a build of the stack's project with these variables, as somebody who gets past the state machine would. */
export async function build(lab: Lab, variables: Record<string, string>) {
    return (await lab.services.builds.start(String(lab.stack.outputs["buildProjectName"]), variables)).ended;
}

/** Exports an image, which has to succeed. */
export async function exportImage(lab: Lab, input: object): Promise<Record<string, unknown>> {
    return succeeded(await lab.execute(input));
}

/** The output of an execution. */
export function succeeded(result: ExecutionResult | undefined): Record<string, unknown> {
    if (result?.status === "SUCCEEDED") return result.output;
    throw new Error(`expected a success: ${JSON.stringify(result)}`);
}

/** Error and cause of an export, which has to fail. */
export async function failToExport(lab: Lab, input: object): Promise<{ error: string; cause: string }> {
    return failed(await lab.execute(input));
}

/** Error and cause of an execution. */
export function failed(result: ExecutionResult): { error: string; cause: string } {
    if (result.status === "FAILED") return result;
    throw new Error(`expected a failure: ${JSON.stringify(result)}`);
}
