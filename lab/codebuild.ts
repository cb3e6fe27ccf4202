/**
 * A CodeBuild build on this machine: runs the buildspec of a declared project with bash, under credentials of the
 * declared service role.
 *
 * Each command runs in a bash of its own that inherits the exported variables and the folder of the one before. That
 * is less than CodeBuild promises (one shell for all commands of version 0.2), so a buildspec that works here does
 * not depend on more.
 */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";

import { CloudWatchLogsClient, CreateLogStreamCommand, PutLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { parse } from "yaml";

import type { DeclaredProject } from "./account";
import type { Credentials } from "./iam";
import { unzip } from "./zip";

/** The machine that builds run on. */
export interface BuildHost {
    readonly region: string;
    /** URL of the AWS API. */
    readonly endpoint: string;
    /** What the machine's own environment gives every build: Docker daemon, proxy, certificates. */
    readonly environment: Record<string, string>;
    /** Folder under which builds get theirs. */
    readonly folder: string;
    /** Called with each line of the build's log. */
    readonly tell: (line: string) => void;
}

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
export interface RunningBuild {
    /** How it is now. */
    description: Build;
    /** How it ended. */
    readonly ended: Promise<Build>;
    readonly stop: () => void;
}

interface Buildspec {
    readonly env?: { readonly variables?: Record<string, string>; readonly "exported-variables"?: readonly string[] };
    readonly phases: Record<string, BuildspecPhase>;
}

interface BuildspecPhase {
    readonly "on-failure"?: "ABORT" | "CONTINUE";
    readonly commands: readonly string[];
    readonly finally?: readonly string[];
}

const phaseNames = ["install", "pre_build", "build", "post_build"];

/**
 * Starts a build.
 *
 * @param overrides Variables of the request, over those of the project, over those of the buildspec.
 */
export function startBuild(
    host: BuildHost,
    project: DeclaredProject,
    overrides: Record<string, string>,
    credentials: Credentials,
): RunningBuild {
    const streamName = randomUUID();
    const { groupName } = project.logsConfig.cloudwatchLogs;
    const id = `${project.name}:${streamName}`;
    const place = `#logsV2:log-groups/log-group/${encodeURIComponent(groupName)}/log-events/${streamName}`;
    const deepLink = `https://console.aws.amazon.com/cloudwatch/home?region=${host.region}${place}`;
    const stopped = new AbortController();
    const build: RunningBuild = {
        description: {
            id,
            arn: project.arn.replace(/:project\/.*$/, `:build/${id}`),
            projectName: project.name,
            buildStatus: "IN_PROGRESS",
            currentPhase: "SUBMITTED",
            phases: [],
            exportedEnvironmentVariables: [],
            logs: { groupName, streamName, deepLink },
        },
        // Begins once whoever starts it has got it.
        ended: setImmediate().then(() => runBuild(build, host, project, overrides, credentials, stopped.signal)),
        stop: () => {
            stopped.abort();
        },
    };
    return build;
}

async function runBuild(
    build: RunningBuild,
    host: BuildHost,
    project: DeclaredProject,
    overrides: Record<string, string>,
    credentials: Credentials,
    stopped: AbortSignal,
): Promise<Build> {
    const { region, endpoint } = host;
    const { groupName: logGroupName, streamName: logStreamName } = build.description.logs;
    const buildspec = parse(project.source.buildspec) as Buildspec;
    const folder = join(host.folder, logStreamName);
    const state = join(folder, "state");
    const source = join(folder, "src");
    mkdirSync(state, { recursive: true });
    mkdirSync(source);

    const declared = project.environment.environmentVariables.map(({ name, value }) => [name, value] as const);
    const environment: Record<string, string> = {
        ...buildspec.env?.variables,
        ...Object.fromEntries(declared),
        ...overrides,
        ...host.environment,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_SESSION_TOKEN: credentials.sessionToken,
        AWS_REGION: region,
        AWS_DEFAULT_REGION: region,
        AWS_ENDPOINT_URL: endpoint,
        CODEBUILD_BUILD_ID: build.description.id,
        CODEBUILD_SRC_DIR: source,
    };
    // A variable ends at its first NUL, so an operating system starts no process with one in a value.
    const canBeStarted = !Object.values(environment).some((value) => value.includes("\0"));
    const stream = { logGroupName, logStreamName };
    const logs = new CloudWatchLogsClient({ region, endpoint, credentials });
    const log = new LogWriter((logEvents) => logs.send(new PutLogEventsCommand({ ...stream, logEvents })));
    const tell = (line: string) => {
        log.write(line);
        host.tell(line);
    };
    // Lambda compute ends builds after 15 minutes.
    const timeout = AbortSignal.timeout((project.buildTimeout ?? 15) * 60_000);
    const shell = { environment, source, state, tell, signal: AbortSignal.any([stopped, timeout]) };
    const enter = (currentPhase: string) => {
        build.description = { ...build.description, currentPhase };
    };
    const phases: Phase[] = [];
    /** A phase of CodeBuild's own, which it does with the service role. */
    const own = async (phaseType: string, work: () => Promise<unknown>) => {
        enter(phaseType);
        try {
            await work();
            return true;
        } catch (error) {
            const contexts = [{ statusCode: "CLIENT_ERROR", message: (error as Error).message }];
            phases.push({ phaseType, phaseStatus: "FAILED", contexts });
            return false;
        }
    };
    const succeeds =
        (await own("PROVISIONING", () => logs.send(new CreateLogStreamCommand(stream)))) &&
        (await own("DOWNLOAD_SOURCE", () => downloadSource(host, project, credentials, source))) &&
        canBeStarted &&
        (await runPhases(buildspec, shell, enter, phases));
    const values = join(state, "values");
    const exported = existsSync(values) ? readFileSync(values, "utf8").split("\0") : [];
    const exportedEnvironmentVariables = (buildspec.env?.["exported-variables"] ?? []).flatMap((name) => {
        const entry = exported.find((each) => each.startsWith(`${name}=`));
        return entry === undefined ? [] : [{ name, value: entry.slice(name.length + 1) }];
    });
    const isComplete = await own("FINALIZING", () => log.end());
    logs.destroy();
    rmSync(folder, { recursive: true, force: true });
    const ending = succeeds && isComplete ? "SUCCEEDED" : "FAILED";
    const buildStatus = stopped.aborted ? "STOPPED" : timeout.aborted ? "TIMED_OUT" : ending;
    const outcome = { buildStatus, currentPhase: "COMPLETED", phases, exportedEnvironmentVariables } as const;
    build.description = { ...build.description, ...outcome };
    return build.description;
}

/** Writes the log of a build while the build goes on, as CodeBuild does. */
class LogWriter {
    private readonly pending: { readonly timestamp: number; readonly message: string }[] = [];
    private written: Promise<unknown> = Promise.resolve();
    private readonly timer = setInterval(() => void this.flush().catch(() => undefined), 500); // told by end()

    public constructor(private readonly send: (logEvents: LogWriter["pending"]) => Promise<unknown>) {}

    public write(message: string): void {
        // CloudWatch Logs takes no empty message.
        if (message !== "") this.pending.push({ timestamp: Date.now(), message });
    }

    /** Writes what is left. Throws when anything could not be written. */
    public end(): Promise<unknown> {
        clearInterval(this.timer);
        return this.flush();
    }

    private flush(): Promise<unknown> {
        const logEvents = this.pending.splice(0);
        if (logEvents.length > 0) this.written = this.written.then(() => this.send(logEvents));
        return this.written;
    }
}

/** CodeBuild fetches a source in S3 with the service role too. */
async function downloadSource(
    host: BuildHost,
    { source }: DeclaredProject,
    credentials: Credentials,
    folder: string,
): Promise<void> {
    if (source.type === "NO_SOURCE") return;
    const [bucket = "", ...key] = (source.location ?? "").split("/");
    const { region, endpoint } = host;
    const s3 = new S3Client({ region, endpoint, credentials, forcePathStyle: true });
    const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key.join("/") }));
    await unzip((await object.Body?.transformToByteArray()) ?? new Uint8Array(), folder);
    s3.destroy();
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

