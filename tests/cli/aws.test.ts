import assert from "node:assert/strict";

import { awsError, type FakeOptions, run } from "./support/context";

const execution = "arn:aws:states:eu-west-1:111122223333:execution:export:run";

/** Stops an execution; AWS throws the given errors before it answers. */
function stop(errors: Error[], options: Partial<FakeOptions> = {}) {
    const left = [...errors];
    return run({
        args: ["stop", execution],
        aws: () => {
            const error = left.shift();
            if (error !== undefined) throw error;
            return {};
        },
        ...options,
    });
}

describe("calls of AWS", () => {
    it("are tried again when throttled, with growing waits", async () => {
        const throttled = Array.from({ length: 7 }, () => awsError("ThrottlingException", "Rate exceeded"));
        const { exitCode, sleepsMs } = await stop(throttled);
        assert.equal(exitCode, 0);
        // Half of the ceiling, since the jitter of the test is a half.
        assert.deepEqual(sleepsMs, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    });

    it("give up at last, and say so", async () => {
        const { exitCode, stderr, calls } = await stop(
            Array.from({ length: 9 }, () => awsError("ThrottlingException", "Rate exceeded")),
        );
        assert.equal(exitCode, 1);
        assert.equal(calls.length, 8);
        assert.match(stderr, /^Error ThrottlingException: Rate exceeded\n +of arn:.*\n +next .*in a minute/);
    });

    it("read expired credentials anew, once", async () => {
        const expired = () =>
            awsError("ExpiredTokenException", "The security token included in the request is expired");
        const once = await stop([expired()]);
        assert.deepEqual([once.exitCode, once.renewals, once.calls.length], [0, 1, 2]);
        const twice = await stop([expired(), expired()]);
        assert.deepEqual([twice.exitCode, twice.renewals], [1, 1]);
        const throttled = () => awsError("ThrottlingException", "Rate exceeded");
        assert.equal((await stop([expired(), throttled(), throttled()])).renewals, 1);
        assert.match(twice.stderr, /token .* is expired\n[^]* next Sign in again/);
    });

    it("are not tried again when denied", async () => {
        const { exitCode, calls } = await stop([awsError("AccessDeniedException", "no")]);
        assert.deepEqual([exitCode, calls.length], [1, 1]);
    });

    it("end with Ctrl-C in a wait", async () => {
        const { exitCode, stderr } = await stop([awsError("ThrottlingException", "Rate exceeded")], {
            onSleep: (_, interrupt) => {
                interrupt();
            },
        });
        assert.equal(exitCode, 130);
        assert.equal(stderr, "");
    });
});
