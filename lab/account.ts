/** What the lab keeps of its account in the place of AWS: what the emulator does not know, or what it cannot judge. */
import type { AwsLocation } from "../contract/aws";
import { EventBridge } from "./events";
import { IdentityAndAccess } from "./iam";
import type { Clock, HistoryEvent } from "./stateLanguage/host";
import type { Machine as Definition } from "./stateLanguage/machine";

/** A CodeBuild project as the program declares it. */
export interface DeclaredProject {
    readonly name: string;
    readonly arn: string;
    readonly serviceRole: string;
    /** Minutes; unset for Lambda compute. */
    readonly buildTimeout?: number;
    readonly source: { readonly type: "NO_SOURCE" | "S3"; readonly location?: string; readonly buildspec: string };
    readonly environment: {
        readonly environmentVariables: readonly { readonly name: string; readonly value: string }[];
    };
    readonly logsConfig: { readonly cloudwatchLogs: { readonly groupName: string } };
}

/** A state machine as the program declares it. */
export interface DeclaredStateMachine {
    readonly name: string;
    readonly arn: string;
    readonly roleArn: string;
    readonly definition: Definition;
}

/** What the services of the account run on. */
export interface Machine {
    /** URL of the AWS API, where each call is judged. */
    readonly endpoint: string;
    readonly registryPort: number;
    /** Variables that every build gets: its way to the Docker daemon and the registry. Tests put theirs over them. */
    readonly buildEnvironment: Record<string, string>;
    /** Folder of the lab's files, logs among them; removed at the end. */
    readonly folder: string;
    readonly clock: Clock;
    /** Told what goes on: whoever wants to know sets its functions. */
    readonly watcher: {
        /** Takes the histories of executions. */
        tell?: (event: HistoryEvent) => void;
        /** Takes the logs of builds. */
        log?: (line: string) => void;
    };
}

/** A message that was published to a topic. */
export interface PublishedMessage {
    readonly topicArn: string;
    readonly subject: string;
    /** Its forms: `default`, and one for each protocol that has its own. */
    readonly forms: Readonly<Record<string, string>>;
}

/** An error, as the API of a service answers it. */
export class AwsError extends Error {
    public constructor(
        public readonly code: string,
        message: string,
    ) {
        super(message);
    }
}

/** The account of a lab, in which nothing has been made. */
export class Account {
    public readonly iam: IdentityAndAccess;
    public readonly events: EventBridge;
    /** Projects by name. */
    public readonly projects = new Map<string, DeclaredProject>();
    /** State machines by ARN. */
    public readonly stateMachines = new Map<string, DeclaredStateMachine>();
    /** Pull-through caches of the registry: upstream registry by prefix. */
    public readonly cacheRules = new Map<string, string>();
    /** Passwords for `docker login` that were handed out: to which access key, and in which region of ECR. */
    public readonly registryPasswords = new Map<string, { readonly accessKeyId: string; readonly region: string }>();
    /** Every message that was published, the first one first. */
    public readonly published: PublishedMessage[] = [];

    public constructor(public readonly location: AwsLocation) {
        this.iam = new IdentityAndAccess(location);
        this.events = new EventBridge(location);
    }
}
