/** What becomes of a build that fails: forms of the text in which Step Functions hands on what CodeBuild says of it. */
import { strict as assert } from "node:assert";

import fc from "fast-check";

import { exportErrors } from "../../contract/errors";
import { causeVariable } from "../../contract/request";
import { buildsUrl, failedBuild, runExport } from "../support/exportExecution";

const log =
    "https://ap-northeast-1.console.aws.amazon.com/cloudwatch/home?region=ap-northeast-1#logsV2:log-groups/log-group/x/log-events/y";
const logLink = ` (Log: ${log})`;
const buildsLink = ` (Builds and their logs: ${buildsUrl})`;

interface Described {
    /** Value of the exported variable; undefined where it does not come along. */
    readonly cause?: string | undefined;
    readonly status?: string;
    readonly phases?: readonly object[];
    readonly logs?: object;
    readonly variables?: readonly object[];
    readonly source?: string;
}

function phase(PhaseType: string, PhaseStatus: string, ...messages: string[]): object {
    const Contexts = messages.map((Message) => ({ StatusCode: "COMMAND_EXECUTION_ERROR", Message }));
    return { PhaseType, PhaseStatus, StartTime: 1764386000000, EndTime: 1764386001000, DurationInSeconds: 1, Contexts };
}

function exits(status: number, command = "bash export.sh"): string {
    return `Error while executing command: ${command}. Reason: exit status ${status}`;
}

/** A Build as Step Functions writes it, in the order of its keys. */
function build({
    cause,
    status = "FAILED",
    phases,
    logs = { DeepLink: log },
    variables = [],
    source = "",
}: Described): object {
    return {
        Arn: "arn:aws:codebuild:ap-northeast-1:111122223333:build/export-0a1b2c3:1",
        BuildComplete: true,
        BuildNumber: 7,
        BuildStatus: status,
        CurrentPhase: "COMPLETED",
        Environment: { ComputeType: "BUILD_GENERAL1_SMALL", EnvironmentVariables: variables },
        ...(cause !== undefined && { ExportedEnvironmentVariables: [{ Name: causeVariable, Value: cause }] }),
        Id: "export-0a1b2c3:1",
        Logs: { CloudWatchLogs: { Status: "ENABLED" }, GroupName: "g", S3Logs: { Status: "DISABLED" }, ...logs },
        Phases: phases ?? [
            { PhaseType: "SUBMITTED", PhaseStatus: "SUCCEEDED", Contexts: [{ StatusCode: "", Message: "" }] },
            phase("BUILD", "FAILED", exits(3)),
            { PhaseType: "COMPLETED" },
        ],
        ProjectName: "export-0a1b2c3",
        Source: { Buildspec: source, Type: "NO_SOURCE" },
    };
}

function text(described: Described): string {
    return JSON.stringify(build(described));
}

/** The same, each object with its keys the other way round. */
function reversed(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(reversed);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
        Object.entries(value)
            .reverse()
            .map(([name, each]) => [name, reversed(each)]),
    );
}

const said = 'The tag "9" is not in C:\\images; there are:\n1.28, 1.29';
/** As a message shows it: on one line. */
const shown = said.replace("\n", " ");
const exported = { cause: said, phases: [phase("BUILD", "FAILED", exits(3))] };
const command = exits(3);

interface Form {
    readonly what: string;
    readonly cause: string | undefined;
    readonly name?: string;
    readonly error: string;
    readonly words: string | RegExp;
}