/** As docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases has it. */
async function runPhases(
    buildspec: Buildspec,
    shell: Shell,
    enter: (phase: string) => void,
    ended: Phase[],
): Promise<boolean> {
    let succeeding = true;
    for (const name of phaseNames) {
        const phase = buildspec.phases[name];
        // After a failure only post_build runs, and only where the failed phase did not abort the build.
        if (phase === undefined || (!succeeding && name !== "post_build")) continue;
        const phaseType = name.toUpperCase();
        enter(phaseType);
        shell.environment["CODEBUILD_BUILD_SUCCEEDING"] = succeeding ? "1" : "0";
        const failures: string[] = [];
        const attempt = async (command: string) => {
            const status = await runCommand(command, shell);
            const reason = `Error while executing command: ${command}. Reason: exit status ${status}`;
            if (status !== 0) failures.push(reason);
        };
        for (const command of phase.commands) if (failures.length === 0) await attempt(command);
        for (const command of phase.finally ?? []) await attempt(command);
        const passed = failures.length === 0;
        const contexts = failures.slice(0, 1).map((message) => ({ statusCode: "COMMAND_EXECUTION_ERROR", message }));
        ended.push({ phaseType, phaseStatus: passed ? "SUCCEEDED" : "FAILED", contexts });
        succeeding = succeeding && (passed || phase["on-failure"] === "CONTINUE");
        if (!passed && phase["on-failure"] === "ABORT") break;
    }
    return succeeding;
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
    const { source: cwd, state: LAB_STATE } = shell;
    const child = spawn("bash", ["-c", script], {
        cwd,
        env: { PATH: process.env["PATH"], HOME: cwd, ...shell.environment, LAB_STATE, LAB_COMMAND: command },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
    });
    const stop = () => {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    shell.signal.addEventListener("abort", stop);
    const outputs = [child.stdout, child.stderr].map(async (input) => {
        for await (const line of createInterface({ input })) shell.tell(line);
    });
    const status = new Promise<number | null>((resolve) => child.once("exit", resolve));
    await Promise.all(outputs);
    const ended = await status;
    shell.signal.removeEventListener("abort", stop);
    return shell.signal.aborted ? -1 : (ended ?? -1);
}
