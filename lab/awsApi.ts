/**
 * The JSON APIs of AWS: one table says of each call what it is asked of, which the declared policies judge, and who answers. The
 * HTTP server (awsGateway.ts) and the integrations of state machines (stepFunctions.ts) both call here. What the table does not
 * know is refused, so that nothing slips through unjudged.
 * Sources: the API references of the services, and docs.aws.amazon.com/service-authorization for actions and resources
 */
import { randomUUID } from "node:crypto";

import { domainOf } from "../contract/aws";
import type { Account } from "./account";
import { arnIn } from "./awsTypes";
import type { RunningBuild } from "./codebuild";
import { type Execution, type Executions, seconds } from "./executions";
import type { MapRun } from "./stateLanguage/host";

/** An error, as the API answers it. */
export class AwsError extends Error {
    public constructor(
        public readonly code: string,
        message: string,
    ) {
        super(message);
    }
}

/** Who calls, and in which region. */
export interface Caller {
    readonly accessKeyId: string;
    readonly region: string;
}

/** The fields of a call. */
export type Fields = Readonly<Record<string, unknown>>;

/** Reports digest and media type of what a tag means in the registry. */
export type DescribeImage = (
    repository: string,
    tag: string,
) => Promise<{ readonly imageDigest: string; readonly imageManifestMediaType: string } | undefined>;

/** A message that was published to a topic. */
export interface PublishedMessage {
    readonly topicArn: string;
    readonly subject: string;
    /** Its forms: `default`, and one for each protocol that has its own. */
    readonly forms: Readonly<Record<string, string>>;
}

/** What the answers come from. */
export interface Backends {
    readonly account: Account;
    /** Asks the registry, which the emulator knows nothing of. */
    readonly describeImage: DescribeImage;
    readonly executions: Executions;
    readonly builds: ReadonlyMap<string, RunningBuild>;
    readonly startBuild: (project: string, variables: Record<string, string>) => Promise<RunningBuild>;
    /** Starts an execution; undefined where its name is taken. */
    readonly startExecution: (machineArn: string, input: unknown, name?: string) => Execution | undefined;
    readonly published: PublishedMessage[];
}

interface Operation {
    /** What the call is asked of, as policies name it. */
    readonly on: (fields: Fields, arn: (resource: string) => string) => string;
    /** Answers; without it the emulator does. */
    readonly answer?: (fields: Fields, caller: Caller) => object | Promise<object>;
}

/** The API of a lab. */
export class AwsApi {
    private readonly operations: Readonly<Record<string, Operation | undefined>>;

    public constructor(private readonly backends: Backends) {
        this.operations = operationsOf(backends);
    }

    /**
     * Judges a call and answers it.
     *
     * @param action Its action in IAM, which is service and operation.
     * @returns undefined where the emulator is to answer.
     * @throws AwsError
     */
    public async call(caller: Caller, action: string, fields: Fields): Promise<object | undefined> {
        const operation = this.operations[action];
        if (operation === undefined) throw new AwsError("UnknownOperation", `The lab does not know ${action}.`);
        const where = { ...this.backends.account.location, region: caller.region };
        const asked = operation.on(fields, (resource) => arnIn(where, action.split(":")[0] ?? "", resource));
        await this.require(caller, action, asked);
        return operation.answer?.(fields, caller);
    }

    /**
     * Judges a call.
     *
     * @throws AwsError when it is refused.
     */
    public async require({ accessKeyId }: Caller, action: string, resource: string): Promise<void> {
        const refusal = await this.backends.account.iam.refusal(accessKeyId, action, resource);
        if (refusal !== undefined) throw new AwsError("AccessDeniedException", refusal);
    }
}

/** A field, or the first of a list. */
function text(fields: Fields, name: string): string {
    const value = [fields[name]].flat()[0];
    return typeof value === "string" ? value : "";
}

