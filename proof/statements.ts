/**
 * What every policy statement of the program is for: a second, independent account of it. For each action the reason,
 * and how it is shown that the action is needed; for the statement what it is meant to reach, without the language of
 * policies. `proof/rows.ts` makes requests of it, by the hundred, and the declared policies have to agree with each.
 *
 * A new builder needs its entry here; the compiler says so.
 */
import type { EngineName } from "../contract/engine";
import { parseImageUri, repositoryArn } from "../contract/image";
import type { Holder } from "./holders";
import type { Builder, Stack } from "./program";
import {
    beginningWith,
    beginningWithAndHolding,
    exactly,
    noResource,
    ofAccount,
    oneOf,
    otherThan,
    type Scope,
    service,
} from "./scope";

/** Why an action is allowed, and how it is shown that it has to be. */
export interface ActionProof {
    /** Who needs it, and for what. */
    readonly why: string;
    /** How it is shown that nothing works without it. */
    readonly proof: Necessity;
    /** The engine whose stacks alone have it; both when it is left out. */
    readonly engine?: EngineName;
}

/**
 * `lab`: with the action taken out of the statement, the lab does not do its work and names the action
 * (`proof/running.ts`). Otherwise the page of AWS that asks for the action, and the reason why the lab cannot show it.
 */
export type Necessity = "lab" | { readonly page: string; readonly because: string };

/** The account of one statement. */
export interface StatementProof {
    /** What the actions reach, for people. */
    readonly reach: string;
    readonly actions: Readonly<Record<string, ActionProof>>;
    /** What the actions reach. Every action of the statement must be able to reach each of these. */
    readonly resources: (stack: Stack, holder: Holder) => readonly Scope[];
    /** What a request has to carry. */
    readonly context?: (stack: Stack, holder: Holder) => Readonly<Record<string, Scope>>;
    /** Who is meant, in the policy of a resource; everybody when it is left out. */
    readonly principals?: (stack: Stack) => readonly Scope[];
    /** Whether the statement takes away instead of giving. */
    readonly denies?: true;
    /** Whether it is for the policy of a KMS key, where `*` as the resource is the key. */
    readonly ofKey?: true;
}

/** The actions of a statement in stacks with an engine. */
export function actionsOf(builder: Builder, engine: EngineName): Record<string, ActionProof> {
    return Object.fromEntries(
        Object.entries(proofOf(builder).actions).filter(
            ([, proof]) => proof.engine === undefined || proof.engine === engine,
        ),
    );
}

/** The account of a statement. */
export function proofOf(builder: Builder): StatementProof {
    const proof = statementProofs[builder];
    if (proof === undefined) throw new Error(`proof/statements.ts has no account of ${builder}`);
    return proof;
}

/** Actions that are all there for the same reason. */
function each(actions: readonly string[], proof: ActionProof): Record<string, ActionProof> {
    return Object.fromEntries(actions.map((action) => [action, proof]));
}

function documented(page: string, because: string): Necessity {
    return { page: `https://docs.aws.amazon.com/${page}`, because };
}

/** Repositories that the stack's configuration names. */
function repositories(stack: Stack): string[] {
    const listed = ["repositoryArns", "crossAccountRepositoryArns"].flatMap(
        (key) => JSON.parse(stack.configured(key) ?? "[]") as string[],
    );
    return [repositoryArn(parseImageUri(stack.configured("imageUri") ?? "").repository), ...listed];
}

function foreignRepositories(stack: Stack): string[] {
    return JSON.parse(stack.configured("crossAccountRepositoryArns") ?? "[]") as string[];
}

/**
 * Repositories of the stack's own account and region, which Step Functions can ask about; what a pull-through cache
 * holds may be older than what the tag means upstream.
 */
function nearRepositories(stack: Stack): string[] {
    const foreign = [...foreignRepositories(stack), ...cachedRepositories(stack)];
    return repositories(stack).filter(
        (arn) => arn.includes(`:ecr:${stack.at.region}:`) && !foreign.includes(arn),
    );
}

function cachedRepositories(stack: Stack): string[] {
    const rules = JSON.parse(stack.configured("pullThroughCache") ?? "[]") as { prefix: string }[];
    return repositories(stack).filter((arn) =>
        rules.some(({ prefix }) => arn.includes(`:repository/${prefix}/`)),
    );
}

/** Objects under the prefix of the archives. S3 knows no folders: `..` in a key is a name like any other. */
function archives(stack: Stack): Scope {
    const prefix = stack.configured("artifactPrefix") ?? "images/";
    return beginningWith(
        `${stack.arn("image-export-bucket")}/${prefix}`,
        "nginx/1.29.tar",
        "nginx/1.29.tar.json",
        "../other/nginx.tar",
    );
}

/** Every object of the stack's bucket. */
function everyObject(stack: Stack): Scope {
    const bucket = stack.arn("image-export-bucket");
    return beginningWith(`${bucket}/`, "images/nginx/1.29.tar", ...besideArchives);
}

/** The KMS key: the stack's own, or the one that is configured. */
function keyArn(stack: Stack): string {
    const encryption = stack.configured("encryption") ?? "s3";
    return encryption.startsWith("arn:") ? encryption : stack.arn("image-export-key");
}

