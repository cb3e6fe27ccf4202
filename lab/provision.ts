/** Deploys the program: evaluates index.ts, and creates each resource that it declares before its outputs are handed on. */
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { S3Client } from "@aws-sdk/client-s3";

import type { Account } from "./account";
import { awsTypes } from "./awsTypes";
import { creators } from "./creators";
import { type DeclaredResource, evaluate } from "./evaluation";
import { ownerCredentials } from "./iam";
import { runProgram } from "./program";

/** A stack in the lab. */
export interface DeployedStack {
    /** The stack's outputs. */
    readonly outputs: Record<string, unknown>;
    /** Type and name of every resource that was created. */
    readonly created: readonly string[];
    /** Type and name of every resource that is only declared. */
    readonly declared: readonly string[];
}

/**
 * Evaluates the program and creates what it declares.
 *
 * @param stack Name of the stack, for instance `dev`.
 * @param configuration Its configuration by full key.
 * @param endpoint URL of the emulator.
 * @throws Error when the program fails, or uses what the lab does not know.
 */
export async function provision(
    stack: string,
    configuration: Record<string, string>,
    account: Account,
    endpoint: string,
): Promise<DeployedStack> {
    const { location } = account;
    const client = { region: location.region, endpoint, credentials: ownerCredentials };
    const surroundings = {
        account,
        s3: new S3Client({ ...client, forcePathStyle: true }),
        logs: new CloudWatchLogsClient(client),
    };
    const created: string[] = [];
    const declared: string[] = [];
    const create = async ({ type, name, inputs, answer }: DeclaredResource) => {
        const creator = creators[type];
        (creator === undefined ? declared : created).push(`${type} ${name}`);
        if (creator === undefined && awsTypes[type]?.notInLab === undefined) {
            throw new Error(
                `The lab does not know how to create ${type} ${name}: give it a creator in lab/creators.ts, or say in lab/awsTypes.ts why it needs none.`,
            );
        }
        await creator?.({ inputs: inputs as never, answer, ...surroundings });
    };
    const { result } = await evaluate(() => runProgram(configuration), { stack, location, create });
    surroundings.s3.destroy();
    surroundings.logs.destroy();
    return { outputs: result, created, declared };
}