function operationsOf(backends: Backends): Record<string, Operation> {
    const { account, builds, executions } = backends;
    const itself = (field: string) => (fields: Fields) => text(fields, field);
    const project =
        (field: string): Operation["on"] =>
        (fields, arn) =>
            arn(`project/${text(fields, field).split(":")[0] ?? ""}`);
    // Whether a build or an execution has ended, the lab knows without these rules.
    const rule = (field: string): Operation => ({
        on: (fields, arn) => arn(`rule/${text(fields, field)}`),
        answer: () => ({}),
    });
    const logStream: Operation = {
        on: (fields, arn) =>
            arn(`log-group:${text(fields, "logGroupName")}:log-stream:${text(fields, "logStreamName")}`),
    };
    const find = (fields: Fields): Execution => {
        const execution = executions.byArn.get(text(fields, "executionArn"));
        if (execution !== undefined) return execution;
        throw new AwsError("ExecutionDoesNotExist", `Execution Does Not Exist: '${text(fields, "executionArn")}'`);
    };
    const ofExecution = (answer: (execution: Execution, fields: Fields) => object): Operation => ({
        on: itself("executionArn"),
        answer: (fields) => answer(find(fields), fields),
    });
    return {
        "codebuild:BatchGetBuilds": {
            on: project("ids"),
            answer: ({ ids }) => ({ builds: (ids as string[]).flatMap((id) => builds.get(id)?.description ?? []) }),
        },
        "codebuild:StartBuild": {
            on: project("projectName"),
            answer: async (fields) => {
                const overrides = fields["environmentVariablesOverride"] as { name: string; value: string }[];
                const variables = Object.fromEntries(overrides.map(({ name, value }) => [name, value]));
                const { description: build } = await backends.startBuild(text(fields, "projectName"), variables);
                return { build };
            },
        },
        "codebuild:StopBuild": {
            on: project("id"),
            answer: (fields) => {
                builds.get(text(fields, "id"))?.stop();
                return {};
            },
        },
        "ecr:DescribeImages": {
            on: (fields, arn) => arn(`repository/${text(fields, "repositoryName")}`),
            answer: (fields) => describeImages(backends, fields),
        },
        "ecr:GetAuthorizationToken": {
            on: () => "*",
            answer: (_, caller) => ({ authorizationData: [passwordFor(account, caller)] }),
        },
        "events:DescribeRule": rule("Name"),
        "events:PutRule": rule("Name"),
        "events:PutTargets": rule("Rule"),
        "logs:CreateLogStream": logStream,
        "logs:GetLogEvents": logStream,
        "logs:PutLogEvents": logStream,
        "sns:Publish": { on: itself("topicArn"), answer: (fields) => publish(backends, fields) },
        "states:DescribeExecution": ofExecution((execution) => execution.description()),
        "states:GetExecutionHistory": ofExecution(({ events }, { reverseOrder }) => ({
            events: reverseOrder === true ? events.toReversed() : events,
        })),
        "states:ListMapRuns": ofExecution(({ arn: executionArn, machineArn: stateMachineArn, mapRuns }) => {
            const startDate = seconds();
            return {
                mapRuns: [...mapRuns.keys()].map((mapRunArn) => ({
                    mapRunArn,
                    executionArn,
                    stateMachineArn,
                    startDate,
                })),
            };
        }),
        "states:StopExecution": ofExecution((execution, { error, cause }) => {
            execution.stop({ error, cause });
            return { stopDate: seconds() };
        }),
        "states:DescribeMapRun": {
            on: itself("mapRunArn"),
            answer: (fields) => {
                for (const { arn, mapRuns } of executions.byArn.values()) {
                    const run = mapRuns.get(text(fields, "mapRunArn"));
                    if (run !== undefined) return { ...mapRunDescription(run), executionArn: arn };
                }
                throw new AwsError("ResourceNotFound", `Map Run Does Not Exist: '${text(fields, "mapRunArn")}'`);
            },
        },
        "states:ListExecutions": {
            on: itself("stateMachineArn"),
            answer: ({ stateMachineArn, statusFilter }) => {
                const found = [...executions.byArn.values()]
                    .map((execution) => execution.summary())
                    .filter((summary) => summary.stateMachineArn === stateMachineArn)
                    .filter(({ status }) => statusFilter === undefined || status === statusFilter);
                return { executions: found.toReversed() }; // the newest first
            },
        },
        "states:StartExecution": {
            on: itself("stateMachineArn"),
            answer: (fields) => {
                const { name } = fields as { name?: string };
                const input = parseInput(text(fields, "input"));
                const execution = backends.startExecution(text(fields, "stateMachineArn"), input, name);
                if (execution !== undefined) {
                    return { executionArn: execution.arn, startDate: execution.summary().startDate };
                }
                throw new AwsError("ExecutionAlreadyExists", `Execution Already Exists: '${String(name)}'`);
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

function mapRunDescription(run: MapRun): object {
    const { mapRunArn, isEnded, ...known } = run;
    const pending = run.total - run.running - run.succeeded - run.failed - run.aborted;
    const counts = { ...known, pending, timedOut: 0, resultsWritten: isEnded ? run.total : 0 };
    const status = isEnded ? "SUCCEEDED" : "RUNNING";
    return { mapRunArn, status, itemCounts: counts, executionCounts: counts };
}

/** Answers with the digest that a tag has in the registry. */
async function describeImages({ account, describeImage }: Backends, fields: Fields): Promise<object> {
    const repositoryName = text(fields, "repositoryName");
    const [{ imageTag }] = fields["imageIds"] as [{ imageTag: string }];
    if (!/^[a-zA-Z0-9-_.]{1,300}$/.test(imageTag)) {
        throw new AwsError("InvalidParameterException", "Invalid parameter at 'imageTag' failed to satisfy constraint");
    }
    const { accountId: registryId } = account.location;
    const image = await describeImage(repositoryName, imageTag);
    if (image !== undefined) {
        return { imageDetails: [{ registryId, repositoryName, imageTags: [imageTag], ...image }] };
    }
    throw new AwsError(
        "ImageNotFoundException",
        `The image with imageId {imageDigest:'null', imageTag:'${imageTag}'} does not exist within the repository ` +
            `with name '${repositoryName}' in the registry with id '${registryId}'`,
    );
}

/** A password of its own for each login, so that the registry knows whose pull it serves. The emulator has one for all. */
function passwordFor({ location, registryPasswords }: Account, caller: Caller): object {
    const password = randomUUID();
    registryPasswords.set(password, caller);
    const { accountId, partition } = location;
    return {
        authorizationToken: Buffer.from(`AWS:${password}`).toString("base64"),
        expiresAt: seconds() + 12 * 3600,
        proxyEndpoint: `https://${accountId}.dkr.ecr.${caller.region}.${domainOf(partition)}`,
    };
}

/** docs.aws.amazon.com/sns/latest/api/API_Publish.html */
function publish({ published }: Backends, fields: Fields): object {
    const forms = JSON.parse(text(fields, "message")) as Record<string, string>;
    if (fields["messageStructure"] !== "json" || typeof forms["default"] !== "string") {
        throw new AwsError("InvalidParameterException", "Message Structure - No default entry in JSON message body");
    }
    published.push({ topicArn: text(fields, "topicArn"), subject: text(fields, "subject"), forms });
    return { messageId: randomUUID() };
}
