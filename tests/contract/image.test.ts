import * as assert from "node:assert/strict";
import { parseEcrHost, parseReference } from "../../contract/image";

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
    const of = (region: string, partition: string, fips = false) => ({
        partition,
        region,
        accountId: "123456789012",
        fips,
    });
    const cases: [string, object | undefined][] = [
        ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", of("eu-west-1", "aws")],
        ["123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", of("us-east-1", "aws", true)],
        ["123456789012.dkr-ecr.eu-west-1.on.aws", of("eu-west-1", "aws")],
        ["123456789012.dkr-ecr-fips.us-east-1.on.aws", of("us-east-1", "aws", true)],
        ["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", of("cn-north-1", "aws-cn")],
        ["123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", of("cn-north-1", "aws-cn")],
        ["123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", of("us-gov-west-1", "aws-us-gov")],
        ["123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", of("eusc-de-east-1", "aws-eusc")],
        ["public.ecr.aws", undefined],
        ["123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.io", undefined],
        ["123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn", undefined],
        ["123456789012.dkr.ecr.cn-north-1.amazonaws.com", undefined],
        ["123456789012.dkr.ecr.moon-west-1.amazonaws.com", undefined],
        ["12345678901.dkr.ecr.eu-west-1.amazonaws.com", undefined],
        ["123456789012.dkr.ecr.eu-west-1.amazonaws.com:443", undefined],
    ];
    for (const [host, expected] of cases) {
        it(`reads ${host}`, () => {
            assert.deepEqual(parseEcrHost(host), expected);
        });
    }
});