const forms: Form[] = [
    { what: "with its cause", cause: text(exported), error: "ImageNotFound", words: `${shown}${logLink}` },
    {
        what: "with other orders of keys",
        cause: JSON.stringify(reversed(build(exported))),
        error: "ImageNotFound",
        words: `${shown}${logLink}`,
    },
    {
        what: "wrapped as a result is",
        cause: JSON.stringify({ Build: build(exported) }),
        error: "ImageNotFound",
        words: `${shown}${logLink}`,
    },
    {
        what: "written with blanks and line breaks",
        cause: JSON.stringify(build(exported), null, 4),
        error: "ImageNotFound",
        words: `${shown}${logLink}`,
    },
    { what: "without the exported variable", cause: text({}), error: "ImageNotFound", words: `${command}${logLink}` },
    {
        what: "with an empty exported variable",
        cause: text({ cause: "" }),
        error: "ImageNotFound",
        words: `${command}${logLink}`,
    },
    {
        what: "with a blank exported variable",
        cause: text({ cause: " \n\t" }),
        error: "ImageNotFound",
        words: `${command}${logLink}`,
    },
    {
        what: "with a log that was put into the exported variable",
        cause: text({ cause: `${said} ${"x".repeat(30_000)}` }),
        error: "ImageNotFound",
        words: /^The tag "9".{3900,4000} \(Log: https:/,
    },
    {
        what: "with 30,000 quotation marks and backslashes",
        cause: text({ cause: `a${'"\\'.repeat(7_000)}` }),
        error: "ImageNotFound",
        words: /^a["\\]+ \(Log: /,
    },
    {
        what: "with HTML in the variable",
        cause: text({ cause: '<b>502</b> &amp; {"Message":"exit status 4"}' }),
        error: "ImageNotFound",
        words: `<b>502</b> &amp; {"Message":"exit status 4"}${logLink}`,
    },
    {
        what: "cut before the phases",
        cause: text(exported).slice(0, text(exported).indexOf('"Phases"')),
        error: "ExportFailed",
        words: `${shown}${logLink}`,
    },
    {
        what: "cut within the exported variable",
        cause: text(exported).slice(0, text(exported).indexOf("is not in")),
        error: "ExportFailed",
        words: `The tag "9"${buildsLink}`,
    },
    {
        what: "cut within an escaped character",
        cause: text(exported).slice(0, text(exported).indexOf('\\"9') + 1),
        error: "ExportFailed",
        words: /^The tag .*\(Builds and their logs: /,
    },
    {
        what: "cut before its status",
        cause: text(exported).slice(0, 40),
        error: "ExportFailed",
        words: /^States\.TaskFailed: \{"Arn":"arn:aws.*\(Builds and their logs: /,
    },
    {
        what: "cut after the exit status",
        cause: text({ source: "x".repeat(40_000) }).slice(0, 32_768),
        error: "ImageNotFound",
        words: `${command}${logLink}`,
    },
    {
        what: "without a cause",
        cause: undefined,
        error: "ExportFailed",
        words: `States.TaskFailed: AWS gives no cause.${buildsLink}`,
    },
    {
        what: "with an empty cause",
        cause: "",
        error: "ExportFailed",
        words: `States.TaskFailed: AWS gives no cause.${buildsLink}`,
    },
    {
        what: "with HTML for a cause",
        cause: "<html><body>503 Service Unavailable</body></html>",
        error: "ExportFailed",
        words: `States.TaskFailed: <html><body>503 Service Unavailable</body></html>${buildsLink}`,
    },
    {
        what: "with JSON of something else",
        cause: '{"ErrorMessage":"x"}',
        error: "ExportFailed",
        words: `States.TaskFailed: {"ErrorMessage":"x"}${buildsLink}`,
    },
    { what: "with an array", cause: "[]", error: "ExportFailed", words: `States.TaskFailed: []${buildsLink}` },
    {
        what: "with null for most of it",
        cause: '{"BuildStatus":"FAILED","Phases":null,"Logs":null,"ExportedEnvironmentVariables":null}',
        error: "ExportFailed",
        words: `The build ended as FAILED without a word; read its log.${buildsLink}`,
    },
    {
        what: "without a log",
        cause: text({ ...exported, logs: {} }),
        error: "ImageNotFound",
        words: `${shown}${buildsLink}`,
    },
    {
        what: "with a link that is none",
        cause: text({ ...exported, logs: { DeepLink: "javascript:x" } }),
        error: "ImageNotFound",
        words: `${shown}${buildsLink}`,
    },
    {
        what: "of another exit status",
        cause: text({ phases: [phase("BUILD", "FAILED", exits(137))] }),
        error: "ExportFailed",
        words: `${exits(137)}${logLink}`,
    },
    {
        what: "of exit status 33, which ends like another",
        cause: text({ phases: [phase("BUILD", "FAILED", exits(33))] }),
        error: "ExportFailed",
        words: `${exits(33)}${logLink}`,
    },
    {
        what: "whose command is named with quotation marks and lines",
        cause: text({ phases: [phase("BUILD", "FAILED", exits(4, 'if [ "$x" = "y" ]\nthen\n\texit 4\nfi'))] }),
        error: "AccessDenied",
        words: /^Error while executing command: if \[ "\$x" = "y" \] then exit 4 fi\. Reason: exit status 4 \(Log/,
    },
    {
        what: "whose status ends with a full stop",
        cause: text({ phases: [phase("BUILD", "FAILED", `${exits(5)}.`)] }),
        error: "DigestMismatch",
        words: `${exits(5)}.${logLink}`,
    },
    {
        what: "that failed in two phases",
        cause: text({ phases: [phase("BUILD", "FAILED", exits(4)), phase("POST_BUILD", "FAILED", exits(1))] }),
        error: "AccessDenied",
        words: `${exits(4)}${logLink}`,
    },
    {
        what: "whose request imitates the answer",
        cause: text({
            variables: [
                { Name: "ARTIFACT_KEY", Type: "PLAINTEXT", Value: 'images/","Message":"x exit status 4"' },
                { Name: "X", Value: "Reason: exit status 4" },
            ],
        }),
        error: "ImageNotFound",
        words: `${command}${logLink}`,
    },
    {
        what: "whose buildspec speaks of statuses",
        cause: text({ source: 'echo "BuildStatus":"TIMED_OUT" "Message":"exit status 5"' }),
        error: "ImageNotFound",
        words: `${command}${logLink}`,
    },
    {
        what: "that could not be provisioned",
        cause: text({
            phases: [phase("PROVISIONING", "FAILED", "Build container found dead before completing the build")],
        }),
        error: "ExportFailed",
        words: `Build container found dead before completing the build${logLink}`,
    },
    {
        what: "that CodeBuild itself has broken",
        cause: text({ status: "FAULT", phases: [phase("BUILD", "FAULT", "INTERNAL_SERVICE_ERROR")] }),
        error: "ExportFailed",
        words: `INTERNAL_SERVICE_ERROR${logLink}`,
    },
    {
        what: "that fails without a word",
        cause: text({ phases: [phase("BUILD", "FAILED")] }),
        error: "ExportFailed",
        words: `The build ended as FAILED without a word; read its log.${logLink}`,
    },
    {
        what: "that was stopped",
        cause: text({ status: "STOPPED", phases: [phase("BUILD", "STOPPED")] }),
        error: "ExportFailed",
        words: /^Somebody stopped the build\. Start the export again.*\(Log: https/,
    },
    {
        what: "that timed out",
        cause: text({
            status: "TIMED_OUT",
            cause: "",
            phases: [phase("QUEUED", "SUCCEEDED"), phase("BUILD", "TIMED_OUT")],
        }),
        error: "BuildTimedOut",
        words: /^The build was stopped at its timeout of 30 minutes\. Raise compute\.timeoutMinutes.*\(Log: https/,
    },
    {
        what: "that timed out, and failed to tidy up",
        cause: text({
            status: "TIMED_OUT",
            phases: [phase("BUILD", "TIMED_OUT"), phase("POST_BUILD", "FAILED", exits(2))],
        }),
        error: "BuildTimedOut",
        words: /^The build was stopped at its timeout/,
    },
    {
        what: "that waited in the queue too long",
        cause: text({
            status: "TIMED_OUT",
            phases: [phase("SUBMITTED", "SUCCEEDED"), phase("QUEUED", "TIMED_OUT")],
            logs: {},
        }),
        error: "BuildTimedOut",
        words: /^The build waited 60 minutes in the queue of CodeBuild.*Service Quotas.*\(Builds and their logs: /,
    },
    {
        what: "that waited in the queue too long, with other orders of keys",
        cause: JSON.stringify(reversed(build({ status: "TIMED_OUT", phases: [phase("QUEUED", "TIMED_OUT")] }))),
        error: "BuildTimedOut",
        words: /^The build waited 60 minutes in the queue/,
    },
    {
        what: "that nobody heard of again",
        name: "States.Timeout",
        cause: undefined,
        error: "BuildTimedOut",
        words: /^No build came to its end within 100 minutes/,
    },
    {
        what: "that found no capacity",
        name: "CodeBuild.AccountLimitExceededException",
        cause: "Cannot have more than 1 builds",
        error: "BuildTimedOut",
        words: /^CodeBuild accepted no build within 60 minutes: Cannot have more than 1 builds Ask for more concurrent builds/,
    },
    {
        what: "that CodeBuild refused",
        name: "CodeBuild.InvalidInputException",
        cause: "bad",
        error: "InvalidInput",
        words: "CodeBuild refused the values of the request: bad",
    },
    {
        what: "that may not be started",
        name: "CodeBuild.AWSCodeBuildException",
        cause: "User: x is not authorized to perform: codebuild:StartBuild (Error Code: AccessDeniedException)",
        error: "AccessDenied",
        words: /^CodeBuild\.AWSCodeBuildException: User: x is not authorized/,
    },
    {
        what: "that Step Functions may not start",
        name: "States.Permissions",
        cause: "The role may not",
        error: "AccessDenied",
        words: "States.Permissions: The role may not",
    },
    {
        what: "that was throttled",
        name: "CodeBuild.AWSCodeBuildException",
        cause: "Rate exceeded (Error Code: ThrottlingException)",
        error: "ExportFailed",
        words: "CodeBuild.AWSCodeBuildException: Rate exceeded (Error Code: ThrottlingException)",
    },
    {
        what: "whose project is gone",
        name: "CodeBuild.ResourceNotFoundException",
        cause: "Project cannot be found",
        error: "ExportFailed",
        words: "CodeBuild.ResourceNotFoundException: Project cannot be found",
    },
    ...Object.entries(exportErrors).map(([error, { exitStatus }]) => ({
        what: `by its exit status ${exitStatus}`,
        cause: text({ cause: "why", phases: [phase("BUILD", "FAILED", exits(exitStatus))] }),
        error,
        words: `why${logLink}`,
    })),
];

describe("a build that failed", () => {
    for (const { what, name, cause, error, words } of forms) {
        it(`is named ${error} ${what}`, async () => {
            const { outcome } = await runExport({}, { build: failedBuild(cause, name) });
            assert(outcome.status === "FAILED", JSON.stringify(outcome));
            assert.equal(outcome.error, error, outcome.cause);
            if (typeof words === "string") assert.equal(outcome.cause, words);
            else assert.match(outcome.cause, words);
        });
    }

    it("is named wherever its text is cut, and whatever it says", async () => {
        const whole = text({ cause: `${said} "quoted" \\ é 😀`, source: 'if [ "$x" ]; then echo "\\n"; fi' });
        const cuts = fc.nat(whole.length).map((length) => whole.slice(0, length));
        const damaged = fc
            .tuple(fc.nat(whole.length), fc.string({ unit: "binary" }))
            .map(([at, each]) => whole.slice(0, at) + each + whole.slice(at));
        await fc.assert(
            fc.asyncProperty(fc.oneof(cuts, damaged, fc.string({ unit: "binary" }), fc.json()), async (cause) => {
                const { outcome } = await runExport({}, { build: failedBuild(cause) });
                assert(outcome.status === "FAILED" && outcome.error in exportErrors, JSON.stringify(outcome));
                assert.notEqual(outcome.cause, "");
            }),
            { numRuns: 100 },
        );
    });
});
