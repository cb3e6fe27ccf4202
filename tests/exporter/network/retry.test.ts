import * as assert from "node:assert/strict";
import {
    isTransientStatus,
    retry,
    retryAfterMs,
    type RetryPolicy,
    TransientError,
} from "../../../exporter/network/retry";
import { quickRetries } from "../support/quick";

describe("retry", () => {
    it("tries again what may pass", async () => {
        let count = 0;
        const result = await retry("it", quickRetries, undefined, () => {
            count += 1;
            return count < 3 ? Promise.reject(new TransientError("no")) : Promise.resolve("done");
        });
        assert.deepEqual([result, count], ["done", 3]);
    });

    it("gives up with a named error that says what the last failure was", async () => {
        const failing = retry("reading x", quickRetries, undefined, () =>
            Promise.reject(new TransientError("503", undefined, "AccessDenied")),
        );
        await assert.rejects(failing, { name: "AccessDenied", message: "reading x failed 5 times, at last: 503" });
    });

    it("does not try again what cannot pass", async () => {
        let count = 0;
        const failing = retry("it", quickRetries, undefined, () => {
            count += 1;
            return Promise.reject(new Error("lasting"));
        });
        await assert.rejects(failing, /lasting/);
        assert.equal(count, 1);
    });

    it("waits as long as the server asks, and says so", async () => {
        const lines: string[] = [];
        const onWait = (line: string): void => void lines.push(line);
        const policy: RetryPolicy = { ...quickRetries, attempts: 2, onWait };
        const started = performance.now();
        await assert.rejects(retry("it", policy, undefined, () => Promise.reject(new TransientError("429", 20))));
        assert.ok(performance.now() - started >= 19);
        assert.deepEqual(lines, ["it: 429; attempt 2 of 2 in 0.0 s"]);
    });

    it("gives up at once where the server asks for more time than there is", async () => {
        const patient = { ...quickRetries, maxRetryAfterMs: 10_000_000 };
        for (const policy of [quickRetries, { ...patient, deadline: Date.now() + 3_500_000 }]) {
            let count = 0;
            const failing = retry("it", policy, undefined, () => {
                count += 1;
                return Promise.reject(new TransientError("429", 3_600_000));
            });
            await assert.rejects(failing, { name: "ExportFailed", message: /^it failed: 429.*3600\.0 s/ });
            assert.equal(count, 1);
        }
    });

    it("ends at once when aborted, with the reason", async () => {
        const abort = new AbortController();
        const policy = { ...quickRetries, baseDelayMs: 60_000, maxDelayMs: 60_000 };
        const failing = retry("it", policy, abort.signal, () => {
            setImmediate(() => {
                abort.abort(new Error("stopped"));
            });
            return Promise.reject(new TransientError("no"));
        });
        await assert.rejects(failing, /stopped/);
    });
});

describe("retryAfterMs", () => {
    it("reads seconds and dates", () => {
        assert.equal(retryAfterMs("3"), 3000);
        assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:05 GMT", 1000), 4000);
        assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:05 GMT", 9000), 0);
    });
    it("leaves out what it cannot read", () => {
        assert.deepEqual(
            [undefined, "", "soon"].map((header) => retryAfterMs(header)),
            [undefined, undefined, undefined],
        );
    });
});

describe("isTransientStatus", () => {
    it("does not hope for what a server does not know", () => {
        const statuses = [400, 401, 404, 408, 429, 500, 501, 502, 503, 505];
        assert.deepEqual(statuses.filter(isTransientStatus), [408, 429, 500, 502, 503]);
    });
});
