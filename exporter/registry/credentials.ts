import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import { ExportError, messageOf } from "../../contract/errors";
import { type EcrHost, parseEcrHost } from "../../contract/image";
import { isObject, type JsonObject, parseJsonObject } from "../../contract/json";
import { createAgents } from "../network/connect";

/** What a registry accepts as proof: a name and a password, or a refresh token of its token server. */
export type RegistryCredentials = { username: string; password: string } | { identityToken: string };

/** Finds the credentials for a registry; undefined means to go on without. Called again when they have expired. */
export type CredentialSource = (registry: string, repository: string) => Promise<RegistryCredentials | undefined>;

/**
 * The default source: for an ECR private registry an authorization token of the AWS credentials at hand, in the
 * region and partition of the host; for others, and where there are no AWS credentials, what `docker login` has
 * left in `config.json` (in `$DOCKER_CONFIG`, else `~/.docker`) or `podman login` in `auth.json`, credential helpers included.
 *
 * @param onNote told of a credential helper that fails: what is public is exported all the same
 * @throws ExportError `AccessDenied` when AWS refuses the token
 */
export function defaultCredentials(env: NodeJS.ProcessEnv, onNote?: (note: string) => void): CredentialSource {
    // A set asks for many repositories of one registry: a token is for all of them.
    const tokens = new Map<string, { readonly askedMs: number; readonly token: ReturnType<typeof ecrCredentials> }>();
    const ecrToken = (registry: string, host: EcrHost): ReturnType<typeof ecrCredentials> => {
        const known = tokens.get(registry);
        if (known && Date.now() - known.askedMs < sharedTokenMs) return known.token;
        const token = ecrCredentials(host, env);
        tokens.set(registry, { askedMs: Date.now(), token });
        token.catch(() => tokens.delete(registry));
        return token;
    };
    return async (registry, repository) => {
        const host = parseEcrHost(registry);
        const token = host && (await ecrToken(registry, host));
        return token ?? (await storedCredentials(registry, repository, env, onNote));
    };
}

/** Much less than the 12 hours that a token of ECR is good for: whoever is rejected asks again. */
const sharedTokenMs = 60_000;

async function ecrCredentials(host: EcrHost, env: NodeJS.ProcessEnv): Promise<RegistryCredentials | undefined> {
    // Loaded when needed only: it takes 30 ms and 5 MB.
    const { ECRClient, GetAuthorizationTokenCommand } = await import("@aws-sdk/client-ecr");
    const requestHandler = {
        connectionTimeout: 10_000,
        socketTimeout: 30_000,
        ...createAgents({ env, concurrency: 1 }),
    };
    const client = new ECRClient({ region: host.region, useFipsEndpoint: host.fips, requestHandler });
    try {
        const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
        return decodeLogin(authorizationData?.[0]?.authorizationToken);
    } catch (error) {
        const name = error instanceof Error ? error.name : "";
        if (name === "CredentialsProviderError") return undefined;
        const isDenied = /AccessDenied|UnrecognizedClient|InvalidSignature|ExpiredToken/.test(name);
        const advice = isDenied ? " The caller needs ecr:GetAuthorizationToken." : "";
        const message = `ECR in ${host.region} gave no authorization token: ${messageOf(error)}${advice}`;
        throw new ExportError(isDenied ? "AccessDenied" : "ExportFailed", message, error);
    } finally {
        client.destroy();
    }
}

/** Files that logins are stored in, the first that has one counts: Docker's, then Podman's (containers-auth.json(5)). */
export function loginFiles(env: NodeJS.ProcessEnv): string[] {
    const folder = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
    const home = env["HOME"] ?? homedir();
    const runtime = folder("XDG_RUNTIME_DIR");
    const files = [
        env["REGISTRY_AUTH_FILE"],
        path.join(folder("DOCKER_CONFIG") ?? path.join(home, ".docker"), "config.json"),
        runtime && path.join(runtime, "containers", "auth.json"),
        `/run/containers/${process.getuid?.() ?? 0}/auth.json`, // where Podman knows no XDG_RUNTIME_DIR
        path.join(folder("XDG_CONFIG_HOME") ?? path.join(home, ".config"), "containers", "auth.json"),
    ];
    return files.flatMap((file) => (file ? [file] : []));
}

