/** A stack on Pulumi's own engine: its CLI, its state in a folder, the program in this process, AWS by awsStandIn.ts. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { LocalWorkspace, type PulumiFn, type Stack } from "@pulumi/pulumi/automation";
import type { EngineEvent } from "@pulumi/pulumi/automation/events";
import { parse, stringify } from "yaml";

import { Account } from "../../lab/account";
import { at } from "../../lab/awsTypes";
import { emulatorOn } from "../../lab/creators";
import { preparePrograms } from "../../lab/prerequisites";
import { type Stoppable, watchOver } from "../../lab/processes";
import { startEmulator } from "../../lab/servers";
import { root } from "../../lab/stackFiles";
import { AwsAccount } from "./awsAccount";
import { AwsStandIn, namesIn } from "./awsStandIn";

/** What one step of an operation does to a resource: `create`, `update`, `replace`, `delete`, `import` … */
export interface Step {
    readonly op: string;
    readonly type: string;
    readonly name: string;
    /** Properties for whose sake a resource is changed. */
    readonly because: readonly string[];
    /** Whether a delete leaves it in AWS. */
    readonly isRetained: boolean;
}

/** What `pulumi up`, `refresh` or `destroy` did, or why it was refused. */
export interface Operation {
    readonly succeeded: boolean;
    /** What was done, without what stayed the same. */
    readonly steps: readonly Step[];
    /** Messages of severity `error`. */
    readonly errors: readonly string[];
    /** Messages of severity `warning`. */
    readonly warnings: readonly string[];
}

/** Values of keys, by full name; undefined takes a key away. */
export type Changes = Readonly<Record<string, unknown>>;

/** Which steps are one half of a replacement, whose other half is `replace`. */
const halves = ["create-replacement", "delete-replaced"];

/** The programs of the emulator; looked for once in a process. */
let prepared: Promise<void> | undefined;

/** Where stacks are kept, and what they are deployed to: one of each for all stacks of a test. */
export class Engine {
    private constructor(
        private readonly folder: string,
        private readonly provider: AwsStandIn,
        /** The account. */
        public readonly aws: AwsAccount,
        private readonly started: readonly Stoppable[],
    ) {}

    /**
     * Starts the provider, and makes an empty backend.
     *
     * @param account What is deployed to. @default an account in which nothing has been made, in a moto of its own
     * @throws Error where there is no `pulumi`.
     */
    public static async start(account?: AwsAccount): Promise<Engine> {
        try {
            execFileSync("pulumi", ["version"], { stdio: "ignore", env: { ...process.env, ...quiet } });
        } catch {
            throw new Error(
                'There is no pulumi on the PATH. Install it (www.pulumi.com/docs/iac/download-install), or build it with Go: PATH="$(dirname "$(tests/engine/pulumi-cli)"):$PATH"',
            );
        }
        const folder = mkdtempSync(join(tmpdir(), "image-export-engine-"));
        const started: Stoppable[] = [watchOver(folder)];
        let aws = account;
        if (aws === undefined) {
            await (prepared ??= preparePrograms(console.log));
            const moto = await startEmulator(at.accountId, folder);
            started.unshift(moto);
            aws = new AwsAccount(new Account(at), emulatorOn(moto.port, at.region));
        }
        return new Engine(folder, await AwsStandIn.start(aws), aws, started);
    }

    /** Stops the provider and what it has started, and deletes the backend. */
    public async stop(): Promise<void> {
        this.provider.stop();
        for (const each of this.started) await each.stop();
    }

    /**
     * Makes a stack; nothing is deployed yet.
     *
     * @param project Folder of Pulumi.yaml below the root.
     * @param program What is deployed, run in this process.
     * @param configuration Configuration by full key.
     */
    public async createStack(
        stackName: string,
        project: string,
        program: PulumiFn,
        configuration: Changes,
    ): Promise<EngineStack> {
        const workDir = mkdtempSync(join(this.folder, "project-"));
        cpSync(join(root, project, "Pulumi.yaml"), join(workDir, "Pulumi.yaml"));
        const projectName = (parse(readFileSync(join(workDir, "Pulumi.yaml"), "utf8")) as { name: string }).name;
        const { port } = this.provider;
        const envVars = {
            ...quiet,
            PULUMI_HOME: join(this.folder, "home"),
            PULUMI_BACKEND_URL: `file://${this.folder}`,
            PULUMI_CONFIG_PASSPHRASE: "test",
            PULUMI_DEBUG_PROVIDERS: ["aws", "awsx", "pulumiservice"].map((name) => `${name}:${port}`).join(","),
            PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
        };
        const stack = await LocalWorkspace.createStack({ stackName, projectName, program }, { workDir, envVars });
        const made = new EngineStack(stack, join(workDir, `Pulumi.${stackName}.yaml`), configuration);
        made.configure({});
        return made;
    }
}

const quiet = { PULUMI_SKIP_UPDATE_CHECK: "true", PULUMI_SKIP_CHECKPOINTS: "false" };

