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
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";

import { CloudWatchLogsClient, CreateLogStreamCommand, PutLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { parse } from "yaml";
import { z } from "zod";

import type { Account, DeclaredProject, Machine } from "./account";
import type { Credentials } from "./iam";
import { unzip } from "./zip";

/** A build, as `BatchGetBuilds` describes it: docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html */
export interface Build {
    readonly id: string;
    readonly arn: string;
    readonly projectName: string;
    readonly buildStatus: "IN_PROGRESS" | "SUCCEEDED" | "FAILED" | "STOPPED" | "TIMED_OUT";
    readonly currentPhase: string;
    readonly phases: readonly Phase[];
    readonly exportedEnvironmentVariables: readonly { readonly name: string; readonly value: string }[];
    readonly logs: { readonly groupName: string; readonly streamName: string; readonly deepLink: string };
}

/** A phase of a build: docs.aws.amazon.com/codebuild/latest/APIReference/API_BuildPhase.html */
interface Phase {
    readonly phaseType: string;
    readonly phaseStatus: "SUCCEEDED" | "FAILED";
    readonly contexts: readonly { readonly statusCode: string; readonly message: string }[];
}

/** A build that was started. */
interface RunningBuild {
    /** How it is now. */
    description: Build;
    /** How it ended. */
    readonly ended: Promise<Build>;
    readonly stop: () => void;
}

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
    /** Each by its id. */
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
        const streamName = randomUUID();
        const { groupName } = project.logsConfig.cloudwatchLogs;
        const id = `${project.name}:${streamName}`;
        const place = `#logsV2:log-groups/log-group/${encodeURIComponent(groupName)}/log-events/${streamName}`;
        const deepLink = `https://console.aws.amazon.com/cloudwatch/home?region=${location.region}${place}`;
        const stopping = new AbortController();
        const build: RunningBuild = {
            description: {
                id,
                arn: project.arn.replace(/:project\/.*$/, `:build/${id}`),
                projectName,
                buildStatus: "IN_PROGRESS",
                currentPhase: "SUBMITTED",
                phases: [],
                exportedEnvironmentVariables: [],
                logs: { groupName, streamName, deepLink },
            },
            // Begins once whoever starts it has got it.
            ended: setImmediate().then(() => this.run(build, project, overrides, credentials, stopping.signal)),
            stop: () => {
                stopping.abort();
            },
        };
        this.byId.set(id, build);
        return build;
    }

    private async run(
        build: RunningBuild,
        project: DeclaredProject,
        overrides: Record<string, string>,
        credentials: Credentials,
        stopped: AbortSignal,
    ): Promise<Build> {
        const { endpoint, watcher, buildEnvironment } = this.machine;
        const { region } = this.account.location;
        const { groupName: logGroupName, streamName: logStreamName } = build.description.logs;
        const buildspec = buildspecSchema.parse(parse(project.source.buildspec));
        const folder = join(this.machine.folder, logStreamName);
        const state = join(folder, "state");
        const source = join(folder, "src");
        for (const each of [state, source]) mkdirSync(each, { recursive: true });

        const stream = { logGroupName, logStreamName };
        const logs = new CloudWatchLogsClient({ region, endpoint, credentials });
        const pending: { readonly timestamp: number; readonly message: string }[] = [];
        let written = Promise.resolve();
        /** Writes the log while the build goes on, as CodeBuild does: what comes during one call goes with the next. */
        const tell = (message: string) => {
            watcher.log?.(message);
            if (message === "") return; // CloudWatch Logs takes no empty message.
            pending.push({ timestamp: Date.now(), message });
            written = written.then(async () => {
                const logEvents = pending.splice(0);
                if (logEvents.length > 0) await logs.send(new PutLogEventsCommand({ ...stream, logEvents }));
            });
            written.catch(() => undefined); // told at the end
        };
        const phases: Phase[] = [];
        const phase = async (phaseType: string, statusCode: string, work: () => Promise<unknown>) => {
            build.description = { ...build.description, currentPhase: phaseType };
            try {
                await work();
                phases.push({ phaseType, phaseStatus: "SUCCEEDED", contexts: [] });
                return true;
            } catch (error) {
                const contexts = [{ statusCode, message: (error as Error).message }];
                phases.push({ phaseType, phaseStatus: "FAILED", contexts });
                return false;
            }
        };
        // Lambda compute ends builds after 15 minutes.
        const timeout = AbortSignal.timeout((project.buildTimeout ?? 15) * 60_000);
        const shell = {
            environment: {
                HOME: source,
                ...Object.fromEntries(project.environment.environmentVariables.map(({ name, value }) => [name, value])),
                ...overrides,
                ...buildEnvironment,
                AWS_ACCESS_KEY_ID: credentials.accessKeyId,
                AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
                AWS_SESSION_TOKEN: credentials.sessionToken,
                AWS_REGION: region,
                AWS_DEFAULT_REGION: region,
                AWS_ENDPOINT_URL: endpoint,
                CODEBUILD_BUILD_ID: build.description.id,
                CODEBUILD_SRC_DIR: source,
            },
            source,
            state,
            tell,
            signal: AbortSignal.any([stopped, timeout]),
        };
        const s3 = new S3Client({ region, endpoint, credentials, forcePathStyle: true });
        const succeeds =
            (await phase("PROVISIONING", "CLIENT_ERROR", () => logs.send(new CreateLogStreamCommand(stream)))) &&
            (await phase("DOWNLOAD_SOURCE", "CLIENT_ERROR", () => downloadSource(s3, project, source))) &&
            (await phase("BUILD", "COMMAND_EXECUTION_ERROR", () => runPhase(buildspec.phases.build, shell)));
        const values = join(state, "values");
        const exported = existsSync(values) ? readFileSync(values, "utf8").split("\0") : [];
        const exportedEnvironmentVariables = buildspec.env["exported-variables"].flatMap((name) => {
            const entry = exported.find((each) => each.startsWith(`${name}=`));
            return entry === undefined ? [] : [{ name, value: entry.slice(name.length + 1) }];
        });
        const isComplete = await phase("FINALIZING", "CLIENT_ERROR", () => written);
        for (const client of [logs, s3]) client.destroy();
        rmSync(folder, { recursive: true, force: true });
        const ending = succeeds && isComplete ? "SUCCEEDED" : "FAILED";
        const buildStatus = stopped.aborted ? "STOPPED" : timeout.aborted ? "TIMED_OUT" : ending;
        const outcome = { buildStatus, currentPhase: "COMPLETED", phases, exportedEnvironmentVariables } as const;
        build.description = { ...build.description, ...outcome };
        return build.description;
    }
}

