/** The two ways to make an archive. */

/** Names of the engines. */
export const engineNames = ["docker", "stream"] as const;

/**
 * How an archive is made: `docker`, by the Docker daemon of a privileged build; `stream`, from the registry straight to S3,
 * without a daemon.
 */
export type EngineName = (typeof engineNames)[number];
