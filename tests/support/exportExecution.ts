/** A stack whose export state machine runs in the lab's interpreter: ECR, S3 and CodeBuild are simulated. */
import { strict as assert } from "node:assert";

import { type EcrRepository, parseImageUri, parseRepositoryArn, repositoryArn } from "../../contract/image";
import { isArtifactKey, recordKey, setRequestKey } from "../../contract/keys";
import { parsePlatform } from "../../contract/platform";
import { latest, requestVariables, setVariable, sinceVariables } from "../../contract/request";
import { exportDefinition, type ExportDefinitionArgs } from "../../stateMachines/export";
import type { StateMachineDefinition } from "../../stateMachines/language";
import { awsError, type Ended, execute, fails, type Given, type Services } from "./execution";

/** The image of the stack. */
export const image = parseImageUri("111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/web/nginx:1.29");

/** A repository of another account and region. */
export const foreign = parseRepositoryArn("arn:aws:ecr:eu-west-1:444455556666:repository/platform/base");

/** Bucket of the stack, and what its build is said to be. */
export const bucket = "artifacts-0a1b2c3";
export const key = "images/web/nginx/1.29.tar";
export const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
export const buildId = "export-0a1b2c3:1";
export const buildsUrl = "https://console/builds";

/** Arguments of the stack's definition. */
export const exportArgs: ExportDefinitionArgs = {
    at: image.repository,
    projectName: "export-0a1b2c3",
    buildsUrl,
    referrers: false,
    engine: "docker",
    imageUri: image.uri,
    repositories: [image.repository, foreign],
    artifactBucket: bucket,
    artifactPrefix: "images/",
    timeoutMinutes: 30,
    queuedTimeoutMinutes: 60,
};

/** Its definition, for each engine. */
export const definitions = {
    docker: exportDefinition(exportArgs),
    stream: exportDefinition({ ...exportArgs, engine: "stream" }),
} as const;

/** The parameters of `codebuild:startBuild.sync`, as the state machine gives them. */
export interface StartBuild {
    readonly ProjectName: string;
    readonly EnvironmentVariablesOverride: readonly { Name: string; Type: string; Value: string }[];
}

/** The variables of a build, by name. */
export function variablesOf({ EnvironmentVariablesOverride }: StartBuild): Record<string, string> {
    return Object.fromEntries(EnvironmentVariablesOverride.map(({ Name, Value }) => [Name, Value]));
}

/** The head of an object, as HeadObject answers it. */
export interface Head {
    readonly VersionId?: string;
    readonly ContentLength?: number;
    readonly Metadata?: Readonly<Record<string, string | undefined>>;
}

/** The heads that an export leaves, by key. */
export function exported(
    artifactKey = key,
    changes: Readonly<Record<string, string | undefined>> = {},
    archive: Head = { VersionId: "version-1", ContentLength: 12345678901 },
): Record<string, Head> {
    const Metadata = {
        layout: "1",
        engine: "docker",
        "image-name": image.uri,
        "image-digest": digest,
        platform: "linux/amd64",
        "archive-sha256": "f".repeat(64),
        "archive-version-id": "version-1",
        "build-id": "other:9",
        ...changes,
    };
    return { [artifactKey]: archive, [recordKey(artifactKey)]: { VersionId: "r", ContentLength: 512, Metadata } };
}

type Heads = Readonly<Record<string, Head>>;

/** What a stack is like; everything can be left out. */
export interface World {
    readonly definition?: StateMachineDefinition;
    /** What is in S3 beforehand. */
    readonly heads?: Readonly<Record<string, Head>>;
    /** What ECR answers. @default every tag means {@link digest} */
    readonly describeImages?: (request: object) => unknown;
    /** What a build does; gives the heads that it leaves, or throws. @default it exports what it was asked for */
    readonly build?: (variables: Record<string, string>) => Heads | Promise<Heads>;
    /** What S3 answers. @default what is there */
    readonly headObject?: (request: { Bucket: string; Key: string }, heads: Record<string, Head>) => unknown;
    /** Called before S3 takes an object. */
    readonly putObject?: () => void;
    readonly given?: Given;
}

/** An execution that has ended, and what it has asked for. */
export interface Export extends Ended {
    readonly builds: readonly StartBuild[];
    /** Calls of ECR and S3. */
    readonly asked: readonly object[];
    /** What was written to S3, by key. */
    readonly stored: Readonly<Record<string, unknown>>;
}

