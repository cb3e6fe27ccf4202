/**
 * The AWS API as the roles of the stack see it: each call is judged, then passed on to the emulator. What this file
 * cannot name as an action and a resource is refused, so that nothing slips through unjudged.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { finished } from "node:stream/promises";

import { S3Client } from "@aws-sdk/client-s3";

import { ApiError, type ExecutionsApi } from "./executionsApi";
import type { IdentityAndAccess } from "./iam";
import { s3Calls } from "./s3Calls";

/** Passwords for `docker login` that were handed out: to which access key, and in which region of ECR. */
export type RegistryPasswords = Map<string, { readonly accessKeyId: string; readonly region: string }>;

/** Tells digest and media type of what a tag means in the registry. */
export type DescribeImage = (
    repository: string,
    tag: string,
) => Promise<{ readonly imageDigest: string; readonly imageManifestMediaType: string } | undefined>;

/** Arguments of {@link startAwsGateway}. */
export interface AwsGatewayArgs {
    readonly port: number;
    readonly emulatorPort: number;
    readonly region: string;
    readonly accountId: string;
    readonly partition: string;
    readonly iam: IdentityAndAccess;
    readonly passwords: RegistryPasswords;
    /** Asks the registry, which the emulator knows nothing of. */
    readonly describeImage: DescribeImage;
    /** Answers for executions and builds, which the emulator does not run. */
    readonly executions: ExecutionsApi;
}

/** An action, and what it is asked of. */
export interface Call {
    readonly action: string;
    readonly resource: string;
    /** Condition keys of the request and their values. */
    readonly context?: Record<string, string>;
}

