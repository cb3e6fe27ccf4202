/** What makes a declared resource exist in the lab. */
import type { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import type { S3Client } from "@aws-sdk/client-s3";

import type { Account } from "../account";
import type { Answer } from "../awsTypes";

/** Where resources are created. */
export interface Surroundings {
    readonly account: Account;
    /** The emulator's S3. */
    readonly s3: S3Client;
    /** The emulator's CloudWatch Logs. */
    readonly logs: CloudWatchLogsClient;
}

/**
 * Creates one resource.
 *
 * @param inputs What the program declares, in the shape of the type in @pulumi/aws.
 * @param answer Its physical name, ARN and id, as awsTypes.ts has them.
 */
export type Create = (inputs: never, answer: Answer, surroundings: Surroundings) => Promise<void> | void;

/** Creators by the token of the resource type. */
export type Creators = Readonly<Record<string, Create | undefined>>;