/** The head that a build leaves of what it was asked for. */
export function builtFrom(variables: Readonly<Record<string, string>>): Record<string, Head> {
    const { IMAGE_URI = "", IMAGE_DIGEST = "", PLATFORM = "", ARTIFACT_KEY = "" } = variables;
    const [named = "", ofUri = ""] = IMAGE_URI.split("@");
    const isTagged = /:[^/]*$/.test(named);
    const name = isTagged ? named : ofUri === "" ? `${named}:latest` : IMAGE_URI;
    return exported(ARTIFACT_KEY, {
        "image-name": name,
        "image-digest": IMAGE_DIGEST === "" ? digest : IMAGE_DIGEST,
        platform: PLATFORM,
        "build-id": buildId,
    });
}

/** Runs a request. */
export async function runExport(input: unknown, world: World = {}): Promise<Export> {
    const builds: StartBuild[] = [];
    const asked: object[] = [];
    const stored: Record<string, unknown> = {};
    const heads: Record<string, Head> = { ...world.heads };
    const notThere = fails("S3.S3Exception", "null (Service: S3, Status Code: 403, Request ID: 1)");
    const services: Services = {
        "aws-sdk:ecr:describeImages": (request: object) => {
            asked.push(request);
            return world.describeImages?.(request) ?? { ImageDetails: [{ ImageDigest: digest }] };
        },
        "aws-sdk:s3:headObject": (request: { Bucket: string; Key: string }) => {
            asked.push(request);
            return world.headObject?.(request, heads) ?? heads[request.Key] ?? notThere();
        },
        "aws-sdk:s3:putObject": ({ Bucket, Key, Body }: { Bucket: string; Key: string; Body: unknown }) => {
            assert.equal(Bucket, bucket);
            world.putObject?.();
            stored[Key] = Body;
        },
        "codebuild:startBuild.sync": async (request: StartBuild) => {
            builds.push(request);
            const variables = variablesOf(request);
            Object.assign(heads, await (world.build ?? builtFrom)(variables));
            return { Build: { Id: buildId, BuildStatus: "SUCCEEDED" } };
        },
    };
    const ended = await execute(world.definition ?? definitions.docker, input, services, world.given);
    return { ...ended, builds, asked, stored };
}

/** A build that fails: `States.TaskFailed`, with the Build as text. */
export function failedBuild(cause: string | undefined, error = "States.TaskFailed"): () => never {
    return () => {
        throw awsError(error, cause);
    };
}

/** Another repository of the stack's own account and region. */
export function ownRepository(name: string): EcrRepository {
    return { ...image.repository, name };
}

/**
 * Asserts that a build is of the stack's project, about images of its repositories, for its bucket and its prefix.
 *
 * @param stored What the state machine has written to S3.
 */
export function assertHarmless(started: StartBuild, stored: Export["stored"]): void {
    const { ProjectName, EnvironmentVariablesOverride, ...rest } = started;
    assert.equal(ProjectName, exportArgs.projectName);
    assert.deepEqual(rest, {}, "nothing else is overridden");
    assert.deepEqual(
        EnvironmentVariablesOverride.slice(0, requestVariables.length).map(({ Name }) => Name),
        requestVariables,
    );
    for (const { Type, Value } of EnvironmentVariablesOverride) {
        assert.equal(Type, "PLAINTEXT");
        assert.equal(typeof Value, "string");
    }
    const variables = variablesOf(started);
    const requestDigest = variables[setVariable] ?? "";
    const set = requestDigest === "" ? undefined : stored[setRequestKey(requestDigest)];
    const { images } = (set ?? { images: [{ imageUri: variables["IMAGE_URI"] ?? "" }] }) as {
        readonly images: readonly { readonly imageUri: string; readonly platform?: string }[];
    };
    for (const { imageUri, platform = "all" } of images) {
        const { repository } = parseImageUri(imageUri);
        assert(exportArgs.repositories.some((each) => repositoryArn(each) === repositoryArn(repository)));
        parsePlatform(platform);
    }
    assert.equal(variables["ARTIFACT_BUCKET"], bucket);
    assert(isArtifactKey(variables["ARTIFACT_KEY"] ?? "", "images/"), variables["ARTIFACT_KEY"]);
    const since = variables[sinceVariables.key] ?? "";
    assert(since === "" || since === latest || isArtifactKey(since, "images/"), since);
    assert.match(variables["FORCE"] ?? "", /^(?:true|false)$/);
    assert.match(variables["IMAGE_DIGEST"] ?? "", /^(?:sha256:[0-9a-f]{64})?$/);
    parsePlatform(variables["PLATFORM"] ?? "");
}
