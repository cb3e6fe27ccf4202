/** What a machine and an account need, each found or missing, with the remedy. Nothing is changed by any check. */
import { readFile } from "node:fs/promises";
import * as path from "node:path";

import { BatchGetBuildsCommand } from "@aws-sdk/client-codebuild";
import { GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { ListExecutionsCommand } from "@aws-sdk/client-sfn";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";

import { type ClientTypes, regionOf, type Service } from "./aws";
import type { Context, ProcessResult, Values } from "./command";
import { asFailure, Failure } from "./failure";
import { findStack, type stackOptions, type StackOutputs } from "./stack";

/** What somebody may want to do. */
export const purposes = ["lab", "deploy", "start"] as const;

/** One of {@link purposes}. */
export type Purpose = (typeof purposes)[number];

/** What a check has shown. */
export interface Finding {
    readonly purpose: Purpose;
    readonly name: string;
    /** `unknown` where it cannot be told without side effects, or before something else is there. */
    readonly state: "ok" | "missing" | "unknown";
    readonly found: string;
    /** What to do about it. */
    readonly next?: string;
}

type Found = Omit<Finding, "name" | "purpose">;
type Identity = { readonly account: string; readonly arn: string } | Failure;

/** Checks what a purpose needs. */
export async function check(
    purpose: Purpose,
    values: Partial<Values<typeof stackOptions>>,
    context: Context,
): Promise<Finding[]> {
    const checks = {
        lab: () => checkLab(context),
        deploy: () => checkDeploying(context),
        start: () => checkStarting(values, context),
    };
    const found = await checks[purpose]();
    return found.map(([name, finding]) => ({ purpose, name, ...finding }));
}

type Findings = readonly (readonly [name: string, found: Found])[];

async function checkLab(context: Context): Promise<Findings> {
    const [system, user] = await Promise.all([output(context, "uname", "-s"), output(context, "id", "-u")]);
    const isLinux = system === "Linux";
    const machine: Found =
        isLinux && user === "0"
            ? ok("Linux, as root")
            : missing(
                  `${system ?? "an unknown system"}, as user ${user ?? "unknown"}`,
                  "Run the lab with sudo, in a virtual machine or in a privileged container: it starts a Docker daemon of its own.",
              );
    return [
        ["Node", node()],
        ["Linux and root", machine],
        ["commands", isLinux ? await checkCommands(context) : unknown("not looked for: this is not Linux")],
    ];
}

async function checkCommands(context: Context): Promise<Found> {
    const packages = JSON.parse(
        await readFile(path.join(context.root, "lab", "packages.json"), "utf8"),
    ) as Record<string, string>;
    const names = Object.keys(packages);
    const script = 'for name; do command -v "$name" >/dev/null || echo "$name"; done';
    const absent = ((await output(context, "sh", "-c", script, "sh", ...names, "apt-get")) ?? "").split("\n");
    const lacking = names.filter((name) => absent.includes(name));
    if (lacking.length === 0) return ok(names.join(", "));
    const install = [...new Set(lacking.map((name) => packages[name] ?? name))].sort().join(" ");
    return absent.includes("apt-get")
        ? missing(`no ${lacking.join(", ")}`, `Install them. On Debian the packages are called: ${install}`)
        : ok(`no ${lacking.join(", ")}: the lab installs ${install} when it starts`);
}

async function checkDeploying(context: Context): Promise<Findings> {
    const version = await output(context, "pulumi", "version");
    const install = "Install it: https://www.pulumi.com/docs/install/";
    const login =
        version === undefined
            ? unknown("not asked: there is no Pulumi")
            : found(
                  await output(context, "pulumi", "whoami", "--non-interactive"),
                  "not logged in",
                  "pulumi login (or pulumi login --local, which keeps the state on this machine)",
              );
    return [
        ["Node", node()],
        ["Pulumi", found(version, "not installed", install)],
        ["Pulumi's state", login],
        ["AWS credentials and region", credentials(await identify(context))],
    ];
}

async function checkStarting(
    values: Partial<Values<typeof stackOptions>>,
    context: Context,
): Promise<Findings> {
    const [stack, identity] = await Promise.all([
        findStack(values, context).catch((error: unknown) => asFailure(error)),
        identify(context),
    ]);
    const known: [string, Found][] = [
        ["Node", node()],
        ["AWS credentials and region", credentials(identity)],
        ["stack", stack instanceof Failure ? failed(stack) : stackFound(stack)],
    ];
    if (stack instanceof Failure || identity instanceof Failure) {
        return [...known, ["permissions", unknown("not tried: credentials and stack come first")]];
    }
    return [
        ...known,
        ["account", account(stack, identity.account)],
        ...(await tryPermissions(stack, context)),
    ];
}

function stackFound({ stateMachineArn, artifactBucketName }: StackOutputs): Found {
    if (stateMachineArn === undefined) {
        return missing(
            "no output stateMachineArn",
            "Deploy the stack with this version of the program: pulumi up",
        );
    }
    return ok([stateMachineArn, artifactBucketName].filter((each) => each !== undefined).join(", "));
}

function account({ stateMachineArn = "" }: StackOutputs, caller: string): Found {
    const owner = stateMachineArn.split(":")[4] ?? "";
    return owner === caller
        ? ok(owner)
        : missing(
              `the credentials are of ${caller}, the stack is in ${owner}`,
              "Take credentials of the stack's account (AWS_PROFILE), or choose another stack with --stack.",
          );
}

/** Each permission by a call that changes nothing. */
async function tryPermissions(stack: StackOutputs, context: Context): Promise<Findings> {
    const {
        stateMachineArn = "",
        artifactBucketName: bucket,
        artifactPrefix: prefix = "",
        buildProjectName,
    } = stack;
    const region = regionOf(stateMachineArn);
    const attempt = <S extends Service, T>(service: S, action: (client: ClientTypes[S]) => Promise<T>) =>
        context.aws
            .client(service, region)
            .then(action)
            .catch((error: unknown) => asFailure(error));
    const listed = await attempt("sfn", (sfn) =>
        sfn.send(new ListExecutionsCommand({ stateMachineArn, maxResults: 1 })),
    );
    const tried: [string, Found][] = [
        ["states:ListExecutions", allowed(listed)],
        [
            "states:StartExecution",
            unknown("cannot be tried without starting an export; the same policy gives both"),
        ],
    ];
    if (buildProjectName !== undefined) {
        // No build has this id; the answer says so to whoever may ask.
        const ids = [`${buildProjectName}:00000000-0000-0000-0000-000000000000`];
        const asked = await attempt("codebuild", (client) => client.send(new BatchGetBuildsCommand({ ids })));
        tried.push(["codebuild:BatchGetBuilds", allowed(asked)]);
    }
    if (bucket !== undefined) {
        const archives = await attempt("s3", (s3) =>
            s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 })),
        );
        tried.push(["s3:ListBucket", allowed(archives)]);
        const key = archives instanceof Failure ? undefined : archives.Contents?.[0]?.Key;
        tried.push([
            "s3:GetObject",
            key === undefined
                ? unknown("not tried: no archive is known that could be read")
                : allowed(
                      // One byte: it needs the KMS key, too, where there is one.
                      await attempt("s3", (s3) =>
                          s3.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: "bytes=0-0" })),
                      ),
                  ),
        ]);
    }
    return tried;
}

