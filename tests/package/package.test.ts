import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { buildPackage } from "../../package/build";
import { root } from "../../lab/stackFiles";
import { evaluate } from "../support/pulumiMocks";

const load = createRequire(__filename);
const example = join(root, "examples/component-ts/index.ts");

/** Configuration of the example, by full key. */
const configuration = {
    "aws:region": "ap-northeast-1",
    "example:imageUri": "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/backend/api:v1",
    "example:vpcId": "vpc-0a1b2c3d",
    "example:subnetIds": '["subnet-0a1b2c3d"]',
    "example:releaseRole": "release",
};

/** Evaluates the example beside it, and writes what it declares: type, name, and the exporter's key, which tells its content. */
const host = `
const pulumi = require("@pulumi/pulumi");
const declared = [];
const mocks = {
    newResource({ type, name, inputs }) {
        declared.push(type + " " + name + (name === "images-exporter" ? " " + inputs.key : ""));
        return { id: name, state: { arn: "arn:" + name, name, bucket: name, ...inputs } };
    },
    call: () => ({ accountId: "111122223333" }),
};
pulumi.runtime.setMocks(mocks, "example", "dev").then(async () => {
    pulumi.runtime.setAllConfig(${JSON.stringify(configuration)});
    require("./index.js");
    await pulumi.runtime.disconnect();
    console.log(JSON.stringify(declared.sort()));
});
`;

describe("the npm package", function () {
    this.timeout(120_000);
    let folder: string;
    let packed: string[];
    before(async () => {
        await buildPackage();
        folder = mkdtempSync(join(tmpdir(), "ecr-image-export-"));
        const modules = join(folder, "node_modules");
        const installed = join(modules, "ecr-image-export");
        mkdirSync(installed, { recursive: true });
        const [report] = JSON.parse(
            execFileSync("npm", ["pack", "--json", "--pack-destination", folder], {
                cwd: join(root, "package"),
                encoding: "utf8",
                stdio: ["ignore", "pipe", "ignore"],
            }),
        ) as { filename: string; files: { path: string }[] }[];
        assert(report);
        packed = report.files.map(({ path }) => path);
        execFileSync("tar", ["-xzf", join(folder, report.filename), "-C", installed, "--strip-components=1"]);
        // Its peers, which npm would fetch.
        symlinkSync(join(root, "node_modules/@pulumi"), join(modules, "@pulumi"));
    });
    after(() => {
        rmSync(folder, { recursive: true });
    });

    it("has compiled files, buildspecs and the exporter, and no sources", () => {
        for (const file of [
            "LICENSE",
            "dist/buildspec/docker.yml",
            "dist/buildspec/stream.yml",
            "dist/exporter.mjs",
            "dist/package/index.d.ts",
            "dist/package/index.js",
        ]) {
            assert(packed.includes(file), file);
        }
        const others = packed.filter(
            (file) => !/^dist\/.*\.(?:js|d\.ts|yml|mjs)$|^LICENSE$|^package\.json$/.test(file),
        );
        assert.deepEqual(others, []);
        assert(!packed.some((file) => /lab|proof|tests|cli\//.test(file)));
    });

    it("has the version of the project, and takes the Pulumi packages that the project is tested with", () => {
        const [own, project] = ["package/package.json", "package.json"].map(
            (file) =>
                JSON.parse(readFileSync(join(root, file), "utf8")) as {
                    version: string;
                    dependencies: Record<string, string>;
                    peerDependencies: Record<string, string>;
                },
        );
        assert(own && project);
        assert.equal(own.version, project.version);
        const numbers = (version = "") => version.split(".").map(Number);
        for (const [peer, range] of Object.entries(own.peerDependencies)) {
            const [major, minor = NaN] = numbers(range.replace(/^\^/, ""));
            const [testedMajor, testedMinor = NaN] = numbers(project.dependencies[peer]);
            assert(
                range.startsWith("^") && major === testedMajor && minor <= testedMinor,
                `${peer} ${range}`,
            );
        }
    });

    it("makes of examples/component-ts what the sources make of it, from its own files alone", async () => {
        const program = readFileSync(example, "utf8").replace('"../../package/index"', '"ecr-image-export"');
        assert.match(program, /from "ecr-image-export"/);
        writeFileSync(join(folder, "index.ts"), program);
        writeFileSync(join(folder, "host.js"), host);
        const compiler = load.resolve("typescript/bin/tsc");
        const options = ["--strict", "--module", "nodenext", "--target", "es2023", "--skipLibCheck"];
        execFileSync(process.execPath, [compiler, ...options, "index.ts"], { cwd: folder, stdio: "inherit" });
        const declared = JSON.parse(
            execFileSync(process.execPath, ["host.js"], { cwd: folder, encoding: "utf8" }),
        ) as string[];

        const { resources } = await evaluate(
            () => {
                pulumi.runtime.setAllConfig(configuration);
                return { ...(load(example) as Record<string, unknown>) };
            },
            { project: "example" },
        );
        const expected = resources.map(({ type, name, inputs }) =>
            name === "images-exporter" ? `${type} ${name} ${String(inputs["key"])}` : `${type} ${name}`,
        );
        assert.deepEqual(declared, expected.sort());
        assert(declared.some((each) => /images-exporter \.exporter\/[0-9a-f]{16}\.zip$/.test(each)));
    });
});
