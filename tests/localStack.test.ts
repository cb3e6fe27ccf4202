/** Pulumi.local.yaml: a stack like the others, whose provider talks to this machine alone. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import * as aws from "@pulumi/aws";
import { parse } from "yaml";

import { grants } from "../bootstrap/grants";
import { missingCalls, startLocalApi } from "../lab/localApi";
import { freePort } from "../lab/processes";
import { root, stackConfiguration } from "../lab/stackFiles";
import { variants } from "../proof/program";
import { itKeepsTheHouseRules } from "./support/houseRules";
import { evaluateStack } from "./support/program";
import type { Evaluation } from "./support/pulumiMocks";
import { tagsOfStack } from "./support/stackTags";

const { config } = parse(readFileSync(join(root, "Pulumi.local.yaml"), "utf8")) as {
    config: Record<string, unknown>;
};
const [endpoints, ...more] = config["aws:endpoints"] as [Record<string, string>, ...unknown[]];

/** The provider's name for a service, where it is not the one that IAM has; S3 is called in two ways. */
const providerNames: Record<string, string[]> = { states: ["sfn"], s3: ["s3", "s3control"] };

/** The services that resources of these types are made by. */
function servicesOf(types: Iterable<string>): string[] {
    const prefixes = [...types]
        .flatMap((type) => grants[type] ?? assert.fail(type))
        .flatMap(({ actions }) => actions.map((action) => action.split(":")[0] ?? ""));
    return [...new Set(prefixes.flatMap((prefix) => providerNames[prefix] ?? [prefix]))];
}

describe("Pulumi.local.yaml", () => {
    let local: Evaluation;
    before(async () => {
        local = await evaluateStack("local", false);
    });

    itKeepsTheHouseRules(() => local, tagsOfStack("local"));

    it("declares what dev declares with engine stream", async () => {
        const changes = { "ecr-image-export:engine": "stream" };
        const dev = await evaluateStack("dev", false, changes);
        assert.deepEqual(local.typesAndNames(), dev.typesAndNames());
        const previewed = await evaluateStack("local", true);
        assert.deepEqual(previewed.typesAndNames(), local.typesAndNames());
    });

    it("has an endpoint on this machine for every service that a stack can call", async () => {
        const types = new Set<string>();
        for (const { stack, changes } of variants) {
            for (const { type } of (await evaluateStack(stack, false, changes)).customResources())
                types.add(type);
        }
        // Beside the resources the program asks who it is, and, with an isolated network, which zones there are.
        const called = new Set([...servicesOf(types), "sts", "ec2"]);
        for (const service of called) assert(service in endpoints, `aws:endpoints has no ${service}`);
        assert.deepEqual(new Set(Object.values(endpoints)), new Set(["http://127.0.0.1:5000"]));
        assert.deepEqual(more, []);
    });

    it("names endpoints and settings as the provider does", () => {
        const types = readFileSync(join(root, "node_modules/@pulumi/aws/types/output.d.ts"), "utf8");
        const [, text = ""] = /interface Endpoints \{\n([\s\S]*?)\n {4}\}/.exec(types) ?? [];
        const known = [...text.matchAll(/^ {8}(\w+)\?:/gm)].map(([, name]) => name);
        assert(known.length > 200);
        for (const service of Object.keys(endpoints)) assert(known.includes(service), service);
        const settings = Object.keys(config).filter((key) => key.startsWith("aws:"));
        for (const setting of settings) assert(setting.slice(4) in aws.config, setting);
    });

    it("asks nobody for credentials, and knows its account", () => {
        assert.equal(config["aws:skipCredentialsValidation"], true);
        assert.equal(config["aws:skipMetadataApiCheck"], true);
        assert.equal(config["aws:s3UsePathStyle"], true);
        assert.equal(config["aws:skipRequestingAccountId"], false);
        assert.deepEqual([config["aws:accessKey"], config["aws:secretKey"]], ["local", "local"]);
    });

    it("makes a project with a source, and can be destroyed with what is in the bucket", () => {
        const { type } = local.resource("image-export-project").inputs["source"] as { type: string };
        assert.equal(type, "S3");
        const { inputs, protect } = local.resource("image-export-bucket");
        assert.deepEqual([inputs["forceDestroy"], protect], [true, false]);
    });

    it("is of the account that npm run local starts", () => {
        const text = readFileSync(join(root, "lab/local.ts"), "utf8");
        const [, accountId = ""] = /accountId = "([0-9]{12})"/.exec(text) ?? [];
        assert(stackConfiguration("local")["ecr-image-export:imageUri"]?.startsWith(`${accountId}.dkr.ecr.`));
        assert.match(text, /port = 5000;/);
    });
});

describe("the local API", () => {
    /** Stands for moto: it says what it was asked. */
    const emulator = createServer((incoming, response) => {
        response
            .writeHead(201, { "x-from": "emulator" })
            .end(`${incoming.method ?? ""} ${incoming.url ?? ""}`);
    });
    let url: string;
    let stop: () => void;

    before(async () => {
        emulator.listen(0, "127.0.0.1");
        await once(emulator, "listening");
        const port = await freePort();
        const server = await startLocalApi(port, (emulator.address() as AddressInfo).port);
        url = `http://127.0.0.1:${port}`;
        stop = () => {
            server.close();
            server.closeAllConnections();
        };
    });

    after(() => {
        stop();
        emulator.close();
    });

    async function call(operation: string, fields: object): Promise<unknown> {
        const headers = { "x-amz-target": `AWSStepFunctions.${operation}` };
        const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(fields) });
        assert.equal(response.headers.get("content-type"), "application/x-amz-json-1.0");
        return response.json();
    }

    it("answers what moto does not offer, and that alone", async () => {
        assert.deepEqual(
            Object.keys(missingCalls).map((target) => target.split(".")[1]),
            ["ListStateMachineVersions", "ValidateStateMachineDefinition"],
        );
        assert.deepEqual(await call("ListStateMachineVersions", { stateMachineArn: "arn" }), {
            stateMachineVersions: [],
        });
    });

    it("checks the definitions of the program, and finds a wrong one", async () => {
        const local = await evaluateStack("local", false);
        const machines = local.customResources().filter(({ type }) => type.endsWith(":StateMachine"));
        assert.equal(machines.length, 2);
        for (const { inputs } of machines) {
            assert.deepEqual(
                await call("ValidateStateMachineDefinition", { definition: inputs["definition"] }),
                {
                    result: "OK",
                    diagnostics: [],
                    truncated: false,
                },
            );
        }
        const definition = JSON.stringify({ StartAt: "Nowhere", States: { A: { Type: "Succeed" } } });
        const wrong = (await call("ValidateStateMachineDefinition", { definition })) as {
            result: string;
            diagnostics: { message: string }[];
        };
        assert.equal(wrong.result, "FAIL");
        assert.notEqual(wrong.diagnostics[0]?.message, "");
    });

    it("has moto answer everything else", async () => {
        const response = await fetch(`${url}/bucket/key?versioning`, { method: "PUT", body: "text" });
        assert.deepEqual(
            [response.status, response.headers.get("x-from"), await response.text()],
            [201, "emulator", "PUT /bucket/key?versioning"],
        );
    });
});
