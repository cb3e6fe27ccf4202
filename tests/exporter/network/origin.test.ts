import * as assert from "node:assert/strict";
import { createLeads, isLoopback, registryOrigin } from "../../../exporter/network/origin";

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

describe("createLeads", () => {
    const lead = (registry: string, from: string, to: string, insecure = false) =>
        createLeads(new URL(registry), insecure).lead(new URL(from), to).href;
    const far = "https://registry.io/v2/app/blobs/x";

    it("resolves every relative form against the URL that answered", () => {
        const forms = ["/a", "a", "../a?b#c", "//other.io/a", "https://other.io/a"];
        assert.deepEqual(
            forms.map((form) => lead(far, far, form)),
            [
                "https://registry.io/a",
                "https://registry.io/v2/app/blobs/a",
                "https://registry.io/v2/app/a?b#c",
                "https://other.io/a",
                "https://other.io/a",
            ],
        );
    });
    it("allows private addresses, and a registry on this machine everything that is here", () => {
        for (const to of [
            "https://10.0.0.1/",
            "https://192.168.1.1:8443/",
            "https://[fd00::1]/",
            "https://172.16.0.1/",
        ]) {
            assert.equal(lead(far, far, to), to);
        }
        const near = "http://127.0.0.1:5000/";
        for (const to of ["http://127.0.0.1:6000/", "http://localhost/", "https://registry.io/"]) {
            assert.equal(lead(near, near, to), to);
        }
    });
    const refused: [string, RegExp][] = [
        ["http://registry.io/", /is not TLS\.$/],
        ["http://127.0.0.1/", /is not TLS\.$/],
        ["https://127.0.0.1/", /of this machine/],
        ["https://127.1/", /of this machine/],
        ["https://0x7f000001/", /of this machine/],
        ["https://2130706433:5000/", /of this machine/],
        ["https://0/", /of this machine/],
        ["https://localhost/", /of this machine/],
        ["https://a.localhost./", /of this machine/],
        ["https://[::1]/", /of this machine/],
        ["https://[::]/", /of this machine/],
        ["https://[::ffff:127.0.0.1]/", /of this machine/],
        ["https://169.254.169.254/latest/meta-data/", /of this machine/],
        ["https://[::ffff:169.254.169.254]/", /of this machine/],
        ["https://169.254.170.2/", /of this machine/],
        ["https://[fe80::1]/", /of this machine/],
        ["https://[febf::1]/", /of this machine/],
        ["https://[fd00:ec2::254]/", /of this machine/],
        ["file:///etc/passwd", /neither https nor http/],
        ["https://", /not a URL/],
    ];
    for (const [to, message] of refused) {
        it(`leads from TLS elsewhere never to ${to}`, () => {
            for (const insecure of [false, true]) {
                assert.throws(() => lead(far, far, to, insecure), { name: "ExportFailed", message });
            }
        });
    }
    it("gives advice only where it works", () => {
        const plain = "http://127.0.0.1:5000/";
        assert.throws(() => lead(plain, plain, "http://registry.io/"), { message: /allow it with --insecure/ });
        assert.equal(lead(plain, plain, "http://registry.io/", true), "http://registry.io/");
    });
    it("looks no name up that others than the registry give to this machine", async () => {
        const look = (registry: string) =>
            new Promise<Error | null>((resolve) => {
                createLeads(new URL(registry), false).lookup("localhost", { all: true }, resolve);
            });
        assert.match(
            String(await look("https://registry.io")),
            /leads to localhost, which is an address of this machine/,
        );
        assert.equal(await look("https://localhost"), null);
    });
});
