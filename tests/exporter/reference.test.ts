import * as assert from "node:assert/strict";
import { isLoopback, parseEcrHost, parseReference, registryOrigin } from "../../exporter/reference";

const digest = `sha256:${"a".repeat(64)}`;

describe("parseReference", () => {
    const cases: [string, object][] = [
        [
            "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/team/app:1.2",
            {
                registry: "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com",
                repository: "team/app",
                tag: "1.2",
                name: "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/team/app:1.2",
            },
        ],
        [
            "127.0.0.1:5000/app",
            {
                registry: "127.0.0.1:5000",
                repository: "app",
                tag: "latest",
                name: "127.0.0.1:5000/app:latest",
            },
        ],
        [
            `[::1]:5000/app@${digest}`,
            { registry: "[::1]:5000", repository: "app", digest, name: `[::1]:5000/app@${digest}` },
        ],
        [
            `localhost/app:2@${digest}`,
            { registry: "localhost", repository: "app", tag: "2", digest, name: "localhost/app:2" },
        ],
        [
            "nginx:mainline-alpine3.22",
            {
                registry: "docker.io",
                repository: "library/nginx",
                tag: "mainline-alpine3.22",
                name: "docker.io/library/nginx:mainline-alpine3.22",
            },
        ],
        [
            "bitnami/redis",
            {
                registry: "docker.io",
                repository: "bitnami/redis",
                tag: "latest",
                name: "docker.io/bitnami/redis:latest",
            },
        ],
    ];
    for (const [text, expected] of cases) {
        it(`reads ${text}`, () => {
            assert.deepEqual(parseReference(text), expected);
        });
    }

    for (const text of [
        "",
        "host.io/",
        "host.io/App:1",
        "host.io/app:",
        "host.io/app@sha256:1",
        "a b/c",
        "h.io/a@b@c",
    ]) {
        it(`refuses "${text}"`, () => {
            assert.throws(() => parseReference(text), { name: "InvalidInput" });
        });
    }
});

describe("parseEcrHost", () => {
    const cases: [string, object | undefined][] = [
        [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            { account: "123456789012", region: "eu-west-1", fips: false },
        ],
        [
            "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
            { account: "123456789012", region: "us-east-1", fips: true },
        ],
        [
            "123456789012.dkr-ecr.eu-west-1.on.aws",
            { account: "123456789012", region: "eu-west-1", fips: false },
        ],
        [
            "123456789012.dkr-ecr-fips.us-east-1.on.aws",
            { account: "123456789012", region: "us-east-1", fips: true },
        ],
        [
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            { account: "123456789012", region: "cn-north-1", fips: false },
        ],
        ["public.ecr.aws", undefined],
        ["123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.io", undefined],
    ];
    for (const [host, expected] of cases) {
        it(`reads ${host}`, () => {
            assert.deepEqual(parseEcrHost(host), expected);
        });
    }
});

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
