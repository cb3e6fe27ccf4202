import { strict as assert } from "node:assert";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { handOn, listen } from "../../lab/http";
import { type Lab, uriOf } from "../../lab/lab";
import { type Listening, run } from "../../lab/processes";
import { root } from "../../lab/stackFiles";
import { documentedCommands } from "../support/documentedCommands";
import { readPage } from "../support/markdown";
import { exportImage, sharedLab } from "./support/sharedLab";

const everything = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };

/** What a page's commands take for granted, and what has to be so after them. In bash. */
interface Surroundings {
    readonly before?: string;
    readonly after?: string;
}

const surroundings: Record<string, Surroundings> = {
    "README.md": { after: 'docker image inspect "$IMAGE"' },
    "docs/engines.md": {
        // The exporter runs with credentials that the declared policies know.
        before: 'npx() { AWS_ENDPOINT_URL="$JUDGING_ENDPOINT" AWS_ACCESS_KEY_ID="$BUILDER_KEY_ID" command npx "$@"; }',
        after: "tar -tf nginx.tar | grep -x index.json >/dev/null",
    },
    "docs/faq.md": {},
    "docs/network.md": {
        before: [
            "aws logs create-log-group --log-group-name flows",
            "aws ecr create-repository --region ap-northeast-1 --repository-name platform/base",
        ].join("\n"),
        after: "aws ecr get-repository-policy --region ap-northeast-1 --repository-name platform/base | grep LetImageExportPull >/dev/null",
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
      tr '\\t' '\\n' <<< "$names" | grep -xF -- "$3" >/dev/null || { echo "no log group $3 among $names" >&2; return 1; } ;;
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
    let server: Listening;
    let environment: Record<string, string>;

    before(async () => {
        lab = await sharedLab("docker");
        server = await serveAws(lab);
        const bin = join(lab.folder, "documented");
        mkdirSync(bin);
        writeFileSync(join(bin, "pulumi"), pulumi, { mode: 0o755 });
        const logGroupNames = { ...(lab.stack.outputs["logGroupNames"] as object), flows: "flows" };
        writeFileSync(join(bin, "outputs.json"), JSON.stringify({ ...lab.stack.outputs, logGroupNames }));
        writeFileSync(join(bin, "configuration.json"), JSON.stringify({ "aws:region": "ap-northeast-1" }));
        const builder = lab.iam.roles.get(String(lab.stack.outputs["buildRoleArn"]).split("/").at(-1) ?? "");
        assert(builder);
        environment = {
            ...lab.buildEnvironment,
            PATH: `${bin}:${process.env["PATH"] ?? ""}`,
            PULUMI_STUB: bin,
            AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}`,
            JUDGING_ENDPOINT: lab.endpoint,
            BUILDER_KEY_ID: lab.iam.openSession(builder).accessKeyId,
            AWS_REGION: "ap-northeast-1",
            AWS_DEFAULT_REGION: "ap-northeast-1",
            AWS_ACCESS_KEY_ID: lab.iam.holder("owner", [everything]).accessKeyId,
            AWS_SECRET_ACCESS_KEY: "lab",
            IMAGE: lab.image.uri,
        };
        await lab.push(lab.image.repository.name, "1.29");
        for (const input of [{}, { imageUri: uriOf(lab, "1.29") }]) await exportImage(lab, input);
    });

    after(async () => {
        await server.stop();
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

/** The AWS API as the owner of the account sees it: Step Functions is the lab's, all else is the emulator, which judges nobody. */
async function serveAws(lab: Lab): Promise<Listening> {
    const emulator = await lab.s3.config.endpoint?.();
    const server = createServer((incoming, outgoing) => {
        const target = String(incoming.headers["x-amz-target"]);
        const port = target.startsWith("AWSStepFunctions") ? new URL(lab.endpoint).port : emulator?.port;
        void handOn(incoming, outgoing, { port: Number(port) });
    });
    return listen(server);
}
