/**
 * CodeBuild on this machine: runs the buildspec of a declared project with bash, under credentials of the declared service
 * role.
 *
 * Each command runs in a bash of its own that inherits the exported variables and the folder of the one before. That
 * is less than CodeBuild promises (one shell for all commands of version 0.2), so a buildspec that works here does
 * not depend on more.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";

import { CloudWatchLogsClient, CreateLogStreamCommand, PutLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import type { Build, BuildPhase, BuildPhaseType } from "@aws-sdk/client-codebuild";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { z } from "zod";

import { messageOf } from "../contract/errors";
import type { Account, DeclaredProject, Machine } from "./account";
import type { Credentials } from "./iam";

/** What the lab knows of buildspecs, and this program uses. */
const buildspecSchema = z.strictObject({
    version: z.literal(0.2),
    env: z.strictObject({ shell: z.literal("bash"), "exported-variables": z.array(z.string()) }),
    phases: z.strictObject({
        build: z.strictObject({
            "on-failure": z.literal("ABORT"),
            commands: z.array(z.string()),
            finally: z.array(z.string()),
        }),
    }),
});

/** The builds of an account. */
export class Builds {
    public readonly byId = new Map<string, RunningBuild>();

    public constructor(
        private readonly account: Account,
        private readonly machine: Machine,
    ) {}

    /**
     * Starts a build of a declared project, by its name.
     *
     * @param overrides Variables of the request, over those of the project.
     */
    public async start(projectName: string, overrides: Record<string, string>): Promise<RunningBuild> {
        const { iam, location, projects } = this.account;
        const project = projects.get(projectName);
        if (project === undefined) throw new Error(`The stack declares no project ${projectName}.`);
        const credentials = await iam.assume(project.serviceRole, "codebuild.amazonaws.com", project.arn);
        const build = new RunningBuild(this.machine, project, overrides, location.region, credentials);
        this.byId.set(build.id, build);
        return build;
    }
}

/** A build, from its start to its end. */
class RunningBuild {
    public readonly id: string;
    /** How it is now, as `BatchGetBuilds` describes it. */
    public description: Build;
    /** How it ended. */
    public readonly ended: Promise<Build>;
    private readonly stream: { readonly logGroupName: string; readonly logStreamName: string };
    private readonly stopping = new AbortController();
    private readonly phases: BuildPhase[] = [];
    /** Folder that the first command starts in. */
    private readonly source: string;
    /** What the next command has in its environment. */
    private variables: Readonly<Record<string, string>>;

    public constructor(
        private readonly machine: Machine,
        private readonly project: DeclaredProject,
        overrides: Record<string, string>,
        private readonly region: string,
        private readonly credentials: Credentials,
    ) {
        const { name: projectName, arn, logsConfig } = project;
        const { groupName } = logsConfig.cloudwatchLogs;
        const streamName = randomUUID();
        this.stream = { logGroupName: groupName, logStreamName: streamName };
        this.id = `${projectName}:${streamName}`;
        const place = `#logsV2:log-groups/log-group/${encodeURIComponent(groupName)}/log-events/${streamName}`;
        const deepLink = `https://console.aws.amazon.com/cloudwatch/home?region=${region}${place}`;
        this.description = {
            id: this.id,
            arn: arn.replace(/:project\/.*$/, `:build/${this.id}`),
            projectName,
            buildStatus: "IN_PROGRESS",
            currentPhase: "SUBMITTED",
            logs: { groupName, streamName, deepLink },
        };
        this.source = join(machine.folder, streamName);
        this.variables = {
            HOME: this.source,
            ...Object.fromEntries(project.environment.environmentVariables.map(({ name, value }) => [name, value])),
            ...overrides,
            ...machine.buildEnvironment,
            AWS_ACCESS_KEY_ID: credentials.accessKeyId,
            AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
            AWS_SESSION_TOKEN: credentials.sessionToken,
            AWS_REGION: region,
            AWS_DEFAULT_REGION: region,
            AWS_ENDPOINT_URL: machine.endpoint,
            CODEBUILD_BUILD_ID: this.id,
            CODEBUILD_SRC_DIR: this.source,
        };
        // Begins once whoever starts it has got it.
        this.ended = setImmediate().then(() => this.run());
    }

    public stop(): void {
        this.stopping.abort();
    }

    private async run(): Promise<Build> {
        const { region, credentials, stream, project, source } = this;
        const { env, phases } = buildspecSchema.parse(parse(project.source.buildspec));
        mkdirSync(source, { recursive: true });
        const client = { region, endpoint: this.machine.endpoint, credentials };
        const s3 = new S3Client({ ...client, forcePathStyle: true });
        const logs = new CloudWatchLogsClient(client);
        const log = openLog((logEvents) => logs.send(new PutLogEventsCommand({ ...stream, logEvents })));
        const tell = (line: string) => {
            log.write(line);
            this.machine.watcher.log?.(line);
        };
        // Lambda compute ends builds after 15 minutes.
        const timeout = AbortSignal.timeout((project.buildTimeout ?? 15) * 60_000);
        const signal = AbortSignal.any([this.stopping.signal, timeout]);
        const succeeds =
            (await this.phase("PROVISIONING", () => logs.send(new CreateLogStreamCommand(stream)))) &&
            (await this.phase("DOWNLOAD_SOURCE", () => downloadSource(s3, project, source))) &&
            (await this.phase("BUILD", () => this.runCommands(phases.build, tell, signal)));
        const isComplete = await this.phase("FINALIZING", log.written);
        const exportedEnvironmentVariables = env["exported-variables"].flatMap((name) => {
            const value = this.variables[name];
            return value === undefined ? [] : [{ name, value }];
        });
        for (const each of [logs, s3]) each.destroy();
        rmSync(source, { recursive: true });
        const ending = succeeds && isComplete ? "SUCCEEDED" : "FAILED";
        const buildStatus = this.stopping.signal.aborted ? "STOPPED" : timeout.aborted ? "TIMED_OUT" : ending;
        const outcome = { buildStatus, phases: this.phases, exportedEnvironmentVariables } as const;
        this.description = { ...this.description, currentPhase: "COMPLETED", ...outcome };
        return this.description;
    }

