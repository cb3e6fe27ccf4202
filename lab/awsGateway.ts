/**
 * The AWS API as the roles of the stack see it: each call is judged, then passed on to the emulator. What this file
 * cannot name as an action and a resource is refused, so that nothing slips through unjudged.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";

import { S3Client } from "@aws-sdk/client-s3";

import { domainOf } from "../contract/aws";
import type { Account } from "./account";
import { ApiError, type ExecutionsApi } from "./executionsApi";
import { handOn, listen, type Listening } from "./http";
import { type IdentityAndAccess, ownerCredentials } from "./iam";
import { type ApiCall, s3Calls } from "./s3Calls";

/** Reports digest and media type of what a tag means in the registry. */
export type DescribeImage = (
    repository: string,
    tag: string,
) => Promise<{ readonly imageDigest: string; readonly imageManifestMediaType: string } | undefined>;

/** Arguments of {@link startAwsGateway}. */
export interface AwsGatewayArgs {
    readonly account: Account;
    readonly emulatorPort: number;
    /** Asks the registry, which the emulator knows nothing of. */
    readonly describeImage: DescribeImage;
    /** Answers for executions and builds, which the emulator does not run. */
    readonly executions: ExecutionsApi;
}

/** A call, as its signature has it. */
interface Scope {
    readonly accessKeyId: string;
    readonly region: string;
    readonly service: string;
}

/** Starts the gateway. */
export async function startAwsGateway(args: AwsGatewayArgs): Promise<Listening> {
    const s3 = new S3Client({
        region: args.account.location.region,
        endpoint: `http://127.0.0.1:${args.emulatorPort}`,
        credentials: ownerCredentials,
        forcePathStyle: true,
    });
    const conditional = inTurn();
    const server = createServer((incoming, response) => {
        const hasCondition = "if-match" in incoming.headers || "if-none-match" in incoming.headers;
        const answered = () => answer(args, s3, incoming, response);
        // S3 judges a condition and writes at once; moto does one after the other.
        (hasCondition ? conditional(answered) : answered()).catch((error: unknown) => {
            response.writeHead(500).end(String(error));
        });
    });
    return listen(server);
}

async function answer(
    args: AwsGatewayArgs,
    s3: S3Client,
    incoming: IncomingMessage,
    response: ServerResponse,
): Promise<void> {
    const { iam, location } = args.account;
    const scope = scopeOf(incoming, location.region);
    const { service, accessKeyId } = scope;
    // Only S3 carries bodies that may be large; those are passed on as they come.
    const body = service === "s3" ? undefined : await buffer(incoming);
    const calls =
        service === "s3"
            ? await s3Calls(s3, location, incoming)
            : [jsonCall(args.account, scope, incoming, body)];
    const [call] = calls;
    const refusal = await firstRefusal(iam, accessKeyId, calls, incoming);
    if (refusal !== undefined) {
        incoming.resume();
        refuse(service, refusal, response);
    } else if (call?.action === "ecr:GetAuthorizationToken") {
        handOutPassword(args.account, scope, response);
    } else if (call?.action === "ecr:DescribeImages") {
        await describeImages(args, body, response);
    } else if (call !== undefined && /^codebuild:St(art|op)Build$/.test(call.action)) {
        // Whoever calls is the lab's Step Functions, which then starts or stops the build by itself.
        respond(response, {});
    } else if (call !== undefined && /^(states|codebuild):/.test(call.action)) {
        answerOfLab(args.executions, call.action, body, response);
    } else {
        await handOn(incoming, response, {
            port: args.emulatorPort,
            body,
            // S3 reports what is not there only to those who may list: docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
            instead: async (status) => {
                if (status !== 404 || call === undefined || !/^s3:GetObject(Version)?$/.test(call.action))
                    return false;
                if (await iam.allows(accessKeyId, "s3:ListBucket", call.resource.split("/")[0] ?? ""))
                    return false;
                refuse("s3", "Access Denied", response);
                return true;
            },
        });
    }
}

/** Who calls, which service, and in which region: docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html */
function scopeOf(incoming: IncomingMessage, ownRegion: string): Scope {
    const scope = /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\//.exec(incoming.headers.authorization ?? "");
    const [, accessKeyId = "", region = ownRegion, service = ""] = scope ?? [];
    return { accessKeyId, region, service };
}

/** Runs one after the other what is given to it. */
function inTurn(): (action: () => Promise<void>) => Promise<void> {
    let last = Promise.resolve();
    return (action) => {
        const next = last.then(action);
        last = next.catch(() => undefined);
        return next;
    };
}

/** Why one of the calls that a request comes to is refused; undefined when none is. */
async function firstRefusal(
    iam: IdentityAndAccess,
    accessKeyId: string,
    calls: readonly (ApiCall | undefined)[],
    incoming: IncomingMessage,
): Promise<string | undefined> {
    for (const call of calls) {
        const refusal =
            call === undefined
                ? `The lab does not know the action of ${incoming.method ?? ""} ${incoming.url ?? ""} ${target(incoming)}`
                : await iam.refusal(accessKeyId, call.action, call.resource, call.context);
        if (refusal !== undefined) return refusal;
    }
    return undefined;
}

