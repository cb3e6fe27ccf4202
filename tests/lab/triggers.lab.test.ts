import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";

import { type Event, pushEvent } from "../../lab/events";
import type { Execution } from "../../lab/executions";
import { permission } from "../../lab/iam";
import { digestOf } from "../../lab/image";
import type { Lab } from "../../lab/lab";
import { endOfAll, sharedLab, succeeded } from "./support/sharedLab";

describe("lab: triggers", () => {
    let lab: Lab;

    before(async () => {
        lab = await sharedLab("stream");
    });

    /** Pushes an image; the event that Amazon ECR tells of it with. */
    async function pushed(tag: string): Promise<Event> {
        await lab.push("nginx", tag);
        return pushEvent(lab.image.repository, tag, await digestOf(lab.registryPort, "nginx", tag));
    }

    /** What something starts, once it has ended: executions of the state machine that exports. */
    async function exportsOf(start: () => Promise<unknown>): Promise<Execution[]> {
        const before = new Set(lab.services.executions.byArn.keys());
        await start();
        const machine = lab.stack.outputs["stateMachineArn"];
        await endOfAll(lab); // the starters end before what they start
        const executions = [...lab.services.executions.byArn.values()];
        return executions.filter(({ arn, machineArn }) => machineArn === machine && !before.has(arn));
    }

    async function outputOf(execution: Execution | undefined): Promise<Record<string, unknown>> {
        return succeeded(await execution?.result);
    }

    it("export exactly the image that was pushed, though its tag has moved since", async () => {
        const event = await pushed("v1");
        await lab.push("nginx", "v1");
        assert.notEqual(await digestOf(lab.registryPort, "nginx", "v1"), event.detail["image-digest"]);
        const [execution, ...others] = await exportsOf(() => lab.services.deliver(event));
        assert.deepEqual(others, []);
        const output = await outputOf(execution);
        assert.equal(output["imageDigest"], event.detail["image-digest"]);
        assert.equal(output["artifactKey"], "images/nginx/v1.tar");
    });

    it("start one export for an event that is delivered twice, at once or later", async () => {
        const event = await pushed("v2");
        const started = await exportsOf(() => Promise.all([lab.services.deliver(event), lab.services.deliver(event)]));
        assert.equal(started.length, 1);
        assert.equal((await outputOf(started[0]))["skipped"], false);
        const [delivery] = await lab.services.deliver(event);
        assert(delivery !== undefined && "execution" in delivery);
        assert.equal((await delivery.execution.result).status, "SUCCEEDED");
        assert.deepEqual(await exportsOf(() => lab.services.deliver(event)), []);
    });

    it("start an export for each push, also of the same image", async () => {
        const event = await pushed("latest");
        assert.equal((await exportsOf(() => lab.services.deliver(event))).length, 1);
        const [again] = await exportsOf(() => lab.services.deliver({ ...event, id: randomUUID() }));
        assert.equal((await outputOf(again))["skipped"], true);
    });

    describe("start nothing", () => {
        let event: Event;

        before(async () => {
            event = await pushed("v3");
        });

        it("for another repository or tag, for what failed, for deletions, for images without a tag", async () => {
            for (const detail of [
                { "repository-name": "nginx-2" },
                { "image-tag": "x1" },
                { result: "FAILURE" },
                { "action-type": "DELETE" },
                { "image-tag": undefined },
            ]) {
                const other = { ...event, detail: { ...event.detail, ...detail } };
                // As it is sent: what is undefined is not there.
                assert.deepEqual(await lab.services.deliver(JSON.parse(JSON.stringify(other)) as Event), []);
            }
        });

        it("for what another service tells", async () => {
            assert.deepEqual(await lab.services.deliver({ ...event, source: "my.ecr" }), []);
        });
    });

    it("export the image of the stack on schedule, once for each time", async () => {
        const time = new Date("2026-11-16T18:00:00.000Z");
        const started = await exportsOf(() =>
            Promise.all([lab.services.deliverScheduled(time), lab.services.deliverScheduled(time)]),
        );
        assert.equal(started.length, 1);
        assert.equal((await outputOf(started[0]))["imageUri"], lab.image.uri);
        assert.deepEqual(await exportsOf(() => lab.services.deliverScheduled(time)), []);
        const [next] = await exportsOf(() => lab.services.deliverScheduled(new Date("2026-11-17T18:00:00.000Z")));
        assert.equal((await outputOf(next))["skipped"], true);
    });

    it("keep what they may not start in the queue of dead letters", async () => {
        lab.iam.removed.add(permission("StartTarget", "states:StartExecution"));
        const deliveries = [
            ...(await lab.services.deliver(await pushed("v4"))),
            ...(await lab.services.deliverScheduled(new Date())),
        ];
        assert.equal(deliveries.length, 2);
        for (const delivery of deliveries) {
            assert("undelivered" in delivery);
            assert.match(delivery.undelivered, /not authorized to perform: states:StartExecution/);
            assert.match(String(delivery.keptIn), /:image-export-triggers-undelivered-/);
        }
    });

    it("fail to start an export without the permission to", async () => {
        lab.iam.removed.add(permission("StartTriggeredExports", "states:StartExecution"));
        const [delivery] = await lab.services.deliver(await pushed("v5"));
        assert(delivery !== undefined && "execution" in delivery);
        const result = await delivery.execution.result;
        assert(result.status === "FAILED");
        assert.match(result.cause, /states:StartExecution/);
    });
});
