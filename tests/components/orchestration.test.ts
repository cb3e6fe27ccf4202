import { strict as assert } from "node:assert";

import { buildsUrl } from "../../contract/aws";
import { exportDefinition } from "../../stateMachines/export";
import { parseImageUri } from "../../contract/image";
import { ExportOrchestration, type ExportOrchestrationArgs } from "../../components/orchestration";
import { at } from "../../lab/awsTypes";
import { itKeepsTheHouseRules, sidsOf, statementsOf } from "../support/houseRules";
import { evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { componentOf, typesAndNamesOf } from "../support/evaluated";

const image = parseImageUri("111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:1.29");
const projectArn = "arn:aws:codebuild:ap-northeast-1:111122223333:project/build-0a1b2c3";

const args: ExportOrchestrationArgs = {
    at,
    projectName: "build-0a1b2c3",
    projectArn,
    buildLogGroupName: "/aws/codebuild/exports",
    engine: "docker",
    referrers: false,
    imageUri: image.uri,
    repositories: [
        image.repository,
        { ...image.repository, name: "web/other" },
        { ...image.repository, region: "eu-west-1" },
        { ...image.repository, accountId: "444455556666" },
    ],
    artifactBucket: "artifacts-0a1b2c3",
    artifactBucketArn: "arn:aws:s3:::artifacts-0a1b2c3",
    artifactPrefix: "images/",
    timeoutMinutes: 30,
    queuedTimeoutMinutes: 60,
};

/** What the role may do. */
const own = [
    ...["ResolveTags", "FindExports", "RunBuilds", "AwaitBuilds"],
    ...["DeliverExecutionLog", "TraceExecutions"],
];

function evaluateOrchestration(changes: Partial<ExportOrchestrationArgs> = {}): Promise<Evaluation> {
    return evaluate(() => ({ machine: new ExportOrchestration("test", { ...args, ...changes }).urn }));
}

describe("ExportOrchestration", () => {
    const machineArn = "arn:aws:states:ap-northeast-1:111122223333:stateMachine:test-machine-0a1b2c3";
    const logGroup = "/aws/vendedlogs/states/test-machine-20250101000000000000000001";
    let orchestration: Evaluation;
    before(async () => {
        orchestration = await evaluateOrchestration();
    });

    itKeepsTheHouseRules(() => orchestration);

    it("may write the list of a set's images, with engine stream only", async () => {
        const encryptionKeyArn = "arn:aws:kms:ap-northeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        const stream = await evaluateOrchestration({ engine: "stream", encryptionKeyArn });
        const statements = statementsOf(resourceOf(stream, "test-machine-policy"));
        const resources = (sid: string) => statements.find(({ Sid }) => Sid === sid)?.Resource;
        assert.equal(resources("WriteSets"), "arn:aws:s3:::artifacts-0a1b2c3/.sets/*");
        assert.equal(resources("PutEncrypted"), encryptionKeyArn);
        const docker = await evaluateOrchestration({ engine: "docker", encryptionKeyArn });
        assert.deepEqual(sidsOf(resourceOf(docker, "test-machine-policy")), own);
    });

    it("refuses more repositories than the states of its definition can hold", async () => {
        const far = Array.from({ length: 1000 }, (_, index) => `far/${"n".repeat(230)}-${index}`);
        const repositories = far.map((name) => ({ ...image.repository, region: "eu-west-1", name }));
        await assert.rejects(
            evaluateOrchestration({ repositories }),
            /What the state "Read input" of the state machine test-machine assigns would have \d{6} characters, and AWS takes 229376: 1000 repositories begin with far\/: write arn:.*:repository\/far\/\* for them\./,
        );
    });

    it("is a state machine with its role, the role's policy and a log group", () => {
        assert.deepEqual(typesAndNamesOf(orchestration), [
            "aws:cloudwatch/logGroup:LogGroup test-machine-log",
            "aws:iam/role:Role test-machine-role",
            "aws:iam/rolePolicy:RolePolicy test-machine-policy",
            "aws:sfn/stateMachine:StateMachine test-machine",
            "ecr-image-export:index:ExportOrchestration test",
        ]);
    });

    it("lets the role find exports, ask ECR, run the builds and await them, log and trace", () => {
        assert.deepEqual(sidsOf(resourceOf(orchestration, "test-machine-policy")), own);
    });

    it("does not ask ECR about what a pull-through cache fills", async () => {
        const cachedRepositories = [{ ...image.repository, name: "web/other" }];
        const policy = resourceOf(await evaluateOrchestration({ cachedRepositories }), "test-machine-policy");
        assert.deepEqual(statementsOf(policy).find(({ Sid }) => Sid === "ResolveTags")?.Resource, [
            "arn:aws:ecr:ap-northeast-1:111122223333:repository/web/nginx",
        ]);
    });

    it("asks ECR nothing where every repository is of another account or region", async () => {
        const [, , ...repositories] = args.repositories;
        const policy = resourceOf(await evaluateOrchestration({ repositories }), "test-machine-policy");
        assert.deepEqual(
            sidsOf(policy),
            own.filter((sid) => sid !== "ResolveTags"),
        );
    });

    it("declares a STANDARD state machine, traced, that logs errors without execution data", () => {
        const { definition, ...inputs } = resourceOf(orchestration, "test-machine").inputs;
        assert.equal(typeof definition, "string");
        assert.deepEqual(inputs, {
            type: "STANDARD",
            roleArn: "arn:aws:iam::111122223333:role/test-machine-role-0a1b2c3",
            tracingConfiguration: { enabled: true },
            loggingConfiguration: {
                level: "ERROR",
                includeExecutionData: false,
                logDestination: `arn:aws:logs:ap-northeast-1:111122223333:log-group:${logGroup}:*`,
            },
        });
    });

    it("runs the definition of definition.ts", () => {
        const { definition } = resourceOf(orchestration, "test-machine").inputs;
        const expected = exportDefinition({ ...args, buildsUrl: buildsUrl(at, at.accountId, "build-0a1b2c3") });
        assert.deepEqual(JSON.parse(String(definition)), structuredClone(expected));
    });

    it("registers names, ARN and the starter's policy as its outputs", () => {
        const { startExportPolicy, stateMachine } = componentOf(orchestration, "ExportOrchestration").outputs ?? {};
        assert.deepEqual(stateMachine, { arn: machineArn, name: "test-machine-0a1b2c3", logGroupName: logGroup });
        assert.deepEqual(sidsOf(String(startExportPolicy)), [
            ...["StartExports", "FollowExports", "FollowBuilds", "ReadBuildLogs"],
        ]);
    });
});
