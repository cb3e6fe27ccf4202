/** The configuration of the bootstrap stack: read and checked, once. */
import * as pulumi from "@pulumi/pulumi";

import { providers } from "./trust";

/** The configuration, checked and complete. */
export interface BootstrapConfig {
    /** AWS region of the stack that is deployed (`aws:region`). */
    readonly region: string;
    /** The GitHub repository that is deployed, `OWNER/NAME`. */
    readonly repository: string;
    /**
     * The branch that is deployed, and whose pull requests are previewed.
     *
     * @default "main"
     */
    readonly branch: string;
    /** What deploys the stack. */
    readonly deployOn: "push" | "tag";
    /**
     * Who runs the deployments.
     *
     * @default ["pulumi-deployments"]
     */
    readonly with: readonly Runner[];
    /**
     * How tokens of GitHub Actions name the repository.
     *
     * @default "repo:OWNER/NAME"
     */
    readonly githubSubject: string;
    /**
     * Hosts of the OIDC providers that the account has already; IAM takes each once.
     *
     * @default []
     */
    readonly existingProviders: readonly string[];
    /** The bucket that the stack has adopted; undefined where it makes its own. */
    readonly existingBucket: string | undefined;
}

/** Who runs deployments. */
export type Runner = (typeof runners)[number];

const runners = ["pulumi-deployments", "github-actions"] as const;
const name = "[A-Za-z0-9._-]+";

/**
 * Reads and checks the configuration.
 *
 * @throws pulumi.RunError that names the key, what was given and what is expected.
 */
export function loadConfig(): BootstrapConfig {
    const config = new pulumi.Config();
    const repository = config.require("repository");
    if (!new RegExp(`^${name}/${name}$`).test(repository)) {
        throw invalid(
            "repository",
            repository,
            "expected OWNER/NAME of a repository on GitHub, for instance octo-org/exports",
        );
    }
    const githubSubject = config.get("githubSubject") ?? `repo:${repository}`;
    // The words of the repository, with GitHub's numbers after each or not; nothing that a pattern could be made of.
    const [owner = "", short = ""] = repository.split("/").map((word) => word.replaceAll(".", "\\."));
    if (!new RegExp(`^repo:${owner}(?:@[0-9]+)?/${short}(?:@[0-9]+)?$`).test(githubSubject)) {
        throw invalid(
            "githubSubject",
            githubSubject,
            `expected repo:${repository}, or the same with the numbers of owner and repository, repo:OWNER@ID/NAME@ID`,
        );
    }
    const branch = config.get("branch") ?? "main";
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(branch)) {
        throw invalid("branch", branch, "expected the name of one branch, for instance main");
    }
    return {
        region: new pulumi.Config("aws").require("region"),
        repository,
        branch,
        deployOn: oneOf("deployOn", config.require("deployOn"), ["push", "tag"]),
        with: list(config, "with", ["pulumi-deployments"]).map((runner) => oneOf("with", runner, runners)),
        githubSubject,
        existingProviders: list(config, "existingProviders", []).map((host) =>
            oneOf("existingProviders", host, Object.values(providers)),
        ),
        existingBucket: bucketName(config.get("existingBucket")),
    };
}

function bucketName(given: string | undefined): string | undefined {
    if (given !== undefined && !/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(given)) {
        throw invalid("existingBucket", given, "expected the name of a bucket, not an ARN");
    }
    return given;
}

function list(config: pulumi.Config, key: string, byDefault: string[]): string[] {
    const given = config.getObject<unknown>(key) ?? byDefault;
    if (!Array.isArray(given)) throw invalid(key, given, "expected a list");
    return given.map(String);
}

function oneOf<T extends string>(key: string, value: string, choices: readonly T[]): T {
    const choice = choices.find((each) => each === value);
    if (choice === undefined) throw invalid(key, value, `expected one of ${choices.join(", ")}`);
    return choice;
}

function invalid(key: string, value: unknown, expectation: string): pulumi.RunError {
    const given = typeof value === "string" ? value : JSON.stringify(value);
    return new pulumi.RunError(`The configuration value ${key} is "${given}": ${expectation}.`);
}
