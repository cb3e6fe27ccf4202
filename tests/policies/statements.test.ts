import { strict as assert } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import * as statements from "../../policies/statements";
import { at } from "../../lab/awsTypes";
import { assertNarrow, assertTied, type Statement } from "../support/houseRules";
import { evaluate } from "../../lab/evaluation";

const china = { partition: "aws-cn", region: "cn-north-1", accountId: "111122223333" } as const;
const bucket = "arn:aws:s3:::artifacts";
const queue = "arn:aws:sqs:ap-northeast-1:111122223333:undelivered";
const topic = "arn:aws:sns:ap-northeast-1:111122223333:export-topic";
const states = "arn:aws:states:ap-northeast-1:111122223333";
const key = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/** The builders of statements for key policies, where `*` is the key. */
const ofKeyPolicy = [
    "administerKey",
    "encryptAlarms",
    "encryptLogs",
    "encryptNotifications",
    "encryptObjects",
];

const subnets = ["subnet-0a1b2c3d", "subnet-1a2b3c4d"];

/** Every builder of the file, called once. What each one grants is pinned by the tests of the components. */
const everyStatement = {
    administerKey: statements.administerKey(at),
    assumedByChat: statements.assumedByChat(at, "export-topic"),
    assumedByCodeBuild: statements.assumedByCodeBuild(at, "export-project"),
    assumedByEventBridge: statements.assumedByEventBridge(at, "export-on-push"),
    assumedByFlowLogs: statements.assumedByFlowLogs(at),
    assumedByScheduler: statements.assumedByScheduler(
        at,
        "arn:aws:scheduler:ap-northeast-1:111122223333:schedule-group/export",
    ),
    assumedByStepFunctions: statements.assumedByStepFunctions(at, "export-machine"),
    awaitBuilds: statements.awaitBuilds(at),
    awaitExports: statements.awaitExports(at),
    countResults: statements.countResults(at, "batch-machine"),
    createNetworkInterfaces: statements.createNetworkInterfaces(at, subnets, ["sg-0a1b2c3d"]),
    deleteNetworkInterfaces: statements.deleteNetworkInterfaces(at, subnets),
    deliverExecutionLog: statements.deliverExecutionLog(),
    denyCustomerKeys: statements.denyCustomerKeys(bucket),
    denyInsecurePublishing: statements.denyInsecurePublishing(topic),
    denyInsecureQueue: statements.denyInsecureQueue(queue),
    denyInsecureTransport: statements.denyInsecureTransport(bucket),
    denyOtherEncryption: statements.denyOtherEncryption(bucket),
    denyOtherKeys: statements.denyOtherKeys(bucket, key),
    downloadLayers: statements.downloadLayers(at),
    encryptAlarms: statements.encryptAlarms(at, "export-*"),
    encryptLogs: statements.encryptLogs(at, "/aws/*/export-*"),
    encryptNotifications: statements.encryptNotifications(at, "export-*"),
    encryptObjects: statements.encryptObjects(at, bucket),
    exportEachImage: statements.exportEachImage(`${states}:stateMachine:export`),
    findExports: statements.findExports(bucket, "images/"),
    findMapRuns: statements.findMapRuns(at, "batch-machine"),
    followBuilds: statements.followBuilds("arn:aws:codebuild:ap-northeast-1:111122223333:project/export"),
    followEachExport: statements.followEachExport(at, "export-machine"),
    followExports: statements.followExports(at, "export-machine"),
    followMap: statements.followMap(at, "batch-machine"),
    identifyCaller: statements.identifyCaller(),
    importImages: statements.importImages([
        "arn:aws:ecr:ap-northeast-1:111122223333:repository/docker-hub/library/nginx",
    ]),
    keepUndelivered: statements.keepUndelivered(queue),
    lendNetworkInterfaces: statements.lendNetworkInterfaces(at, subnets),
    letAlarmsPublish: statements.letAlarmsPublish(at, topic, "export-*"),
    letRolePull: statements.letRolePull("docker", "arn:aws:iam::111122223333:role/build"),
    letRuleKeepUndelivered: statements.letRuleKeepUndelivered(
        queue,
        "arn:aws:events:ap-northeast-1:111122223333:rule/export-on-push",
    ),
    listArchives: statements.listArchives(bucket, "images/"),
    logInToEcr: statements.logInToEcr(),
    lookUpNetwork: statements.lookUpNetwork(),
    passBuildLogs: statements.passBuildLogs(at),
    passExporters: statements.passExporters(bucket),
    publishEncrypted: statements.publishEncrypted(at, key, topic),
    publishNotifications: statements.publishNotifications(topic),
    pullImages: statements.pullImages("docker", ["arn:aws:ecr:ap-northeast-1:111122223333:repository/app"]),
    pullTrigger: statements.pullTrigger(`${states}:stateMachine:starter`),
    putManifests: statements.putManifests(bucket, "batches/"),
    readArchives: statements.readArchives(bucket, "images/"),
    readBuildLogs: statements.readBuildLogs(at, "builds"),
    readEncrypted: statements.readEncrypted(at, key, bucket),
    readExporter: statements.readExporter(`${bucket}/.exporter/0a1b2c3.zip`),
    readManifests: statements.readManifests(bucket, "batches/"),
    readOutcomes: statements.readOutcomes(at, ["export-machine", "batch-machine"]),
    readResults: statements.readResults(bucket, "batch-results/"),
    resolveTags: statements.resolveTags(["arn:aws:ecr:ap-northeast-1:111122223333:repository/app"]),
    runBuilds: statements.runBuilds("arn:aws:codebuild:ap-northeast-1:111122223333:project/export"),
    runMap: statements.runMap(`${states}:stateMachine:batch`),
    showMetrics: statements.showMetrics(),
    startExports: statements.startExports(`${states}:stateMachine:export`),
    startTriggeredExports: statements.startTriggeredExports(`${states}:stateMachine:export`),
    traceExecutions: statements.traceExecutions(),
    wakeNotifier: statements.wakeNotifier(`${states}:stateMachine:notifier`),
    writeArchives: statements.writeArchives(bucket, "images/"),
    writeEncrypted: statements.writeEncrypted(at, key, bucket),
    writeFlowLogs: statements.writeFlowLogs("arn:aws:logs:ap-northeast-1:111122223333:log-group:flows"),
    writeLog: statements.writeLog("arn:aws:logs:ap-northeast-1:111122223333:log-group:builds"),
    writeResults: statements.writeResults(bucket, "batch-results/"),
};

