/**
 * The whole pipeline on one machine: the stack as the program declares it, in an emulated AWS API; a real registry in
 * the place of Amazon ECR; a real Docker daemon; the declared state machines in an interpreter.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { S3Client } from "@aws-sdk/client-s3";

import { ecrHosts, type EcrImage, parseImageUri, parseReference, parseRepositoryArn } from "../contract/image";
import { Account, type Machine } from "./account";
import type { AwsApi } from "./awsApi";
import { startAwsGateway } from "./awsGateway";
import { type DeployedStack, provision } from "./creators";
import type { ExecutionResult } from "./executions";
import { type Credentials, type IdentityAndAccess, ownerCredentials, type PolicyDocument } from "./iam";
import { pushImage } from "./image";
import { prepareMachine } from "./prerequisites";
import { labVariable, type Stoppable, watchOver } from "./processes";
import { startRegistryGateway } from "./registryGateway";
import { type DockerDaemon, startDockerDaemon, startEmulator, startRegistry } from "./servers";
import { Services } from "./services";
import { stackConfiguration } from "./stackFiles";
import type { Clock } from "./stateLanguage/host";
import { realClock } from "./stateLanguage/interpreter";

/** Options of {@link startLab}. */
export interface LabOptions {
    /**
     * An image of the user's own, which the local Docker daemon has or the lab's can pull.
     *
     * @default an image made of files of this machine
     */
    readonly reference?: string | undefined;
    /** Values of the configuration by their full key, as strings, over those of the stack. @default {} */
    readonly configuration?: Record<string, string>;
    /** How time passes for state machines: tests need not wait between attempts. @default as on the wall */
    readonly clock?: Clock;
    /** Called with what has been reached. @default nobody is told */
    readonly tell?: (line: string) => void;
}

/** The stack's image by another tag. */
export function uriOf({ image }: Pick<Lab, "image">, tag: string): string {
    return image.uri.replace(/(?::[^:/]*)?$/, `:${tag}`);
}

/** A running lab. */
export interface Lab extends Machine {
    readonly stack: DeployedStack;
    /** The image of the stack's configuration, as it is in the lab's registry. */
    readonly image: EcrImage;
    /** Id of that image, the digest of its configuration. */
    readonly imageId: string;
    readonly account: Account;
    readonly iam: IdentityAndAccess;
    readonly services: Services;
    /** S3 as the owner of the account sees it. */
    readonly s3: S3Client;
    readonly docker: DockerDaemon;
    /**
     * Credentials of a person or program that holds policies that the stack publishes, and nothing else.
     *
     * @param outputs Names of the stack outputs with the policies.
     */
    readonly holderOf: (...outputs: readonly string[]) => Credentials;
    /** Puts an image into the lab's registry, or the lab's own by a second tag. */
    readonly push: (repository: string, tag: string) => Promise<string>;
    /** Starts an execution of the state machine of the stack, and waits for its end. */
    readonly execute: (input: unknown, signal?: AbortSignal) => Promise<ExecutionResult>;
    /** Starts an execution of the state machine of batches, and waits for its end. */
    readonly executeBatch: (input: unknown) => Promise<ExecutionResult>;
    /** Ends everything that the lab has started and removes its files. */
    readonly stop: () => Promise<void>;
}

const stackName = "dev";

/**
 * Starts the lab.
 *
 * @throws Error when the machine lacks something, or the stack cannot be deployed; nothing is left running then.
 */