/** One stack. */
export class EngineStack {
    public constructor(
        private readonly stack: Stack,
        private readonly file: string,
        private readonly configuration: Changes,
    ) {}

    /** Writes the stack's file: its configuration with these changes, and no others. */
    public configure(changes: Changes): void {
        const before = parse(readFileSync(this.file, "utf8")) as Record<string, unknown>;
        const config = Object.fromEntries(
            Object.entries({ ...this.configuration, ...changes }).filter(([, value]) => value !== undefined),
        );
        writeFileSync(this.file, stringify({ ...before, config }));
    }

    /** `pulumi preview`, then `pulumi up`, as the CLI does in one: what the preview refuses is not begun. */
    public async up(changes: Changes = {}): Promise<Operation> {
        this.configure(changes);
        const preview = await operate((onEvent) => this.stack.preview({ onEvent, ...plain }));
        return preview.succeeded ? operate((onEvent) => this.stack.up({ onEvent, ...plain })) : preview;
    }

    /** `pulumi preview`. */
    public preview(changes: Changes = {}): Promise<Operation> {
        this.configure(changes);
        return operate((onEvent) => this.stack.preview({ onEvent, ...plain }));
    }

    /** `pulumi up --skip-preview`. */
    public upWithoutPreview(changes: Changes = {}): Promise<Operation> {
        this.configure(changes);
        return operate((onEvent) => this.stack.up({ onEvent, ...plain }));
    }

    /** `pulumi refresh`. */
    public refresh(): Promise<Operation> {
        // Only afterwards it is known what has changed.
        return operate((onEvent) => this.stack.refresh({ onEvent, ...plain }), "resOutputsEvent");
    }

    /** `pulumi destroy`, its preview first. */
    public async destroy(): Promise<Operation> {
        const preview = await operate((onEvent) => this.stack.destroy({ onEvent, previewOnly: true, ...plain }));
        return preview.succeeded ? operate((onEvent) => this.stack.destroy({ onEvent, ...plain })) : preview;
    }

    /** `pulumi stack output --json`. */
    public async outputs(): Promise<Record<string, unknown>> {
        const outputs = await this.stack.outputs();
        return Object.fromEntries(Object.entries(outputs).map(([name, { value }]) => [name, value as unknown]));
    }

    /** What the state has, but for the stack and its providers. */
    public async resources(): Promise<StateResource[]> {
        const { resources = [] } = (await this.stack.exportStack()).deployment as Deployed;
        return resources.filter(({ type }) => !type.startsWith("pulumi:"));
    }

    /** `pulumi state unprotect URN`, by the resource's name. */
    public async unprotect(name: string): Promise<void> {
        const exported = await this.stack.exportStack();
        const { resources = [] } = exported.deployment as Deployed;
        for (const resource of resources) if (namesIn(resource.urn).name === name) resource.protect = false;
        await this.stack.importStack(exported);
    }
}

/** What `pulumi stack export` prints of a stack. */
interface Deployed {
    readonly resources?: readonly StateResource[];
}

/** A resource in the state of a stack. */
export interface StateResource {
    readonly urn: string;
    readonly type: string;
    readonly id?: string;
    readonly inputs?: Record<string, unknown>;
    readonly parent?: string;
    protect?: boolean;
    readonly deletedWith?: string;
    readonly retainOnDelete?: boolean;
}

const plain = { color: "never" as const, suppressOutputs: true, suppressProgress: true };

/** @param stepEvent Which events tell of steps: those before each of them, or those after it. */
async function operate(
    run: (onEvent: (event: EngineEvent) => void) => Promise<unknown>,
    stepEvent: "resourcePreEvent" | "resOutputsEvent" = "resourcePreEvent",
): Promise<Operation> {
    const events: EngineEvent[] = [];
    const failure = await run((event) => events.push(event)).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const messages = (severity: string) =>
        events
            .flatMap(({ diagnosticEvent }) => (diagnosticEvent?.severity === severity ? [diagnosticEvent] : []))
            .map(({ message }) => message.trim());
    // An inline program's error comes twice: from the program, and from the engine that ran it.
    const errors = [...new Set(messages("error"))];
    return {
        succeeded: failure === undefined,
        steps: events.flatMap((event) => stepsOf(event[stepEvent])),
        errors: failure !== undefined && errors.length === 0 ? [failure] : errors,
        warnings: messages("warning"),
    };
}

function stepsOf(event: EngineEvent["resourcePreEvent" | "resOutputsEvent"]): Step[] {
    if (event === undefined) return [];
    const { op, urn, diffs = [], old } = event.metadata;
    const { type, name } = namesIn(urn);
    const isOurs = !type.startsWith("pulumi:");
    if (!isOurs || ["same", "refresh", ...halves].includes(op)) return [];
    return [{ op, type, name, because: diffs, isRetained: old?.retainOnDelete === true }];
}
