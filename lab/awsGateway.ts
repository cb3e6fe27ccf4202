/** The AWS API as an HTTP server: each call is judged, then answered by the lab or passed on to the emulator. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";

import type { S3Client } from "@aws-sdk/client-s3";

import { type Account, AwsError } from "./account";
import type { AwsApi, Fields } from "./awsApi";
import { handOn, listen } from "./http";
import type { Listening } from "./processes";
import { s3Calls } from "./s3Calls";

interface Setting {
    readonly account: Account;
    /** The emulator's. */
    readonly port: number;
    readonly s3: S3Client;
    readonly api: AwsApi;
}

/** Starts the gateway. */
export async function startAwsGateway(setting: Setting): Promise<Listening> {
    let last = Promise.resolve();
    const server = createServer((incoming, response) => {
        const answered = async () => {
            await answer(setting, incoming, response).catch((error: unknown) => {
                response.writeHead(500).end(String(error));
            });
        };
        // S3 judges a condition and writes at once; moto does one after the other.
        const isConditional = "if-match" in incoming.headers || "if-none-match" in incoming.headers;
        if (isConditional) last = last.then(answered);
        else void answered();
    });
    return listen(server);
}

async function answer(setting: Setting, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { account, port, api } = setting;
    // docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    const scope = /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\//.exec(incoming.headers.authorization ?? "");
    const [, accessKeyId = "", region = account.location.region, service = ""] = scope ?? [];
    if (service === "s3") {
        await answerForS3(setting, accessKeyId, incoming, response);
        return;
    }
    const body = await buffer(incoming);
    const operation = String(incoming.headers["x-amz-target"]).split(".")[1] ?? "";
    const headers = { "content-type": "application/x-amz-json-1.1" };
    try {
        const fields = operation === "" ? {} : (JSON.parse(body.toString() || "{}") as Fields);
        const answered = await api({ accessKeyId, region }, `${service}:${operation}`, fields);
        if (answered === undefined) await handOn(incoming, response, { port, body });
        else response.writeHead(200, headers).end(JSON.stringify(answered));
    } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        response.writeHead(400, { ...headers, "x-amzn-errortype": error.code });
        response.end(JSON.stringify({ __type: error.code, message: error.message }));
    }
}

async function answerForS3(
    { account: { iam, location }, port, s3 }: Setting,
    accessKeyId: string,
    incoming: IncomingMessage,
    response: ServerResponse,
): Promise<void> {
    // docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    const refuse = (reason: string) => {
        incoming.resume();
        response.writeHead(403, { "content-type": "application/xml", connection: "close" });
        response.end(`<Error><Code>AccessDenied</Code><Message>${reason}</Message></Error>`);
    };
    const asked = await s3Calls(s3, location, incoming);
    const [call] = asked;
    if (call === undefined) {
        refuse(`The lab does not know ${incoming.method ?? ""} ${incoming.url ?? ""}`);
        return;
    }
    const refusal = await iam.refusal(accessKeyId, ...asked);
    if (refusal !== undefined) {
        refuse(refusal);
        return;
    }
    await handOn(incoming, response, {
        port,
        // S3 reports what is not there only to those who may list: docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        instead: async (status) => {
            if (status !== 404 || !/^s3:GetObject(Version)?$/.test(call.action)) return false;
            const resource = call.resource.split("/")[0] ?? "";
            if (await iam.allows(accessKeyId, { action: "s3:ListBucket", resource })) return false;
            refuse("Access Denied");
            return true;
        },
    });
}
