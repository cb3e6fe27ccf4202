import { strict as assert } from "node:assert";

import { asExportError, ExportError, exitStatusText, exportErrors, messageOf } from "../../contract/errors";

describe("exit statuses", () => {
    it("tell every error that a build can end in apart", () => {
        const statuses: number[] = Object.values(exportErrors).map(({ exitStatus }) => exitStatus);
        assert.equal(new Set(statuses).size, Object.keys(exportErrors).length);
        // 126 on are the shell's own.
        assert.ok(statuses.every((status) => status >= 1 && status < 126));
    });
    it("are handed to a build as words", () => {
        for (const [name, { exitStatus }] of Object.entries(exportErrors)) {
            assert.ok(exitStatusText.split(" ").includes(`${name}=${exitStatus}`), name);
        }
    });
});

describe("asExportError", () => {
    it("keeps a named error, and names whatever else was thrown", () => {
        const named = new ExportError("AccessDenied", "no");
        assert.equal(asExportError(named), named);
        const thrown = new TypeError("broken");
        const { name, message, cause } = asExportError(thrown);
        assert.deepEqual([name, message, cause], ["ExportFailed", "broken", thrown]);
        assert.equal(asExportError("text").message, "text");
    });
});

describe("messageOf", () => {
    it("has the errors that Node's network errors hide", () => {
        const refused = ["::1", "127.0.0.1"].map((host) => new Error(`refused by ${host}`));
        assert.equal(messageOf(new AggregateError(refused)), "AggregateError (refused by ::1; refused by 127.0.0.1)");
        assert.equal(messageOf(new AggregateError(refused, "both")), "both (refused by ::1; refused by 127.0.0.1)");
        assert.equal(messageOf(undefined), "undefined");
    });
});
