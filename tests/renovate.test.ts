/** renovate.json: its rules are about dependencies that there are, and hold what docs/versions.md says. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";

import { root } from "../lab/stackFiles";

interface PackageRule {
    readonly description: readonly string[];
    readonly matchPackageNames: readonly string[];
    readonly groupName?: string;
    readonly allowedVersions?: string;
    readonly schedule?: readonly string[];
}

interface Renovate {
    readonly extends: readonly string[];
    readonly rangeStrategy: string;
    readonly automerge: boolean;
    readonly minimumReleaseAge: string;
    readonly schedule: readonly string[];
    readonly lockFileMaintenance: { readonly enabled: boolean; readonly schedule: readonly string[] };
    readonly packageRules: readonly PackageRule[];
}

interface Package {
    readonly workspaces?: readonly string[];
    readonly dependencies?: Record<string, string>;
    readonly devDependencies?: Record<string, string>;
}

function read(file: string): unknown {
    return JSON.parse(readFileSync(join(root, file), "utf8"));
}

function dependenciesOf({ dependencies, devDependencies }: Package): [name: string, version: string][] {
    return Object.entries({ ...dependencies, ...devDependencies });
}

const renovate = read("renovate.json") as Renovate;
const main = read("package.json") as Package;
const packages = [
    main,
    ...[...(main.workspaces ?? []), "bootstrap", "examples/consumer"].map(
        (folder) => read(`${folder}/package.json`) as Package,
    ),
];
const dependencies = packages.flatMap(dependenciesOf);
const ruleOf = (name: string) =>
    renovate.packageRules.filter(({ matchPackageNames }) =>
        matchPackageNames.some((pattern) => matchesGlob(name, pattern)),
    );

describe("renovate.json", () => {
    it("has rules for dependencies that there are, each with its reason", () => {
        for (const { description, matchPackageNames } of renovate.packageRules) {
            assert(description.length > 0);
            for (const pattern of matchPackageNames) {
                assert(
                    dependencies.some(([name]) => matchesGlob(name, pattern)),
                    `no dependency is called ${pattern}`,
                );
            }
        }
    });

    it("updates together what belongs together", () => {
        for (const [name] of dependencies) {
            const [scope = ""] = /^@(?:aws-sdk|pulumi|cloud-copilot)\//.exec(name) ?? [];
            const expected: Record<string, string | undefined> = {
                "@aws-sdk/": "AWS SDK",
                "@pulumi/": "Pulumi",
                "@cloud-copilot/": "IAM data",
            };
            assert.equal(ruleOf(name).length <= 1, true, `${name} has two rules`);
            if (scope !== "") assert.equal(ruleOf(name)[0]?.groupName, expected[scope], name);
        }
        assert.equal(ruleOf("eslint")[0]?.groupName, "linters");
    });

    it("holds TypeScript below 7, as it is", () => {
        const [rule] = ruleOf("typescript");
        assert.equal(rule?.allowedVersions, "<7");
        assert.match(rule.description.join(), /ts-node 10\.9/);
        for (const [name, version] of dependencies) {
            if (name === "typescript") assert(Number(version.split(".")[0]) < 7, version);
            if (name === "ts-node") assert.match(version, /^10\.9\./);
        }
    });

    it("takes releases of Node with long-term support, as the one that there is", () => {
        for (const name of ["node", "@types/node"]) {
            const [rule] = ruleOf(name);
            const [, pattern = ""] = /^\/(.*)\/$/.exec(rule?.allowedVersions ?? "") ?? [];
            const allowed = new RegExp(pattern);
            const [, version = ""] = dependencies.find(([each]) => each === name) ?? [];
            assert.match(version, allowed);
            assert.match("26.1.0", allowed);
            assert.doesNotMatch("25.1.0", allowed);
        }
        assert.equal(main.devDependencies?.["node"], readFileSync(join(root, ".nvmrc"), "utf8").trim());
    });

    it("pins versions and actions, waits a week, keeps the lock file fresh, and merges nothing", () => {
        assert.deepEqual(renovate.extends, ["config:recommended", "helpers:pinGitHubActionDigests"]);
        assert.equal(renovate.rangeStrategy, "pin");
        assert.equal(renovate.minimumReleaseAge, "7 days");
        assert.equal(renovate.lockFileMaintenance.enabled, true);
        assert.equal(renovate.automerge, false);
        for (const [name, version] of dependencies) assert.match(version, /^\d+\.\d+\.\d+$/, name);
    });

    it("has schedules in cron's form, without minutes, as Renovate wants them", () => {
        const schedules = [
            renovate.schedule,
            renovate.lockFileMaintenance.schedule,
            ...renovate.packageRules.flatMap(({ schedule }) => (schedule ? [schedule] : [])),
        ];
        for (const [line = "", ...more] of schedules) {
            assert.deepEqual(more, []);
            assert.match(line, /^\* [\d*-]+ [\d*]+ \* [\d*]+$/);
        }
    });
});

describe("the packages of this repository", () => {
    it("have one version of each dependency", () => {
        const versions = new Map<string, Set<string>>();
        for (const [name, version] of dependencies) {
            versions.set(name, (versions.get(name) ?? new Set()).add(version));
        }
        for (const [name, { size }] of versions) assert.equal(size, 1, name);
    });
});