/** Starts the gateway on 127.0.0.1. */
export async function startAwsGateway(args: AwsGatewayArgs): Promise<Server> {
    const s3 = new S3Client({
        region: args.region,
        endpoint: `http://127.0.0.1:${args.emulatorPort}`,
        credentials: { accessKeyId: "lab", secretAccessKey: "lab" },
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
    await new Promise<void>((resolve) => server.listen(args.port, "127.0.0.1", resolve));
    return server;
}

async function answer(
    args: AwsGatewayArgs,
    s3: S3Client,
    incoming: IncomingMessage,
    response: ServerResponse,
): Promise<void> {
    const scope = /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\//.exec(incoming.headers.authorization ?? "");
    const [, accessKeyId = "", region = args.region, service = ""] = scope ?? [];
    // Only S3 carries bodies that may be large; those are passed on as they come.
    const body = service === "s3" ? undefined : await buffer(incoming);
    const calls =
        service === "s3"
            ? await s3Calls(s3, args, incoming)
            : [jsonCall({ ...args, region }, service, incoming, body)];
    const [call] = calls;
    const refusal = await firstRefusal(args.iam, accessKeyId, calls, incoming);
    if (refusal !== undefined) {
        incoming.resume();
        refuse(service, refusal, response);
    } else if (call?.action === "ecr:GetAuthorizationToken") {
        handOutPassword({ ...args, region }, accessKeyId, response);
    } else if (call?.action === "ecr:DescribeImages") {
        await describeImages(args, body, response);
    } else if (call !== undefined && /^(states|codebuild:BatchGetBuilds)/.test(call.action)) {
        answerOfLab(args.executions, call.action, body, response);
    } else {
        await passOn(args.emulatorPort, incoming, body, response, async () => {
            // S3 tells what is not there only to those who may list: docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
            if (call === undefined || !/^s3:GetObject(Version)?$/.test(call.action)) return false;
            const bucketArn = call.resource.split("/")[0] ?? "";
            return !(await args.iam.allows(accessKeyId, "s3:ListBucket", bucketArn));
        });
    }
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
    calls: readonly (Call | undefined)[],
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
    args: AwsGatewayArgs,
    service: string,
    incoming: IncomingMessage,
    body: Buffer | undefined,
): Call | undefined {
    const operation = target(incoming).split(".")[1];
    if (operation === undefined) return undefined;
    const fields = JSON.parse(body?.toString() ?? "{}") as Record<string, unknown>;
    const text = (name: string) => {
        const value = [fields[name]].flat()[0];
        return typeof value === "string" ? value : "";
    };
    const arn = (resource: string) =>
        `arn:${args.partition}:${service}:${args.region}:${args.accountId}:${resource}`;
    const resources: Record<string, () => string> = {
        "codebuild:StartBuild": () => arn(`project/${text("projectName")}`),
        "codebuild:StopBuild": () => arn(`project/${text("id").split(":")[0] ?? ""}`),
        "codebuild:BatchGetBuilds": () => arn(`project/${text("ids").split(":")[0] ?? ""}`),
        "ecr:DescribeImages": () => arn(`repository/${text("repositoryName")}`),
        "ecr:GetAuthorizationToken": () => "*",
        "events:DescribeRule": () => arn(`rule/${text("Name")}`),
        "events:PutRule": () => arn(`rule/${text("Name")}`),
        "events:PutTargets": () => arn(`rule/${text("Rule")}`),
        "logs:CreateLogStream": () =>
            arn(`log-group:${text("logGroupName")}:log-stream:${text("logStreamName")}`),
        "logs:GetLogEvents": () =>
            arn(`log-group:${text("logGroupName")}:log-stream:${text("logStreamName")}`),
        "logs:PutLogEvents": () =>
            arn(`log-group:${text("logGroupName")}:log-stream:${text("logStreamName")}`),
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

/** Answers for executions and builds of the lab. */
function answerOfLab(
    executions: ExecutionsApi,
    action: string,
    body: Buffer | undefined,
    response: ServerResponse,
): void {
    try {
        const fields = JSON.parse(body?.toString() ?? "{}") as Record<string, unknown>;
        const answer = JSON.stringify(executions.answer(action, fields));
        response.writeHead(200, { "content-type": "application/x-amz-json-1.1" }).end(answer);
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
    const image = await args.describeImage(repositoryName, imageTag);
    if (image === undefined) {
        const message =
            `The image with imageId {imageDigest:'null', imageTag:'${imageTag}'} does not exist within the repository ` +
            `with name '${repositoryName}' in the registry with id '${args.accountId}'`;
        refuseAs("ImageNotFoundException", message, response);
        return;
    }
    const detail = { registryId: args.accountId, repositoryName, imageTags: [imageTag], ...image };
    response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
    response.end(JSON.stringify({ imageDetails: [detail] }));
}

/** A password of its own for each login, so that the registry knows whose pull it serves. moto has one for all. */
function handOutPassword(args: AwsGatewayArgs, accessKeyId: string, response: ServerResponse): void {
    const password = randomUUID();
    args.passwords.set(password, { accessKeyId, region: args.region });
    response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
    response.end(
        JSON.stringify({
            authorizationData: [
                {
                    authorizationToken: Buffer.from(`AWS:${password}`).toString("base64"),
                    // ECR's passwords are good for 12 hours.
                    expiresAt: Date.now() / 1000 + 12 * 3600,
                    proxyEndpoint: `https://${args.accountId}.dkr.ecr.${args.region}.amazonaws.com`,
                },
            ],
        }),
    );
}

/** Has the emulator answer. Where it has nothing of that name, and `isHidden`, the call is refused instead. */
export async function passOn(
    port: number,
    incoming: IncomingMessage,
    body: Buffer | undefined,
    response: ServerResponse,
    isHidden: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<void> {
    const { method, url: path, headers } = incoming;
    const onward = request({ host: "127.0.0.1", port, method, path, headers });
    if (body === undefined) incoming.pipe(onward);
    else onward.end(body);
    try {
        const [answer] = (await once(onward, "response")) as [IncomingMessage];
        if (answer.statusCode === 404 && (await isHidden())) {
            answer.resume();
            refuse("s3", "Access Denied", response);
        } else {
            response.writeHead(answer.statusCode ?? 502, answer.headers);
            answer.pipe(response);
        }
        await finished(response, { readable: false });
    } catch (error) {
        if (!response.headersSent) response.writeHead(502);
        response.end(String(error));
    }
}
