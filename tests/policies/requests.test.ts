/** What a reviewer would ask first, judged by the policies that the program declares. */
import { strict as assert } from "node:assert";

import { networkId, physicalNameOf } from "../../lab/awsTypes";
import { evaluateVariant, type Program, variants } from "../../proof/program";
import { type Row, verdictOn } from "../../proof/rows";

type Verdict = Row["expected"];
type More = Partial<Pick<Row, "context" | "sides">>;

const build = "role image-export-build-role";
const machine = "role image-export-single-machine-role";
const reader = "holder of readArtifactsPolicy";
const bucket = "arn:aws:s3:::image-export-storage-bucket-0a1b2c3";
const archive = `${bucket}/images/nginx/1.29.tar`;
const region = "ap-northeast-1:111122223333";
const repository = `arn:aws:ecr:${region}:repository/nginx`;
const foreign = "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base";
const project = `arn:aws:codebuild:${region}:project/image-export-build-project-0a1b2c3`;
const buildRole = "arn:aws:iam::111122223333:role/image-export-build-role-0a1b2c3";
const key = `arn:aws:kms:${region}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const subnet = `arn:aws:ec2:${region}:subnet/${networkId("subnet", physicalNameOf("image-export-network-subnet-1"))}`;
const networkInterface = `arn:aws:ec2:${region}:network-interface/eni-0a1b2c3d`;
const layers = "arn:aws:s3:::prod-ap-northeast-1-starport-layer-bucket/0a1b";

const forCodeBuild = { "ec2:AuthorizedService": "codebuild.amazonaws.com", "ec2:Subnet": subnet };
const throughS3 = { "kms:ViaService": "s3.ap-northeast-1.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": bucket };
const encryptedWith = (algorithm: string, keyArn?: string) => ({
    "s3:x-amz-server-side-encryption": algorithm,
    ...(keyArn !== undefined && { "s3:x-amz-server-side-encryption-aws-kms-key-id": keyArn }),
});
const fromProject = { "aws:SourceAccount": "111122223333", "aws:SourceArn": project };

/** Who asks, for what, on what; what else the request carries. */
type Request = readonly [string, string, string, Verdict, More?];

const requests: Readonly<Record<string, readonly Request[]>> = {
    "prod with a pull-through cache, triggers and a Slack channel, engine docker": [
        [build, "ecr:BatchGetImage", repository, "Allowed"],
        [build, "ecr:BatchGetImage", `${repository}x`, "ImplicitlyDenied"],
        [build, "ecr:PutImage", repository, "ImplicitlyDenied"],
        [build, "ecr:BatchDeleteImage", repository, "ImplicitlyDenied"],
        [build, "ecr:SetRepositoryPolicy", repository, "ImplicitlyDenied"],
        [build, "ecr:BatchGetImage", foreign, "Allowed"],
        [build, "ecr:BatchGetImage", foreign, "ImplicitlyDenied", { sides: "no identity policy" }],
        [build, "ecr:BatchGetImage", foreign, "ImplicitlyDenied", { sides: "no resource policy" }],
        [build, "ecr:PutImage", foreign, "ImplicitlyDenied", { sides: "open identity policy" }],
        [machine, "ecr:BatchGetImage", foreign, "ImplicitlyDenied", { sides: "open identity policy" }],
        [build, "ecr:CreateRepository", repository, "ImplicitlyDenied"],
        [build, "ecr:CreateRepository", `arn:aws:ecr:${region}:repository/mirror/library/nginx`, "Allowed"],
        [build, "s3:PutObject", archive, "Allowed"],
        [build, "s3:PutObject", archive, "ExplicitlyDenied", { context: { "aws:SecureTransport": "false" } }],
        [build, "s3:PutObject", archive, "ExplicitlyDenied", { context: encryptedWith("AES256") }],
        [build, "s3:PutObject", archive, "ExplicitlyDenied", { context: encryptedWith("aws:kms") }],
        [build, "s3:PutObject", archive, "ExplicitlyDenied", { context: encryptedWith("aws:kms", `${key}0`) }],
        [build, "s3:PutObject", archive, "Allowed", { context: encryptedWith("aws:kms", key) }],
        [build, "s3:PutObject", `${bucket}/imagesx/nginx.tar`, "ImplicitlyDenied"],
        [build, "s3:PutObject", `${bucket}/other/../images/nginx.tar`, "ImplicitlyDenied"],
        [build, "s3:PutObject", `${bucket}/.exporter/0a1b.zip`, "ImplicitlyDenied"],
        [build, "s3:PutObject", `${bucket}x/images/nginx/1.29.tar`, "ImplicitlyDenied"],
        [build, "s3:DeleteObject", archive, "ImplicitlyDenied"],
        [build, "s3:PutObjectAcl", archive, "ImplicitlyDenied"],
        [build, "s3:ListBucket", bucket, "ImplicitlyDenied", { context: { "s3:prefix": "images/nginx/" } }],
        [build, "codebuild:StartBuild", project, "ImplicitlyDenied"],
        [build, "iam:PassRole", buildRole, "ImplicitlyDenied"],
        [build, "kms:GenerateDataKey", key, "Allowed", { context: throughS3 }],
        [build, "kms:GenerateDataKey", key, "ImplicitlyDenied"],
        [build, "kms:Encrypt", key, "ImplicitlyDenied", { context: throughS3 }],
        [build, "kms:GenerateDataKey", key, "ImplicitlyDenied", { context: throughS3, sides: "no identity policy" }],
        [build, "kms:CreateGrant", key, "ImplicitlyDenied", { sides: "open identity policy" }],
        [build, "kms:PutKeyPolicy", key, "ImplicitlyDenied"],
        [machine, "kms:Decrypt", key, "ImplicitlyDenied", { context: throughS3 }],
        [machine, "codebuild:StartBuild", project, "Allowed"],
        [machine, "codebuild:StartBuild", `${project}x`, "ImplicitlyDenied"],
        [machine, "codebuild:UpdateProject", project, "ImplicitlyDenied"],
        [machine, "events:PutRule", `arn:aws:events:${region}:rule/other`, "ImplicitlyDenied"],
        [machine, "s3:GetObject", archive, "Allowed"],
        [machine, "s3:PutObject", archive, "ImplicitlyDenied"],
        [reader, "kms:Decrypt", key, "Allowed", { context: throughS3 }],
        [reader, "kms:GenerateDataKey", key, "ImplicitlyDenied", { context: throughS3 }],
        [reader, "s3:ListBucket", bucket, "Allowed", { context: { "s3:prefix": "images/nginx/" } }],
        [reader, "s3:ListBucket", bucket, "ImplicitlyDenied"],
        [reader, "s3:PutObject", archive, "ImplicitlyDenied"],
        ["holder of startExportPolicy", "codebuild:StartBuild", project, "ImplicitlyDenied"],
        ["codebuild.amazonaws.com", "sts:AssumeRole", buildRole, "Allowed", { context: fromProject }],
        ["codebuild.amazonaws.com", "sts:AssumeRole", buildRole, "ImplicitlyDenied"],
        ["states.amazonaws.com", "sts:AssumeRole", buildRole, "ImplicitlyDenied", { context: fromProject }],
        ["events.amazonaws.com", "kms:Decrypt", key, "ImplicitlyDenied"],
    ],
    "dev with an isolated network, engine docker": [
        [build, "ec2:CreateNetworkInterface", subnet, "Allowed"],
        [build, "ec2:CreateNetworkInterface", `${subnet}x`, "ImplicitlyDenied"],
        [build, "ec2:CreateNetworkInterface", networkInterface, "Allowed"],
        [build, "ec2:CreateNetworkInterfacePermission", networkInterface, "Allowed", { context: forCodeBuild }],
        [build, "ec2:CreateNetworkInterfacePermission", networkInterface, "ImplicitlyDenied"],
        [build, "ec2:DeleteNetworkInterface", networkInterface, "Allowed", { context: { "ec2:Subnet": subnet } }],
        [build, "ec2:DeleteNetworkInterface", networkInterface, "ImplicitlyDenied"],
        [build, "ec2:ModifyNetworkInterfaceAttribute", networkInterface, "ImplicitlyDenied"],
        ["endpoint ecr.dkr", "ecr:BatchGetImage", repository, "Allowed"],
        ["endpoint ecr.dkr", "ecr:BatchGetImage", `${repository}x`, "ImplicitlyDenied"],
        ["endpoint ecr.dkr", "ecr:PutImage", repository, "ImplicitlyDenied"],
        ["endpoint s3", "s3:GetObject", layers, "Allowed"],
        ["endpoint s3", "s3:PutObject", layers, "ImplicitlyDenied"],
        ["endpoint s3", "s3:PutObject", archive, "Allowed"],
        ["endpoint s3", "s3:PutObject", archive.replace("bucket", "bucketx"), "ImplicitlyDenied"],
        ["endpoint s3", "s3:DeleteObject", archive, "ImplicitlyDenied"],
        ["endpoint s3", "s3:GetObject", `${bucket}/.exporter/0a1b.zip`, "ImplicitlyDenied"],
    ],
    "dev with an isolated network and a given key, engine stream": [
        ["endpoint s3", "s3:GetObject", `${bucket}/.exporter/0a1b.zip`, "Allowed"],
        [build, "ecr:BatchCheckLayerAvailability", repository, "ImplicitlyDenied"],
        [build, "s3:ListBucket", bucket, "Allowed", { context: { "s3:prefix": "images/nginx/" } }],
        [build, "s3:ListBucket", bucket, "ImplicitlyDenied"],
        ...["", "batches/", ".exporter/", "imagesx/"].map((prefix): Request => [
            build,
            "s3:ListBucket",
            bucket,
            "ImplicitlyDenied",
            { context: { "s3:prefix": prefix } },
        ]),
        [build, "s3:ListBucket", `${bucket}x`, "ImplicitlyDenied", { context: { "s3:prefix": "images/nginx/" } }],
        ["endpoint s3", "s3:ListBucket", bucket, "Allowed", { context: { "s3:prefix": "images/nginx/" } }],
        ["endpoint s3", "s3:ListBucket", bucket, "ImplicitlyDenied", { context: { "s3:prefix": "" } }],
        [machine, "s3:ListBucket", bucket, "ImplicitlyDenied", { context: { "s3:prefix": "images/nginx/" } }],
    ],
};

/** Who asks, by the name of the holder; a service by its own. */
function actorOf(name: string, { policies }: Program): Row["actor"] {
    for (const { holder } of policies) {
        if (holder.name !== name || holder.kind === "resource") continue;
        const { arn, kind } = holder;
        const passes = kind === "endpoint" ? { passesEndpoint: true as const } : {};
        return { name, principal: arn, identity: arn, ...passes };
    }
    assert.match(name, /\.amazonaws\.com$/, "nobody has this name");
    return { name, principal: name };
}

for (const [name, table] of Object.entries(requests)) {
    describe(`the policies of ${name}`, () => {
        let program: Program;
        before(async () => {
            const variant = variants.find((each) => each.name === name);
            assert(variant, "no such configuration");
            program = await evaluateVariant(variant);
        });

        for (const [who, action, resource, expected, { context = {}, sides } = {}] of table) {
            const how = JSON.stringify({ ...context, ...(sides && { sides }) }).replace("{}", "");
            it(`${who}: ${action} on ${resource} ${how}: ${expected}`, async () => {
                const row: Row = {
                    kind: "granted",
                    actor: actorOf(who, program),
                    action,
                    resource,
                    context: { "aws:SecureTransport": "true", ...context },
                    ...(sides && { sides }),
                    expected,
                };
                assert.equal(await verdictOn(row, program.policies), expected);
            });
        }
    });
}
