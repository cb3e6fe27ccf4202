import type * as pulumi from "@pulumi/pulumi";

// Types that Pulumi's analyzer of components can make a schema of: no unions but of texts with names, no readonly arrays.

/** How archives are made. */
export const EngineName = {
    /** By the Docker daemon of a privileged build: pull, save, upload. */
    Docker: "docker",
    /** From the registry straight to S3, without a daemon. */
    Stream: "stream",
} as const;
/** How archives are made. */
export type EngineName = (typeof EngineName)[keyof typeof EngineName];

/** Where builds run. */
export const NetworkName = {
    /** In CodeBuild's own network, which leads to the internet. */
    Public: "public",
    /** In a VPC of the pipeline's own, without internet. */
    Isolated: "isolated",
    /** In a VPC of the pipeline's own, behind a NAT gateway. */
    Private: "private",
} as const;
/** Where builds run. */
export type NetworkName = (typeof NetworkName)[keyof typeof NetworkName];

/** What builds keep for the next one. */
export const CacheName = {
    /** Nothing. */
    None: "none",
    /** The layers on the build host, with engine `docker`. */
    Local: "local",
} as const;
/** What builds keep for the next one. */
export type CacheName = (typeof CacheName)[keyof typeof CacheName];

/** The machine that a build runs on, and how long it may take. */
export interface ComputeSettings {
    /**
     * Compute type of CodeBuild, or `lambda` for Lambda compute, with engine `stream`.
     *
     * @default "BUILD_GENERAL1_MEDIUM"
     */
    readonly type?: string;
    /**
     * Build image, one of CodeBuild's own.
     *
     * @default one that suits engine and type
     */
    readonly image?: string;
    /**
     * Minutes that a build may run, 5 to 2160.
     *
     * @default 30
     */
    readonly timeoutMinutes?: number;
    /**
     * Minutes that a build may wait in the queue, 5 to 480.
     *
     * @default 60
     */
    readonly queuedTimeoutMinutes?: number;
}

/** A VPC that is there already, for builds to run in. */
export interface VpcSettings {
    /** Id of the VPC. */
    readonly vpcId: pulumi.Input<string>;
    /** Ids of the subnets, private ones, 1 to 16: builds get no public address. */
    readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
    /** Ids of the security groups of the builds, 1 to 5. */
    readonly securityGroupIds: pulumi.Input<pulumi.Input<string>[]>;
}

/** A rule by which ECR fills repositories below a prefix from another registry. */
export interface PullThroughCacheSettings {
    /** What the names of the repositories begin with, for instance `docker-hub`. */
    readonly prefix: string;
    /** Host of the other registry, for instance `registry-1.docker.io`; none where the account has the rule already. */
    readonly upstreamRegistryUrl?: string;
    /** ARN of the secret with the credentials for that registry, where it asks for any. */
    readonly credentialArn?: string;
}

/** How long archives are kept, and how well they are guarded. */
export interface RetentionSettings {
    /**
     * Days until an archive expires; 0 keeps it for ever.
     *
     * @default 90
     */
    readonly archiveDays?: number;
    /**
     * Days until an old version of an archive expires; 0 keeps it for ever.
     *
     * @default 30
     */
    readonly oldVersionDays?: number;
    /**
     * Whether bucket and key are protected: `false` lets `pulumi destroy` delete the archives.
     *
     * @default true
     */
    readonly protect?: boolean;
    /** Whether a destroy deletes the archives. */
    readonly emptyOnDestroy?: boolean;
}

/** A channel of Slack. */
export interface SlackSettings {
    /** Id of the workspace, which the account has to be authorized for once, for instance `T07EA123LEP`. */
    readonly workspaceId: string;
    /** Id of the channel, for instance `C07EZ1ABC23`. */
    readonly channelId: string;
}

/** Who is told of what goes wrong. Any field makes the topic: with an empty list, for subscribers from elsewhere. */
export interface NotificationSettings {
    /**
     * E-mail addresses; each has to confirm its subscription once.
     *
     * @default []
     */
    readonly emails?: string[];
    /**
     * A channel of Slack.
     *
     * @default none
     */
    readonly slack?: SlackSettings;
    /**
     * Whether executions that end well are told of, too.
     *
     * @default false
     */
    readonly onSuccess?: boolean;
}

/** How batches are exported. */
export interface BatchSettings {
    /**
     * Images at a time, 1 to 10,000.
     *
     * @default 10
     */
    readonly maxConcurrency?: number;
}

