/** What Pulumi's provider would ask of moto for the stack local, as far as it can be asked without the provider. */
import { strict as assert } from "node:assert";
import type { Server } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { BatchGetProjectsCommand, CodeBuildClient, DeleteProjectCommand } from "@aws-sdk/client-codebuild";
import {
    DeleteRoleCommand,
    DeleteRolePolicyCommand,
    GetRoleCommand,
    IAMClient,
    ListInstanceProfilesForRoleCommand,
    ListRolePoliciesCommand,
} from "@aws-sdk/client-iam";
import {
    S3Client,
    GetBucketVersioningCommand,
    GetBucketLifecycleConfigurationCommand,
    ListObjectVersionsCommand,
    DeleteObjectCommand,
    DeleteBucketCommand,
} from "@aws-sdk/client-s3";
import {
    DeleteStateMachineCommand,
    DescribeExecutionCommand,
    DescribeStateMachineCommand,
    ListStateMachineVersionsCommand,
    SFNClient,
    StartExecutionCommand,
    StopExecutionCommand,
    ValidateStateMachineDefinitionCommand,
} from "@aws-sdk/client-sfn";

import { EventBridge } from "../../lab/events";
import { IdentityAndAccess } from "../../lab/iam";
import { startLocalApi } from "../../lab/localApi";
import { prepareEmulator } from "../../lab/prerequisites";
import { freePort, type RunningProcess } from "../../lab/processes";
import { type DeployedStack, provision } from "../../lab/provision";
import { startEmulator } from "../../lab/servers";
import { stackConfiguration } from "../../lab/stackFiles";

const accountId = "123456789012";

describe("lab: the stack local in moto, as the provider sees it", () => {
    let folder: string;
    let emulator: RunningProcess;
    let server: Server;
    let stack: DeployedStack;
    let client: {
        region: string;
        endpoint: string;
        credentials: { accessKeyId: string; secretAccessKey: string };
    };

    before(async () => {
        folder = mkdtempSync(join(tmpdir(), "image-export-local-test-"));
        const [emulatorPort, port] = [await freePort(), await freePort()];
        const motoServer = await prepareEmulator(() => undefined);
        emulator = await startEmulator(motoServer, emulatorPort, accountId, folder);
        server = await startLocalApi(port, emulatorPort);
        const configuration = stackConfiguration("local");
        const region = configuration["aws:region"] ?? "";
        stack = await provision({
            stack: "local",
            configuration,
            accountId,
            emulatorPort: port,
            iam: new IdentityAndAccess(accountId),
            events: new EventBridge((service) => `arn:aws:${service}:${region}:${accountId}`),
            cacheRules: new Map(),
        });
        client = {
            region,
            endpoint: `http://127.0.0.1:${port}`,
            credentials: { accessKeyId: "local", secretAccessKey: "local" },
        };
    });

    after(async () => {
        server.close();
        server.closeAllConnections();
        await emulator.stop();
        rmSync(folder, { recursive: true });
    });

    it("is made, and read back as it was made", async () => {
        const codebuild = new CodeBuildClient(client);
        for (const { name, serviceRole } of stack.projects.values()) {
            const { projects } = await codebuild.send(new BatchGetProjectsCommand({ names: [name] }));
            assert.equal(projects?.[0]?.serviceRole, serviceRole);
            assert.equal(projects[0].source?.type, "S3");
        }
        const sfn = new SFNClient(client);
        for (const { arn: stateMachineArn, definition } of stack.stateMachines.values()) {
            const described = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn }));
            assert.equal(described.definition, definition);
            const { stateMachineVersions } = await sfn.send(
                new ListStateMachineVersionsCommand({ stateMachineArn }),
            );
            assert.deepEqual(stateMachineVersions, []);
            const { result } = await sfn.send(new ValidateStateMachineDefinitionCommand({ definition }));
            assert.equal(result, "OK");
        }
        const s3 = new S3Client({ ...client, forcePathStyle: true });
        const bucket = { Bucket: String(stack.outputs["artifactBucketName"]) };
        assert.equal((await s3.send(new GetBucketVersioningCommand(bucket))).Status, "Enabled");
        const { Rules = [] } = await s3.send(new GetBucketLifecycleConfigurationCommand(bucket));
        assert(Rules.some(({ Expiration }) => Expiration?.Days === 1));
    });

    it("takes an export, and runs none", async () => {
        const sfn = new SFNClient(client);
        const stateMachineArn = String(stack.outputs["stateMachineArn"]);
        const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input: "{}" }));
        const { status } = await sfn.send(new DescribeExecutionCommand({ executionArn }));
        assert.equal(status, "RUNNING");
        await sfn.send(new StopExecutionCommand({ executionArn }));
        const stopped = await sfn.send(new DescribeExecutionCommand({ executionArn }));
        assert.equal(stopped.status, "ABORTED");
    });

    it("is taken away again", async () => {
        const sfn = new SFNClient(client);
        for (const stateMachineArn of stack.stateMachines.keys()) {
            await sfn.send(new DeleteStateMachineCommand({ stateMachineArn }));
            await assert.rejects(sfn.send(new DescribeStateMachineCommand({ stateMachineArn })), {
                name: "StateMachineDoesNotExist",
            });
        }
        const codebuild = new CodeBuildClient(client);
        const iam = new IAMClient(client);
        for (const { name, serviceRole } of stack.projects.values()) {
            await codebuild.send(new DeleteProjectCommand({ name }));
            const { projects } = await codebuild.send(new BatchGetProjectsCommand({ names: [name] }));
            assert.deepEqual(projects, []);
            const RoleName = serviceRole.split("/").at(-1) ?? "";
            const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
            for (const PolicyName of PolicyNames)
                await iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName }));
            await iam.send(new ListInstanceProfilesForRoleCommand({ RoleName }));
            await iam.send(new DeleteRoleCommand({ RoleName }));
            await assert.rejects(iam.send(new GetRoleCommand({ RoleName })), /NoSuchEntity|not found/);
        }
        const s3 = new S3Client({ ...client, forcePathStyle: true });
        const bucket = { Bucket: String(stack.outputs["artifactBucketName"]) };
        const { Versions = [] } = await s3.send(new ListObjectVersionsCommand(bucket));
        assert.equal(Versions.length, 1);
        for (const { Key, VersionId } of Versions)
            await s3.send(new DeleteObjectCommand({ ...bucket, Key, VersionId }));
        await s3.send(new DeleteBucketCommand(bucket));
    });
});
