/**
 * The whole pipeline on one machine: the stack as the program declares it, in an emulated AWS API; a real registry in
 * the place of Amazon ECR; a real Docker daemon; the declared state machines in an interpreter.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { S3Client } from "@aws-sdk/client-s3";

import type { EngineName } from "../contract/engine";
import { ecrHosts, type EcrImage, parseImageUri, parseRepositoryArn } from "../contract/image";
import { Account, type DeclaredProject } from "./account";
import type { DescribeImage, PublishedMessage } from "./awsApi";
import { startAwsGateway } from "./awsGateway";
import type { Build } from "./codebuild";
import { type DeployedStack, provision } from "./creators";
import type { Event } from "./events";
import type { Execution, ExecutionResult } from "./executions";
import { type Credentials, type IdentityAndAccess, ownerCredentials, type PolicyDocument } from "./iam";
import { describeImage as describeInRegistry, pushImage } from "./image";
import { type Commands, prepareMachine } from "./prerequisites";
import { labVariable, type Stoppable, watchOver } from "./processes";
import { startRegistryGateway } from "./registryGateway";
import { type DockerDaemon, startDockerDaemon, startEmulator, startRegistry } from "./servers";
import { type Delivery, Services, type Watcher } from "./services";
import { stackConfiguration } from "./stackFiles";
import type { Clock } from "./stateLanguage/host";
import { realClock } from "./stateLanguage/interpreter";

/** Options of {@link startLab}. */
export interface LabOptions {
    /** How the archive is made. @default "docker" */
    readonly engine?: EngineName;
    /**
     * An image of the user's own, which the local Docker daemon has or the lab's can pull.
     *
     * @default an image made of files of this machine
     */
    readonly reference?: string;
    /** Values of the configuration by their full key, as strings, over those of the stack. @default {} */
    readonly configuration?: Record<string, string>;
    /** How time passes for state machines: tests need not wait between attempts. @default as on the wall */
    readonly clock?: Clock;
    /** Called with what has been reached. */
    readonly tell: (line: string) => void;
}

/** A running lab. */
export interface Lab {
    readonly stack: DeployedStack;
    /** The image of the stack's configuration, as it is in the lab's registry. */
    readonly image: EcrImage;
    /** Id of that image, the digest of its configuration. */
    readonly imageId: string;
    readonly iam: IdentityAndAccess;
    /** The projects that the stack declares, by name. */
    readonly projects: ReadonlyMap<string, DeclaredProject>;
    /** S3 as the owner of the account sees it. */
    readonly s3: S3Client;
    /** URL of the AWS API, where each call is judged. */
    readonly endpoint: string;
    readonly docker: DockerDaemon;
    /** Variables that every build gets from the machine. Tests put theirs over them. */
    readonly buildEnvironment: Record<string, string>;
    /**
     * Credentials of a person or program that holds policies that the stack publishes, and nothing else.
     *
     * @param outputs Names of the stack outputs with the policies.
     */
    readonly holderOf: (...outputs: readonly string[]) => Credentials;
    /** Folder of the lab's files, logs among them; removed at the end. */
    readonly folder: string;
    /** Tells what a tag means in the lab's registry. */
    readonly describeImage: DescribeImage;
    /** Puts a second tag on an image of the lab's registry. */
    readonly push: (repository: string, tag: string) => Promise<string>;
    /** Starts an execution of the state machine of the stack, and waits for its end. */
    readonly execute: (input: unknown, signal?: AbortSignal) => Promise<ExecutionResult>;
    /** Starts an execution of the state machine of batches, and waits for its end. */
    readonly executeBatch: (input: unknown) => Promise<ExecutionResult>;
    /** Told what goes on: whoever wants to know sets its functions. */
    readonly watcher: Watcher;
    /** Every execution that was started, by its ARN. */
    readonly executions: ReadonlyMap<string, Execution>;
    /** Every message that was published, the first one first. */
    readonly published: readonly PublishedMessage[];
    /** Hands an event to the stack's rules; what became of it at each target of each rule that it matches. */
    readonly deliver: (event: Event) => Promise<Delivery[]>;
    /** Has the stack's schedules do what they do at a time that they are set for. */
    readonly deliverScheduled: (scheduledTime: Date) => Promise<Delivery[]>;
    /** Runs a build of the stack's project with these variables, as somebody who gets past the state machine would. */
    readonly build: (variables: Record<string, string>) => Promise<Build>;
    /** Ends everything that the lab has started and removes its files. */
    readonly stop: () => Promise<void>;
}

const stackName = "dev";