async function plain(statement: object): Promise<Statement> {
    return (await evaluate(() => ({ statement }))).result["statement"] as Statement;
}

describe("iamStatements", () => {
    it("exports no builder that these tests do not know", () => {
        const takeStatements = ["exporterPrefix", "policyDocument", "throughEndpoint"];
        const builders = Object.keys(statements).filter((name) => !takeStatements.includes(name));
        assert.deepEqual(builders.sort(), Object.keys(everyStatement));
    });

    for (const [name, statement] of Object.entries(everyStatement)) {
        it(`${name} is no wider than it has to be`, async () => {
            const { Effect, ...rest } = await plain(statement);
            assert.equal(Effect, name.startsWith("deny") ? "Deny" : "Allow");
            if (ofKeyPolicy.includes(name)) assertTied([{ Effect, ...rest }], name);
            else assertNarrow([{ Effect, ...rest }], name);
        });
    }

    it("lists actions in alphabetical order, once each", async () => {
        for (const [name, statement] of Object.entries(everyStatement)) {
            const actions = [(await plain(statement)).Action].flat();
            assert.deepEqual(actions, [...new Set(actions)].sort(), name);
        }
    });

    it("names every statement but trust, so that a denial can be traced to it", async () => {
        const sids = await Promise.all(
            Object.entries(everyStatement)
                .filter(([name]) => !name.startsWith("assumedBy"))
                .map(async ([, statement]) => (await plain(statement)).Sid),
        );
        for (const sid of sids) assert.match(sid ?? "", /^[A-Z][A-Za-z]+$/);
        assert.equal(new Set(sids).size, sids.length, "each name is used once");
    });

    it("keeps to the bucket and to the prefix", async () => {
        assert.deepEqual((await plain(everyStatement.writeArchives)).Resource, `${bucket}/images/*`);
        assert.deepEqual((await plain(everyStatement.readArchives)).Resource, `${bucket}/images/*`);
        assert.deepEqual((await plain(everyStatement.findExports)).Resource, `${bucket}/images/*`);
        assert.deepEqual((await plain(everyStatement.listArchives)).Resource, bucket);
    });

    it("lets builds write archives, but neither delete them nor change their ACL or retention", async () => {
        const { Action } = await plain(everyStatement.writeArchives);
        assert.deepEqual(Action, ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]);
    });

    it("lets readers neither write nor delete", async () => {
        const readers = [
            everyStatement.readArchives,
            everyStatement.listArchives,
            everyStatement.findExports,
        ];
        const actions = readers.map(plain);
        for (const { Action } of await Promise.all(actions)) {
            assert.doesNotMatch([Action].flat().join(), /Put|Delete|Abort/);
        }
    });

    it("lets the role of another account's repository policy pull, and do nothing else", async () => {
        assert.deepEqual(await plain(everyStatement.letRolePull), {
            Sid: "LetImageExportPull",
            Effect: "Allow",
            Principal: { AWS: "arn:aws:iam::111122223333:role/build" },
            Action: ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        });
    });

    it("lets CodeBuild use network interfaces in the build's subnets and groups alone", async () => {
        const ec2 = "arn:aws:ec2:ap-northeast-1:111122223333";
        const inSubnets = { "ec2:Subnet": subnets.map((id) => `${ec2}:subnet/${id}`) };
        assert.deepEqual(await plain(everyStatement.createNetworkInterfaces), {
            Sid: "CreateNetworkInterfaces",
            Effect: "Allow",
            Action: "ec2:CreateNetworkInterface",
            Resource: [
                `${ec2}:network-interface/*`,
                `${ec2}:subnet/subnet-0a1b2c3d`,
                `${ec2}:subnet/subnet-1a2b3c4d`,
                `${ec2}:security-group/sg-0a1b2c3d`,
            ],
        });
        assert.deepEqual(await plain(everyStatement.lendNetworkInterfaces), {
            Sid: "LendNetworkInterfaces",
            Effect: "Allow",
            Action: "ec2:CreateNetworkInterfacePermission",
            Resource: `${ec2}:network-interface/*`,
            Condition: {
                StringEquals: { "ec2:AuthorizedService": "codebuild.amazonaws.com" },
                ArnEquals: inSubnets,
            },
        });
        assert.deepEqual(await plain(everyStatement.deleteNetworkInterfaces), {
            Sid: "DeleteNetworkInterfaces",
            Effect: "Allow",
            Action: "ec2:DeleteNetworkInterface",
            Resource: `${ec2}:network-interface/*`,
            Condition: { ArnEquals: inSubnets },
        });
    });

    it("lets through an endpoint what a statement allows, and changes nothing else of it", async () => {
        const { Principal, ...rest } = await plain(statements.throughEndpoint(everyStatement.writeArchives));
        assert.equal(Principal, "*");
        assert.deepEqual(rest, await plain(everyStatement.writeArchives));
    });

    it("makes ARNs of the stack's own partition, region and account", async () => {
        const inChina = [
            statements.assumedByCodeBuild(china, "export-project"),
            statements.assumedByStepFunctions(china, "export-machine"),
            statements.assumedByFlowLogs(china),
            statements.awaitBuilds(china),
            statements.awaitExports(china),
            statements.countResults(china, "batch-machine"),
            statements.followEachExport(china, "export-machine"),
            statements.followMap(china, "batch-machine"),
            statements.createNetworkInterfaces(china, subnets, ["sg-0a1b2c3d"]),
            statements.deleteNetworkInterfaces(china, subnets),
            statements.lendNetworkInterfaces(china, subnets),
            statements.passBuildLogs(china),
            statements.followExports(china, "export-machine"),
            statements.findMapRuns(china, "batch-machine"),
            statements.readBuildLogs(china, "builds"),
            statements.administerKey(china),
            statements.encryptLogs(china, "/aws/*/export-*"),
            statements.encryptNotifications(china, "export-*"),
            statements.encryptAlarms(china, "export-*"),
        ];
        for (const statement of inChina) {
            const text = JSON.stringify(await plain(statement));
            assert.match(text, /arn:aws-cn:[a-z0-9]+:(?:cn-north-1)?:111122223333:/);
            assert.doesNotMatch(text, /arn:aws:/);
        }
    });

    it("names CloudWatch Logs as each partition does", async () => {
        const inGovCloud = {
            partition: "aws-us-gov",
            region: "us-gov-west-1",
            accountId: "111122223333",
        } as const;
        for (const [where, service] of [
            [at, "logs.ap-northeast-1.amazonaws.com"],
            [china, "logs.cn-north-1.amazonaws.com.cn"],
            [inGovCloud, "logs.us-gov-west-1.amazonaws.com"],
        ] as const) {
            const { Principal } = await plain(statements.encryptLogs(where, "/aws/*/export-*"));
            assert.deepEqual(Principal, { Service: service });
        }
    });

    it("lets the account administer the key, but neither encrypt, decrypt, nor let others", async () => {
        const { Action, Condition } = await plain(everyStatement.administerKey);
        assert.equal(Condition, undefined);
        assert.doesNotMatch([Action].flat().join(), /crypt|Generate|ReEncrypt|CreateGrant|Sign|Derive/);
    });

    it("takes Outputs for names and ARNs", async () => {
        const later = pulumi.output(Promise.resolve(bucket));
        const expected = await plain(everyStatement.denyInsecureTransport);
        assert.deepEqual(await plain(statements.denyInsecureTransport(later)), expected);
    });

    it("is the only file of components/ that writes statements", () => {
        const folder = join(__dirname, "../../components");
        const writers = readdirSync(folder).filter((file) =>
            /\bEffect:|\bAction:|getPolicyDocument/.test(readFileSync(join(folder, file), "utf8")),
        );
        assert.deepEqual(writers, ["iamStatements.ts"]);
    });

    it("puts statements into a document in their order", () => {
        const { logInToEcr, traceExecutions } = everyStatement;
        assert.deepEqual(statements.policyDocument(logInToEcr, traceExecutions), {
            Version: "2012-10-17",
            Statement: [logInToEcr, traceExecutions],
        });
    });
});
