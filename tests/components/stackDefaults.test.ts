import { strict as assert } from "node:assert";

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

import { applyToEveryResource } from "../../components/stackDefaults";
import { customResourcesOf, evaluate, resourceOf } from "../../lab/evaluation";

class Part extends pulumi.ComponentResource {
    public constructor(name: string) {
        super("ecr-image-export:index:Part", name);
        new aws.iam.Role(`${name}-role`, { assumeRolePolicy: "{}" }, { parent: this });
        new aws.iam.RolePolicy(`${name}-policy`, { role: "r", policy: "{}" }, { parent: this });
        new aws.s3.BucketObjectv2(`${name}-object`, { bucket: "b", key: "k" }, { parent: this });
    }
}

const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`tag-${index}`, "x"]));

describe("applyToEveryResource", () => {
    it("tags what takes tags with its component's name and the stack's tags, an object with ten at most", async () => {
        const program = await evaluate(() => {
            applyToEveryResource({ tags: many });
            return { part: new Part("a-part").urn };
        });
        assert.deepEqual(resourceOf(program, "a-part-role").inputs["tags"], { component: "a-part", ...many });
        assert.equal("tags" in resourceOf(program, "a-part-policy").inputs, false);
        const ofObject = resourceOf(program, "a-part-object").inputs["tags"] as object;
        assert.deepEqual(Object.keys(ofObject), ["component", ...Object.keys(many).slice(0, 9)]);
    });

    it("sets the permissions boundary of every role, and of nothing else", async () => {
        const boundary = "arn:aws:iam::111122223333:policy/boundary";
        const program = await evaluate(() => {
            applyToEveryResource({ tags: {}, permissionsBoundary: boundary });
            return { part: new Part("a-part").urn };
        });
        const bounded = customResourcesOf(program).filter(({ inputs }) => "permissionsBoundary" in inputs);
        assert.deepEqual(
            bounded.map(({ name, inputs }) => [name, inputs["permissionsBoundary"]]),
            [["a-part-role", boundary]],
        );
    });

    it("leaves the next program of the process alone", async () => {
        await evaluate(() => {
            applyToEveryResource({ tags: many });
            return {};
        });
        const program = await evaluate(() => ({ part: new Part("a-part").urn }));
        assert.equal("tags" in resourceOf(program, "a-part-role").inputs, false);
    });
});
