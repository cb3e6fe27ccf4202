import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { judge } from "../../lab/iam";
import { root } from "../../lab/stackFiles";
import { disagreement, type Evaluated } from "../../proof/evaluation";
import { reportPage } from "../../proof/report";
import { callOf, type Row, rowKinds } from "../../proof/rows";
import { statementProofs } from "../../proof/statements";
import { networkId, physicalNameOf } from "../../lab/awsTypes";
import { proven } from "../support/proven";

describe("least privilege", function () {
    this.timeout(0); // tens of thousands of requests: how long that takes is the machine's affair

    let evaluated: readonly Evaluated[];
    let problems: readonly string[];
    before(async () => {
        ({ evaluated, problems } = await proven());
    });

    it("is proven of every statement of the program, in every configuration", () => {
        assert.deepEqual(problems, []);
    });

    it("is judged as the simulator judges", async () => {
        for (const { program, rows } of evaluated) {
            for (const row of rows.filter((_, index) => index % 40 === 0)) {
                assert.equal((await judge(callOf(row, program.policies))).verdict, row.expected);
            }
        }
    });

    it("is judged by several hundred requests for each holder of permissions", () => {
        for (const { program, rows } of evaluated) {
            const names = program.policies.flatMap(({ holder }) =>
                holder.kind === "identity" ? [holder.name] : [],
            );
            assert(names.length >= 4);
            for (const name of names) {
                const own = rows.filter(({ actor }) => actor.name === name);
                assert(own.length > 150, `${own.length} requests of ${name}`);
                assert(own.filter(({ expected }) => expected === "Allowed").length >= 1, name);
            }
        }
    });

    it("is judged by requests of every kind", () => {
        const kinds = new Set(evaluated.flatMap(({ rows }) => rows.map(({ kind }) => kind)));
        assert.deepEqual([...kinds].sort(), [...rowKinds].sort());
    });

    it("is told in docs/least-privilege.md as it is now", () => {
        const page = readFileSync(join(root, "docs", "least-privilege.md"), "utf8");
        assert.equal(page, reportPage(evaluated), "stale: run npm run prove");
    });

    it("has a page of AWS, by HTTPS, for what the lab cannot show", () => {
        for (const [builder, { actions }] of Object.entries(statementProofs)) {
            for (const [action, { proof, why }] of Object.entries(actions)) {
                assert.notEqual(why, "", `${builder}: ${action}`);
                if (proof === "lab") continue;
                assert.match(proof.page, /^https:\/\/docs\.aws\.amazon\.com\/.+\.html$/);
                assert.notEqual(proof.because, "", `${builder}: ${action}`);
            }
        }
    });

    /** The requests that a reviewer would think of first. They are generated; here it is seen that they are there. */
    describe("has among its requests", () => {
        const bucket = "arn:aws:s3:::image-export-bucket-0a1b2c3";
        const own = "arn:aws:ecr:ap-northeast-1:111122223333:repository/nginx";
        const foreign = "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base";
        const build = "role image-export-build-role";
        const machine = "role image-export-machine-role";
        const buildRole = "arn:aws:iam::111122223333:role/image-export-build-role-0a1b2c3";
        const rule = "arn:aws:events:ap-northeast-1:111122223333:rule/";
        const project = "arn:aws:codebuild:ap-northeast-1:111122223333:project/image-export-project-0a1b2c3";
        const ec2 = "arn:aws:ec2:ap-northeast-1:111122223333:";
        const subnet = `${ec2}subnet/${networkId("subnet", physicalNameOf("image-export-subnet-1"))}`;
        const networkInterface = `${ec2}network-interface/eni-0a1b2c3d`;
        const forCodeBuild = {
            "aws:SecureTransport": "true",
            "ec2:AuthorizedService": "codebuild.amazonaws.com",
            "ec2:Subnet": subnet,
        };
        const layers = "arn:aws:s3:::prod-ap-northeast-1-starport-layer-bucket/0a1b";
        const key = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        const foreignKey = "arn:aws:kms:ap-northeast-1:444455556666:key/mrk-1234abcd12ab34cd56ef1234567890ab";
        const somebody = "arn:aws:iam::111122223333:role/somebody";
        const logs = "logs.ap-northeast-1.amazonaws.com";
        const requests: [string, string, string, Row["expected"], Partial<Row>?][] = [
            [build, "ec2:CreateNetworkInterface", subnet, "Allowed"],
            [build, "ec2:CreateNetworkInterface", `${subnet}x`, "ImplicitlyDenied"],
            [build, "ec2:CreateNetworkInterface", networkInterface, "Allowed"],
            [
                build,
                "ec2:CreateNetworkInterfacePermission",
                networkInterface,
                "Allowed",
                { context: forCodeBuild },
            ],
            [
                build,
                "ec2:CreateNetworkInterfacePermission",
                networkInterface,
                "ImplicitlyDenied",
                { context: { ...forCodeBuild, "ec2:AuthorizedService": "other" } },
            ],
            [
                build,
                "ec2:CreateNetworkInterfacePermission",
                networkInterface,
                "ImplicitlyDenied",
                { context: { ...forCodeBuild, "ec2:Subnet": `${subnet}x` } },
            ],
            [build, "ec2:DeleteNetworkInterface", networkInterface, "ImplicitlyDenied"],
            [build, "ec2:ModifyNetworkInterfaceAttribute", networkInterface, "ImplicitlyDenied"],
            ["endpoint ecr.dkr", "ecr:BatchGetImage", own, "Allowed"],
            ["endpoint ecr.dkr", "ecr:BatchGetImage", `${own}x`, "ImplicitlyDenied"],
            ["endpoint ecr.dkr", "ecr:PutImage", own, "ImplicitlyDenied"],
            ["endpoint s3", "s3:GetObject", layers, "Allowed"],
            ["endpoint s3", "s3:PutObject", layers, "ImplicitlyDenied"],
            ["endpoint s3", "s3:PutObject", `${bucket}/images/nginx/1.29.tar`, "Allowed"],
            ["endpoint s3", "s3:PutObject", `${bucket}x/images/nginx/1.29.tar`, "ImplicitlyDenied"],
            ["endpoint s3", "s3:DeleteObject", `${bucket}/images/nginx/1.29.tar`, "ImplicitlyDenied"],
            ["endpoint sts", "sts:GetCallerIdentity", "*", "Allowed"],
            ["endpoint logs", "sts:GetCallerIdentity", "*", "ImplicitlyDenied"],
            ["endpoint sts", "sts:AssumeRole", buildRole, "ImplicitlyDenied"],
            [build, "ecr:BatchGetImage", own, "Allowed"],
            [build, "ecr:BatchGetImage", `${own}x`, "ImplicitlyDenied"],
            [build, "ecr:BatchGetImage", own.replace("ap-northeast-1", "other"), "ImplicitlyDenied"],
            [build, "ecr:BatchGetImage", own.replace("1111", "x1111"), "ImplicitlyDenied"],
            [build, "ecr:BatchDeleteImage", own, "ImplicitlyDenied"],
            [build, "ecr:PutImage", own, "ImplicitlyDenied"],
            [build, "ecr:SetRepositoryPolicy", own, "ImplicitlyDenied"],
            [build, "ecr:BatchGetImage", foreign, "Allowed"],
            [build, "ecr:BatchGetImage", foreign, "ImplicitlyDenied", { sides: "no identity policy" }],
            [build, "ecr:BatchGetImage", foreign, "ImplicitlyDenied", { sides: "no resource policy" }],
            [
                build,
                "ecr:BatchGetImage",
                `${foreign}x`,
                "ImplicitlyDenied",
                { sides: "open resource policy" },
            ],
            [build, "ecr:PutImage", foreign, "ImplicitlyDenied", { sides: "open identity policy" }],
            ["arn:aws:iam::111122223333:role/other", "ecr:BatchGetImage", foreign, "ImplicitlyDenied"],
            [build, "s3:PutObject", `${bucket}/images/nginx/1.29.tar`, "Allowed"],
            [build, "s3:PutObject", `${bucket}/imagesx/nginx/1.29.tar`, "ImplicitlyDenied"],
            [build, "s3:PutObject", `${bucket}/other/../images/nginx/1.29.tar`, "ImplicitlyDenied"],
            [build, "s3:PutObject", `${bucket}x/images/nginx/1.29.tar`, "ImplicitlyDenied"],
            [build, "s3:DeleteObject", `${bucket}/images/nginx/1.29.tar`, "ImplicitlyDenied"],
            [build, "s3:PutObjectAcl", `${bucket}/images/nginx/1.29.tar`, "ImplicitlyDenied"],
            [build, "s3:ListBucket", bucket, "ImplicitlyDenied"],
            [build, "s3:PutBucketPolicy", bucket, "ImplicitlyDenied"],
            [build, "codebuild:StartBuild", project, "ImplicitlyDenied"],
            [build, "sts:AssumeRole", buildRole.replace("build", "machine"), "ImplicitlyDenied"],
            [build, "iam:PassRole", buildRole, "ImplicitlyDenied"],
            ...[key, foreignKey].flatMap(
                (each): [string, string, string, Row["expected"], Partial<Row>?][] => [
                    [build, "kms:GenerateDataKey", each, "Allowed"],
                    [build, "kms:GenerateDataKey", each, "ImplicitlyDenied", { kind: "other context" }],
                    [build, "kms:GenerateDataKey", each, "ImplicitlyDenied", { sides: "no identity policy" }],
                    [build, "kms:GenerateDataKey", each, "ImplicitlyDenied", { sides: "no resource policy" }],
                    [build, "kms:Encrypt", each, "ImplicitlyDenied"],
                    [build, "kms:PutKeyPolicy", each, "ImplicitlyDenied"],
                    [machine, "kms:Decrypt", each, "ImplicitlyDenied"],
                    ["holder of readArtifactsPolicy", "kms:Decrypt", each, "Allowed"],
                    ["holder of readArtifactsPolicy", "kms:GenerateDataKey", each, "ImplicitlyDenied"],
                    [
                        somebody,
                        "kms:CreateGrant",
                        each,
                        "ImplicitlyDenied",
                        { sides: "open identity policy" },
                    ],
                    [logs, "kms:Decrypt", each, "Allowed"],
                    [logs, "kms:Decrypt", each, "ImplicitlyDenied", { kind: "other context" }],
                    ["cloudwatch.amazonaws.com", "kms:Decrypt", each, "Allowed"],
                    ["events.amazonaws.com", "kms:Decrypt", each, "ImplicitlyDenied"],
                ],
            ),
            [somebody, "kms:PutKeyPolicy", key, "Allowed", { sides: "open identity policy" }],
            [build, "s3:PutObject", `${bucket}/images/nginx/1.29.tar`, "ExplicitlyDenied"],
            ["administrator of the account", "s3:PutObject", `${bucket}/nginx.tar`, "ExplicitlyDenied"],
            [machine, "codebuild:StartBuild", project, "Allowed"],
            [machine, "codebuild:StartBuild", `${project}x`, "ImplicitlyDenied"],
            [machine, "codebuild:UpdateProject", project, "ImplicitlyDenied"],
            [machine, "events:PutRule", `${rule}other`, "ImplicitlyDenied"],
            [machine, "s3:PutObject", `${bucket}/images/nginx/1.29.tar`, "ImplicitlyDenied"],
            ["holder of startExportPolicy", "codebuild:StartBuild", project, "ImplicitlyDenied"],
            [
                "holder of readArtifactsPolicy",
                "s3:ListBucket",
                bucket,
                "ImplicitlyDenied",
                { kind: "other context" },
            ],
            ["codebuild.amazonaws.com", "sts:AssumeRole", buildRole, "Allowed"],
            [
                "codebuild.amazonaws.com",
                "sts:AssumeRole",
                buildRole,
                "ImplicitlyDenied",
                { kind: "other context" },
            ],
            ["states.amazonaws.com", "sts:AssumeRole", buildRole, "ImplicitlyDenied"],
            ["administrator of the account", "s3:DeleteBucket", bucket, "ExplicitlyDenied"],
            ["administrator of the account", "s3:DeleteBucket", bucket, "Allowed"],
        ];
        for (const [actor, action, resource, expected, more = {}] of requests) {
            it(`${actor}: ${action} on ${resource}${more.sides ? `, ${more.sides}` : ""}: ${expected}`, () => {
                const wanted = { action, resource, expected, ...more };
                const rows = evaluated.flatMap((each) => each.rows);
                const found = rows.some(
                    (row) =>
                        row.actor.name === actor &&
                        Object.entries(wanted).every(([key, value]) =>
                            isDeepStrictEqual(row[key as keyof Row], value),
                        ),
                );
                assert(found, "no such request");
            });
        }
    });

    it("says of a verdict that is wrong who asked for what", () => {
        const [row] = evaluated[0]?.rows ?? [];
        assert(row);
        assert.match(disagreement(row, "ImplicitlyDenied"), /asks for .* on .*: ImplicitlyDenied, expected /);
    });

    it("knows no statement twice, and each by its builder's name", () => {
        for (const { program } of evaluated) {
            for (const { document, builders } of program.policies) {
                document.Statement.forEach(({ Sid }, index) => {
                    const builder = builders[index];
                    if (Sid === undefined || builder === "letRolePull") return;
                    assert.equal(Sid.toLowerCase(), builder?.toLowerCase());
                });
            }
        }
    });
});