/** Action and resource of a call to a service that speaks JSON: the action is in a header, the rest in the body. */
function jsonCall(
    { location: { partition, accountId } }: Account,
    { service, region }: Scope,
    incoming: IncomingMessage,
    body: Buffer | undefined,
): ApiCall | undefined {
    const operation = target(incoming).split(".")[1];
    if (operation === undefined) return undefined;
    const fields = JSON.parse(body?.toString() ?? "{}") as Record<string, unknown>;
    const text = (name: string) => {
        const value = [fields[name]].flat()[0];
        return typeof value === "string" ? value : "";
    };
    const arn = (resource: string) => `arn:${partition}:${service}:${region}:${accountId}:${resource}`;
    const logStream = () => arn(`log-group:${text("logGroupName")}:log-stream:${text("logStreamName")}`);
    const resources: Record<string, () => string> = {
        "codebuild:StartBuild": () => arn(`project/${text("projectName")}`),
        "codebuild:StopBuild": () => arn(`project/${text("id").split(":")[0] ?? ""}`),
        "codebuild:BatchGetBuilds": () => arn(`project/${text("ids").split(":")[0] ?? ""}`),
        "ecr:DescribeImages": () => arn(`repository/${text("repositoryName")}`),
        "ecr:GetAuthorizationToken": () => "*",
        "events:DescribeRule": () => arn(`rule/${text("Name")}`),
        "events:PutRule": () => arn(`rule/${text("Name")}`),
        "events:PutTargets": () => arn(`rule/${text("Rule")}`),
        "logs:CreateLogStream": logStream,
        "logs:GetLogEvents": logStream,
        "logs:PutLogEvents": logStream,
        "states:DescribeExecution": () => text("executionArn"),
        "states:DescribeMapRun": () => text("mapRunArn"),
        "states:GetExecutionHistory": () => text("executionArn"),
        "states:ListExecutions": () => text("stateMachineArn"),
        "states:ListMapRuns": () => text("executionArn"),
        "states:StartExecution": () => text("stateMachineArn"),
        "states:StopExecution": () => text("executionArn"),
    };
    const action = `${service}:${operation}`;
    const resource = resources[action]?.();
    return resource === undefined ? undefined : { action, resource };
}

function target(incoming: IncomingMessage): string {
    return [incoming.headers["x-amz-target"]].flat()[0] ?? "";
}

/** In the form that each service uses: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html for S3's. */
function refuse(service: string, reason: string, response: ServerResponse): void {
    if (service === "s3") {
        response.writeHead(403, { "content-type": "application/xml", connection: "close" });
        response.end(`<Error><Code>AccessDenied</Code><Message>${reason}</Message></Error>`);
    } else {
        refuseAs("AccessDeniedException", reason, response);
    }
}

function refuseAs(name: string, message: string, response: ServerResponse): void {
    response.writeHead(400, { "content-type": "application/x-amz-json-1.1", "x-amzn-errortype": name });
    response.end(JSON.stringify({ __type: name, message }));
}

function respond(response: ServerResponse, answer: object): void {
    response.writeHead(200, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(answer));
}

/** Answers for executions and builds of the lab. */
function answerOfLab(
    executions: ExecutionsApi,
    action: string,
    body: Buffer | undefined,
    response: ServerResponse,
): void {
    try {
        const fields = JSON.parse(body?.toString() ?? "{}") as Record<string, unknown>;
        respond(response, executions.answer(action, fields));
    } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        refuseAs(error.code, error.message, response);
    }
}

/** Answers with the digest that a tag has in the registry. */
async function describeImages(
    args: AwsGatewayArgs,
    body: Buffer | undefined,
    response: ServerResponse,
): Promise<void> {
    const { repositoryName, imageIds } = JSON.parse(body?.toString() ?? "") as {
        repositoryName: string;
        imageIds: [{ imageTag: string }];
    };
    const [{ imageTag }] = imageIds;
    if (!/^[a-zA-Z0-9-_.]{1,300}$/.test(imageTag)) {
        const message = "Invalid parameter at 'imageTag' failed to satisfy constraint";
        refuseAs("InvalidParameterException", message, response);
        return;
    }
    const { accountId } = args.account.location;
    const image = await args.describeImage(repositoryName, imageTag);
    if (image === undefined) {
        const message =
            `The image with imageId {imageDigest:'null', imageTag:'${imageTag}'} does not exist within the repository ` +
            `with name '${repositoryName}' in the registry with id '${accountId}'`;
        refuseAs("ImageNotFoundException", message, response);
        return;
    }
    const detail = { registryId: accountId, repositoryName, imageTags: [imageTag], ...image };
    respond(response, { imageDetails: [detail] });
}

/** A password of its own for each login, so that the registry knows whose pull it serves. moto has one for all. */
function handOutPassword(account: Account, { accessKeyId, region }: Scope, response: ServerResponse): void {
    const password = randomUUID();
    account.registryPasswords.set(password, { accessKeyId, region });
    const { accountId, partition } = account.location;
    respond(response, {
        authorizationData: [
            {
                authorizationToken: Buffer.from(`AWS:${password}`).toString("base64"),
                // ECR's passwords are good for 12 hours.
                expiresAt: Date.now() / 1000 + 12 * 3600,
                proxyEndpoint: `https://${accountId}.dkr.ecr.${region}.${domainOf(partition)}`,
            },
        ],
    });
}
