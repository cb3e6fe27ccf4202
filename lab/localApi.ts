/**
 * The emulator as Pulumi's AWS provider needs it: moto, and before it the calls that the provider makes of every stack and
 * that moto does not offer. Nobody is judged here, and nothing is run.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";

import validate from "asl-validator";

import { passOn } from "./awsGateway";

type Answer = (fields: Record<string, string>) => object;

/**
 * What moto 5.2 does not offer, by the header that names the call. The provider reads the versions of each state machine and
 * has a definition checked before it makes one of it: github.com/hashicorp/terraform-provider-aws,
 * internal/service/sfn/state_machine.go
 */
export const missingCalls: Readonly<Record<string, Answer>> = {
    "AWSStepFunctions.ListStateMachineVersions": () => ({ stateMachineVersions: [] }),
    "AWSStepFunctions.ValidateStateMachineDefinition": ({ definition = "" }) => checked(definition),
};

/** Starts it on 127.0.0.1, before an emulator that listens on another port. */
export async function startLocalApi(port: number, emulatorPort: number): Promise<Server> {
    const server = createServer((incoming, response) => {
        answer(emulatorPort, incoming, response).catch((error: unknown) => {
            response.writeHead(500).end(String(error));
        });
    });
    await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", resolve);
    });
    return server;
}

async function answer(
    emulatorPort: number,
    incoming: IncomingMessage,
    response: ServerResponse,
): Promise<void> {
    const missing = missingCalls[[incoming.headers["x-amz-target"]].flat()[0] ?? ""];
    if (missing === undefined) {
        await passOn(emulatorPort, incoming, undefined, response);
        return;
    }
    const fields = JSON.parse((await buffer(incoming)).toString()) as Record<string, string>;
    response.writeHead(200, { "content-type": "application/x-amz-json-1.0" });
    response.end(JSON.stringify(missing(fields)));
}

/** What Step Functions says to a definition: docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html */
function checked(definition: string): object {
    const validation = validate(JSON.parse(definition) as object);
    if (validation.isValid) return { result: "OK", diagnostics: [], truncated: false };
    const message = validation.errorsText();
    const diagnostics = [{ severity: "ERROR", code: "SCHEMA_VALIDATION_FAILED", message }];
    return { result: "FAIL", diagnostics, truncated: false };
}
