import { strict as assert } from "node:assert";

import type { PublishedMessage } from "../../lab/account";
import { permission } from "../../lab/iam";
import { type Lab, uriOf } from "../../lab/lab";
import { endOfAll, sharedLab } from "./support/sharedLab";

describe("lab: notifications", () => {
    let lab: Lab;

    before(async () => {
        lab = await sharedLab("stream");
    });

    /** What is published while something runs, and until all that it has started has ended. */
    async function publishedBy(start: () => Promise<unknown>): Promise<PublishedMessage[]> {
        const before = lab.account.published.length;
        await start();
        await endOfAll(lab);
        return lab.account.published.slice(before);
    }

    it("tell of an export that fails: what, why, and where to look", async () => {
        const imageUri = uriOf(lab, "no-such-tag");
        const [message = assert.fail(), ...others] = await publishedBy(() => lab.execute({ imageUri }));
        assert.deepEqual(others, []);
        assert.equal(message.topicArn, lab.stack.outputs["notificationTopicArn"]);
        assert.equal(message.subject, "Image export FAILED");
        const text = message.forms["default"] ?? "";
        assert(text.startsWith(`The export of ${imageUri} ended as FAILED.\n\nError: ImageNotFound\nCause: `), text);
        const machine = String(lab.stack.outputs["stateMachineArn"]).split(":").at(-1) ?? "";
        assert.match(text, new RegExp(`\nExecution: https://\\S+:execution:${machine}:\\S+\n`));
        const project = String(lab.stack.outputs["buildProjectName"]);
        assert(text.includes(`/codesuite/codebuild/111122223333/projects/${project}/history`));
    });

    it("tell of an export that succeeds, where that is asked for", async () => {
        const [message = assert.fail(), ...others] = await publishedBy(() => lab.execute({}));
        assert.deepEqual(others, []);
        const bucket = String(lab.stack.outputs["artifactBucketName"]);
        const text = message.forms["default"] ?? "";
        assert(text.startsWith(`${lab.image.uri} is in s3://${bucket}/images/nginx/`), text);
    });

    it("tell of a batch once, and not of its exports", async () => {
        const images = ["no-such-tag-1", "no-such-tag-2"].map((tag) => uriOf(lab, tag));
        const [message = assert.fail(), ...others] = await publishedBy(() => lab.executeBatch({ images }));
        assert.deepEqual(others, []);
        assert.equal(message.subject, "Batch of image exports FAILED");
        assert.match(message.forms["default"] ?? "", /Cause: 0 of 2 exported\. Which ones failed/);
    });

    it("say less, but are sent, without the permission to ask for error and cause", async () => {
        lab.iam.removed.add(permission("ReadOutcomes", "states:DescribeExecution"));
        const [message] = await publishedBy(() => lab.execute({ imageUri: "x" }));
        assert.match(message?.forms["default"] ?? "", /ended as FAILED\.\n\nError: \(none\)\n/);
    });

    it("are not started without the permission to", async () => {
        lab.iam.removed.add(permission("StartTarget", "states:StartExecution"));
        assert.deepEqual(await publishedBy(() => lab.execute({ imageUri: "x" })), []);
    });
});
