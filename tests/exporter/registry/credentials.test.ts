import * as assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { defaultCredentials, loginFiles, type RegistryCredentials } from "../../../exporter/registry/credentials";
import { listen, readBody, type TestServer } from "../support/faults";

const ecrHost = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

describe("defaultCredentials", () => {
    let directory: string;
    let ecr: TestServer;
    let answer: { status: number; body: object };
    let asked: string[];
    const before = { ...process.env };

    beforeEach(async () => {
        directory = await mkdtemp(path.join(tmpdir(), "credentials-"));
        asked = [];
        const authorizationToken = Buffer.from("AWS:token").toString("base64");
        answer = { status: 200, body: { authorizationData: [{ authorizationToken }] } };
        ecr = await listen((request, response) => {
            void readBody(request).then(() => {
                asked.push(String(request.headers.authorization));
                response.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" });
                response.end(JSON.stringify(answer.body));
            });
        });
        // The SDK reads these of the process's own environment.
        Object.assign(process.env, {
            AWS_ENDPOINT_URL_ECR: ecr.origin,
            AWS_ACCESS_KEY_ID: "id",
            AWS_SECRET_ACCESS_KEY: "secret",
        });
    });
    afterEach(async () => {
        for (const name of Object.keys(process.env).filter((key) => !(key in before))) {
            Reflect.deleteProperty(process.env, name);
        }
        Object.assign(process.env, before);
        await Promise.all([ecr.close(), rm(directory, { recursive: true })]);
    });

    async function find(
        registry: string,
        config?: object,
        onNote?: (note: string) => void,
    ): Promise<RegistryCredentials | undefined> {
        if (config) {
            await writeFile(path.join(directory, "config.json"), JSON.stringify(config));
        }
        const env = { HOME: directory, DOCKER_CONFIG: directory, PATH: `${directory}:${process.env["PATH"] ?? ""}` };
        return defaultCredentials(env, onNote)(registry, "team/app");
    }
    const auth = Buffer.from("me:pass:word").toString("base64");

    it("gets ECR's token in the region of the host", async () => {
        assert.deepEqual(await find(ecrHost), { username: "AWS", password: "token" });
        assert.match(asked[0] ?? "", /\/eu-west-1\/ecr\//);
    });
    it("is denied when AWS denies the token", async () => {
        answer = { status: 400, body: { __type: "AccessDeniedException", message: "not you" } };
        await assert.rejects(find(ecrHost), { name: "AccessDenied", message: /not you.*ecr:GetAuthorizationToken/ });
    });
    it("reads what docker login has left", async () => {
        const config = { auths: { "registry.io": { auth } } };
        assert.deepEqual(await find("registry.io", config), { username: "me", password: "pass:word" });
    });
    it("knows Docker Hub's name in that file", async () => {
        for (const key of ["https://index.docker.io/v1/", "registry-1.docker.io", "docker.io"]) {
            const config = { auths: { [key]: { auth } } };
            assert.deepEqual(await find("docker.io", config), { username: "me", password: "pass:word" });
        }
    });
    const keys = ["", "https://", "http://"].flatMap((scheme) =>
        ["", "/", "/v1/", "/v2/", "/team"].map((path) => `${scheme}registry.io${path}`),
    );
    keys.push("https://registry.io/artifactory/api/docker");
    for (const key of keys) {
        it(`takes the key ${key} for the registry's`, async () => {
            const found = await find("registry.io", { auths: { "other.io": { auth: "" }, [key]: { auth } } });
            assert.deepEqual(found, { username: "me", password: "pass:word" });
        });
    }
    it("takes no key of another host or of another namespace", async () => {
        for (const key of [
            "registry.io:443",
            "a.registry.io",
            "registry.io.evil",
            "registry.io/tea",
            "registry.io/other",
        ]) {
            assert.equal(await find("registry.io", { auths: { [key]: { auth } } }), undefined, key);
        }
    });
    it("prefers the login of the namespace", async () => {
        const auths = { "registry.io": { auth }, "registry.io/team": { username: "team", password: "x" } };
        assert.deepEqual(await find("registry.io", { auths }), { username: "team", password: "x" });
    });
    it("reads what podman login has left", async () => {
        const config = { auths: { "registry.io": { auth } } };
        await mkdir(path.join(directory, "containers"));
        await writeFile(path.join(directory, "containers", "auth.json"), JSON.stringify(config));
        const env = { HOME: directory, XDG_RUNTIME_DIR: directory };
        assert.deepEqual(await defaultCredentials(env)("registry.io", "app"), {
            username: "me",
            password: "pass:word",
        });
    });
    it("reads a refresh token", async () => {
        const config = { auths: { "registry.io": { auth: "", identitytoken: "refresh" } } };
        assert.deepEqual(await find("registry.io", config), { identityToken: "refresh" });
    });
    it("asks the credential helper of the registry", async () => {
        const helper = path.join(directory, "docker-credential-test");
        await writeFile(helper, '#!/bin/sh\nread server\necho "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}"\n');
        await chmod(helper, 0o755);
        const config = { credHelpers: { "registry.io": "test" } };
        assert.deepEqual(await find("registry.io", config), { username: "registry.io", password: "s" });
    });
    const helpers: [what: string, script: string, note: string[]][] = [
        ["has nothing for the server", "echo credentials not found in native keychain; exit 1", []],
        [
            "fails",
            "echo gpg: no key >&2; echo the store is locked; exit 1",
            ["docker-credential-test gave no login for registry.io: the store is locked"],
        ],
        ["says nothing of use", "echo '<html>'", ["docker-credential-test gave no login for registry.io: is not JSON"]],
    ];
    for (const [what, script, expected] of helpers) {
        it(`goes on with what is in the file where the credential helper ${what}`, async () => {
            const helper = path.join(directory, "docker-credential-test");
            await writeFile(helper, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
            const notes: string[] = [];
            const found = await find(
                "registry.io",
                { credHelpers: { "registry.io": "test" }, auths: { "registry.io": { auth } } },
                (note) => notes.push(note),
            );
            assert.deepEqual(found, { username: "me", password: "pass:word" });
            assert.deepEqual(notes, expected);
        });
    }
    it("looks where Docker and Podman keep their files", () => {
        const uid = process.getuid?.() ?? 0;
        assert.deepEqual(loginFiles({ HOME: "/home/me", XDG_RUNTIME_DIR: "" }), [
            "/home/me/.docker/config.json",
            `/run/containers/${uid}/auth.json`,
            "/home/me/.config/containers/auth.json",
        ]);
        assert.deepEqual(
            loginFiles({
                HOME: "/home/me",
                REGISTRY_AUTH_FILE: "auth.json",
                DOCKER_CONFIG: "/docker",
                XDG_RUNTIME_DIR: "/run/user/1000",
                XDG_CONFIG_HOME: "/config",
            }),
            [
                "auth.json",
                "/docker/config.json",
                "/run/user/1000/containers/auth.json",
                `/run/containers/${uid}/auth.json`,
                "/config/containers/auth.json",
            ],
        );
    });
    it("goes on without, where nobody has logged in or the helper is not installed", async () => {
        assert.equal(await find("registry.io"), undefined);
        assert.equal(await find("registry.io", { credsStore: "not-installed" }), undefined);
    });
    it("refuses a file that is not JSON", async () => {
        await writeFile(path.join(directory, "config.json"), "{");
        await assert.rejects(find("registry.io"), { name: "InvalidInput", message: /config\.json is not JSON\./ });
    });
});
