import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";

import { type Lab, startLab } from "../../lab/lab";
import { prepareMachine } from "../../lab/prerequisites";
import { run } from "../../lab/processes";
import { root } from "../../lab/stackFiles";
import type { ExecutionResult } from "../../lab/executions";
import { documentedCommands } from "../support/documentedCommands";
import { readPage } from "../support/markdown";

/** What a page's commands take for granted, and what has to be so after them. In bash. */
interface Surroundings {
    readonly before?: string;
    readonly after?: string;
}

const surroundings: Record<string, Surroundings> = {
    "README.md": { after: 'docker image inspect "$IMAGE"' },
    "docs/engines.md": {
        before: [
            'export AWS_ENDPOINT_URL="$OWNER_ENDPOINT"',
            // The exporter runs with credentials that the declared policies know.
            'node() { AWS_ENDPOINT_URL="$JUDGING_ENDPOINT" AWS_ACCESS_KEY_ID=somebody command node "$@"; }',
        ].join("\n"),
        after: "tar -tf nginx.tar | grep -qx index.json",
    },
    "docs/faq.md": {},
    "docs/network.md": {
        before: [
            "aws logs create-log-group --log-group-name flows",
            "aws ecr create-repository --region ap-northeast-1 --repository-name platform/base",
        ].join("\n"),
        after: "aws ecr get-repository-policy --region ap-northeast-1 --repository-name platform/base | grep -q LetImageExportPull",
    },
    "docs/outputs.md": {
        before: `aws iam create-role --role-name ci --assume-role-policy-document '{"Version": "2012-10-17", "Statement": []}'`,
        after: "aws iam get-role-policy --role-name ci --policy-name start-image-export",
    },
    "docs/requests.md": {
        before: 'printf "imageUri\\n%s\\n" "$IMAGE" > images.csv',
        after: 'aws s3api head-object --bucket "$bucket" --key batches/images.csv',
    },
    "docs/security.md": {
        // The emulator takes no ARN here, which KMS does.
        before: 'key=$(aws kms create-key --query KeyMetadata.KeyId --output text); aws kms schedule-key-deletion --key-id "$key"',
        after: 'test "$(aws kms describe-key --key-id "$key" --query KeyMetadata.KeyState --output text)" = Enabled',
    },
    // The last one, since it empties the bucket.
    "docs/operations.md": {
        before: `execution=$(aws stepfunctions start-execution --state-machine-arn "$(pulumi stack output stateMachineArn --stack dev)" --input '{}' --query executionArn --output text)`,
        after: 'test "$(aws s3api list-object-versions --bucket "$bucket" --query "length(Versions || \\`[]\\`)")" = 0',
    },
};

/**
 * `aws`, of the first line, which is the one that can be installed everywhere. `logs tail` is of the second line only: here the
 * log group has to exist.
 */
const awsCommand = `aws() {
  case "$1 $2" in
    "logs tail")
      [[ "\${*:4}" =~ ^(--follow|--filter-pattern [A-Z]+)$ ]] || { echo "unknown options: aws $*" >&2; return 2; }
      local names; names=$(command aws logs describe-log-groups --query 'logGroups[].logGroupName' --output text)
      tr '\\t' '\\n' <<< "$names" | grep -qxF -- "$3" || { echo "no log group $3 among $names" >&2; return 1; } ;;
    *) command aws "$@" ;;
  esac
}`;

/** `pulumi`, as far as it reads: `config get KEY` and `stack output NAME [--json]`, with a stack. */
const pulumi = `#!/bin/bash
set -euo pipefail
[[ "\${*: -2:1}" == --stack || "$*" == *" --stack "* ]] || { echo "no stack is named: pulumi $*" >&2; exit 1; }
case "$1 $2" in
  "config get") jq -er --arg key "$3" '.[$key]' "$PULUMI_STUB/configuration.json" ;;
  "stack output")
    raw=-r; [[ "$*" != *" --json"* ]] || raw=
    jq -e $raw --arg name "$3" '.[$name]' "$PULUMI_STUB/outputs.json" ;;
  *) echo "not known here: pulumi $*" >&2; exit 1 ;;
esac
`;