/** Exports what is pushed. */
export interface PushTriggerSettings {
    /**
     * Names of repositories of the stack's own account and region.
     *
     * @default every one of them that may be exported
     */
    readonly repositories?: string[];
    /**
     * Tags, `*` standing for any characters.
     *
     * @default ["*"]
     */
    readonly tags?: string[];
}

/** A request; an empty one exports the image of the pipeline. */
export interface RequestSettings {
    /** Image to export. */
    readonly imageUri?: string;
    /** Key of the archive, below the prefix. */
    readonly artifactKey?: string;
    /** Platform of the image, `os/arch[/variant]`. */
    readonly platform?: string;
    /** Whether to export again what is there already. */
    readonly force?: boolean;
}

/** Exports at certain times. */
export interface ScheduleTriggerSettings {
    /** `cron(…)` or `rate(…)` of EventBridge Scheduler. */
    readonly expression: string;
    /**
     * Time zone that a `cron` expression is read in, a name of the IANA database.
     *
     * @default "UTC"
     */
    readonly timeZone?: string;
    /**
     * The request.
     *
     * @default one for the image of the pipeline
     */
    readonly request?: RequestSettings;
}

/** What starts exports by itself. */
export interface TriggerSettings {
    /** Exports what is pushed. */
    readonly onPush?: PushTriggerSettings;
    /** Exports at certain times. */
    readonly schedule?: ScheduleTriggerSettings;
}

/**
 * What can be set of a pipeline, as somebody wrote it: the keys of a stack's configuration, and the arguments of the component.
 * `config.ts` checks it. What is plain decides which resources there are, so it cannot be an Output.
 */
export interface Settings {
    /** AWS region of everything, for instance `ap-northeast-1`. */
    readonly region: string;
    /** Image that is exported when a request names none, `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@DIGEST]`. */
    readonly imageUri: string;
    /**
     * ARNs of further ECR repositories of the pipeline's account that may be exported.
     *
     * @default []
     */
    readonly repositoryArns?: string[];
    /**
     * ARNs of ECR repositories of other accounts that may be exported.
     *
     * @default []
     */
    readonly crossAccountRepositoryArns?: string[];
    /**
     * The only key prefix that builds may write, with its closing slash.
     *
     * @default "images/"
     */
    readonly artifactPrefix?: string;
    /**
     * How archives are made.
     *
     * @default "docker"
     */
    readonly engine?: EngineName;
    /** Machine and timeouts of a build. */
    readonly compute?: ComputeSettings;
    /**
     * Where builds run, unless a VPC is given.
     *
     * @default "public"
     */
    readonly network?: NetworkName;
    /**
     * A VPC that is there already, for builds to run in.
     *
     * @default none
     */
    readonly vpc?: VpcSettings;
    /**
     * What builds keep for the next one.
     *
     * @default "none"
     */
    readonly cache?: CacheName;
    /**
     * Rules by which ECR fills repositories from other registries when builds pull from them.
     *
     * @default []
     */
    readonly pullThroughCache?: PullThroughCacheSettings[];
    /**
     * What encrypts archives, logs and notifications: `s3` (S3's own keys), `kms` (a key of the pipeline's own) or the ARN of a
     * KMS key.
     *
     * @default "s3"
     */
    readonly encryption?: string;
    /** How long archives are kept, and how well they are guarded. */
    readonly retention?: RetentionSettings;
    /**
     * Name of a bucket of the pipeline's account that becomes the pipeline's, with the archives in it. It wants
     * `retention.archiveDays` beside it.
     *
     * @default a bucket of the pipeline's own
     */
    readonly existingBucket?: string;
    /**
     * Who is told of what goes wrong.
     *
     * @default nobody: there is the dashboard, and neither topic nor alarms
     */
    readonly notifications?: NotificationSettings;
    /** How batches are exported. */
    readonly batch?: BatchSettings;
    /**
     * What starts exports by itself.
     *
     * @default nothing does
     */
    readonly triggers?: TriggerSettings;
    /**
     * ARN of a managed policy, the permissions boundary of every role.
     *
     * @default none
     */
    readonly permissionsBoundary?: string;
    /**
     * Tags on every taggable resource, besides `project`, `stack`, `managed-by` and `component`.
     *
     * @default {}
     */
    readonly tags?: Record<string, string>;
}
