import { strict as assert } from "node:assert";

import * as fc from "fast-check";

import {
    choosePlatform,
    isPlatform,
    normalPlatform,
    normalText,
    parsePlatform,
    type Platform,
    platformMatches,
    platformPatterns,
    platformText,
} from "../../contract/platform";

function platform(text: string): Platform {
    const parsed = parsePlatform(text);
    return parsed === "all" ? assert.fail("all") : parsed;
}

/** The platform chosen among some, as it is written there. */
function chosen(request: string, ...offered: string[]): string | undefined {
    const offers = offered.map((text) => ({ text, platform: platform(text) }));
    return choosePlatform(offers, platform(request))?.text;
}

describe("parsePlatform", () => {
    for (const text of [
        "linux/amd64",
        "linux/arm/v7",
        "windows/amd64",
        "linux/x86_64",
        "linux/x86-64",
        "linux/arm64/v8.2",
    ]) {
        it(`reads ${text} as it is written`, () => {
            assert.equal(platformText(parsePlatform(text)), text);
            assert.match(text, new RegExp(`^(?:${platformPatterns.docker})$`));
        });
    }
    it("reads a version of Windows as containerd writes it, which engine docker does not", () => {
        const text = "windows(10.0.20348.2582)/amd64";
        const windows = { os: "windows", osVersion: "10.0.20348.2582", architecture: "amd64" };
        assert.deepEqual(parsePlatform(text), windows);
        assert.equal(platformText(windows), text);
        assert.equal(isPlatform(text, "docker"), false);
    });
    it("reads all", () => {
        assert.equal(platformText(parsePlatform("all")), "all");
    });
    for (const text of [
        "",
        "linux",
        "linux/",
        "/amd64",
        "linux/amd64/v1/x",
        "linux/amd 64",
        "Linux/amd64",
        "linux/amd64\n",
        "ALL",
        "linux/../x",
        "linux(6.1.0)/amd64",
        "windows(10.0)/amd64",
        "windows(10.0.20348/amd64",
        "windows(10.0.20348.)/amd64",
        "windows(ltsc2022)/amd64",
        "windows()/amd64",
    ]) {
        it(`refuses ${JSON.stringify(text)}`, () => {
            assert.throws(() => parsePlatform(text), { name: "InvalidInput", message: /not a platform: expected os/ });
        });
    }
});

describe("normalPlatform", () => {
    // github.com/containerd/platforms, database.go
    const forms: readonly (readonly [normal: string, ...others: string[]])[] = [
        ["linux/amd64", "linux/amd64/v1", "linux/x86_64", "linux/x86-64", "linux/x86_64/v1"],
        ["linux/amd64/v2", "linux/x86_64/v2"],
        ["linux/386", "linux/i386", "linux/i386/v6"],
        ["linux/arm64", "linux/arm64/v8", "linux/arm64/8", "linux/aarch64", "linux/aarch64/v8"],
        ["linux/arm64/v9", "linux/aarch64/v9"],
        ["linux/arm/v7", "linux/arm", "linux/arm/7", "linux/armhf", "linux/armhf/v6"],
        ["linux/arm/v6", "linux/arm/6", "linux/armel"],
        ["linux/arm/v5", "linux/arm/5"],
        ["linux/arm/v8", "linux/arm/8"],
        ["darwin/arm64", "macos/arm64"],
        ["linux/riscv64"],
        ["linux/s390x"],
    ];
    for (const [normal, ...others] of forms) {
        it(`is ${normal} for ${[normal, ...others].join(", ")}`, () => {
            for (const text of [normal, ...others]) {
                assert.equal(platformText(normalPlatform(platform(text))), normal, text);
                assert.equal(chosen(text, normal), normal);
                assert.equal(chosen(normal, text), text);
            }
        });
    }
    it("is in lower case, and keeps the version of the operating system", () => {
        const windows = { os: "Windows", architecture: "AMD64", osVersion: "10.0.20348.1" };
        assert.deepEqual(normalPlatform(windows), { ...windows, os: "windows", architecture: "amd64" });
    });
});

