/**
 * The JSON APIs of AWS: one table says of each call what it is asked of, which the declared policies judge, and who answers. The
 * HTTP server (awsGateway.ts) and the integrations of state machines (stepFunctions.ts) both call here. What the table does not
 * know is refused, so that nothing slips through unjudged.
 * Sources: the API references of the services, and docs.aws.amazon.com/service-authorization for actions and resources
 */
import { randomUUID } from "node:crypto";

import { ecrHosts } from "../contract/image";
import { type Account, AwsError } from "./account";
import { arnIn } from "./awsTypes";
import type { Builds } from "./codebuild";
import { type Execution, type Executions, seconds } from "./executions";
import type { Access, IdentityAndAccess } from "./iam";
import { digestOf } from "./image";
import { signDigest } from "./signing";

/** Who calls, and in which region. */
export interface Caller {
    readonly accessKeyId: string;
    readonly region: string;
}

/** The fields of a call. */
export type Fields = Readonly<Record<string, unknown>>;

interface Operation {
    /** What the call is asked of, as policies name it: fields by their names in braces; what is no ARN becomes the service's. */
    readonly on: string;
    /** Fields that are condition keys of the service as well. */
    readonly context?: readonly string[];
    /** Answers; without it the emulator does. */
    readonly answer?: (fields: Fields, caller: Caller) => object | Promise<object>;
}

type Operations = Readonly<Record<string, Operation | undefined>>;

/**
 * Judges a call and answers it.
 *
 * @param action Its action in IAM, which is service and operation.
 * @returns undefined where the emulator is to answer.
 * @throws AwsError
 */
export type AwsApi = (caller: Caller, action: string, fields: Fields) => Promise<object | undefined>;

/** The API of a lab. */
export function awsApi(account: Account, registryPort: number, builds: Builds, executions: Executions): AwsApi {
    const operations: Operations = {
        ...operationsOfRegistry(account, registryPort),
        ...operationsOfBuilds(builds),
        ...operationsOfExecutions(executions),
        "kms:Sign": {
            on: "{KeyId}",
            context: ["MessageType", "SigningAlgorithm"],
            answer: (fields) => {
                const digest = Buffer.from(text(fields, "Message"), "base64");
                return { KeyId: fields["KeyId"], Signature: signDigest(digest).toString("base64") };
            },
        },
        "sns:Publish": { on: "{topicArn}", answer: (fields) => publish(account, fields) },
    };
    return async (caller, action, fields) => {
        const operation = operations[action];
        if (operation === undefined) throw new AwsError("UnknownOperation", `The lab does not know ${action}.`);
        const asked = operation.on.replace(/\{(\w+)\}/g, (_, field: string) => text(fields, field));
        const where = { ...account.location, region: caller.region };
        const [service = ""] = action.split(":");
        // A build is its project's.
        const own = arnIn(where, service, asked.replace(/^(project\/[^:]*):.*/, "$1"));
        const resource = /^(?:arn:|\*$)/.test(asked) ? asked : own;
        const keys = operation.context ?? [];
        const context = Object.fromEntries(keys.map((name) => [`${service}:${name}`, text(fields, name)]));
        await requireAccess(account.iam, caller, { action, resource, context });
        return operation.answer?.(fields, caller);
    };
}

/** @throws AwsError where a call is refused. */
export async function requireAccess(iam: IdentityAndAccess, { accessKeyId }: Caller, access: Access): Promise<void> {
    const refusal = await iam.refusal(accessKeyId, access);
    if (refusal !== undefined) throw new AwsError("AccessDeniedException", refusal);
}

/** docs.aws.amazon.com/sns/latest/api/API_Publish.html */
function publish({ published }: Account, fields: Fields): object {
    const forms = JSON.parse(text(fields, "message")) as Record<string, string>;
    if (fields["messageStructure"] !== "json" || typeof forms["default"] !== "string") {
        const reason = "Message Structure - No default entry in JSON message body";
        throw new AwsError("InvalidParameterException", reason);
    }
    published.push({ topicArn: text(fields, "topicArn"), subject: text(fields, "subject"), forms });
    return { messageId: randomUUID() };
}

/** A field, or the first of a list. */
function text(fields: Fields, name: string): string {
    const value = [fields[name]].flat()[0];
    return typeof value === "string" ? value : "";
}