/** S3 works for the caller, on the stack's bucket: with a Bucket Key, which has the bucket as its context. */
function throughS3(stack: Stack): Record<string, Scope> {
    return {
        "kms:ViaService": exactly(`s3.${stack.at.region}.amazonaws.com`),
        "kms:EncryptionContext:aws:s3:arn": exactly(stack.arn("image-export-bucket")),
    };
}

/** Topics that are named as the stack names them. */
function topics(stack: Stack): Scope {
    return beginningWith(stack.arnOf("sns", "image-export-"), "topic-0a1b2c3");
}

/** What a statement of a key policy has in common with the others: its resource is the key. */
const ofKey = { ofKey: true, resources: (stack: Stack) => [exactly(keyArn(stack))] } as const;

/** Refuses uploads, which is shown by the uploads that it refuses. */
function refusesUploads(
    why: string,
    page: string,
): Pick<StatementProof, "actions" | "denies" | "reach" | "resources"> {
    return {
        reach: "uploads of any object of the bucket, by anybody",
        denies: true,
        actions: {
            "s3:PutObject": {
                why,
                proof: documented(
                    `AmazonS3/latest/${page}`,
                    "it takes away and gives nothing; the lab's tests upload with each encryption",
                ),
            },
        },
        resources: (stack) => [everyObject(stack)],
    };
}

/** Objects of the bucket that no build may write. */
const besideArchives = [".exporter/0a1b2c3d4e5f6071.zip", "nginx.tar"] as const;

const notEmulated = "Step Functions does this by itself; the lab has an interpreter in its place";

const noMessages = "a test of the lab sends a message; the exports of this proof send none";

const noEndpoints = "builds of the lab run on this machine, whose network has no endpoints";

/** What CodeBuild does by itself before and after a build in a VPC. */
const ofBuildsInVpc = documented(
    "codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html",
    "CodeBuild does this by itself; builds of the lab run on this machine, in no VPC",
);

function networkInterfaces(stack: Stack): Scope {
    return beginningWith(stack.arnOf("ec2", "network-interface/"), "eni-0a1b2c3d", "eni-1a2b3c4d");
}

function subnets(stack: Stack): string[] {
    return [1, 2].map((each) => stack.arnOf("ec2", `subnet/${stack.id(`image-export-subnet-${each}`)}`));
}

/**
 * Trust: a service may assume a role for resources of this account that are named as the stack names them.
 *
 * @param source ARNs of those resources; `role` is the program's name of the role.
 */
function trust(name: string, source: (stack: Stack, role: string) => Scope, page: string): StatementProof {
    return {
        reach: "the role itself",
        actions: {
            "sts:AssumeRole": {
                why: `${name} works with the role's permissions; only for this account, and only for what this stack is called`,
                proof: documented(
                    page,
                    "the lab judges the trust policy as well, but cannot work without a role",
                ),
            },
        },
        resources: (stack, { of }) => [exactly(stack.arn(of))],
        principals: () => [service(name)],
        context: (stack, { of }) => ({
            "aws:SourceAccount": exactly(stack.at.accountId),
            "aws:SourceArn": source(stack, of),
        }),
    };
}

/** ARNs of what Pulumi names after a resource of the program: the resource's name, then random digits. */
function named(stack: Stack, service: string, resource: string): Scope {
    return beginningWith(stack.arnOf(service, resource), "-0a1b2c3", "-fffffff");
}

/** The state machine that a published policy is about. */
const machineOf: Record<string, string> = {
    startExportPolicy: "image-export-machine",
    startBatchPolicy: "image-export-batch-machine",
};

function machine({ of }: Holder): string {
    return machineOf[of] ?? of;
}

/** Executions of a state machine. */
function executions(stack: Stack, name: string): Scope {
    return beginningWith(stack.arnOf("states", `execution:${stack.id(name)}:`), "1", "a-b");
}

/** Objects of the bucket under a prefix that is no archive's. */
function objects(stack: Stack, prefix: string, ...rests: [string, ...string[]]): Scope {
    return beginningWith(`${stack.arn("image-export-bucket")}/${prefix}`, ...rests);
}

