import { strict as assert } from "node:assert";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import { stackOutputNames } from "../../components/stackOutputs";
import { configKeys } from "../../config";
import { ImageExport, type ImageExportArgs } from "../../imageExport";
import { root } from "../../lab/stackFiles";
import { Plugin } from "../support/plugin";
import { evaluate } from "../support/pulumiMocks";

const token = "ecr-image-export:index:ImageExport";
const folder = join(root, "component");

/** A property as the schema describes it. */
interface Property {
    readonly type?: "string" | "number" | "boolean" | "array" | "object";
    readonly $ref?: string;
    readonly plain?: boolean;
    readonly items?: Property;
    readonly additionalProperties?: Property;
}

interface ObjectType {
    readonly properties?: Record<string, Property>;
    readonly required?: string[];
    readonly enum?: { readonly value: string }[];
}

interface Schema {
    readonly resources: Record<
        string,
        ObjectType & { readonly inputProperties: Record<string, Property>; readonly requiredInputs: string[] }
    >;
    readonly types: Record<string, ObjectType>;
}

describe("the component package", function () {
    this.timeout(120_000);
    const schema = JSON.parse(readFileSync(join(folder, "schema.json"), "utf8")) as Schema;
    const component = schema.resources[token] ?? assert.fail();

    let plugin: Plugin;
    before(async () => {
        plugin = await Plugin.start(folder);
    });
    after(() => {
        plugin.stop();
    });

    it("has the schema that is written down; npm run schema writes it anew", async () => {
        assert.deepEqual(JSON.parse(await plugin.schema()), schema);
    });

    it("makes the pipeline that a program makes by itself", async () => {
        const args = {
            region: "ap-northeast-1",
            accountId: "111122223333",
            imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:mainline-alpine3.22",
            engine: "stream",
            network: "isolated",
            zones: ["ap-northeast-1a", "ap-northeast-1c"],
            compute: { timeoutMinutes: 60 },
        } as const;
        const made = await plugin.construct(token, "images", args);
        const own = await evaluate(() => {
            const pipeline = new ImageExport("images", { ...args, zones: [...args.zones] });
            return Object.fromEntries(stackOutputNames.map((name) => [name, pipeline[name]]));
        });
        assert.deepEqual(made.typesAndNames(), own.typesAndNames());
        assert.deepEqual(made.result, own.result);
        for (const name of ["images-project", "images-machine", "images-exporter"]) {
            assert.deepEqual(made.resource(name).inputs, own.resource(name).inputs);
        }
    });

    it("refuses what cannot work, by the words of the program", async () => {
        const args = { region: "ap-northeast-1", accountId: "111122223333", imageUri: "nginx" };
        await assert.rejects(
            plugin.construct(token, "images", args),
            /imageUri is "nginx": expected an image in Amazon ECR/,
        );
    });

    it("takes every configuration key of a stack as an argument: a new one belongs in settings.ts", () => {
        const others = ["accountId", "region", "vpc", "zones"];
        assert.deepEqual(Object.keys(component.inputProperties).sort(), [...configKeys, ...others].sort());
        assert.deepEqual(component.requiredInputs, ["accountId", "imageUri", "region"]);
    });

    it("has every output of a stack as an output", () => {
        assert.deepEqual(Object.keys(component.properties ?? {}).sort(), [...stackOutputNames].sort());
    });

    describe("used by examples/component-yaml", () => {
        const example = join(root, "examples/component-yaml");
        const program = parse(readFileSync(join(example, "Pulumi.yaml"), "utf8")) as {
            readonly packages: Record<string, string>;
            readonly resources: Record<string, { type: string; properties: Record<string, unknown> }>;
            readonly config: Record<string, unknown>;
            readonly outputs: Record<string, string>;
        };
        const { type, properties } = program.resources["images"] ?? assert.fail();

        it("is found where the program says", () => {
            const place = program.packages["ecr-image-export"] ?? assert.fail();
            assert(existsSync(join(example, place, "PulumiPlugin.yaml")));
            assert.equal(type, token.replace(":index", ""));
        });

        it("gets what its schema asks for, and nothing else", () => {
            const given = { properties: component.inputProperties, required: component.requiredInputs };
            assert.deepEqual(faults("images", properties, given), []);
        });

        it("would not get what its schema does not know", () => {
            const given = { properties: component.inputProperties, required: component.requiredInputs };
            const wrong: [changes: Record<string, unknown>, fault: string][] = [
                [{ imageURI: "x" }, "images.imageURI is not known"],
                [{ region: undefined }, "images.region is missing"],
                [{ engine: "podman" }, "images.engine is none of docker, stream"],
                [{ compute: { timeoutMinutes: "60" } }, "images.compute.timeoutMinutes is no number"],
                [{ triggers: { onPush: { tags: "v*" } } }, "images.triggers.onPush.tags is no array"],
                [{ imageUri: "${caller}" }, "images.imageUri has to be known before the program runs"],
                [{ tags: { team: 3 } }, "images.tags.team is no string"],
            ];
            for (const [changes, fault] of wrong) {
                assert.deepEqual(faults("images", { ...properties, ...changes }, given), [fault]);
            }
        });

        it("has the outputs that the program uses", () => {
            const used = JSON.stringify(program).match(/\$\{images\.\w+/g) ?? [];
            assert(used.length > 2);
            for (const each of used) assert(component.properties?.[each.slice("${images.".length)], each);
        });

        it("can be made with what it gets", async () => {
            const known = { ...properties, accountId: "111122223333" };
            const imageUri = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/backend/api:v1";
            const evaluation = await evaluate(() => {
                new ImageExport("images", { ...known, imageUri } as unknown as ImageExportArgs);
                return {};
            });
            assert(evaluation.resource("images-key"));
        });

        /** What is wrong with a value by the schema. */
        function faults(
            path: string,
            value: Record<string, unknown>,
            { properties: known = {}, required = [] }: ObjectType,
        ): string[] {
            return [
                ...required
                    .filter((name) => value[name] === undefined)
                    .map((name) => `${path}.${name} is missing`),
                ...Object.entries(value).flatMap(([name, each]) => {
                    const property = known[name];
                    if (each === undefined) return [];
                    return property
                        ? faultsOf(`${path}.${name}`, each, property)
                        : [`${path}.${name} is not known`];
                }),
            ];
        }

        function faultsOf(path: string, value: unknown, property: Property): string[] {
            if (typeof value === "string" && value.startsWith("${")) {
                const isConfigured = value.slice(2, -1) in program.config;
                return property.plain === true && !isConfigured
                    ? [`${path} has to be known before the program runs`]
                    : [];
            }
            if (property.$ref !== undefined) {
                const referred =
                    schema.types[property.$ref.replace("#/types/", "")] ?? assert.fail(property.$ref);
                if (referred.enum === undefined)
                    return faults(path, value as Record<string, unknown>, referred);
                const values = referred.enum.map((each) => each.value);
                return values.includes(String(value)) ? [] : [`${path} is none of ${values.join(", ")}`];
            }
            const actual = Array.isArray(value) ? "array" : typeof value;
            if (actual !== property.type) return [`${path} is no ${property.type}`];
            const { additionalProperties, items } = property;
            if (items)
                return (value as unknown[]).flatMap((each, index) =>
                    faultsOf(`${path}[${index}]`, each, items),
                );
            return additionalProperties
                ? Object.entries(value as object).flatMap(([name, each]) =>
                      faultsOf(`${path}.${name}`, each, additionalProperties),
                  )
                : [];
        }
    });
});