function operationsOfRegistry(account: Account, registryPort: number): Operations {
    const { partition, accountId: registryId } = account.location;
    return {
        "ecr:DescribeImages": {
            on: "repository/{repositoryName}",
            answer: async (fields) => {
                const repositoryName = text(fields, "repositoryName");
                const [{ imageTag }] = fields["imageIds"] as [{ imageTag: string }];
                if (!/^[a-zA-Z0-9-_.]{1,300}$/.test(imageTag)) {
                    const reason = "Invalid parameter at 'imageTag' failed to satisfy constraint";
                    throw new AwsError("InvalidParameterException", reason);
                }
                const imageDigest = await digestOf(registryPort, repositoryName, imageTag);
                if (imageDigest === undefined) {
                    throw new AwsError(
                        "ImageNotFoundException",
                        `The image with imageId {imageDigest:'null', imageTag:'${imageTag}'} does not exist within the ` +
                            `repository with name '${repositoryName}' in the registry with id '${registryId}'`,
                    );
                }
                return { imageDetails: [{ registryId, repositoryName, imageTags: [imageTag], imageDigest }] };
            },
        },
        "ecr:GetAuthorizationToken": {
            on: "*",
            // A password of its own for each login, so that the registry knows whose pull it serves.
            answer: (_, caller) => {
                const password = randomUUID();
                account.registryPasswords.set(password, caller);
                const authorizationToken = Buffer.from(`AWS:${password}`).toString("base64");
                const proxyEndpoint = `https://${ecrHosts({ partition, region: caller.region, accountId: registryId })[0]}`;
                return { authorizationData: [{ authorizationToken, proxyEndpoint, expiresAt: seconds() + 12 * 3600 }] };
            },
        },
    };
}

function operationsOfBuilds(builds: Builds): Operations {
    const logStream = { on: "log-group:{logGroupName}:log-stream:{logStreamName}" };
    return {
        "codebuild:BatchGetBuilds": {
            on: "project/{ids}",
            answer: ({ ids }) => ({
                builds: (ids as string[]).flatMap((id) => builds.byId.get(id)?.description ?? []),
            }),
        },
        "codebuild:StartBuild": {
            on: "project/{projectName}",
            answer: async (fields) => {
                const overrides = fields["environmentVariablesOverride"] as { name: string; value: string }[];
                const variables = Object.fromEntries(overrides.map(({ name, value }) => [name, value]));
                return { build: (await builds.start(text(fields, "projectName"), variables)).description };
            },
        },
        "codebuild:StopBuild": {
            on: "project/{id}",
            answer: (fields) => {
                builds.byId.get(text(fields, "id"))?.stop();
                return {};
            },
        },
        "logs:CreateLogStream": logStream,
        "logs:GetLogEvents": logStream,
        "logs:PutLogEvents": logStream,
    };
}

function operationsOfExecutions(executions: Executions): Operations {
    const ofExecution = (answer: (execution: Execution, fields: Fields) => object): Operation => ({
        on: "{executionArn}",
        answer: (fields) => answer(executions.get(text(fields, "executionArn")), fields),
    });
    return {
        // Whether a build or an execution has ended, the lab knows without these rules.
        "events:DescribeRule": { on: "rule/{Name}", answer: () => ({}) },
        "events:PutRule": { on: "rule/{Name}", answer: () => ({}) },
        "events:PutTargets": { on: "rule/{Rule}", answer: () => ({}) },
        "states:DescribeExecution": ofExecution((execution) => execution.description()),
        "states:GetExecutionHistory": ofExecution(({ events }, { reverseOrder }) => ({
            events: reverseOrder === true ? events.toReversed() : events,
        })),
        "states:ListMapRuns": ofExecution(({ arn: executionArn, machineArn: stateMachineArn, mapRuns }) => {
            const common = { executionArn, stateMachineArn, startDate: seconds() };
            return { mapRuns: [...mapRuns.keys()].map((mapRunArn) => ({ mapRunArn, ...common })) };
        }),
        "states:StopExecution": ofExecution((execution, { error, cause }) => {
            execution.stop({ error, cause });
            return { stopDate: seconds() };
        }),
        "states:DescribeMapRun": {
            on: "{mapRunArn}",
            answer: (fields) => {
                for (const { arn, mapRuns } of executions.byArn.values()) {
                    const run = mapRuns.get(text(fields, "mapRunArn"));
                    if (run !== undefined) return { ...run, executionCounts: run.itemCounts, executionArn: arn };
                }
                throw new AwsError("ResourceNotFound", `Map Run Does Not Exist: '${text(fields, "mapRunArn")}'`);
            },
        },
        "states:ListExecutions": {
            on: "{stateMachineArn}",
            answer: ({ stateMachineArn, statusFilter }) => {
                const found = [...executions.byArn.values()]
                    .map((execution) => execution.summary())
                    .filter((summary) => summary.stateMachineArn === stateMachineArn)
                    .filter(({ status }) => statusFilter === undefined || status === statusFilter);
                return { executions: found.toReversed() }; // the newest first
            },
        },
        "states:StartExecution": {
            on: "{stateMachineArn}",
            answer: (fields) => {
                const { name } = fields as { name?: string };
                const input = parseInput(text(fields, "input"));
                const execution = executions.start(text(fields, "stateMachineArn"), input, name);
                return { executionArn: execution.arn, startDate: execution.summary().startDate };
            },
        },
    };
}

function parseInput(input: string): unknown {
    try {
        return JSON.parse(input === "" ? "{}" : input);
    } catch {
        throw new AwsError("InvalidExecutionInput", "Invalid State Machine Execution Input");
    }
}