describe("choosePlatform", () => {
    // github.com/containerd/platforms, compare.go: each takes all that come after it, the nearest first.
    const preferences: readonly (readonly string[])[] = [
        ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"],
        ["linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
        ["linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
        ["linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64", "linux/arm/v8", "linux/arm/v5"],
        [
            "linux/arm64/v9.1",
            "linux/arm64/v9",
            "linux/arm64/v8.6",
            "linux/arm64/v8.5",
            "linux/arm64/v8.1",
            "linux/arm64",
            "linux/arm/v8",
        ],
        ["linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64/v8", "linux/arm/v9", "linux/arm/v8"],
    ];
    for (const order of preferences) {
        it(`prefers ${order.join(", ")}`, () => {
            for (const [at, best] of order.entries()) {
                const rest = order.slice(at);
                assert.equal(chosen(order[0] ?? "", ...rest), best);
                assert.equal(chosen(order[0] ?? "", ...rest.toReversed()), best);
                for (const worse of rest.slice(1)) {
                    assert.equal(chosen(worse, best), undefined, `${worse} does not take ${best}`);
                }
            }
        });
    }
    const refused: readonly (readonly [request: string, image: string])[] = [
        ["linux/arm/v6", "linux/arm/v7"],
        ["linux/arm/v6", "linux/arm"],
        ["linux/amd64", "linux/amd64/v2"],
        ["linux/arm", "linux/arm64"],
        ["linux/386", "linux/amd64"],
        ["linux/amd64", "windows/amd64"],
        ["linux/amd64", "linux/arm64"],
        ["linux/riscv64", "linux/riscv64/rva20"],
        ["linux/arm64", "linux/arm64/v9"],
        ["linux/arm64/v8.4", "linux/arm64/v8.5"],
        ["linux/arm64/v9", "linux/arm64/v8.6"],
    ];
    for (const [request, image] of refused) {
        it(`does not take ${image} for ${request}`, () => {
            assert.equal(chosen(request, image), undefined);
            assert.equal(platformMatches(platform(image), platform(request)), false);
        });
    }
    it("takes the first of what is the same, and leaves out what has no platform", () => {
        assert.equal(chosen("linux/amd64", "linux/arm64", "linux/x86_64", "linux/amd64/v1"), "linux/x86_64");
        const offered = [{ platform: undefined }, { platform: platform("linux/386") }];
        assert.equal(choosePlatform(offered, platform("linux/amd64")), offered[1]);
        assert.equal(choosePlatform(offered, platform("linux/arm64")), undefined);
    });

    // github.com/containerd/platforms, platform_windows_compat.go
    const windows: readonly (readonly [version: string, chosen: string, ...offered: string[]])[] = [
        ["10.0.17763", "10.0.17763.5458", "10.0.20348.2322", "10.0.17763.5458"],
        ["10.0.17763.1", "10.0.17763.5458", "10.0.17763.5458"],
        ["10.0.20348.2322", "10.0.20348.2322", "10.0.20348.1", "10.0.20348.2322"],
        ["10.0.26100", "10.0.20348.1", "10.0.17763.1", "10.0.20348.1"],
        ["10.0.26100", "10.0.26100.1", "10.0.20348.1", "10.0.26100.1"],
        ["10.0.26100.1", "", ""],
        ["10.0.17763", "none", "10.0.20348.1", "10.0.1776.1", "10.1.17763.1", "odd"],
        ["10.0.20348", "none", "10.0.17763.1", "10.0.26100.1"],
    ];
    for (const [version, expected, ...offered] of windows) {
        it(`takes ${expected} for Windows ${version} where there is ${offered.join(", ")}`, () => {
            const offers = offered.map((osVersion) => {
                return {
                    osVersion,
                    platform: { os: "windows", architecture: "amd64", ...(osVersion && { osVersion }) },
                };
            });
            const found = choosePlatform(offers, platform(`windows(${version})/amd64`));
            assert.equal(found?.osVersion ?? "none", expected);
            assert.equal(
                offers.some((each) => platformMatches(each.platform, platform(`windows(${version})/amd64`))),
                expected !== "none",
            );
        });
    }

    const any = fc.record(
        {
            os: fc.constantFrom("linux", "windows", "Linux"),
            architecture: fc.constantFrom(
                "amd64",
                "x86_64",
                "386",
                "i386",
                "arm",
                "armhf",
                "armel",
                "arm64",
                "aarch64",
                "s390x",
            ),
            variant: fc.constantFrom(
                "",
                "v1",
                "v2",
                "v3",
                "5",
                "v6",
                "v7",
                "8",
                "v8",
                "v8.1",
                "v8.6",
                "v9",
                "v9.1",
                "odd",
            ),
            osVersion: fc.constantFrom("10.0.17763.1", "10.0.20348.1"),
        },
        { requiredKeys: ["os", "architecture"] },
    ) as fc.Arbitrary<Platform>;
    const text = (each: Platform | undefined): string | undefined => each && normalText(each);

    it("has normal forms that are their own, and match in both directions", () => {
        fc.assert(
            fc.property(any, (each) => {
                const normal = normalPlatform(each);
                assert.deepEqual(normalPlatform(normal), normal);
                assert.ok(platformMatches(normal, each) && platformMatches(each, normal));
            }),
        );
    });

    const choose = (offered: readonly Platform[], request: Platform): Platform | undefined =>
        choosePlatform(
            offered.map((each) => ({ platform: each })),
            request,
        )?.platform;

    it("does not depend on the order, except between the same", () => {
        fc.assert(
            fc.property(fc.array(any, { maxLength: 8 }), any, (offered, request) => {
                const found = choose(offered, request);
                const reversed = choose(offered.toReversed(), request);
                assert.equal(text(found), text(reversed));
                if (request.osVersion !== undefined) return;
                assert.equal(
                    found,
                    offered.find((each) => text(each) === text(found)),
                );
            }),
        );
    });

    it("takes what matches, the same where there is one, and nothing runs both ways that differs", () => {
        fc.assert(
            fc.property(fc.array(any, { maxLength: 8 }), any, (offered, request) => {
                const found = choose(offered, request);
                assert.equal(found === undefined, !offered.some((each) => platformMatches(each, request)));
                const fitting = offered.filter((each) => platformMatches(each, request));
                if (fitting.some((each) => text(each) === text(request))) assert.equal(text(found), text(request));
                if (found && text(found) !== text(request)) assert.ok(!platformMatches(request, found));
            }),
        );
    });
});
