/** Exports on what the engine has made: the lab's services at work on a stack that `pulumi up` has deployed, not an evaluation of the program. */
import { strict as assert } from "node:assert";
import { Readable } from "node:stream";

import { DeleteLogGroupCommand } from "@aws-sdk/client-cloudwatch-logs";
import { GetBucketVersioningCommand, GetObjectCommand, PutBucketVersioningCommand } from "@aws-sdk/client-s3";
import { parse } from "yaml";

import { engineNames } from "../../contract/engine";
import { verifyArchive } from "../../exporter/archive/verify";
import { creators } from "../../lab/creators";
import { type Lab, startLab, uriOf } from "../../lab/lab";
import { runIndex } from "../../lab/program";
import { configurationOf } from "../../lab/stackFiles";
import { eagerClock } from "../../lab/stateLanguage/interpreter";
import { recordOf } from "../support/readRecord";
import { AwsAccount } from "./awsAccount";
import { Engine, type EngineStack } from "./engineStack";
import { succeeded } from "./stackLife";

for (const engineName of engineNames) {
    describe(`a stack that the engine has made, with engine ${engineName}`, () => {
        let engine: Engine | undefined;
        let stack: EngineStack;
        let lab: Lab | undefined;

        /** Deploys as {@link startLab} would, by the engine. */
        const deploy: Parameters<typeof startLab>[0]["deploy"] = async (name, configuration, account, emulator) => {
            engine = await Engine.start(new AwsAccount(account, emulator));
            // Values as a stack's file has them.
            const values = Object.entries(configuration).map(([key, text]) => [key, parse(text) as unknown] as const);
            const program = () => Promise.resolve(runIndex());
            stack = await engine.createStack(name, ".", program, Object.fromEntries(values));
            succeeded(await stack.up(), `up ${name}`);
            const types = (await stack.resources()).map(({ type }) => type).filter((type) => type.startsWith("aws:"));
            const created = types.filter((type) => type in creators).length;
            return { outputs: await stack.outputs(), created, declared: types.length - created };
        };

        before(async () => {
            // A key, since a log group is only made, and an image only exported, by who may use it.
            const configuration = configurationOf({ engine: engineName, encryption: "kms" });
            lab = await startLab({ configuration, clock: eagerClock, deploy });
        });
        after(async () => {
            await engine?.stop();
            await lab?.stop();
        });

        it("exports an image, as the state machine and the build of the stack do it under its roles", async () => {
            assert(lab !== undefined);
            const result = await lab.execute({});
            assert(result.status === "SUCCEEDED", JSON.stringify(result));
            const { artifactBucket: Bucket, artifactKey: Key, artifactVersionId: VersionId } = result.output;
            assert.equal(Bucket, (await stack.outputs())["artifactBucketName"]);
            const read = async (key: string, version?: string) => {
                const object = { Bucket: String(Bucket), Key: key, VersionId: version };
                return lab?.s3.send(new GetObjectCommand(object));
            };
            const record = recordOf(await (await read(`${String(Key)}.json`))?.Body?.transformToString());
            const archive = await read(String(Key), String(VersionId));
            assert.equal(archive?.SSEKMSKeyId, (await stack.outputs())["encryptionKeyArn"]);
            const bytes = (await archive?.Body?.transformToByteArray()) ?? new Uint8Array();
            assert.deepEqual((await verifyArchive(Readable.from([bytes]), record)).problems, []);
            const again = await lab.execute({});
            assert(again.status === "SUCCEEDED" && again.output["skipped"] === true, JSON.stringify(again));
        });
        it("exports a set with engine stream, and refuses one with engine docker", async () => {
            assert(lab !== undefined);
            await lab.push(lab.image.repository.name, "2");
            const images = [lab.image.uri, uriOf(lab, "2")];
            const result = await lab.execute({ images, artifactKey: "images/set.tar" });
            if (engineName === "docker") {
                assert(result.status === "FAILED" && result.error === "InvalidInput", JSON.stringify(result));
                return;
            }
            assert(result.status === "SUCCEEDED", JSON.stringify(result));
            assert.equal(result.output["imageCount"], 2);
        });
        it("sees what somebody else has changed and deleted, and puts it back", async () => {
            assert(lab !== undefined && engine !== undefined);
            const { s3, logs } = engine.aws.emulator;
            const Bucket = String((await stack.outputs())["artifactBucketName"]);
            const logGroupName = (await engine.aws.idsOf("aws:cloudwatch/logGroup:LogGroup"))[0];
            await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Suspended" } }));
            await logs.send(new DeleteLogGroupCommand({ logGroupName }));
            const differences = (await stack.refresh()).steps.map(({ op, type }) => `${op} ${type.split(":").at(-1)}`);
            assert.deepEqual(differences.sort(), ["delete LogGroup", "update BucketVersioning"]);
            succeeded(await stack.up(), "up dev");
            const { Status } = await s3.send(new GetBucketVersioningCommand({ Bucket }));
            assert.equal(Status, "Enabled");
            assert((await engine.aws.idsOf("aws:cloudwatch/logGroup:LogGroup")).includes(String(logGroupName)));
            const result = await lab.execute({ force: true });
            assert.equal(result.status, "SUCCEEDED", JSON.stringify(result));
        });

        it("is destroyed with its archives, as its configuration says", async () => {
            assert(engine !== undefined);
            assert((await engine.aws.contents()).some((line) => line.endsWith(".tar")));
            succeeded(await stack.destroy(), "destroy dev");
            assert.deepEqual(await engine.aws.contents(), []);
        });
    });
}
