/** The commands and their options. A module is loaded when its command is called, so that the AWS SDK is not for `--help`. */
/* eslint-disable @typescript-eslint/no-require-imports, @typescript-eslint/consistent-type-imports -- import() of a .ts file
   would need another module system, and an import would load the module at once */
import { Argument, Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";

import { manifestPrefix } from "../contract/keys";
import { defaultPlatform } from "../contract/platform";
import type { Context } from "./context";
import { version } from "./package.json";
import { stateMachineVariable } from "./stack";

const stack = new Option("--stack <NAME>", "Pulumi stack whose outputs say where to look").conflicts("stateMachine");
const stateMachine = new Option("--state-machine <ARN>", "state machine of the exports; Pulumi is not needed then");
const json = new Option("--json", "print the outcome as JSON");
const referrers = new Option("--referrers", "with signatures, SBOMs and attestations; with engine stream");
const since = new Option(
    "--since <KEY>",
    "archive whose layers the other side has; of one image also latest, the newest one of it",
);
const sinceFor = new Option("--since-for <RECEIVER>", "containerd, which can do without any of its layers, or docker");
const noWait = new Option("--no-wait", "only start it, and print its ARN");
const withLogs = new Option("--logs", "print what the build writes as well, while following");
const sinceTime = new Option("--since <TIME>", "how far to look back, for instance 90m, 24h or 7d")
    .argParser((text) => parseDuration(text))
    .default(24 * 3_600_000, "24h");
const from = new Option(
    "--from <FILE>",
    "images for one archive: an image URI, and a platform of its own if need be, a line; - reads them from stdin",
);
const expires = new Option("--expires <TIME>", "how long it is valid, at most 7d")
    .argParser((text) => parseDuration(text, 7))
    .default(3_600_000, "1h");
const execution = new Argument("<EXECUTION>", "its ARN, or its name in the stack's state machine");
const key = new Argument("<KEY>", "key in the stack's bucket, or s3://BUCKET/KEY");

const load = {
    archives: () => require("./commands/archives") as typeof import("./commands/archives"),
    batch: () => require("./commands/batch") as typeof import("./commands/batch"),
    doctor: () => require("./commands/doctor") as typeof import("./commands/doctor"),
    executions: () => require("./commands/executions") as typeof import("./commands/executions"),
    merge: () => require("./commands/merge") as typeof import("./commands/merge"),
    run: () => require("./commands/run") as typeof import("./commands/run"),
    verify: () => require("./commands/verify") as typeof import("./commands/verify"),
};

/**
 * The whole command line.
 *
 * @param end Is told the exit code of a command that may end otherwise than with success.
 */
export function createProgram(context: Context, end: (exitCode: number) => void): Command {
    const program = new Command("image-export")
        .description("Exports container images from Amazon ECR as files, and looks after the exports.")
        .version(version, "-v, --version", "print the version")
        .helpOption("-h, --help", "print help; after a command its own, with examples")
        .addHelpText(
            "after",
            `
Environment:
  ${stateMachineVariable}  state machine of the exports, instead of --state-machine
  PULUMI_STACK                    Pulumi stack, instead of --stack, as for every command of Pulumi
  AWS_PROFILE, AWS_REGION, …      credentials and region, as for every tool of AWS
  NO_COLOR                        no colours

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 130 interrupted.`,
        )
        .configureHelp({ subcommandDescription: (command) => command.description().split(". ")[0] ?? "" })
        .exitOverride()
        .configureOutput({
            writeOut: context.stdout.write,
            writeErr: context.stderr.write,
            // What is wrong is thrown as well, and printed where every failure is.
            outputError: () => undefined,
        });

    /** A command, with examples of it. */
    const add = (name: string, description: string, ...examples: readonly string[]) => {
        const text = examples.map((example) => `\nExample: image-export ${name} ${example}`);
        return program.command(name).description(description).addHelpText("after", text.join("\n"));
    };
    /** A command about the exports of a stack. */
    const addAboutStack = (...args: Parameters<typeof add>) =>
        add(...args)
            .addOption(stack)
            .addOption(stateMachine);

    addAboutStack(
        "start",
        "Export an image, or several into one archive, and follow the export to its end. The status goes to stderr, the outcome to " +
            "stdout. Ctrl-C asks whether to stop the export as well; without a terminal it goes on. What has been exported already " +
            "is not exported again.",
        "$REGISTRY/nginx:1.29 --stack dev",
        "--from images.txt --key images/release-1.2.tar",
        "--json | jq -r .output.artifactKey",
    )
        .argument(
            "[IMAGE...]",
            "image in Amazon ECR, by default that of the stack; several go into one archive, at --key",
        )
        .addOption(from)
        .option(
            "--key <KEY>",
            "key of the archive in the stack's bucket; of one image by default from repository and tag",
        )
        .option("--platform <OS/ARCH>", "platform, linux/amd64 by default; all with engine stream")
        .addOption(referrers)
        .addOption(since)
        .addOption(sinceFor)
        .option("--force", "export although the same export is there already")
        .addOption(noWait)
        .addOption(withLogs)
        .addOption(json)
        .action((images, options) => load.executions().start(images, options, context).then(end));

    add(
        "batch",
        "Export many images and report which ones failed. FILE is a JSON array (.json), JSON Lines (.jsonl) or CSV with a header " +
            "(.csv) of requests, or any other file with an image URI, and a platform if need be, a line; - reads such lines from " +
            `stdin. What was checked is uploaded under ${manifestPrefix} in the stack's bucket. The same batch again exports what is ` +
            "left.",
        "release.csv --json > outcome.json",
    )
        .argument("<FILE>")
        .option("--allow-failures", "succeed whatever becomes of the images")
        .addOption(noWait)
        .addOption(json)
        .addOption(stack)
        .action((file, options) => load.batch().batch(file, options, context).then(end));

    addAboutStack(
        "status",
        "Report how far an export is, or how it ended. The exit code is that of start.",
        "4f0c --stack dev --wait",
    )
        .addArgument(execution)
        .option("--wait", "follow the export to its end, as start does")
        .addOption(withLogs)
        .addOption(json)
        .action((name, options) => load.executions().status(name, options, context).then(end));

    addAboutStack(
        "list",
        "List the exports of a stack, the newest first. Step Functions keeps them for 90 days.",
        "--failed --since 7d",
    )
        .option("--failed", "only those that failed, timed out or were stopped")
        .addOption(sinceTime)
        .option("--limit <N>", "at most so many, the newest", parseCount, 20)
        .addOption(json)
        .action((options) => load.executions().list(options, context));

    addAboutStack(
        "logs",
        "Print what the build of an export has written so far; status --wait --logs follows it. An export that was skipped or " +
            "refused has no build.",
        "4f0c --stack dev",
    )
        .addArgument(execution)
        .action((name, options) => load.executions().logs(name, options, context));

    addAboutStack(
        "stop",
        "Stop a running export, and with it its build. Nothing is left at the key.",
        "4f0c --stack dev",
    )
        .addArgument(execution)
        .action((name, options) => load.executions().stop(name, options, context));

    addAboutStack(
        "get",
        "Download an archive and its record, and verify it. Until its sha256 is that of the record it is FILE.part, where the " +
            "same command goes on after an interruption. Needs the stack's output readArtifactsPolicy.",
        "s3://my-bucket/images/nginx/1.29.tar /srv/ --load",
    )
        .addArgument(key)
        .argument("[FILE]", "file or folder; by default the last part of the key, here")
        .option("--load", "hand the archive to `docker load` once it is verified")
        .option("--force", "replace FILE if it exists and is something else")
        .addOption(json)
        .action((name, file, options) => load.archives().get(name, file, options, context));

    addAboutStack(
        "url",
        "Print a link with which anybody can download an archive. It needs no credentials until it expires, and is to the " +
            "version that the archive's record describes. It ends early with the credentials that signed it: those of roles " +
            "and of SSO are valid for some hours only. Needs the stack's output readArtifactsPolicy.",
        "images/nginx/1.29.tar --expires 2d",
    )
        .addArgument(key)
        .addOption(expires)
        .addOption(json)
        .action((name, options) => load.archives().url(name, options, context));

    add(
        "verify",
        "Check an archive against its record and its digests, and show what it holds. It is read to its last byte. Without a " +
            "record, FILE.json, it says what could not be checked.",
        "nginx.tar --json | jq -r '.layers[].digest'",
    )
        .argument("<FILE>", "file, for which nothing else is needed, or s3://BUCKET/KEY")
        .option("--digest <sha256:…>", "digest that the image must have")
        .option("--image <NAME>", "name that the image must have")
        .option("--public-key <FILE>", "public key, as PEM, that must have signed the record; nothing is asked of AWS")
        .option("--deep", "unpack the layers too, and compare them with their images")
        .option("--base <FILE>", "archive that the layers are in which the other one leaves out")
        .addOption(json)
        .action((file, options) => load.verify().verify(file, options, context).then(end));

    add(
        "merge",
        "Make of a delta (start --since) and its base the archive that an export of everything would have made, byte for byte. Both " +
            "are verified before, and nothing else is needed.",
        "nginx-1.29.tar nginx-1.30-delta.tar -o nginx-1.30.tar",
    )
        .argument("<BASE>", "archive that the delta was made since, as a file")
        .argument("<DELTA>", "file, with its record beside it")
        .option("-o, --output <FILE>", "the whole archive; its record is written beside it")
        .addOption(json)
        .action((base, delta, options) => load.merge().merge(base, delta, options, context));

    add(
        "run",
        "Export an image, or several into one archive, on this machine, without a stack and without Docker. It is what the builds " +
            "of engine stream do. The login is ECR's with the AWS credentials at hand, otherwise that of `docker login`. Nothing is " +
            "at the destination before the archive is whole and verified.",
        "registry.example.com/app:1 app.tar --platform all",
    )
        // The parser knows several arguments as the last one only.
        .usage("[options] [IMAGE...] <DESTINATION>")
        .argument(
            "<IMAGES, DESTINATION...>",
            "HOST/REPOSITORY[:TAG][@sha256:DIGEST] of any registry, one or more; then a file, or s3://BUCKET/KEY",
        )
        .addOption(from)
        .addOption(json)
        .option("--platform <PLATFORM>", "os/arch[/variant], or all for every platform", defaultPlatform)
        .addOption(referrers)
        .addOption(since)
        .addOption(sinceFor)
        .option("--force", "export although the same export is there already")
        .option("--insecure", "plain HTTP to registries that are not on this machine")
        .action((given, options) => load.run().run(given, options, context));

    addAboutStack(
        "doctor",
        "Find what is missing to start exports and fetch archives. It says what to do, and changes nothing: permissions are " +
            "tried with calls that only read, and what cannot be tried so is reported as unknown.",
        "--stack dev",
    )
        .addOption(json)
        .action((options) => load.doctor().doctor(options, context).then(end));
    return program;
}

const unitsMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads a duration as `90s`, `15m`, `24h` or `7d`. @returns milliseconds */
function parseDuration(text: string, atMostDays = 90): number {
    const [, count = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    const milliseconds = Number(count) * (unitsMs[unit] ?? 0);
    if (milliseconds === 0 || milliseconds > atMostDays * 86_400_000) {
        throw new InvalidArgumentError(`Expected a number and s, m, h or d, at most ${atMostDays}d.`);
    }
    return milliseconds;
}

/** Reads a whole number from 1 to 1000. */
function parseCount(text: string): number {
    if (/^([1-9]\d{0,2}|1000)$/.test(text)) return Number(text);
    throw new InvalidArgumentError("Expected a whole number from 1 to 1000.");
}
