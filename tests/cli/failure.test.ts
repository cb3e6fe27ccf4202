import assert from "node:assert/strict";

import { asFailure, Failure, isExpired, isPassing, printFailure } from "../../cli/failure";
import { outputTo } from "../../cli/terminal";
import { awsError } from "./support/context";

const arn = "arn:aws:states:eu-west-1:111122223333:stateMachine:export";

/** What is printed of an error. */
function printed(error: unknown, about?: string): string {
    let text = "";
    printFailure(outputTo({ write: (part) => (text += part) }, {}), asFailure(error, about));
    return text;
}

describe("failures", () => {
    for (const [name, expected] of [
        ["CredentialsProviderError", /said[^]*aws sso login/],
        ["ExpiredTokenException", /said[^]*Sign in again/],
        ["ExpiredToken", /said[^]*Sign in again/],
        ["UnrecognizedClientException", /said[^]*clock/],
        ["AccessDeniedException", /said[^]*startExportPolicy/],
        ["ThrottlingException", /said[^]*in a minute/],
        ["ExecutionDoesNotExist", /said[^]*image-export list/],
    ] as const) {
        it(`says what to do about ${name}`, () => {
            const text = printed(awsError(name, "said"), arn);
            assert.ok(text.startsWith(`Error ${name}: `), text);
            assert.ok(text.includes(`\n      of ${arn}\n    next `), text);
            assert.match(text, expected);
        });
    }

    it("finds the ARN in what AWS says, and says it once", () => {
        const message = `User: arn:aws:iam::111122223333:user/me is not authorized to perform: states:StartExecution on resource: ${arn}`;
        const text = printed(awsError("AccessDeniedException", message), arn);
        assert.equal(text.split(arn).length, 2);
        assert.doesNotMatch(text, /\n +of /);
    });

    it("says that no region is set", () => {
        assert.match(
            printed(new Error("Region is missing")),
            /^Error RegionIsMissing: Region is missing\n.*AWS_REGION/,
        );
    });

    it("tells network errors by their code", () => {
        const error = Object.assign(new Error("getaddrinfo ENOTFOUND states.eu-west-9.amazonaws.com"), {
            code: "ENOTFOUND",
        });
        assert.match(printed(error), /^Error ENOTFOUND: getaddrinfo.*\n +next Check that this machine reaches AWS/);
        assert.ok(isPassing(error));
    });

    it("prints every line of what to do, and no code where there is none", () => {
        const failure = new Failure("It broke.", { next: "Do this:\nthat" });
        assert.equal(printed(failure), "Error It broke.\n    next Do this:\n    next that\n");
        assert.equal(printed("text"), "Error text\n");
    });

    it("knows what passes and what has expired", () => {
        assert.ok(isPassing(awsError("ThrottlingException", "")));
        assert.ok(isPassing(awsError("InternalServerError", "", 503)));
        assert.ok(!isPassing(awsError("AccessDeniedException", "")));
        assert.ok(isExpired(awsError("ExpiredTokenException", "")));
        assert.ok(!isExpired(awsError("AccessDeniedException", "")));
    });
});
