/**
 * The whole pipeline on one machine: the stack as the program declares it, in an emulated AWS API; a real registry in
 * the place of Amazon ECR; a real Docker daemon; the declared state machines in an interpreter.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ecrHosts, parseImageUri, parseReference, parseRepositoryArn } from "../contract/image";
import { Account, type Machine } from "./account";
import type { AwsApi } from "./awsApi";
import { startAwsGateway } from "./awsGateway";
import { emulatorOn, provision } from "./creators";
import type { PolicyDocument } from "./iam";
import { pushImage, pushPatch } from "./image";
import { prepareMachine } from "./prerequisites";
import { labVariable, type Stoppable, watchOver } from "./processes";
import { startRegistryGateway } from "./registryGateway";
import { startDockerDaemon, startEmulator, startRegistry } from "./servers";
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
    /** Deploys the stack to the emulator and the account. @default {@link provision}, which evaluates the program */
    readonly deploy?: typeof provision;
    /** How time passes for state machines: tests need not wait between attempts. @default as on the wall */
    readonly clock?: Clock;
    /** Called with what has been reached. @default nobody is told */
    readonly tell?: (line: string) => void;
}

/** The stack's image by another tag. */
export function uriOf({ image }: Pick<Lab, "image">, tag: string): string {
    return image.uri.replace(/(?::[^:/]*)?$/, `:${tag}`);
}

/** A running lab; to stop it ends everything that it has started and removes its files. */
export type Lab = Awaited<ReturnType<typeof start>> & Stoppable;

const stackName = "dev";

/**
 * Starts the lab.
 *
 * @throws Error when the machine lacks something, or the stack cannot be deployed; nothing is left running then.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
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
        return { ...(await start(options, folder, keep)), stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

async function start(
    { reference, configuration: changes, deploy = provision, clock = realClock, tell = () => undefined }: LabOptions,
    folder: string,
    keep: <T extends Stoppable>(part: T) => T,
) {
    await prepareMachine(tell);

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
    const { port } = keep(await startEmulator(accountId, folder));
    const emulator = emulatorOn(port, region);
    const { s3 } = emulator;
    const registry = keep(await startRegistry(folder));
    const api: AwsApi = (...asked) => services.api(...asked);
    const aws = keep(await startAwsGateway({ account, port, s3, api }));
    const arns = configuration["ecr-image-export:crossAccountRepositoryArns"] ?? "[]";
    const repositories = [image.repository, ...(JSON.parse(arns) as string[]).map(parseRepositoryArn)];
    const hosts = [...new Set(repositories.map((each) => ecrHosts(each)[0]))];
    const gateway = keep(await startRegistryGateway({ account, hosts, registryPort: registry.port, folder }));
    const authorities = gateway.authoritiesFile;
    const proxy = `http://127.0.0.1:${gateway.port}`;
    const network = { HTTPS_PROXY: proxy, NO_PROXY: "127.0.0.1", SSL_CERT_FILE: authorities };
    const docker = keep(await startDockerDaemon(folder, network));
    const machine: Machine = {
        endpoint: `http://127.0.0.1:${aws.port}`,
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
    const stack = await deploy(stackName, configuration, account, emulator);
    const { created, declared } = stack;
    tell(`The stack ${stackName} is deployed: ${created} resources created, ${declared} only declared.`);

    const execute = (output: string, input: unknown, signal?: AbortSignal) => {
        const execution = services.executions.start(String(stack.outputs[output]), input);
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
        /** The image of the stack's configuration, as it is in the lab's registry. */
        image,
        /** Id of that image, the digest of its configuration. */
        imageId,
        account,
        iam: account.iam,
        services,
        /** S3 as the owner of the account sees it. */
        s3,
        docker,
        /** Credentials of somebody who holds the policies in these outputs of the stack, and nothing else. */
        holderOf: (...outputs: readonly string[]) =>
            account.iam.holder(`holder-of-${outputs.join("-and-")}`, outputs.map(policy)),
        /** Puts an image into the lab's registry, made here or that of the reference; gives its id. */
        push,
        /** Puts an image with a small layer on top of another one of its repository there; gives its id. */
        patch: (name: string, from: string, tag: string) =>
            pushPatch(docker, registry.port, `${name}:${from}`, `${name}:${tag}`, folder),
        /** Starts an execution of the state machine of the stack, and waits for its end. */
        execute: (input: unknown, signal?: AbortSignal) => execute("stateMachineArn", input, signal),
        /** Starts an execution of the state machine of batches, and waits for its end. */
        executeBatch: (input: unknown) => execute("batchStateMachineArn", input),
    };
}
