/**
 * The whole pipeline on one machine: the stack as the program declares it, in an emulated AWS API; a real registry in
 * the place of Amazon ECR; a real Docker daemon; the declared state machine in an interpreter.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { S3Client } from "@aws-sdk/client-s3";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";

import type { EngineName } from "../stateMachines/export";
import { type EcrImage, parseImageUri } from "../contract/image";
import { type DescribeImage, type RegistryPasswords, startAwsGateway } from "./awsGateway";
import { type Build, type Credentials, runBuild, type RunningBuild } from "./codebuild";
import { deliver, type Delivery } from "./delivery";
import { type Event, EventBridge, type Invocation } from "./events";
import { endOf, type Execution, Executions } from "./executions";
import { ExecutionsApi } from "./executionsApi";
import { IdentityAndAccess, type PolicyDocument } from "./iam";
import { describeImage as describeInRegistry, pushImage } from "./image";
import { prepareMachine } from "./prerequisites";
import { freePort, type RunningProcess } from "./processes";
import { type DeployedStack, provision } from "./provision";
import { startRegistryGateway } from "./registryGateway";
import { type DockerDaemon, startDockerDaemon, startEmulator, startRegistry } from "./servers";
import { stackConfiguration } from "./stackFiles";
import { execute, type ExecutionHost, type ExecutionResult, type PublishedMessage } from "./stepFunctions";

/** Options of {@link startLab}. */
export interface LabOptions {
    /**
     * How the archive is made.
     *
     * @default "docker"
     */
    readonly engine?: EngineName;
    /**
     * An image of the user's own, which the local Docker daemon has or the lab's can pull.
     *
     * @default an image made of files of this machine
     */
    readonly reference?: string;
    /**
     * Values of the configuration by their full key, as texts, over those of the stack.
     *
     * @default {}
     */
    readonly configuration?: Record<string, string>;
    /**
     * Account of the stack.
     *
     * @default that of its image
     */
    readonly accountId?: string;
    /** Called when a part of the lab is ready. */
    readonly tell: (line: string) => void;
}

/** What is told of an execution while it runs. */
export interface ExecutionWatcher {
    readonly enter: (state: string) => void;
    readonly log: (line: string) => void;
    /** May change what Step Functions learns of a build. */
    readonly build: (build: Build) => Build;
}

/** A running lab. */
export interface Lab {
    readonly stack: DeployedStack;
    /** The image of the stack's configuration, as it is in the lab's registry. */
    readonly image: EcrImage;
    /** Id of that image, the digest of its configuration. */
    readonly imageId: string;
    readonly iam: IdentityAndAccess;
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
    readonly execute: (
        input: unknown,
        watcher?: Partial<ExecutionWatcher>,
        signal?: AbortSignal,
    ) => Promise<ExecutionResult>;
    /** Starts an execution of the state machine of batches, and waits for its end. */
    readonly executeBatch: (input: unknown, watcher?: Partial<ExecutionWatcher>) => Promise<ExecutionResult>;
    /** Every execution that was started, by its ARN. */
    readonly executions: ReadonlyMap<string, Execution>;
    /** Every message that was published, the first one first. */
    readonly published: readonly PublishedMessage[];
    /** Hands an event to the stack's rules; what became of it at each target of each rule that it matches. */
    readonly deliver: (event: Event, watcher?: Partial<ExecutionWatcher>) => Promise<Delivery[]>;
    /** Has the stack's schedules do what they do at a time that they are set for. */
    readonly deliverScheduled: (
        scheduledTime: Date,
        watcher?: Partial<ExecutionWatcher>,
    ) => Promise<Delivery[]>;
    /** Runs a build of the stack's project with these variables, as somebody who gets past the state machine would. */
    readonly build: (variables: Record<string, string>) => Promise<Build>;
    /** Ends everything that the lab has started and removes its files. */
    readonly stop: () => Promise<void>;
}

const stackName = "dev";
const never = new AbortController().signal;