async function identify(context: Context): Promise<Identity> {
    try {
        const sts = await context.aws.client("sts");
        const { Account = "", Arn = "" } = await sts.send(new GetCallerIdentityCommand({}));
        return { account: Account, arn: Arn };
    } catch (error) {
        return asFailure(error);
    }
}

function credentials(identity: Identity): Found {
    return identity instanceof Failure ? failed(identity) : ok(identity.arn);
}

function node(): Found {
    const { node: version } = process.versions;
    return Number(version.split(".")[0]) >= 22
        ? ok(version)
        : missing(version, "Install Node 22 or later: https://nodejs.org");
}

/** What a program prints; undefined where there is none, or it fails. */
async function output(context: Context, command: string, ...args: string[]): Promise<string | undefined> {
    const options = { cwd: context.root, signal: context.signal };
    const result = await context
        .runProcess(command, args, options)
        .catch((): ProcessResult | undefined => undefined);
    context.signal.throwIfAborted();
    return result?.exitCode === 0 ? result.stdout.trim() : undefined;
}

function found(text: string | undefined, otherwise: string, next: string): Found {
    return text === undefined ? missing(otherwise, next) : ok(text);
}

function allowed(answer: unknown): Found {
    return answer instanceof Failure ? failed(answer) : ok("allowed");
}

function failed({ code, message, next }: Failure): Found {
    const text = code === undefined || message.startsWith(code) ? message : `${code}: ${message}`;
    return { state: "missing", found: text, ...(next !== undefined && { next }) };
}

function ok(text: string): Found {
    return { state: "ok", found: text };
}

function unknown(text: string): Found {
    return { state: "unknown", found: text };
}

function missing(text: string, next: string): Found {
    return { state: "missing", found: text, next };
}
