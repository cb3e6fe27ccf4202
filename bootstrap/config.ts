/** The configuration of the bootstrap stack, read and checked once. Pulumi.yaml and docs/deployments.md describe the keys. */
import * as pulumi from "@pulumi/pulumi";

/** The OIDC providers, by host and path, with which the keys of conditions begin. */
export const providers = { pulumi: "api.pulumi.com/oidc", github: "token.actions.githubusercontent.com" } as const;

const config = new pulumi.Config();

/**
 * Reads and checks the configuration.
 *
 * @throws pulumi.RunError that names the key, what was given and what is expected.
 */
export function loadConfig() {
    const repository = matching(
        "repository",
        /^[\w.-]+\/[\w.-]+$/,
        "OWNER/NAME of a repository on GitHub, for instance octo-org/exports",
    );
    // Owner and name, each with GitHub's number after it or not; nothing that a pattern could be made of.
    const [owner, name] = repository.split("/").map((word) => word.replaceAll(".", "\\."));
    const subject = `repo:${repository}`;
    return {
        region: new pulumi.Config("aws").require("region"),
        repository,
        branch: matching("branch", /^\w[\w./-]*$/, "one branch, for instance main", "main"),
        deployOn: oneOf("deployOn", config.require("deployOn"), ["push", "tag"]),
        with: listOf("with", ["pulumi-deployments", "github-actions"]) ?? ["pulumi-deployments"],
        githubSubject: matching(
            "githubSubject",
            new RegExp(`^repo:${owner}(?:@[0-9]+)?/${name}(?:@[0-9]+)?$`),
            `${subject}, or the same with the numbers of owner and repository, repo:OWNER@ID/NAME@ID`,
            subject,
        ),
        existingProviders: listOf("existingProviders", Object.values(providers)) ?? [],
        existingBucket:
            config.get("existingBucket") === undefined
                ? undefined
                : matching("existingBucket", /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "a bucket's name, not an ARN"),
    };
}

function listOf<T extends string>(key: string, choices: readonly T[]): readonly T[] | undefined {
    const given = config.getObject<unknown>(key);
    if (given !== undefined && !Array.isArray(given)) throw invalid(key, given, "an array of strings");
    return given?.map((each) => oneOf(key, String(each), choices));
}

function oneOf<T extends string>(key: string, given: string, choices: readonly T[]): T {
    const choice = choices.find((each) => each === given);
    if (choice === undefined) throw invalid(key, given, `one of ${choices.join(", ")}`);
    return choice;
}

function matching(key: string, pattern: RegExp, expected: string, usual?: string): string {
    const given = config.get(key) ?? usual ?? config.require(key);
    if (!pattern.test(given)) throw invalid(key, given, expected);
    return given;
}

function invalid(key: string, given: unknown, expected: string): pulumi.RunError {
    return new pulumi.RunError(`The configuration value ${key} is ${JSON.stringify(given)}: expected ${expected}.`);
}