/**
 * Starts the lab.
 *
 * @throws Error when the machine lacks something, or the stack cannot be deployed; nothing is left running then.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
    const folder = mkdtempSync(join(tmpdir(), "image-export-lab-"));
    const started: { stop(): Promise<void> }[] = [];
    const stop = async () => {
        for (const each of started.splice(0).reverse()) await each.stop();
        rmSync(folder, { recursive: true, force: true });
    };
    try {
        return await start(options, folder, started, stop);
    } catch (error) {
        await stop();
        throw error;
    }
}

async function start(
    options: LabOptions,
    folder: string,
    started: { stop(): Promise<void> }[],
    stop: () => Promise<void>,
): Promise<Lab> {
    const keep = <T extends RunningProcess>(process: T): T => {
        started.push(process);
        return process;
    };
    const commands = await prepareMachine(options.tell);
    const configuration = configure(options);
    const image = parseImageUri(configuration["ecr-image-export:imageUri"] ?? "");
    const { accountId: registryId, name: repository, region: registryRegion, partition } = image.repository;
    const accountId = options.accountId ?? registryId;
    const region = configuration["aws:region"] ?? "";
    const registry = { port: await freePort(), userAndPassword: `lab:${randomUUID()}` };
    const [emulatorPort, apiPort, proxyPort] = [await freePort(), await freePort(), await freePort()];

    const iam = new IdentityAndAccess(accountId);
    const passwords: RegistryPasswords = new Map();
    const cacheRules = new Map<string, string>();
    const events = new EventBridge((service) => `arn:${partition}:${service}:${region}:${accountId}`);
    keep(await startEmulator(commands.motoServer, emulatorPort, accountId, folder));
    keep(await startRegistry(registry.port, registry.userAndPassword, folder));
    const executions = new Executions();
    const executionsApi: ExecutionsApi = new ExecutionsApi(executions, (machineArn, input, name) =>
        startExecution(machineArn, input, {}, never, name),
    );
    const api = { port: apiPort, emulatorPort, region, accountId, partition, iam, passwords };
    const describeImage: DescribeImage = (name, tag) => describeInRegistry(registry, name, tag);
    keep(stoppable(await startAwsGateway({ ...api, describeImage, executions: executionsApi })));
    const gateway = await startRegistryGateway({
        port: proxyPort,
        host: image.uri.split("/")[0] ?? "",
        region: registryRegion,
        repositoryArnPrefix: `arn:${partition}:ecr:${registryRegion}:${registryId}:repository/`,
        registry,
        cacheRules,
        iam,
        passwords,
        folder,
    });
    keep(stoppable(gateway.server));
    const proxy = {
        HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`,
        NO_PROXY: "127.0.0.1",
        SSL_CERT_FILE: gateway.authoritiesFile,
    };
    const docker = keep(await startDockerDaemon(folder, proxy));
    options.tell("Docker daemon, registry and emulated AWS API are up");

    const push = (repository: string, tag: string, reference?: string) =>
        pushImage({
            dockerHost: docker.host,
            registry,
            repository,
            tag,
            folder: mkdtempSync(join(folder, "push-")),
            ...(reference === undefined ? {} : { reference }),
        });
    const imageId = await push(repository, image.tag ?? "latest", options.reference);
    options.tell(`${image.uri} is in the registry`);

    const stack = await provision({
        stack: stackName,
        configuration,
        accountId,
        emulatorPort,
        iam,
        cacheRules,
        events,
    });
    options.tell(`stack ${stackName} is deployed: ${stack.resources.length} resources`);

    const admin = {
        region,
        endpoint: `http://127.0.0.1:${emulatorPort}`,
        credentials: { accessKeyId: "lab", secretAccessKey: "lab" },
    };
    const sts = new STSClient(admin);
    const endpoint = `http://127.0.0.1:${apiPort}`;
    const buildEnvironment = {
        ...proxy,
        PATH: `${awsCommandFolder(commands.aws, endpoint, folder)}:${process.env["PATH"] ?? ""}`,
        CURL_CA_BUNDLE: gateway.authoritiesFile,
        NODE_EXTRA_CA_CERTS: gateway.authoritiesFile,
        DOCKER_HOST: docker.host,
    };

    /** Credentials of a declared role, for a service that acts for one of the declared resources. */
    const assume = async (roleArn: string, service: string, sourceArn: string): Promise<Credentials> => {
        const role = iam.roles.get(roleArn.split("/").at(-1) ?? "");
        if (role === undefined) throw new Error(`The stack declares no role ${roleArn}.`);
        await iam.requireTrust(role, service, sourceArn);
        const session = await sts.send(
            new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: service.split(".")[0] }),
        );
        const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = session.Credentials ?? {};
        iam.addSession(AccessKeyId, role, session.AssumedRoleUser?.Arn ?? "");
        return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
    };
    const build = async (
        name: string,
        variables: Record<string, string>,
        tell: (line: string) => void,
        signal: AbortSignal,
        follow: (build: RunningBuild) => void = ignore,
    ): Promise<Build> => {
        const project = stack.projects.get(name);
        if (project === undefined) throw new Error(`The stack declares no project ${name}.`);
        const credentials = await assume(project.serviceRole, "codebuild.amazonaws.com", project.arn);
        const followed = (running: RunningBuild) => {
            executionsApi.follow(running);
            follow(running);
        };
        const host = { region, endpoint, environment: buildEnvironment, folder, tell, follow: followed };
        return runBuild(host, project, variables, credentials, signal);
    };

    const published: PublishedMessage[] = [];
    const run = async (
        execution: Execution,
        machineArn: string,
        input: unknown,
        watcher: Partial<ExecutionWatcher>,
        signal: AbortSignal,
        name: string,
    ): Promise<ExecutionResult> => {
        const machine = stack.stateMachines.get(machineArn);
        if (machine === undefined) throw new Error(`The stack declares no state machine ${machineArn}.`);
        const credentials = await assume(machine.roleArn, "states.amazonaws.com", machine.arn);
        const stopSignal = AbortSignal.any([signal, execution.signal]);
        const host: ExecutionHost = {
            region,
            endpoint,
            credentials,
            runBuild: async (project, variables, buildSignal) => {
                const isNew = once();
                const submitted = (running: RunningBuild) => {
                    if (isNew()) execution.tell("TaskSubmitted", submittedBuild(running));
                };
                const tell = watcher.log ?? ignore;
                const ended = await build(project, variables, tell, buildSignal, submitted);
                return watcher.build?.(ended) ?? ended;
            },
            refusal: (action, resource) => iam.refusal(credentials.accessKeyId, action, resource),
            findExecution: (arn) => executions.byArn.get(arn),
            publish: (message) => published.push(message),
            startExecution: (other, otherName, otherInput) =>
                startExecution(other, otherInput, watcher, stopSignal, otherName),
            countMap: (progress) => execution.mapRuns.set(progress.mapRunArn, progress),
            enter: watcher.enter ?? ignore,
            signal: stopSignal,
        };
        const result = await execute(host, machine, input, name);
        // Step Functions tells of the end by itself.
        await deliveries(events.onEvent(endOf(machineArn, name, input, result)), {});
        return result;
    };
    const startExecution = (
        machineArn: string,
        input: unknown,
        watcher: Partial<ExecutionWatcher>,
        signal: AbortSignal,
        name: string,
    ): Execution | undefined =>
        executions.start(machineArn, name, input, (execution) =>
            run(execution, machineArn, input, watcher, signal, name),
        );
    const start = (
        machineArn: string,
        input: unknown,
        watcher: Partial<ExecutionWatcher>,
        signal: AbortSignal = never,
    ): Execution => {
        const execution = startExecution(machineArn, input, watcher, signal, randomUUID());
        if (execution === undefined) throw new Error("A random name was taken.");
        return execution;
    };
    const deliveries = (invocations: readonly Invocation[], watcher: Partial<ExecutionWatcher>) => {
        const host = {
            iam,
            queuePolicies: events.queuePolicies,
            assume,
            start: (machineArn: string, input: unknown) => start(machineArn, input, watcher),
        };
        return Promise.all(invocations.map((each) => deliver(host, each)));
    };

    return {
        stack,
        image,
        imageId,
        iam,
        s3: new S3Client({ ...admin, forcePathStyle: true }),
        endpoint,
        docker,
        buildEnvironment,
        folder,
        holderOf: (...outputs) => {
            const name = `holder-of-${outputs.join("-and-")}`;
            const policies = outputs.map(
                (output) => JSON.parse(String(stack.outputs[output])) as PolicyDocument,
            );
            const trustPolicy = { Version: "2012-10-17", Statement: [] };
            const arn = `arn:${partition}:iam::${accountId}:role/${name}`;
            const accessKeyId = `ASIA${randomUUID().replaceAll("-", "").slice(0, 16).toUpperCase()}`;
            const session = `arn:${partition}:sts::${accountId}:assumed-role/${name}/lab`;
            iam.addSession(accessKeyId, { name, arn, trustPolicy, policies }, session);
            return { accessKeyId, secretAccessKey: "lab", sessionToken: "lab" };
        },
        describeImage,
        push,
        execute: (input, watcher = {}, signal = never) =>
            start(String(stack.outputs["stateMachineArn"]), input, watcher, signal).result,
        executeBatch: (input, watcher = {}) =>
            start(String(stack.outputs["batchStateMachineArn"]), input, watcher).result,
        executions: executions.byArn,
        published,
        deliver: (event, watcher = {}) => deliveries(events.onEvent(event), watcher),
        deliverScheduled: (scheduledTime, watcher = {}) => deliveries(events.onTime(scheduledTime), watcher),
        build: (variables) => build(String(stack.outputs["buildProjectName"]), variables, ignore, never),
        stop,
    };
}

/** What the history of an execution tells of a build that was started: the answer of StartBuild, as its integrations write it. */
function submittedBuild({ id, arn, projectName }: RunningBuild): object {
    const output = JSON.stringify({ Build: { Id: id, Arn: arn, ProjectName: projectName } });
    const resource = { resourceType: "codebuild", resource: "startBuild.sync" };
    return { taskSubmittedEventDetails: { ...resource, output } };
}

/** A question that is answered with yes once. */
function once(): () => boolean {
    let isAnswered = false;
    return () => !isAnswered && (isAnswered = true);
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

/** A folder with an `aws` that calls the lab: releases before 2023, as in Debian 12, do not read AWS_ENDPOINT_URL. */
function awsCommandFolder(aws: string, endpoint: string, folder: string): string {
    const bin = mkdtempSync(join(folder, "bin-"));
    writeFileSync(join(bin, "aws"), `#!/bin/sh\nexec ${aws} --endpoint-url ${endpoint} "$@"\n`, {
        mode: 0o755,
    });
    return bin;
}

function stoppable(server: Server): RunningProcess {
    return {
        stop: async () => {
            server.closeAllConnections();
            await new Promise((resolve) => server.close(resolve));
        },
    };
}

function ignore(): void {
    // Nobody watches.
}