/** CodeBuild fetches a source in S3 with the service role too. */
async function downloadSource(s3: S3Client, { source }: DeclaredProject, folder: string): Promise<void> {
    if (source.type === "NO_SOURCE") return;
    const [bucket = "", ...key] = (source.location ?? "").split("/");
    const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key.join("/") }));
    await unzip((await object.Body?.transformToByteArray()) ?? new Uint8Array(), folder);
}

interface Shell {
    readonly environment: Record<string, string>;
    /** Folder that the first command starts in. */
    readonly source: string;
    /** Folder that hands exported variables and working folder from command to command. */
    readonly state: string;
    readonly tell: (line: string) => void;
    readonly signal: AbortSignal;
}

/** Runs the commands until one fails, and then what is to run finally. */
async function runPhase(
    phase: { readonly commands: readonly string[]; readonly finally: readonly string[] },
    shell: Shell,
): Promise<void> {
    const failures: string[] = [];
    const attempt = async (command: string) => {
        const status = await runCommand(command, shell);
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
async function runCommand(command: string, shell: Shell): Promise<number> {
    const script = `
        [[ ! -f "$LAB_STATE/environment" ]] || . "$LAB_STATE/environment"
        [[ ! -f "$LAB_STATE/folder" ]] || cd "$(cat "$LAB_STATE/folder")"
        eval "$LAB_COMMAND"
        status=$?
        unset LAB_COMMAND
        export -p >"$LAB_STATE/environment"
        env -0 >"$LAB_STATE/values"
        pwd >"$LAB_STATE/folder"
        exit $status`;
    const child = spawn("bash", ["-c", script], {
        cwd: shell.source,
        env: { ...shell.environment, LAB_STATE: shell.state, LAB_COMMAND: command },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
    });
    const stop = () => {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    shell.signal.addEventListener("abort", stop);
    const exit = once(child, "exit") as Promise<[number | null]>;
    const outputs = [child.stdout, child.stderr].map(async (input) => {
        for await (const line of createInterface({ input })) shell.tell(line);
    });
    await Promise.all(outputs);
    const [status] = await exit;
    shell.signal.removeEventListener("abort", stop);
    return shell.signal.aborted ? -1 : (status ?? -1);
}