describe("lab: the commands of the documentation", () => {
    let lab: Lab;
    let server: Server;
    let environment: Record<string, string>;

    before(async () => {
        const repository = "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base";
        lab = await startLab({
            tell: () => undefined,
            configuration: { "ecr-image-export:crossAccountRepositoryArns": JSON.stringify([repository]) },
        });
        server = await serveAws(lab);
        const { aws } = await prepareMachine(() => undefined);
        const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        const bin = join(lab.folder, "documented");
        mkdirSync(bin);
        writeFileSync(join(bin, "pulumi"), pulumi, { mode: 0o755 });
        const logGroupNames = { ...(lab.stack.outputs["logGroupNames"] as object), flows: "flows" };
        writeFileSync(join(bin, "outputs.json"), JSON.stringify({ ...lab.stack.outputs, logGroupNames }));
        writeFileSync(join(bin, "configuration.json"), JSON.stringify({ "aws:region": "ap-northeast-1" }));
        environment = {
            ...lab.buildEnvironment,
            PATH: `${bin}:${dirname(aws)}:${process.env["PATH"] ?? ""}`,
            PULUMI_STUB: bin,
            AWS_ENDPOINT_URL: endpoint,
            OWNER_ENDPOINT: endpoint,
            JUDGING_ENDPOINT: lab.endpoint,
            AWS_REGION: "ap-northeast-1",
            AWS_DEFAULT_REGION: "ap-northeast-1",
            AWS_ACCESS_KEY_ID: "owner",
            AWS_SECRET_ACCESS_KEY: "owner",
            IMAGE: lab.image.uri,
        };
        const role = lab.iam.roles.get(String(lab.stack.outputs["buildRoleArn"]).split("/").at(-1) ?? "");
        assert(role);
        lab.iam.addSession("somebody", role, `${role.arn}/somebody`);
        await lab.push(lab.image.repository.name, "1.29");
        for (const input of [{}, { imageUri: lab.image.uri.replace(/:[^:]*$/, ":1.29") }]) {
            assert.equal((await lab.execute(input)).status, "SUCCEEDED");
        }
    });

    after(async () => {
        server.close();
        server.closeAllConnections();
        await lab.stop();
        for (const file of ["nginx.tar", "nginx.tar.json"]) rmSync(join(root, file), { force: true });
    });

    it("are all run", () => {
        const pages = Object.entries(documentedCommands).filter(([, entries]) =>
            entries.some(([, exercise]) => exercise === "lab"),
        );
        assert.deepEqual(Object.keys(surroundings).sort(), pages.map(([page]) => page).sort());
    });

    for (const [page, { before: given = "", after: expected = "" }] of Object.entries(surroundings)) {
        it(`work as they are written, one after another: ${page}`, async () => {
            const entries = documentedCommands[page] ?? [];
            const { blocks } = await readPage(page);
            const commands = blocks
                .filter(({ language }) => language === "sh")
                .filter((_, at) => entries[at]?.[1] === "lab")
                .map(({ code }) => code);
            assert(commands.length > 0);
            const bucket = String(lab.stack.outputs["artifactBucketName"]);
            const script = [
                "set -euo pipefail",
                "sleep() { command sleep 0.2; }",
                awsCommand,
                `bucket=${bucket}`,
                given,
                ...commands.map((code) => code.replaceAll("s3://BUCKET/", `s3://${bucket}/`)),
                expected,
            ].join("\n");
            const folder = page === "docs/engines.md" ? root : join(lab.folder, "documented");
            await run("bash", ["-c", `cd ${folder}\n${script}`], { env: environment });
        });
    }
});

/** The AWS API as the owner of the account sees it: Step Functions is the lab's interpreter, all else is the emulator. */
async function serveAws(lab: Lab): Promise<Server> {
    const emulator = await lab.s3.config.endpoint?.();
    const executions = new Map<string, { readonly stop: () => void; ended?: ExecutionResult }>();
    const operations: Record<string, (input: Record<string, string>) => object> = {
        StartExecution: ({ stateMachineArn = "", input = "" }) => {
            const executionArn = `${stateMachineArn.replace(":stateMachine:", ":execution:")}:${randomUUID()}`;
            const controller = new AbortController();
            const execution: { stop: () => void; ended?: ExecutionResult } = {
                stop: () => {
                    controller.abort();
                },
            };
            const isBatch = stateMachineArn === lab.stack.outputs["batchStateMachineArn"];
            assert(isBatch || stateMachineArn === lab.stack.outputs["stateMachineArn"], stateMachineArn);
            const request = JSON.parse(input) as unknown;
            const running = isBatch ? lab.executeBatch(request) : lab.execute(request, {}, controller.signal);
            void running.then((ended) => (execution.ended = ended));
            executions.set(executionArn, execution);
            return { executionArn, startDate: Date.now() / 1000 };
        },
        DescribeExecution: ({ executionArn = "" }) => {
            const execution = executions.get(executionArn);
            assert(execution, executionArn);
            const { status = "RUNNING", ...rest } = execution.ended ?? {};
            const output = "output" in rest ? { output: JSON.stringify(rest.output) } : rest;
            return { executionArn, status, startDate: Date.now() / 1000, ...output };
        },
        StopExecution: ({ executionArn = "" }) => {
            executions.get(executionArn)?.stop();
            return { stopDate: Date.now() / 1000 };
        },
    };
    const server = createServer((incoming, outgoing) => {
        const [service, operation = ""] = String(incoming.headers["x-amz-target"]).split(".");
        if (service === "AWSStepFunctions") {
            void text(incoming).then((body) => {
                const answer = operations[operation]?.(JSON.parse(body) as Record<string, string>);
                outgoing.writeHead(answer ? 200 : 400, { "content-type": "application/x-amz-json-1.0" });
                outgoing.end(JSON.stringify(answer ?? { __type: "UnknownOperationException" }));
            });
            return;
        }
        const { method, headers, url: path } = incoming;
        const to = { host: emulator?.hostname, port: emulator?.port, method, headers, path };
        incoming.pipe(
            request(to, (response) => {
                outgoing.writeHead(response.statusCode ?? 500, response.headers);
                response.pipe(outgoing);
            }),
        );
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return server;
}