/**
 * Starts the lab.
 *
 * @throws Error when the machine lacks something, or the stack cannot be deployed; nothing is left running then.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
    const commands = await prepareMachine(options.tell);
    const folder = mkdtempSync(join(tmpdir(), "image-export-lab-"));
    const started: Stoppable[] = [watchOver(folder)];
    const stop = async () => {
        for (const each of started.splice(0).reverse()) await each.stop();
    };
    try {
        return await start(options, commands, folder, started, stop);
    } catch (error) {
        await stop();
        throw error;
    }
}

async function start(
    options: LabOptions,
    commands: Commands,
    folder: string,
    started: Stoppable[],
    stop: () => Promise<void>,
): Promise<Lab> {
    const keep = <T extends Stoppable>(part: T): T => {
        started.push(part);
        return part;
    };
    const { tell } = options;

    // What is deployed, and where.
    const configuration = configure(options);
    const image = parseImageUri(configuration["ecr-image-export:imageUri"] ?? "");
    const { partition, accountId, name: repository } = image.repository;
    const region = configuration["aws:region"] ?? "";
    const account = new Account({ partition, region, accountId });
    const { iam, events } = account;

    // The servers, and what judges each call to them.
    const emulator = keep(await startEmulator(commands.motoServer, accountId, folder));
    const emulatorUrl = `http://127.0.0.1:${emulator.port}`;
    const registry = keep(await startRegistry(`lab:${randomUUID()}`, folder));
    const describeImage: DescribeImage = (name, tag) => describeInRegistry(registry, name, tag);
    const services = new Services(account, describeImage, options.clock ?? realClock);
    const api = keep(await startAwsGateway({ account, api: services.api, emulatorPort: emulator.port }));
    const endpoint = `http://127.0.0.1:${api.port}`;
    const arns = configuration["ecr-image-export:crossAccountRepositoryArns"] ?? "[]";
    const repositories = [image.repository, ...(JSON.parse(arns) as string[]).map(parseRepositoryArn)];
    const hosts = [...new Set(repositories.map((each) => ecrHosts(each)[0]))];
    const gateway = keep(await startRegistryGateway({ account, hosts, registry, folder }));
    const authorities = gateway.authoritiesFile;
    const proxy = `http://127.0.0.1:${gateway.port}`;
    const network = { HTTPS_PROXY: proxy, NO_PROXY: "127.0.0.1", SSL_CERT_FILE: authorities };
    const docker = keep(await startDockerDaemon(folder, network));
    // An `aws` that calls the lab: releases before 2023, as in Debian 12, do not read AWS_ENDPOINT_URL.
    const bin = mkdtempSync(join(folder, "bin-"));
    const script = `#!/bin/sh\nexec ${commands.aws} --endpoint-url ${endpoint} "$@"\n`;
    writeFileSync(join(bin, "aws"), script, { mode: 0o755 });
    const buildEnvironment = {
        ...network,
        PATH: `${bin}:${process.env["PATH"] ?? ""}`,
        CURL_CA_BUNDLE: authorities,
        NODE_EXTRA_CA_CERTS: authorities,
        DOCKER_HOST: docker.host,
        [labVariable]: folder,
    };
    services.machine = { endpoint, buildEnvironment, folder };
    tell("Docker daemon, registry and emulated AWS API are up.");

    // The image and the stack.
    const push = (name: string, tag: string, reference?: string) =>
        pushImage({
            dockerHost: docker.host,
            registry,
            repository: name,
            tag,
            folder: mkdtempSync(join(folder, "push-")),
            ...(reference === undefined ? {} : { reference }),
        });
    const imageId = await push(repository, image.tag ?? "latest", options.reference);
    tell(`The image ${image.uri} is in the registry.`);
    const stack = await provision(stackName, configuration, account, emulatorUrl);
    const { created, declared } = stack;
    tell(`The stack ${stackName} is deployed: ${created.length} resources created, ${declared.length} only declared.`);

    const execute = (output: string, input: unknown, signal?: AbortSignal) => {
        const execution = services.startExecution(String(stack.outputs[output]), input);
        if (execution === undefined) throw new Error("A random name was taken.");
        if (signal?.aborted === true) execution.stop();
        signal?.addEventListener("abort", () => {
            execution.stop();
        });
        return execution.result;
    };
    const policy = (output: string) => JSON.parse(String(stack.outputs[output])) as PolicyDocument;
    return {
        stack,
        image,
        imageId,
        iam,
        projects: account.projects,
        s3: new S3Client({ region, endpoint: emulatorUrl, credentials: ownerCredentials, forcePathStyle: true }),
        endpoint,
        docker,
        buildEnvironment,
        holderOf: (...outputs) => iam.holder(`holder-of-${outputs.join("-and-")}`, outputs.map(policy)),
        folder,
        describeImage,
        push,
        execute: (input, signal) => execute("stateMachineArn", input, signal),
        executeBatch: (input) => execute("batchStateMachineArn", input),
        watcher: services.watcher,
        executions: services.executions.byArn,
        published: services.published,
        deliver: (event) => services.deliver(events.onEvent(event)),
        deliverScheduled: (scheduledTime) => services.deliver(events.onTime(scheduledTime)),
        build: async (variables) =>
            (await services.startBuild(String(stack.outputs["buildProjectName"]), variables)).ended,
        stop,
    };
}

/** The configuration of the stack, with what the options say in the place of its own. */
function configure({ engine = "docker", reference, ...options }: LabOptions): Record<string, string> {
    const configuration: Record<string, string> = {
        ...stackConfiguration(stackName),
        "ecr-image-export:engine": engine,
        ...options.configuration,
    };
    if (reference === undefined) return configuration;
    const host = (configuration["ecr-image-export:imageUri"] ?? "").split("/")[0] ?? "";
    // Docker's rule: what stands before the first slash is a host where it has a dot or a colon, or is localhost.
    const path = reference.replace(/@.*$/, "").replace(/^(?:localhost|[^/]*[.:][^/]*)\//, "");
    return { ...configuration, "ecr-image-export:imageUri": `${host}/${path}` };
}
