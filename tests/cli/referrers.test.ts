import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";

import type { RecordedReferrer } from "../../contract/record";
import { type FakeRegistry, startRegistry } from "../exporter/support/fakeRegistry";
import { type FakeS3, startS3 } from "../exporter/support/fakeS3";
import { addImage, addReferrer, emptyRepository, fileLayer, tagOf } from "../exporter/support/images";
import type { Descriptor } from "../../exporter/registry/manifest";
import { runWithS3 } from "./support/s3Context";

const uri = "s3://bucket/images/app.tar";

describe("the command line, of an image with referrers", () => {
    let s3: FakeS3;
    let registry: FakeRegistry;
    let folder: string;
    let image: Descriptor;
    let signature: Descriptor;
    let sbom: Descriptor;

    beforeEach(async () => {
        s3 = await startS3();
        s3.versioned = true;
        const repository = emptyRepository("app");
        image = addImage(repository, { layers: [fileLayer("f", Buffer.from("f"))], tag: "1" });
        signature = addReferrer(repository, image, { type: "application/signature", tag: tagOf(image, ".sig") });
        sbom = addReferrer(repository, image);
        registry = await startRegistry({ repository, referrers: 10 });
        folder = await mkdtemp(path.join(tmpdir(), "referrers-"));
    });
    afterEach(async () => {
        await Promise.all([s3.close(), registry.close(), rm(folder, { recursive: true })]);
    });

    async function command(...args: string[]): Promise<string> {
        const { exitCode, stdout, stderr } = await runWithS3({ s3, env: s3.env as Record<string, string> }, ...args);
        assert.equal(exitCode, 0, stdout + stderr);
        return stdout;
    }
    const run = (...options: string[]) => command("run", `${registry.host}/app:1`, uri, ...options);

    it("exports them, counts them, and lists what each belongs to", async () => {
        assert.match(await run("--referrers"), /^status +exported$[^]*^referrers +2$/m);
        assert.match(await run("--referrers"), /^status +already exported$[^]*^referrers +2$/m);
        assert.match(await command("get", uri, folder), /^referrers +2$/m);
        const got = JSON.parse(await command("get", uri, folder, "--json")) as { referrerCount: number };
        assert.equal(got.referrerCount, 2);

        const shown = await command("verify", path.join(folder, "app.tar"));
        assert.match(shown, /^referrers +2$/m);
        assert.match(shown, /^TYPE +DIGEST +SUBJECT$/m);
        for (const [type, { digest }] of [
            ["application/spdx\\+json", sbom],
            ["application/signature", signature],
        ] as const) {
            assert.match(shown, new RegExp(`^${type} +${digest} +${image.digest}$`, "m"));
        }
        const { referrers, referrerCount } = JSON.parse(await command("verify", uri, "--json")) as {
            referrers: RecordedReferrer[];
            referrerCount: number;
        };
        assert.equal(referrerCount, 2);
        assert.deepEqual(
            new Set(referrers.map(({ digest, tag }) => `${digest} ${tag ?? ""}`)),
            new Set([`${sbom.digest} `, `${signature.digest} ${tagOf(image, ".sig")}`]),
        );
    });

    it("says nothing of them where they were not asked for, and that there are none where they were", async () => {
        assert.doesNotMatch(await run(), /referrers/);
        assert.doesNotMatch(await command("verify", uri), /referrers|SUBJECT/);
        const { referrers } = JSON.parse(await command("verify", uri, "--json")) as { referrers: unknown };
        assert.equal(referrers, null);
        registry.options.repository = emptyRepository("app");
        addImage(registry.options.repository, { layers: [fileLayer("f", Buffer.from("f"))], tag: "1" });
        assert.match(await run("--referrers"), /^status +exported$[^]*^referrers +0$/m);
        assert.doesNotMatch(await command("verify", uri), /SUBJECT/);
    });
});