export async function startLab({ clock = realClock, tell = () => undefined, ...options }: LabOptions): Promise<Lab> {
    await prepareMachine(tell);
    const folder = mkdtempSync(join(tmpdir(), "image-export-lab-"));
    const started: Stoppable[] = [watchOver(folder)];
    const keep = <T extends Stoppable>(part: T): T => {
        started.push(part);
        return part;
    };
    const stop = async () => {
        for (const each of started.splice(0).reverse()) await each.stop();
    };
    try {
        return { ...(await start({ ...options, clock, tell }, folder, keep)), stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

async function start(
    { clock, tell, reference, configuration: changes }: LabOptions & Required<Pick<LabOptions, "clock" | "tell">>,
    folder: string,
    keep: <T extends Stoppable>(part: T) => T,
): Promise<Omit<Lab, "stop">> {
    // What is deployed, and where.
    const configuration = { ...stackConfiguration(stackName), ...changes };
    let image = parseImageUri(configuration["ecr-image-export:imageUri"] ?? "");
    if (reference !== undefined) {
        const { repository, tag = "latest" } = parseReference(reference);
        image = parseImageUri(`${ecrHosts(image.repository)[0]}/${repository}:${tag}`);
        configuration["ecr-image-export:imageUri"] = image.uri;
    }
    const { partition, accountId, name: repository } = image.repository;
    const region = configuration["aws:region"] ?? "";
    const account = new Account({ partition, region, accountId });

    // The servers, and what judges each call to them.
    const emulator = keep(await startEmulator(accountId, folder));
    const owner = { region, endpoint: `http://127.0.0.1:${emulator.port}`, credentials: ownerCredentials };
    const s3 = new S3Client({ ...owner, forcePathStyle: true });
    const registry = keep(await startRegistry(folder));
    const call: AwsApi["call"] = (...asked) => services.api.call(...asked);
    const api = keep(await startAwsGateway({ account, port: emulator.port, s3, call }));
    const arns = configuration["ecr-image-export:crossAccountRepositoryArns"] ?? "[]";
    const repositories = [image.repository, ...(JSON.parse(arns) as string[]).map(parseRepositoryArn)];
    const hosts = [...new Set(repositories.map((each) => ecrHosts(each)[0]))];
    const gateway = keep(await startRegistryGateway({ account, hosts, registryPort: registry.port, folder }));
    const authorities = gateway.authoritiesFile;
    const proxy = `http://127.0.0.1:${gateway.port}`;
    const network = { HTTPS_PROXY: proxy, NO_PROXY: "127.0.0.1", SSL_CERT_FILE: authorities };
    const docker = keep(await startDockerDaemon(folder, network));
    const machine: Machine = {
        endpoint: `http://127.0.0.1:${api.port}`,
        registryPort: registry.port,
        buildEnvironment: {
            ...network,
            PATH: process.env["PATH"] ?? "",
            CURL_CA_BUNDLE: authorities,
            NODE_EXTRA_CA_CERTS: authorities,
            DOCKER_HOST: docker.host,
            [labVariable]: folder,
        },
        folder,
        clock,
        watcher: {},
    };
    const services: Services = new Services(account, machine);
    tell("Docker daemon, registry and emulated AWS API are up.");

    // The image and the stack.
    const push = (name: string, tag: string, from?: string) =>
        pushImage(docker, registry.port, `${name}:${tag}`, folder, from);
    const imageId = await push(repository, image.tag ?? "latest", reference);
    tell(`The image ${image.uri} is in the registry.`);
    const stack = await provision(stackName, configuration, account, { s3, logs: new CloudWatchLogsClient(owner) });
    const { created, declared } = stack;
    tell(`The stack ${stackName} is deployed: ${created} resources created, ${declared} only declared.`);

    const execute = (output: string, input: unknown, signal?: AbortSignal) => {
        const execution = services.executions.start(String(stack.outputs[output]), input);
        if (execution === undefined) throw new Error("A random name was taken.");
        if (signal?.aborted === true) execution.stop();
        signal?.addEventListener("abort", () => {
            execution.stop();
        });
        return execution.result;
    };
    const policy = (output: string) => JSON.parse(String(stack.outputs[output])) as PolicyDocument;
    return {
        ...machine,
        stack,
        image,
        imageId,
        account,
        iam: account.iam,
        services,
        s3,
        docker,
        holderOf: (...outputs) => account.iam.holder(`holder-of-${outputs.join("-and-")}`, outputs.map(policy)),
        push,
        execute: (input, signal) => execute("stateMachineArn", input, signal),
        executeBatch: (input) => execute("batchStateMachineArn", input),
    };
}
