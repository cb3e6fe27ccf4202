/** The command blocks of the documentation, and how each one is exercised. */

/** How a block of commands is known to work; or why nothing here can show it. */
export type Exercise =
    /** Run in the lab: with the real AWS CLI, against the emulated API, the interpreter and the Docker daemon. */
    | "lab"
    /** Run with a `pulumi` that notes what it is called with; the program takes the configuration that comes out. */
    | "configuration"
    /** Run by `.ci/run`, line for line. */
    | "ci"
    /** Run by a test of its own, in this file and with this title. */
    | { readonly test: string; readonly title: string }
    | { readonly notHere: string };

const needsPulumi = { notHere: "Needs a deployed stack. Its commands and options are held to the Pulumi CLI." };
const needsIncident = { notHere: "Names what an incident names: an execution, a build, a queue." };
const needsGitHub = { notHere: "Needs a repository on GitHub." };
const needsBucket = { notHere: "Needs a bucket that was made by hand, and what was made with it." };
const startsInLab = {
    test: "tests/lab/cli.lab.test.ts",
    title: "starts an export, shows how far it is, and reports the archive",
};

const namesImages = { test: "tests/cli/sets.test.ts", title: "takes what Docker Compose and manifests name" };
const findsReferrers = {
    test: "tests/exporter/readers/referrers.readers.deep.test.ts",
    title: "are found and verified by other programs, or there is a sentence why not",
};
const signsInLab = { test: "tests/lab/signing.lab.test.ts", title: "signs the record, which verifies with OpenSSL" };

const mergesHere = { test: "tests/cli/merge.test.ts", title: "makes the whole archive of a base and a delta" };
const looksForBase = {
    test: "tests/exporter/readers/deltas.readers.deep.test.ts",
    title: "have bases that are looked for as the page of the receiver says",
};

/** By page, in the page's order: how each block of language `sh` begins, and how it is exercised. */
export const documentedCommands: Readonly<Record<string, readonly (readonly [begins: string, Exercise])[]>> = {
    "README.md": [
        ["npm ci\nnpm run lab", "ci"],
        ["npm ci\npulumi stack init dev", "configuration"],
        ["pulumi config set --stack dev --path 'repositoryArns[0]'", "configuration"],
        ["npx image-export start --stack dev", startsInLab],
        ["AWS_REGION=$(pulumi config get aws:region", "lab"],
        ['while [ "$(aws stepfunctions describe-execution', "lab"],
        ["aws stepfunctions describe-execution", "lab"],
    ],
    "CONTRIBUTING.md": [["npm ci", "ci"]],
    "docs/adopt.md": [
        ["bucket=my-image-archives", needsBucket],
        ["pulumi preview --diff", needsPulumi],
        ["pulumi up --stack prod", needsBucket],
        ["aws stepfunctions list-executions", needsBucket],
        ["urn=$(pulumi stack --show-urns", needsPulumi],
        ["pulumi state unprotect --all", needsPulumi],
    ],
    "docs/cli.md": [
        ["npx image-export start --stack dev", startsInLab],
        ["npx image-export start --json", startsInLab],
    ],
    "docs/deployments.md": [
        ["cd bootstrap", needsPulumi],
        ["cd ..", needsPulumi],
        ["pulumi deployment settings edit", needsPulumi],
        ["gh variable set DEPLOY", needsGitHub],
        ["gh variable set PROD_ROLE", needsGitHub],
        ["gh api", needsGitHub],
    ],
    "docs/engines.md": [
        ["mkdir image", findsReferrers],
        ['aws s3 cp "s3://$bucket/images/nginx/mainline-alpine3.22.tar.json" -', "lab"],
        ["pulumi config set signing kms", signsInLab],
        ["openssl dgst -sha256 -verify public.pem", signsInLab],
        ["npx image-export run", "lab"],
    ],
    "docs/faq.md": [["#!/bin/bash", "lab"]],
    "docs/lab.md": [["npm ci && npm run lab", "ci"]],
    "docs/network.md": [
        ["pulumi config set network isolated --stack dev", "configuration"],
        ["aws logs tail", "lab"],
        ["repository=arn:aws:ecr:", "lab"],
        ["aws ecr set-repository-policy", "lab"],
        [
            "aws ecr get-registry-policy",
            { notHere: "Needs a registry of another account; moto has no registry policies." },
        ],
        ["aws secretsmanager create-secret", "lab"],
    ],
    "docs/operations.md": [
        ["arn=$(pulumi stack output stateMachineArn", needsIncident],
        ["aws ecr describe-images", needsIncident],
        ["aws s3 ls --recursive", needsIncident],
        ["aws cloudtrail lookup-events", needsIncident],
        ["aws codebuild list-builds-for-project", needsIncident],
        ["aws stepfunctions list-state-machines", needsIncident],
        ["aws sqs receive-message", needsIncident],
        ["aws sns list-subscriptions-by-topic", needsIncident],
        ["aws logs tail", "lab"],
        ["aws stepfunctions stop-execution", "lab"],
        ["bucket=$(pulumi stack output artifactBucketName", "lab"],
        ["pulumi state unprotect --all", needsPulumi],
    ],
    "docs/outputs.md": [
        ["pulumi stack output startExportPolicy", "lab"],
        ["cd examples/consumer", needsPulumi],
    ],
    "docs/receiver.md": [
        ["jq --compact-output", looksForBase],
        ["jq --raw-output", looksForBase],
        ["npx image-export merge", mergesHere],
    ],
    "docs/requests.md": [
        ["docker compose config --images", namesImages],
        ["registry=111122223333.dkr.ecr.ap-northeast-1.amazonaws.com", "lab"],
        ["aws s3 cp images.csv", "lab"],
    ],
    "docs/security.md": [
        ["pulumi config set encryption arn:aws:kms:", "configuration"],
        ["aws kms cancel-key-deletion", "lab"],
    ],
    "docs/versions.md": [["git fetch --tags", { notHere: "Needs a release." }]],
};
