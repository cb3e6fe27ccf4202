import * as assert from "node:assert/strict";
import { isLoopback, registryOrigin } from "../../../exporter/network/origin";

describe("registryOrigin", () => {
    it("takes plain HTTP for loopback hosts only", () => {
        assert.equal(registryOrigin("127.0.0.1:5000", false).origin, "http://127.0.0.1:5000");
        assert.equal(registryOrigin("registry.lan:5000", false).origin, "https://registry.lan:5000");
    });
    it("takes plain HTTP for others when asked", () => {
        assert.equal(registryOrigin("registry.lan:5000", true).origin, "http://registry.lan:5000");
    });
    it("knows where Docker Hub's API is", () => {
        assert.equal(registryOrigin("docker.io", false).origin, "https://registry-1.docker.io");
    });
    it("does not take a name that only starts like one for loopback", () => {
        assert.equal(isLoopback("127.0.0.1.evil.io"), false);
    });
});
