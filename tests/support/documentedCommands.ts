/** The command blocks of the documentation, and how each one is exercised. */

/** How a block of commands is known to work; or why nothing here can show it. */
export type Exercise =
    /** Run in the lab: with the real AWS CLI, against the emulated API, the interpreter and the Docker daemon. */
    | "lab"
    /** Run with a `pulumi` that notes what it is called with; the program takes the configuration that comes out. */
    | "configuration"
    /** Run as it is. */
    | "run"
    /** Run by `.ci/run`, line for line. */
    | "ci"
    /** Run by a test of its own, in this file and with this title. */
    | { readonly test: string; readonly title: string }
    | { readonly notHere: string };

const needsPulumi = "Needs the Pulumi CLI and a deployed stack, which this repository has not.";

/** By page, in the page's order: the first line of each block of language `sh`, and how it is exercised. */
export const documentedCommands: Readonly<Record<string, readonly (readonly [begins: string, Exercise])[]>> =
    {
        "README.md": [
            ["npm ci", "ci"],
            ["npm ci", "configuration"],
            [
                "pulumi config set --stack dev --path 'repositoryArns[0]' arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api",
                "configuration",
            ],
            [
                "npx image-export start --stack dev",
                {
                    test: "tests/lab/cli.lab.test.ts",
                    title: "starts an export, shows how far it is, and reports the archive",
                },
            ],
            ["AWS_REGION=$(pulumi config get aws:region --stack dev)", "lab"],
            ["bucket=$(pulumi stack output artifactBucketName --stack dev)", "lab"],
            [
                'while [ "$(aws stepfunctions describe-execution --execution-arn "$execution" --query status --output text)" = RUNNING ]; do',
                "lab",
            ],
            [
                'aws stepfunctions describe-execution --execution-arn "$execution" --query output --output text > result.json',
                "lab",
            ],
            ["pulumi stack output startExportPolicy --stack dev > start-export.json", "lab"],
            [
                'aws logs tail "$(pulumi stack output logGroupNames --json --stack dev | jq -r .builds)" --follow',
                "lab",
            ],
            ['aws stepfunctions stop-execution --execution-arn "$execution"', "lab"],
            ["npm run cost -- --exports 200 --mb 1200 --region us-east-1 --archive-days 14", "run"],
            ["bucket=$(pulumi stack output artifactBucketName --stack prod)", "lab"],
            ["pulumi state unprotect --all --stack prod", { notHere: needsPulumi }],
        ],
        "docs/requests.md": [
            ['aws s3 cp "s3://$bucket/images/nginx/mainline-alpine3.22.tar.json" -', "lab"],
            ["registry=111122223333.dkr.ecr.ap-northeast-1.amazonaws.com", "lab"],
            [
                'aws s3 cp images.csv "s3://$(pulumi stack output artifactBucketName --stack dev)/batches/images.csv"',
                "lab",
            ],
        ],
        "docs/engines.md": [["npm run bundle", "lab"]],
        "docs/images.md": [
            ["repository=arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base", "lab"],
            [
                "aws ecr set-repository-policy --region ap-northeast-1 --repository-name platform/base --policy-text file://policy.json",
                "lab",
            ],
            [
                "aws secretsmanager create-secret --region ap-northeast-1 --name ecr-pullthroughcache/docker-hub \\",
                "lab",
            ],
        ],
        "docs/network.md": [
            ["pulumi config set network isolated --stack dev", "configuration"],
            [
                'aws logs tail "$(pulumi stack output logGroupNames --json --stack dev | jq -r .flows)" --filter-pattern REJECT',
                "lab",
            ],
            [
                "(cd examples/vpc && pulumi stack init builds && pulumi config set aws:region ap-northeast-1 && pulumi up)",
                "configuration",
            ],
        ],
        "docs/encryption.md": [
            [
                "pulumi config set encryption arn:aws:kms:ap-northeast-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab --stack prod",
                "configuration",
            ],
            [
                'aws kms cancel-key-deletion --key-id "$key" && aws kms enable-key --key-id "$key"   # $key: encryptionKeyArn of before',
                "lab",
            ],
        ],
        "docs/cost.md": [
            ["npm run cost -- --exports 200 --mb 1200 --region us-east-1 --archive-days 14", "run"],
            ["aws ce update-cost-allocation-tags-status --cost-allocation-tags-status \\", "lab"],
            [
                "aws ce get-cost-and-usage --time-period Start=2026-01-01,End=2026-02-01 --granularity MONTHLY \\",
                "lab",
            ],
        ],
        "docs/lab.md": [["npm ci && npm run lab", "ci"]],
        "docs/security.md": [
            ["npm ci", { notHere: `${needsPulumi} tests/policy/index.test.ts plays the CLI's part.` }],
        ],
        "docs/faq.md": [["#!/bin/bash", "lab"]],
    };
