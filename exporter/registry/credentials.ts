import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import type { Agents } from "../network/connect";
import { ExportError, messageOf } from "../../contract/errors";
import { type EcrHost, parseEcrHost } from "../../contract/image";

/** What a registry accepts as proof: a name and a password, or a refresh token of its token server. */
export type RegistryCredentials = { username: string; password: string } | { identityToken: string };

/** Finds the credentials for a registry; undefined means to go on without. Called again when they have expired. */
export type CredentialSource = (registry: string) => Promise<RegistryCredentials | undefined>;

/**
 * The default source: for an ECR private registry an authorization token of the AWS credentials at hand, in the
 * region and partition of the host; for others, and where there are no AWS credentials, what `docker login` has
 * left in `config.json` (in `$DOCKER_CONFIG`, else `~/.docker`), credential helpers included.
 *
 * @throws ExportError `AccessDenied` when AWS refuses the token
 */
export function defaultCredentials(env: NodeJS.ProcessEnv, agents: Agents): CredentialSource {
    return async (registry) => {
        const host = parseEcrHost(registry);
        const token = host && (await ecrCredentials(host, agents));
        return token ?? (await dockerCredentials(registry, env));
    };
}

async function ecrCredentials(host: EcrHost, agents: Agents): Promise<RegistryCredentials | undefined> {
    // Loaded when needed only: it takes 30 ms and 5 MB.
    const { ECRClient, GetAuthorizationTokenCommand } = await import("@aws-sdk/client-ecr");
    const client = new ECRClient({ region: host.region, useFipsEndpoint: host.fips, requestHandler: agents });
    try {
        const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
        return decodeLogin(authorizationData?.[0]?.authorizationToken);
    } catch (error) {
        if (error instanceof Error && error.name === "CredentialsProviderError") return undefined;
        const name = error instanceof Error ? error.name : "";
        throw new ExportError(
            /AccessDenied|UnrecognizedClient|InvalidSignature|ExpiredToken/.test(name)
                ? "AccessDenied"
                : "ExportFailed",
            `ECR in ${host.region} gave no authorization token: ${messageOf(error)} ` +
                "The caller needs ecr:GetAuthorizationToken.",
            error,
        );
    } finally {
        client.destroy();
    }
}

interface DockerConfig {
    readonly auths?: Record<string, { auth?: string; identitytoken?: string } | undefined>;
    readonly credHelpers?: Record<string, string | undefined>;
    readonly credsStore?: string;
}

async function dockerCredentials(registry: string, env: NodeJS.ProcessEnv): Promise<RegistryCredentials | undefined> {
    const directory = env["DOCKER_CONFIG"] ?? path.join(env["HOME"] ?? homedir(), ".docker");
    const config = await readConfig(path.join(directory, "config.json"));
    const keys =
        registry === "docker.io" ? ["https://index.docker.io/v1/", registry] : [registry, `https://${registry}`];
    for (const key of keys) {
        const helper = config.credHelpers?.[key] ?? config.credsStore;
        const found = helper === undefined ? undefined : await askHelper(helper, key, env);
        const entry = config.auths?.[key];
        const inFile = entry?.identitytoken ? { identityToken: entry.identitytoken } : decodeLogin(entry?.auth);
        if (found ?? inFile) return found ?? inFile;
    }
    return undefined;
}

async function readConfig(file: string): Promise<DockerConfig> {
    let text: string;
    try {
        text = await readFile(file, "utf8");
    } catch {
        return {}; // nobody has logged in
    }
    try {
        return JSON.parse(text) as DockerConfig;
    } catch (error) {
        throw new ExportError("InvalidInput", `${file} is not JSON: ${messageOf(error)}`, error);
    }
}

/** Asks `docker-credential-HELPER` (the protocol of docker/docker-credential-helpers). */
async function askHelper(
    helper: string,
    server: string,
    env: NodeJS.ProcessEnv,
): Promise<RegistryCredentials | undefined> {
    try {
        const asked = promisify(execFile)(`docker-credential-${helper}`, ["get"], { env, timeout: 30_000 });
        asked.child.stdin?.end(server);
        const { Username, Secret } = JSON.parse((await asked).stdout) as { Username: string; Secret: string };
        return Username === "<token>" ? { identityToken: Secret } : { username: Username, password: Secret };
    } catch {
        return undefined; // it has none for this server, or is not installed
    }
}

function decodeLogin(encoded: string | undefined): RegistryCredentials | undefined {
    const login = Buffer.from(encoded ?? "", "base64").toString("utf8");
    const colon = login.indexOf(":");
    return colon < 0 ? undefined : { username: login.slice(0, colon), password: login.slice(colon + 1) };
}
