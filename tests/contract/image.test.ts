import { strict as assert } from "node:assert";

import * as fc from "fast-check";

import {
    covers,
    type EcrImage,
    grammar,
    isDigest,
    isNameOrPattern,
    parseEcrHost,
    parseImageUri,
    parseReference,
    parseRepositoryArn,
    repositoryArn,
    shorterList,
    withoutCovered,
} from "../../contract/image";
import { repositoryUris } from "../support/repositoryUris";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const registry = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com";
const nginx = { partition: "aws", region: "ap-northeast-1", accountId: "111122223333", name: "nginx" } as const;

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
            { registry: "127.0.0.1:5000", repository: "app", tag: "latest", name: "127.0.0.1:5000/app:latest" },
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

describe("grammar", () => {
    it("is written without what state machines cannot use", () => {
        for (const source of Object.values(grammar)) assert.doesNotMatch(source, /\(\?[^:]|\\[bBdDsSwW]/);
    });
    it("has digests that are checked as a whole", () => {
        assert.deepEqual([digest, `${digest}0`, `x${digest}`, `${digest}\n`].map(isDigest), [
            true,
            false,
            false,
            false,
        ]);
    });
});

const repositories = fc
    .record({
        location: fc.constantFrom(
            ["aws", "us-east-1"] as const,
            ["aws-cn", "cn-northwest-1"] as const,
            ["aws-us-gov", "us-gov-west-1"] as const,
            ["aws-eusc", "eusc-de-east-1"] as const,
        ),
        accountId: fc.stringMatching(/^[0-9]{12}$/),
        name: fc.stringMatching(/^[a-z0-9]{2,8}([._-][a-z0-9]{1,8})?(\/[a-z0-9]{1,8}(__[a-z0-9]{1,8})?)?$/),
    })
    .map(({ location, ...rest }) => {
        const [partition, region] = location;
        return { partition, region, ...rest };
    });

describe("parseImageUri", () => {
    const accepted: [string, Omit<EcrImage, "uri">][] = [
        [`${registry}/nginx`, { repository: nginx }],
        [`${registry}/nginx:mainline-alpine3.22`, { repository: nginx, tag: "mainline-alpine3.22" }],
        [`${registry}/nginx:_Tag.1-2`, { repository: nginx, tag: "_Tag.1-2" }],
        [`${registry}/nginx:${"t".repeat(128)}`, { repository: nginx, tag: "t".repeat(128) }],
        [`${registry}/nginx@${digest}`, { repository: nginx, digest }],
        [`${registry}/nginx:1.29@${digest}`, { repository: nginx, tag: "1.29", digest }],
        [`${registry}/a/b-c/d_e__f.g:1`, { repository: { ...nginx, name: "a/b-c/d_e__f.g" }, tag: "1" }],
        [`${registry}/${"n".repeat(256)}`, { repository: { ...nginx, name: "n".repeat(256) } }],
        [
            "111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com/nginx",
            { repository: { ...nginx, partition: "aws-us-gov", region: "us-gov-west-1" } },
        ],
        ["111122223333.dkr-ecr.ap-northeast-1.on.aws/nginx", { repository: nginx }],
        ["111122223333.dkr-ecr-fips.us-east-2.on.aws/nginx", { repository: { ...nginx, region: "us-east-2" } }],
        [
            "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/nginx",
            { repository: { ...nginx, partition: "aws-cn", region: "cn-north-1" } },
        ],
        [
            "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/nginx",
            { repository: { ...nginx, partition: "aws-cn", region: "cn-north-1" } },
        ],
        [
            "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/nginx",
            { repository: { ...nginx, partition: "aws-eusc", region: "eusc-de-east-1" } },
        ],
    ];
    for (const [uri, image] of accepted) {
        it(`takes ${uri.slice(0, 90)}`, () => {
            assert.deepEqual(parseImageUri(uri), { uri, ...image });
        });
    }

    const refused = {
        "no text": "",
        "no registry": "nginx:1.29",
        "a public registry": "public.ecr.aws/nginx/nginx:1.29",
        "Docker Hub": "docker.io/library/nginx:1.29",
        "no repository": `${registry}/`,
        "no slash": registry,
        "a URL": `https://${registry}/nginx`,
        "an account of 11 digits": "11112222333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx",
        "an account of 13 digits": "1111222233334.dkr.ecr.ap-northeast-1.amazonaws.com/nginx",
        "no region": "111122223333.dkr.ecr.amazonaws.com/nginx",
        "something that is no region": "111122223333.dkr.ecr.tokyo.amazonaws.com/nginx",
        "another domain": "111122223333.dkr.ecr.ap-northeast-1.amazonaws.org/nginx",
        "a domain that goes on": `${registry}.example.org/nginx`,
        "a host before the registry": `example.org/${registry}/nginx`,
        "the classic name at the dual-stack domain": "111122223333.dkr.ecr.ap-northeast-1.on.aws/nginx",
        "the domain of another partition": "111122223333.dkr.ecr.us-east-1.amazonaws.com.cn/nginx",
        "the dual-stack domain of another partition": "111122223333.dkr-ecr.cn-north-1.on.aws/nginx",
        "a port": `${registry}:443/nginx`,
        "a name of one character": `${registry}/n`,
        "a name of 257 characters": `${registry}/${"n".repeat(257)}`,
        "capitals in the name": `${registry}/Nginx`,
        "an empty folder": `${registry}/web//nginx`,
        "a closing slash": `${registry}/nginx/`,
        "a leading dash": `${registry}/-nginx`,
        "two dots": `${registry}/a..b`,
        "an empty tag": `${registry}/nginx:`,
        "a tag that begins with a dot": `${registry}/nginx:.1`,
        "a tag of 129 characters": `${registry}/nginx:${"t".repeat(129)}`,
        "an empty digest": `${registry}/nginx@`,
        "a short digest": `${registry}/nginx@sha256:abc`,
        "a digest in capitals": `${registry}/nginx@${digest.toUpperCase()}`,
        "another algorithm": `${registry}/nginx@sha512:${"a".repeat(128)}`,
        "the digest before the tag": `${registry}/nginx@${digest}:1.29`,
        "a space": `${registry}/nginx :1.29`,
        "a line break at the end": `${registry}/nginx:1.29\n`,
        "a shell's substitution": `${registry}/nginx:$(id)`,
        "a wildcard": `${registry}/*`,
    };
    for (const [what, uri] of Object.entries(refused)) {
        it(`refuses ${what}`, () => {
            assert.throws(() => parseImageUri(uri), /expected an image in Amazon ECR, ACCOUNT\.dkr\.ecr\.REGION/);
        });
    }

    it("takes no time that grows faster than what it is given", () => {
        assert.throws(() => parseImageUri(`${registry}/${"a-".repeat(50_000)}`));
        assert.throws(() => parseImageUri(`${registry}/${"a_".repeat(50_000)}!`));
    });
});

describe("parseRepositoryArn", () => {
    it("takes the ARN of one repository", () => {
        const arn = "arn:aws:ecr:ap-northeast-1:111122223333:repository/web/nginx";
        assert.deepEqual(parseRepositoryArn(arn), { ...nginx, name: "web/nginx" });
    });

    it("takes that of all those below a name", () => {
        const arn = "arn:aws:ecr:ap-northeast-1:111122223333:repository/web/*";
        assert.deepEqual(parseRepositoryArn(arn), { ...nginx, name: "web/*" });
    });

    it("takes what repositoryArn makes, in every partition", () => {
        fc.assert(
            fc.property(repositories, (repository) => {
                assert.deepEqual(parseRepositoryArn(repositoryArn(repository)), repository);
            }),
        );
    });

    const refused = {
        "no text": "",
        "a wildcard": "arn:aws:ecr:ap-northeast-1:111122223333:repository/*",
        "a wildcard at the end of a name": "arn:aws:ecr:ap-northeast-1:111122223333:repository/web*",
        "a wildcard in the middle": "arn:aws:ecr:ap-northeast-1:111122223333:repository/web/*/nginx",
        "two wildcards": "arn:aws:ecr:ap-northeast-1:111122223333:repository/web/*/*",
        "a pattern of 257 characters": `arn:aws:ecr:ap-northeast-1:111122223333:repository/${"n".repeat(255)}/*`,
        "a wildcard of one character": "arn:aws:ecr:ap-northeast-1:111122223333:repository/ngin?",
        "every region": "arn:aws:ecr:*:111122223333:repository/nginx",
        "every account": "arn:aws:ecr:ap-northeast-1:*:repository/nginx",
        "no name": "arn:aws:ecr:ap-northeast-1:111122223333:repository/",
        "a name of one character": "arn:aws:ecr:ap-northeast-1:111122223333:repository/n",
        "another service": "arn:aws:s3:ap-northeast-1:111122223333:repository/nginx",
        "a public repository": "arn:aws:ecr-public::111122223333:repository/nginx",
        "an image URI": `${registry}/nginx`,
        "a tag": "arn:aws:ecr:ap-northeast-1:111122223333:repository/nginx:1.29",
        "a line break at the end": "arn:aws:ecr:ap-northeast-1:111122223333:repository/nginx\n",
    };
    for (const [what, arn] of Object.entries(refused)) {
        it(`refuses ${what}`, () => {
            assert.throws(
                () => parseRepositoryArn(arn),
                /expected the ARN of an ECR repository, arn:aws:ecr:.*no other wildcard/,
            );
        });
    }

    it("refuses a region of another partition", () => {
        assert.throws(() => parseRepositoryArn("arn:aws:ecr:cn-north-1:111122223333:repository/nginx"), {
            message: "the region cn-north-1 is in the partition aws-cn, not in aws",
        });
    });
});

describe("a list of repositories", () => {
    const covered: [listed: string, other: string, isCovered: boolean][] = [
        ["backend", "backend", true],
        ["backend", "backend/api", false],
        ["backend/*", "backend/api", true],
        ["backend/*", "backend/jobs/nightly", true],
        ["backend/*", "backend/jobs/*", true],
        ["backend/*", "backend/*", true],
        ["backend/*", "backend", false],
        ["backend/*", "backend-x", false],
        ["backend/*", "backend-x/api", false],
        ["backend/*", "team/backend/api", false],
        ["backend/jobs/*", "backend/*", false],
    ];
    for (const [listed, other, isCovered] of covered) {
        it(`with ${listed} has ${isCovered ? "" : "not "}${other}`, () => {
            assert.equal(covers(listed, other), isCovered);
        });
    }

    it("takes names, and patterns that end in /*", () => {
        for (const name of ["a/b", "a/*", "team/app", "team/app/*"]) assert(isNameOrPattern(name), name);
        for (const name of ["", "*", "/*", "a", "a*", "a/*/*", "a/*/b", "A/*", "a//*"]) {
            assert(!isNameOrPattern(name), name);
        }
    });

    it("is as short as it can be, in its order", () => {
        const long = ["x", "b/c/d", "b/*", "x", "b/c/*", "b", "b/*"];
        assert.deepEqual(
            withoutCovered(long, (name) => name),
            ["x", "b/*", "b"],
        );
    });

    const many = ["a/x/1", "a/x/2", "a/x/3", "a/y/1", "a/y/2", "b"];
    const arns = many.map((name) => repositoryArn({ ...nginx, name }));
    const none = "shorten the list, or split it between two stacks";
    const advice: [listed: readonly string[], excess: number, advice: string][] = [
        [many, 1, "2 repositories begin with a/y/: write a/y/* for them"],
        [many, 10, "3 repositories begin with a/x/: write a/x/* for them"],
        [many, 30, "5 repositories begin with a/: write a/* for them"],
        [many, 1000, "5 repositories begin with a/: write a/* for them"],
        [arns, 250, `5 repositories begin with a/: write ${repositoryArn({ ...nginx, name: "a/*" })} for them`],
        [["a/1", "b/1", "c"], 1, none],
        [["a/*", "b/*", "c/d/*"], 1, none],
    ];
    for (const [listed, excess, expected] of advice) {
        it(`of ${listed.length} that is ${excess} characters too long: ${expected}`, () => {
            assert.equal(shorterList(listed, excess), expected);
        });
    }
});

describe("repositoryUris", () => {
    it("lists the host forms of the partition", () => {
        assert.deepEqual(repositoryUris(nginx), [
            "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx",
            "111122223333.dkr.ecr-fips.ap-northeast-1.amazonaws.com/nginx",
            "111122223333.dkr-ecr.ap-northeast-1.on.aws/nginx",
            "111122223333.dkr-ecr-fips.ap-northeast-1.on.aws/nginx",
        ]);
        assert.deepEqual(repositoryUris({ ...nginx, partition: "aws-cn", region: "cn-north-1" }), [
            "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/nginx",
            "111122223333.dkr.ecr-fips.cn-north-1.amazonaws.com.cn/nginx",
            "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/nginx",
            "111122223333.dkr-ecr-fips.cn-north-1.on.amazonwebservices.com.cn/nginx",
        ]);
        assert.equal(
            repositoryUris({ ...nginx, partition: "aws-eusc", region: "eusc-de-east-1" })[0],
            "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/nginx",
        );
    });

    it("lists what parseImageUri reads as that same repository", () => {
        fc.assert(
            fc.property(repositories, (repository) => {
                for (const uri of repositoryUris(repository)) {
                    assert.deepEqual(parseImageUri(uri), { uri, repository });
                    assert.deepEqual(parseImageUri(`${uri}:1@${digest}`).repository, repository);
                }
            }),
        );
    });
});