async function storedCredentials(
    registry: string,
    repository: string,
    env: NodeJS.ProcessEnv,
    onNote?: (note: string) => void,
): Promise<RegistryCredentials | undefined> {
    for (const file of loginFiles(env)) {
        const text = await readFile(file, "utf8").catch(() => undefined); // nobody has logged in
        if (text === undefined) continue;
        const { helper, server, login } = loginIn(text, file, registry, repository);
        const found = (await askHelper(helper, server, env, onNote)) ?? login;
        if (found !== undefined) return found;
    }
    return undefined;
}

/**
 * Reads what a file of logins has for a repository: a login, and the helper to ask before, with the name of the server for it.
 *
 * @throws ExportError `InvalidInput` when it is not a JSON object
 */
export function loginIn(text: string, file: string, registry: string, repository: string) {
    let config: JsonObject;
    try {
        config = parseJsonObject(text, []);
    } catch (error) {
        throw new ExportError("InvalidInput", `${file} ${messageOf(error)}.`, error);
    }
    const auths = objectIn(config, "auths");
    const helpers = objectIn(config, "credHelpers");
    const [key] = matchingKeys(helpers, registry, repository);
    return {
        helper: key === undefined ? config["credsStore"] : helpers[key],
        server: key ?? (registry === "docker.io" ? "https://index.docker.io/v1/" : registry),
        login: matchingKeys(auths, registry, repository)
            .map((each) => loginOf(objectIn(auths, each)))
            .find((login) => login !== undefined),
    };
}

/**
 * The keys that are those of a repository, the best first: as Docker reads them (a URL means its host; without a scheme, a slash, `/v1/`
 * or `/v2/` may follow), and Podman, where a key without a scheme may go on with a namespace.
 */
function matchingKeys(object: JsonObject, registry: string, repository: string): string[] {
    const hosts = registry === "docker.io" ? [registry, "index.docker.io", "registry-1.docker.io"] : [registry];
    const names = hosts.map((host) => `${host}/${repository}/`);
    const plain = (key: string): string => key.replace(/^https?:\/\/([^/]*).*|(?:\/v[12])?\/*$/, "$1");
    const rank = (key: string): number => 2 * plain(key).length + (key === registry ? 1 : 0);
    return Object.keys(object)
        .filter((key) => names.some((name) => name.startsWith(`${plain(key)}/`)))
        .sort((one, two) => rank(two) - rank(one));
}

function loginOf(entry: JsonObject): RegistryCredentials | undefined {
    const { identitytoken, auth, username, password } = entry;
    if (typeof identitytoken === "string" && identitytoken !== "") return { identityToken: identitytoken };
    if (typeof auth === "string" && auth !== "") return decodeLogin(auth);
    return typeof username === "string" && typeof password === "string" && username !== ""
        ? { username, password }
        : undefined;
}

function objectIn(object: JsonObject, name: string): JsonObject {
    const value = object[name];
    return isObject(value) ? value : {};
}

/** Asks `docker-credential-HELPER` (the protocol of docker/docker-credential-helpers). */
async function askHelper(
    helper: unknown,
    server: string,
    env: NodeJS.ProcessEnv,
    onNote?: (note: string) => void,
): Promise<RegistryCredentials | undefined> {
    if (typeof helper !== "string" || !/^[\w.-]+$/.test(helper)) return undefined;
    try {
        const asked = promisify(execFile)(`docker-credential-${helper}`, ["get"], { env, timeout: 30_000 });
        asked.child.stdin?.on("error", () => undefined).end(server); // one that fails at once reads nothing
        const { Username, Secret } = parseJsonObject((await asked).stdout, []);
        if (typeof Username !== "string" || typeof Secret !== "string") return undefined;
        return Username === "<token>" ? { identityToken: Secret } : { username: Username, password: Secret };
    } catch (error) {
        const { stdout = "" } = error as { stdout?: string }; // where helpers say what is wrong
        const why = (stdout.trim() || messageOf(error)).replace(/\s+/g, " ").slice(0, 300);
        if (!/credentials not found/i.test(why)) {
            onNote?.(`docker-credential-${helper} gave no login for ${server}: ${why}`);
        }
        return undefined;
    }
}

function decodeLogin(encoded: string | undefined): RegistryCredentials | undefined {
    const login = Buffer.from(encoded ?? "", "base64").toString("utf8");
    const colon = login.indexOf(":");
    return colon < 0 ? undefined : { username: login.slice(0, colon), password: login.slice(colon + 1) };
}