/** The account of each statement, by the builder that makes it. */
export const statementProofs: Record<Builder, StatementProof> = {
    assumedByCodeBuild: trust(
        "codebuild.amazonaws.com",
        (stack) => named(stack, "codebuild", "project/image-export-project"),
        "codebuild/latest/userguide/setting-up-service-role.html",
    ),
    assumedByFlowLogs: trust(
        "vpc-flow-logs.amazonaws.com",
        (stack) => beginningWith(stack.arnOf("ec2", "vpc-flow-log/"), "fl-0a1b2c3d", "fl-1a2b3c4d"),
        "vpc/latest/userguide/flow-logs-iam-role.html",
    ),
    assumedByStepFunctions: trust(
        "states.amazonaws.com",
        (stack, role) => named(stack, "states", `stateMachine:${role.replace(/-role$/, "")}`),
        "step-functions/latest/dg/procedure-create-iam-role.html",
    ),
    assumedByEventBridge: trust(
        "events.amazonaws.com",
        (stack, role) => named(stack, "events", `rule/${role.replace(/-role$/, "")}`),
        "eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html",
    ),
    assumedByScheduler: trust(
        "scheduler.amazonaws.com",
        (stack) => exactly(stack.arn("image-export-triggers-schedules")),
        "scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html",
    ),

    logInToEcr: {
        reach: "everything: the action has no resource type, and its token grants nothing by itself",
        actions: {
            "ecr:GetAuthorizationToken": {
                why: "the build asks for the password of the registry",
                proof: "lab",
            },
        },
        resources: () => [noResource],
    },
    pullImages: {
        reach: "the configured repositories, each by its whole ARN",
        actions: {
            "ecr:BatchGetImage": { why: "the build reads the manifest", proof: "lab" },
            "ecr:GetDownloadUrlForLayer": { why: "the build reads the layers", proof: "lab" },
            "ecr:BatchCheckLayerAvailability": {
                why: "AWS lists it among the permissions of a build that pulls with Docker",
                engine: "docker",
                proof: documented(
                    "codebuild/latest/userguide/sample-ecr.html",
                    "the daemon of the lab does not ask for it",
                ),
            },
        },
        resources: (stack) => [oneOf(...repositories(stack))],
    },
    importImages: {
        reach: "the configured repositories below the prefix of a pull-through cache rule",
        actions: each(["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], {
            why: "the first pull through a cache makes the repository and imports the image",
            proof: "lab",
        }),
        resources: (stack) => [oneOf(...cachedRepositories(stack))],
    },
    letRolePull: {
        reach: "the repository of another account that the policy is attached to, for the build role alone",
        actions: {
            ...each(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], {
                why: "a pull across accounts needs the consent of both sides",
                proof: documented(
                    "AmazonECR/latest/userguide/repository-policy-examples.html",
                    "this lab has one account; tests/lab/otherAccount.lab.test.ts has two",
                ),
            }),
            "ecr:BatchCheckLayerAvailability": {
                why: "as in the policy of the build role",
                engine: "docker",
                proof: documented(
                    "AmazonECR/latest/userguide/repository-policy-examples.html",
                    "this lab has one account; tests/lab/otherAccount.lab.test.ts has two",
                ),
            },
        },
        resources: (stack) => foreignRepositories(stack).map(exactly),
        principals: (stack) => [exactly(stack.arn("image-export-build-role"))],
    },
    readExporter: {
        reach: "the one object that is the exporter",
        actions: {
            "s3:GetObject": {
                why: "CodeBuild fetches the source of the project",
                engine: "stream",
                proof: "lab",
            },
            "s3:GetObjectVersion": {
                why: "CodeBuild fetches the source by its version, where it is given one",
                engine: "stream",
                proof: documented(
                    "codebuild/latest/userguide/setting-up-service-role.html",
                    "CodeBuild does this by itself; the lab fetches the newest version",
                ),
            },
        },
        resources: (stack) => [
            exactly(`${stack.arn("image-export-bucket")}/${stack.id("image-export-exporter")}`),
        ],
    },
    writeArchives: {
        reach: "objects under `artifactPrefix` in the stack's bucket",
        actions: {
            "s3:PutObject": { why: "the build uploads the archive", proof: "lab" },
            "s3:GetObject": {
                why: "engine `docker` confirms its upload; engine `stream` finds an export that is already there, and skips it",
                proof: "lab",
            },
            "s3:AbortMultipartUpload": {
                why: "an upload that breaks off leaves parts behind, which are invisible and billed",
                proof: documented(
                    "AmazonS3/latest/userguide/mpuoverview.html",
                    "an export that succeeds aborts no upload",
                ),
            },
        },
        resources: (stack) => [archives(stack)],
    },
    writeEncrypted: {
        reach: "the KMS key, through S3 and for the stack's bucket",
        actions: {
            "kms:GenerateDataKey": { why: "S3 encrypts what is written to the bucket", proof: "lab" },
            "kms:Decrypt": {
                why: "S3 decrypts the data key for each part of an upload, and what is read",
                proof: "lab",
            },
        },
        resources: (stack) => [exactly(keyArn(stack))],
        context: throughS3,
    },
    writeLog: {
        reach: "streams of the builds' log group",
        actions: each(["logs:CreateLogStream", "logs:PutLogEvents"], {
            why: "CodeBuild writes the log of the build",
            proof: "lab",
        }),
        resources: (stack) => [
            beginningWith(`${stack.arn("image-export-build-log")}:`, "log-stream:5f2b", "log-stream:a/b"),
        ],
    },

    resolveTags: {
        reach: "the configured repositories of this account and region",
        actions: {
            "ecr:DescribeImages": {
                why: "the state machine asks which digest a tag means, and spares the build of what is there already",
                proof: "lab",
            },
        },
        resources: (stack) => [oneOf(...nearRepositories(stack))],
    },
    findExports: {
        reach: "objects under `artifactPrefix` in the stack's bucket",
        actions: {
            "s3:GetObject": {
                why: "the state machine looks whether an archive and its record are there already",
                proof: "lab",
            },
        },
        resources: (stack) => [archives(stack)],
    },
    lookUpNetwork: {
        reach: "everything: the actions have no resource type",
        actions: each(
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            { why: "CodeBuild looks up the network of the project", proof: ofBuildsInVpc },
        ),
        resources: () => [noResource],
    },
    createNetworkInterfaces: {
        reach: "network interfaces to be, in the build's subnets and with its security groups",
        actions: {
            "ec2:CreateNetworkInterface": {
                why: "CodeBuild puts the build into the VPC",
                proof: ofBuildsInVpc,
            },
        },
        resources: (stack) => [
            networkInterfaces(stack),
            oneOf(...subnets(stack)),
            exactly(stack.arnOf("ec2", `security-group/${stack.id("image-export-build-group")}`)),
        ],
    },
    lendNetworkInterfaces: {
        reach: "network interfaces in the build's subnets, for CodeBuild alone",
        actions: {
            "ec2:CreateNetworkInterfacePermission": {
                why: "the machine of the build is in an account of AWS, and uses the network interface",
                proof: ofBuildsInVpc,
            },
        },
        resources: (stack) => [networkInterfaces(stack)],
        context: (stack) => ({
            "ec2:AuthorizedService": exactly("codebuild.amazonaws.com"),
            "ec2:Subnet": oneOf(...subnets(stack)),
        }),
    },
    deleteNetworkInterfaces: {
        reach: "network interfaces in the build's subnets",
        actions: {
            "ec2:DeleteNetworkInterface": {
                why: "CodeBuild takes the build out of the VPC again",
                proof: ofBuildsInVpc,
            },
        },
        resources: (stack) => [networkInterfaces(stack)],
        context: (stack) => ({ "ec2:Subnet": oneOf(...subnets(stack)) }),
    },
    writeFlowLogs: {
        reach: "streams of the flow logs' group",
        actions: each(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], {
            why: "the VPC's flow logs are written to the group",
            proof: documented(
                "vpc/latest/userguide/flow-logs-iam-role.html",
                "the lab declares the VPC and makes none",
            ),
        }),
        resources: (stack) => [
            beginningWith(
                `${stack.arn("image-export-flow-log")}:`,
                "log-stream:eni-0a1b2c3d-all",
                "log-stream:eni-1a2b3c4d-all",
                "log-stream:eni-2a3b4c5d-all",
            ),
        ],
    },
    downloadLayers: {
        reach: "ECR's bucket of layers, in the stack's region",
        actions: {
            "s3:GetObject": {
                why: "ECR sends whoever pulls a layer to this bucket",
                proof: documented("AmazonECR/latest/userguide/vpc-endpoints.html", noEndpoints),
            },
        },
        resources: ({ at: { partition, region } }) => [
            beginningWith(`arn:${partition}:s3:::prod-${region}-starport-layer-bucket/`, "0a1b", "2c3d/4e5f"),
        ],
    },
    passExporters: {
        reach: "exporters in the stack's bucket",
        actions: each(["s3:GetObject", "s3:GetObjectVersion"], {
            why: "the source of a project comes through the VPC of its builds",
            engine: "stream",
            proof: documented(
                "codebuild/latest/userguide/use-vpc-endpoints-with-codebuild.html",
                noEndpoints,
            ),
        }),
        resources: (stack) => [
            beginningWith(`${stack.arn("image-export-bucket")}/.exporter/`, "0a1b.zip", "2c3d.zip"),
        ],
    },
    passBuildLogs: {
        reach: "log groups of CodeBuild in the stack's account and region",
        actions: each(["logs:CreateLogStream", "logs:PutLogEvents"], {
            why: "the log of a build is written from within the VPC",
            proof: documented(
                "AmazonCloudWatch/latest/logs/cloudwatch-logs-and-interface-VPC.html",
                noEndpoints,
            ),
        }),
        resources: (stack) => [
            beginningWith(
                stack.arnOf("logs", "log-group:/aws/codebuild/"),
                "image-export-1:log-stream:5f2b",
                "image-export-2:log-stream:a/b",
            ),
        ],
    },
    identifyCaller: {
        reach: "everything: the action has no resource type",
        actions: {
            "sts:GetCallerIdentity": {
                why: "who looks into a build asks which role it has; no other role can be assumed",
                proof: documented("STS/latest/APIReference/API_GetCallerIdentity.html", noEndpoints),
            },
        },
        resources: () => [noResource],
    },

    runBuilds: {
        reach: "the stack's one project",
        actions: {
            "codebuild:StartBuild": { why: "the state machine starts the build", proof: "lab" },
            "codebuild:BatchGetBuilds": { why: "the state machine reads how the build ended", proof: "lab" },
            "codebuild:StopBuild": {
                why: "an aborted execution stops its build, which would run on and be billed",
                proof: documented(
                    "step-functions/latest/dg/connect-codebuild.html",
                    "an export that nobody aborts stops no build",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-project"))],
    },
    awaitBuilds: {
        reach: "the one EventBridge rule that Step Functions manages for builds",
        actions: each(["events:DescribeRule", "events:PutRule", "events:PutTargets"], {
            why: "Step Functions learns from the rule that a build has ended",
            proof: "lab",
        }),
        resources: (stack) => [
            exactly(stack.arnOf("events", "rule/StepFunctionsGetEventForCodeBuildStartBuildRule")),
        ],
    },
    deliverExecutionLog: {
        reach: "everything: the actions have no resource type",
        actions: each(
            [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            {
                why: "Step Functions sets up the delivery of the execution log",
                proof: documented("step-functions/latest/dg/cw-logs.html", notEmulated),
            },
        ),
        resources: () => [noResource],
    },
    traceExecutions: {
        reach: "everything: the actions have no resource type",
        actions: each(
            [
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            {
                why: "Step Functions sends the trace of the execution",
                proof: documented("step-functions/latest/dg/concepts-xray-tracing.html", notEmulated),
            },
        ),
        resources: () => [noResource],
    },

    denyInsecureTransport: {
        reach: "the bucket and all of its objects, for everybody",
        denies: true,
        actions: {
            "s3:*": {
                why: "nobody reaches the bucket without TLS, whatever else they may",
                proof: documented(
                    "AmazonS3/latest/userguide/security-best-practices.html",
                    "it takes away and gives nothing; the requests without TLS show what it does",
                ),
            },
        },
        resources: (stack) => [
            exactly(stack.arn("image-export-bucket")),
            archives(stack),
            ...besideArchives.map((key) => exactly(`${stack.arn("image-export-bucket")}/${key}`)),
        ],
        context: () => ({ "aws:SecureTransport": exactly("false") }),
    },

    denyOtherEncryption: {
        ...refusesUploads(
            "an upload that names another encryption than SSE-KMS would not be encrypted with the key",
            "userguide/UsingKMSEncryption.html",
        ),
        context: () => ({
            "s3:x-amz-server-side-encryption": otherThan("aws:kms", "AES256", "aws:kms:dsse", "aws:kmsx"),
        }),
    },
    denyOtherKeys: {
        ...refusesUploads(
            "an upload that names another key, or none and SSE-KMS, would not be encrypted with the key",
            "userguide/UsingKMSEncryption.html",
        ),
        context: (stack) => {
            const key = keyArn(stack);
            const others = [key.replace(/.$/, "0"), key.replace("ap-northeast-1", "eu-west-1")] as const;
            return {
                "s3:x-amz-server-side-encryption": exactly("aws:kms"),
                "s3:x-amz-server-side-encryption-aws-kms-key-id": {
                    ...otherThan(key, ...others, stack.arnOf("kms", "alias/aws/s3")),
                    orMissing: true,
                },
            };
        },
    },
    denyCustomerKeys: {
        ...refusesUploads(
            "an archive that is encrypted with a key of the uploader's own could be read by nobody else",
            "userguide/ServerSideEncryptionCustomerKeys.html",
        ),
        context: () => ({
            "s3:x-amz-server-side-encryption-customer-algorithm": { ...otherThan("", "AES256"), outside: [] },
        }),
    },

    administerKey: {
        ...ofKey,
        reach: "the key itself, for whomever IAM policies of the account allow it",
        actions: Object.fromEntries(
            Object.entries({
                DescribeKey: "Pulumi reads the key",
                GetKeyPolicy: "Pulumi reads the key",
                GetKeyRotationStatus: "Pulumi reads the key",
                ListResourceTags: "Pulumi reads the key",
                PutKeyPolicy: "Pulumi changes the key; without it nobody could ever change its policy",
                EnableKeyRotation: "Pulumi changes the key",
                UpdateKeyDescription: "Pulumi changes the key",
                TagResource: "Pulumi changes the key",
                UntagResource: "Pulumi changes the key",
                CreateAlias: "Pulumi names the key",
                UpdateAlias: "Pulumi names the key",
                DeleteAlias: "Pulumi names the key",
                ScheduleKeyDeletion: "Pulumi destroys the key with an unprotected stack",
                CancelKeyDeletion: "an administrator saves a key that is still needed",
                EnableKey: "an administrator brings a saved key back to work",
                DisableKey: "an administrator stops all use of the key in an emergency",
            }).map(([operation, why]) => [
                `kms:${operation}`,
                {
                    why,
                    proof: documented(
                        `kms/latest/APIReference/API_${operation}.html`,
                        "the lab makes the key as the owner of the account",
                    ),
                },
            ]),
        ),
        principals: (stack) => [ofAccount(stack.at.accountId)],
    },
    encryptObjects: {
        ...ofKey,
        reach: "the key, through S3 and for the stack's bucket, for whomever IAM policies of the account allow it",
        actions: each(["kms:Decrypt", "kms:GenerateDataKey"], {
            why: "the other side of what roles and holders of policies may with the key",
            proof: documented(
                "AmazonS3/latest/userguide/UsingKMSEncryption.html",
                "the lab judges it with every upload, but takes permissions away from roles only",
            ),
        }),
        principals: (stack) => [ofAccount(stack.at.accountId)],
        context: (stack) => ({
            ...throughS3(stack),
            // The owner of a given key admits the bucket before its name is known.
            ...(stack.configured("encryption") === "kms"
                ? {}
                : {
                      "kms:EncryptionContext:aws:s3:arn": beginningWith(
                          `arn:${stack.at.partition}:s3:::image-export-bucket-`,
                          "0a1b2c3",
                          "fffffff",
                      ),
                  }),
        }),
    },
    encryptLogs: {
        ...ofKey,
        reach: "the key, for log groups of this account that are named as the stack names them",
        actions: each(
            [
                "kms:Decrypt",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            {
                why: "CloudWatch Logs encrypts and decrypts the logs",
                proof: documented(
                    "AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
                    "the emulated CloudWatch Logs encrypts nothing",
                ),
            },
        ),
        principals: (stack) => [service(`logs.${stack.at.region}.amazonaws.com`)],
        context: (stack) => ({
            "kms:EncryptionContext:aws:logs:arn": beginningWithAndHolding(
                stack.arnOf("logs", "log-group:/aws/"),
                "/image-export-",
                "codebuild",
                "vendedlogs/states",
            ),
        }),
    },
    encryptNotifications: {
        ...ofKey,
        reach: "the key, through SNS and for topics that are named as the stack names them, for whomever IAM policies of the account allow it",
        actions: each(["kms:Decrypt", "kms:GenerateDataKey"], {
            why: "who publishes to an encrypted topic uses its key",
            proof: documented("sns/latest/dg/sns-key-management.html", "the emulated SNS encrypts nothing"),
        }),
        principals: (stack) => [ofAccount(stack.at.accountId)],
        context: (stack) => ({
            "kms:ViaService": exactly(`sns.${stack.at.region}.amazonaws.com`),
            "kms:EncryptionContext:aws:sns:topicArn": topics(stack),
        }),
    },
    encryptAlarms: {
        ...ofKey,
        reach: "the key, for topics that are named as the stack names them",
        actions: each(["kms:Decrypt", "kms:GenerateDataKey"], {
            why: "alarms of this account publish to an encrypted topic",
            proof: documented("sns/latest/dg/sns-key-management.html", "the emulated SNS encrypts nothing"),
        }),
        principals: () => [service("cloudwatch.amazonaws.com")],
        context: (stack) => ({
            "aws:SourceAccount": exactly(stack.at.accountId),
            "kms:EncryptionContext:aws:sns:topicArn": topics(stack),
        }),
    },

    startExports: {
        reach: "the one state machine that the policy is published for",
        actions: {
            "states:StartExecution": {
                why: "a requester starts an export",
                proof: documented(
                    "step-functions/latest/apireference/API_StartExecution.html",
                    "the lab starts executions as the owner of the account",
                ),
            },
            "states:ListExecutions": {
                why: "a requester finds an export again",
                proof: documented(
                    "step-functions/latest/apireference/API_ListExecutions.html",
                    "the lab starts executions as the owner of the account",
                ),
            },
        },
        resources: (stack, holder) => [exactly(stack.arn(machine(holder)))],
    },
    followExports: {
        reach: "executions of the one state machine that the policy is published for",
        actions: Object.fromEntries(
            Object.entries({
                DescribeExecution: "a requester learns how an export ended",
                GetExecutionHistory: "a requester sees where an export is",
                StopExecution: "a requester stops an export",
            }).map(([operation, why]) => [
                `states:${operation}`,
                {
                    why,
                    proof: documented(
                        `step-functions/latest/apireference/API_${operation}.html`,
                        "the lab follows executions as the owner of the account",
                    ),
                },
            ]),
        ),
        resources: (stack, holder) => [executions(stack, machine(holder))],
    },
    followBuilds: {
        reach: "the stack's one project",
        actions: {
            "codebuild:BatchGetBuilds": {
                why: "a requester sees how far the build of an export is, and where its log is",
                proof: documented(
                    "codebuild/latest/APIReference/API_BatchGetBuilds.html",
                    "an export needs nobody who watches it",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-project"))],
    },
    readBuildLogs: {
        reach: "streams of the builds' log group",
        actions: {
            "logs:GetLogEvents": {
                why: "a requester reads what the build of an export does, and why it failed",
                proof: documented(
                    "AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html",
                    "an export needs nobody who watches it",
                ),
            },
        },
        resources: (stack) => [
            beginningWith(`${stack.arn("image-export-build-log")}:`, "log-stream:5f2b", "log-stream:a/b"),
        ],
    },
    findMapRuns: {
        reach: "executions of the state machine of batches",
        actions: {
            "states:ListMapRuns": {
                why: "a requester finds the Map Run that counts the images of a batch",
                proof: documented(
                    "step-functions/latest/apireference/API_ListMapRuns.html",
                    "a batch needs nobody who watches it",
                ),
            },
        },
        resources: (stack, holder) => [executions(stack, machine(holder))],
    },
    readArchives: {
        reach: "objects under `artifactPrefix` in the stack's bucket",
        actions: {
            "s3:GetObject": {
                why: "a reader fetches an archive",
                proof: documented(
                    "AmazonS3/latest/API/API_GetObject.html",
                    "the lab reads archives as the owner of the account",
                ),
            },
            "s3:GetObjectVersion": {
                why: "a reader fetches the very version that the result of an export names",
                proof: documented(
                    "AmazonS3/latest/API/API_GetObject.html",
                    "the lab reads archives as the owner of the account",
                ),
            },
        },
        resources: (stack) => [archives(stack)],
    },
    readEncrypted: {
        reach: "the KMS key, through S3 and for the stack's bucket",
        actions: {
            "kms:Decrypt": {
                why: "S3 decrypts the archive for a reader",
                proof: documented(
                    "AmazonS3/latest/userguide/UsingKMSEncryption.html",
                    "the lab's tests read with and without it; the pipeline does not read",
                ),
            },
        },
        resources: (stack) => [exactly(keyArn(stack))],
        context: throughS3,
    },
    listArchives: {
        reach: "the stack's bucket, for keys under `artifactPrefix`",
        actions: {
            "s3:ListBucket": {
                why: "a reader finds archives",
                proof: documented(
                    "AmazonS3/latest/API/API_ListObjectsV2.html",
                    "the lab reads archives as the owner of the account",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-bucket"))],
        context: (stack) => {
            const prefix = stack.configured("artifactPrefix") ?? "images/";
            return { "s3:prefix": scopeOfPrefix(prefix) };
        },
    },

    exportEachImage: {
        reach: "the stack's state machine for one image",
        actions: {
            "states:StartExecution": {
                why: "a batch exports each image by an execution of its own",
                proof: "lab",
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-machine"))],
    },
    followEachExport: {
        reach: "executions of the stack's state machine for one image",
        actions: {
            "states:DescribeExecution": { why: "a batch reads how each export ended", proof: "lab" },
            "states:StopExecution": {
                why: "a batch that is stopped stops its exports, which would run on and be billed",
                proof: documented(
                    "step-functions/latest/dg/connect-stepfunctions.html",
                    "a batch that nobody stops, stops nothing",
                ),
            },
        },
        resources: (stack) => [executions(stack, "image-export-machine")],
    },
    awaitExports: {
        reach: "the one EventBridge rule that Step Functions manages for executions",
        actions: each(["events:DescribeRule", "events:PutRule", "events:PutTargets"], {
            why: "Step Functions learns from the rule that an export has ended",
            proof: "lab",
        }),
        resources: (stack) => [
            exactly(stack.arnOf("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")),
        ],
    },
    runMap: {
        reach: "the state machine of batches itself",
        actions: {
            "states:StartExecution": {
                why: "a Distributed Map runs each item in an execution of its own state machine",
                proof: "lab",
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-batch-machine"))],
    },
    followMap: {
        reach: "executions of the state machine of batches, those of its Maps' items among them",
        actions: {
            "states:DescribeExecution": { why: "Step Functions reads how each item ended", proof: "lab" },
            "states:StopExecution": {
                why: "a batch that is stopped stops the executions of its items",
                proof: documented(
                    "step-functions/latest/dg/iam-policies-eg-dist-map.html",
                    "a batch that nobody stops, stops nothing",
                ),
            },
        },
        resources: (stack) => [
            executions(stack, "image-export-batch-machine"),
            beginningWith(
                stack.arnOf("states", `execution:${stack.id("image-export-batch-machine")}/`),
                "images:1",
                "JSON:a-b",
            ),
        ],
    },
    countResults: {
        reach: "Map Runs of the state machine of batches",
        actions: {
            "states:DescribeMapRun": {
                why: "a batch, and who follows it, counts the images that were exported",
                proof: "lab",
            },
        },
        resources: (stack) => [
            beginningWith(
                stack.arnOf("states", `mapRun:${stack.id("image-export-batch-machine")}/`),
                "images:1",
                "JSON:a-b",
            ),
        ],
    },
    readManifests: {
        reach: "objects under `batches/` in the stack's bucket",
        actions: { "s3:GetObject": { why: "a batch reads its manifest", proof: "lab" } },
        resources: (stack) => [objects(stack, "batches/", "five.json", "2025/five.csv")],
    },
    writeResults: {
        reach: "objects under `batch-results/` in the stack's bucket",
        actions: {
            "s3:PutObject": { why: "Step Functions writes what became of each image", proof: "lab" },
            ...each(["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts"], {
                why: "Step Functions writes large results in parts",
                proof: documented(
                    "step-functions/latest/dg/input-output-resultwriter.html",
                    "Step Functions does this by itself; the results of the lab are small",
                ),
            }),
        },
        resources: (stack) => [objects(stack, "batch-results/", "1/manifest.json", "1/2/FAILED_0.jsonl")],
    },
    putManifests: {
        reach: "objects under `batches/` in the stack's bucket",
        actions: {
            "s3:PutObject": {
                why: "a requester puts the manifest of a batch where it is read",
                proof: documented(
                    "AmazonS3/latest/API/API_PutObject.html",
                    "the lab puts manifests as the owner of the account",
                ),
            },
        },
        resources: (stack) => [objects(stack, "batches/", "five.json", "2025/five.csv")],
    },
    readResults: {
        reach: "objects under `batch-results/` in the stack's bucket",
        actions: {
            "s3:GetObject": {
                why: "a requester reads what became of each image",
                proof: documented(
                    "AmazonS3/latest/API/API_GetObject.html",
                    "the lab reads results as the owner of the account",
                ),
            },
        },
        resources: (stack) => [objects(stack, "batch-results/", "1/manifest.json", "1/2/FAILED_0.jsonl")],
    },

    pullTrigger: {
        reach: "the state machine that starts exports for triggers",
        actions: {
            "states:StartExecution": {
                why: "a rule or a schedule starts its target with the permissions of its role",
                proof: "lab",
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-triggers-machine"))],
    },
    startTriggeredExports: {
        reach: "the stack's state machine for one image",
        actions: {
            "states:StartExecution": {
                why: "the state machine behind the triggers starts the export",
                proof: "lab",
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-machine"))],
    },
    keepUndelivered: {
        reach: "the queue of dead letters",
        actions: {
            "sqs:SendMessage": {
                why: "a schedule keeps what it could not deliver",
                proof: documented(
                    "scheduler/latest/UserGuide/configuring-schedule-dlq.html",
                    "the lab judges it where a delivery is refused, which the proof does not bring about",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-triggers-undelivered"))],
    },
    letRuleKeepUndelivered: {
        reach: "the queue of dead letters, for one rule",
        actions: {
            "sqs:SendMessage": {
                why: "a rule keeps what it could not deliver; it has no role for that",
                proof: documented(
                    "eventbridge/latest/userguide/eb-rule-dlq.html",
                    "the lab judges it where a delivery is refused, which the proof does not bring about",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-triggers-undelivered"))],
        principals: () => [service("events.amazonaws.com")],
        context: (stack) => ({ "aws:SourceArn": exactly(stack.arn("image-export-triggers-on-push")) }),
    },
    denyInsecureQueue: {
        reach: "the queue of dead letters, for everybody",
        denies: true,
        actions: {
            "sqs:*": {
                why: "nobody reaches the queue without TLS, whatever else they may",
                proof: documented(
                    "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html",
                    "it takes away and gives nothing; the requests without TLS show what it does",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-triggers-undelivered"))],
        context: () => ({ "aws:SecureTransport": exactly("false") }),
    },

    assumedByChat: trust(
        "chatbot.amazonaws.com",
        (stack) =>
            exactly(
                `arn:${stack.at.partition}:chatbot::${stack.at.accountId}:chat-configuration/slack-channel/${stack.id("image-export-topic")}`,
            ),
        "chatbot/latest/adminguide/cross-service-confused-deputy-prevention.html",
    ),
    wakeNotifier: {
        reach: "the state machine that tells how executions ended",
        actions: {
            "states:StartExecution": {
                why: "a rule starts its target with the permissions of its role",
                proof: documented("eventbridge/latest/userguide/eb-use-identity-based.html", noMessages),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-notifier-machine"))],
    },
    readOutcomes: {
        reach: "executions of both state machines, for one image and for batches",
        actions: {
            "states:DescribeExecution": {
                why: "the message has error and cause of the execution",
                proof: documented(
                    "step-functions/latest/apireference/API_DescribeExecution.html",
                    noMessages,
                ),
            },
        },
        resources: (stack) => [
            executions(stack, "image-export-machine"),
            executions(stack, "image-export-batch-machine"),
        ],
    },
    publishNotifications: {
        reach: "the stack's topic",
        actions: {
            "sns:Publish": {
                why: "the message is published to whoever has subscribed to the topic",
                proof: documented("step-functions/latest/dg/connect-sns.html", noMessages),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-topic"))],
    },
    publishEncrypted: {
        reach: "the KMS key, through SNS and for the stack's topic",
        actions: each(["kms:Decrypt", "kms:GenerateDataKey"], {
            why: "SNS encrypts the message for its publisher",
            proof: documented("sns/latest/dg/sns-key-management.html", "the lab's SNS does not encrypt"),
        }),
        resources: (stack) => [exactly(keyArn(stack))],
        context: (stack) => ({
            "kms:ViaService": exactly(`sns.${stack.at.region}.amazonaws.com`),
            "kms:EncryptionContext:aws:sns:topicArn": exactly(stack.arn("image-export-topic")),
        }),
    },
    letAlarmsPublish: {
        reach: "the stack's topic, for alarms that are named as the stack names them",
        actions: {
            "sns:Publish": {
                why: "an alarm tells of itself",
                proof: documented(
                    "AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html",
                    "no metric of the lab sets off an alarm",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-topic"))],
        principals: () => [service("cloudwatch.amazonaws.com")],
        context: (stack) => ({
            "aws:SourceAccount": exactly(stack.at.accountId),
            "aws:SourceArn": beginningWith(
                stack.arnOf("cloudwatch", "alarm:image-export-"),
                "exports-failed-0a1b2c3",
                "triggers-starter-alarm-0a1b2c3",
            ),
        }),
    },
    denyInsecurePublishing: {
        reach: "the stack's topic, for everybody",
        denies: true,
        actions: {
            "sns:Publish": {
                why: "nobody publishes without TLS, whatever else they may",
                proof: documented(
                    "sns/latest/dg/sns-security-best-practices.html",
                    "it takes away and gives nothing; the requests without TLS show what it does",
                ),
            },
        },
        resources: (stack) => [exactly(stack.arn("image-export-topic"))],
        context: () => ({ "aws:SecureTransport": exactly("false") }),
    },
    showMetrics: {
        reach: "everything: the actions have no resource type",
        actions: each(["cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage"], {
            why: "the channel shows an alarm with the curve of its metric; it can read nothing else, and change nothing",
            proof: documented(
                "chatbot/latest/adminguide/chatbot-iam-policies.html",
                "the lab has no chat service",
            ),
        }),
        resources: () => [noResource],
    },
};

function scopeOfPrefix(prefix: string): Scope {
    const below = beginningWith(prefix, "nginx/");
    return { ...below, inside: [prefix, ...below.inside] };
}
