/** Names of the engines. */
export const engineNames = ["docker", "stream"] as const;

/**
 * How an archive is made: `docker`, by the Docker daemon of a privileged build; `stream`, from the registry straight to S3,
 * without a daemon.
 */
export type EngineName = (typeof engineNames)[number];

/** Minutes that a build of Lambda compute may run; it takes no other timeout: docs.aws.amazon.com/codebuild/latest/userguide/lambda.html */
export const lambdaTimeoutMinutes = 15;