    /** Goes through a phase; whether it succeeds. */
    private async phase(phaseType: BuildPhaseType, work: () => Promise<unknown>): Promise<boolean> {
        this.description = { ...this.description, currentPhase: phaseType };
        try {
            await work();
            this.phases.push({ phaseType, phaseStatus: "SUCCEEDED" });
            return true;
        } catch (error) {
            const statusCode = phaseType === "BUILD" ? "COMMAND_EXECUTION_ERROR" : "CLIENT_ERROR";
            const contexts = [{ statusCode, message: messageOf(error) }];
            this.phases.push({ phaseType, phaseStatus: "FAILED", contexts });
            return false;
        }
    }

    /** Runs the commands until one fails, and then what is to run finally. */
    private async runCommands(
        phase: { readonly commands: readonly string[]; readonly finally: readonly string[] },
        tell: (line: string) => void,
        signal: AbortSignal,
    ): Promise<void> {
        const failures: string[] = [];
        const attempt = async (command: string) => {
            const status = await this.runCommand(command, tell, signal);
            const reason = `Error while executing command: ${command}. Reason: exit status ${status}`;
            if (status !== 0) failures.push(reason);
        };
        for (const command of phase.commands) if (failures.length === 0) await attempt(command);
        for (const command of phase.finally) await attempt(command);
        if (failures.length > 0) throw new Error(failures[0]);
    }

    /**
     * Runs one command; `exit` in it ends the command, whose exports are then not handed on.
     *
     * @returns its exit status, or -1 when it was killed.
     */
    private async runCommand(command: string, tell: (line: string) => void, signal: AbortSignal): Promise<number> {
        const script = `
            exec 2>&1
            eval "$LAB_COMMAND" 3>&-
            status=$?
            env -0 --unset=LAB_COMMAND >&3
            exit $status`;
        const child = spawn("bash", ["-c", script], {
            cwd: this.variables["PWD"] ?? this.source,
            env: { ...this.variables, LAB_COMMAND: command },
            stdio: ["ignore", "pipe", "ignore", "pipe"],
            detached: true,
        });
        const stop = () => {
            if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        };
        signal.addEventListener("abort", stop);
        const exit = once(child, "exit") as Promise<[number | null]>;
        const [, input, , handedOn] = child.stdio as [null, Readable, null, Readable, undefined];
        const exported = text(handedOn);
        for await (const line of createInterface({ input })) tell(line);
        const [status] = await exit;
        signal.removeEventListener("abort", stop);
        const entries = (await exported).split("\0").slice(0, -1);
        const variables = entries.map((entry) => entry.split(/=(.*)/s, 2) as [string, string]);
        if (variables.length > 0) this.variables = Object.fromEntries(variables);
        return signal.aborted ? -1 : (status ?? -1);
    }
}

/** Writes the log of a build while it goes on, as CodeBuild does: what comes during one call goes with the next. */
function openLog(send: (events: { timestamp: number; message: string }[]) => Promise<unknown>) {
    const pending: Parameters<typeof send>[0] = [];
    let written: Promise<unknown> = Promise.resolve();
    return {
        write: (message: string) => {
            if (message === "") return; // CloudWatch Logs takes no empty message.
            pending.push({ timestamp: Date.now(), message });
            written = written.then(() => (pending.length > 0 ? send(pending.splice(0)) : undefined));
            written.catch(() => undefined); // told by whoever waits for it
        },
        /** Fails when anything could not be written. */
        written: () => written,
    };
}

/** A source as the lab keeps it in S3, where AWS takes a ZIP archive: text by name of the file. */
export async function pack(archive: pulumi.asset.AssetArchive): Promise<string> {
    const assets = Object.entries(await archive.assets) as [string, pulumi.asset.StringAsset][];
    const files = assets.map(async ([name, { text }]) => [name, await text] as const);
    return JSON.stringify(Object.fromEntries(await Promise.all(files)));
}

/** CodeBuild fetches a source in S3 with the service role too. */
async function downloadSource(s3: S3Client, { source }: DeclaredProject, folder: string): Promise<void> {
    if (source.type === "NO_SOURCE") return;
    const [bucket = "", ...key] = (source.location ?? "").split("/");
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key.join("/") }));
    const files = JSON.parse((await Body?.transformToString()) ?? "{}") as Record<string, string>;
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
