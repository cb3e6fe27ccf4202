import type { CredentialSource, RegistryCredentials } from "./credentials";
import { ExportError } from "../../contract/errors";
import type { DocumentResponse, HttpClient } from "../network/httpClient";
import { isTransientStatus, retryAfterMs, TransientError } from "../network/retry";

/** What a 401 asks for: the scheme in lower case and its parameters. */
export interface Challenge {
    readonly scheme: string;
    readonly parameters: Readonly<Record<string, string>>;
}

/** The Authorization header of a registry, renewed when the registry no longer accepts it. */
export interface Authorization {
    /** The header to send; undefined before the registry has asked for one. */
    current(): Promise<string | undefined>;
    /**
     * Logs in, unless someone has since the rejected header was in use.
     *
     * @param rejected the header that was answered with 401
     * @param challenge the `WWW-Authenticate` header of that answer
     * @throws ExportError `AccessDenied` when there is no way in
     */
    renew(rejected: string | undefined, challenge: string | undefined): Promise<string>;
}

/** Logs in to a registry as its challenge asks: basic, or bearer with a token of its token server. */
export function createAuthorization(
    registry: string,
    scope: string,
    source: CredentialSource,
    http: HttpClient,
    signal: AbortSignal,
): Authorization {
    let login: Promise<string> | undefined;

    async function renew(rejected: string | undefined, challenge: string | undefined): Promise<string> {
        const known = login;
        const header = await known?.catch(() => undefined);
        if (header !== undefined && header !== rejected) return header;
        // Of all who were rejected at once, the first to come here logs in and the others wait for it.
        const next = login === undefined || login === known ? logIn(parseChallenge(challenge)) : login;
        login = next;
        return next;
    }

    async function logIn(challenge: Challenge): Promise<string> {
        const credentials = await source(registry);
        if (challenge.scheme === "bearer") {
            return `Bearer ${await fetchToken(challenge, scope, credentials, http, signal)}`;
        }
        if (challenge.scheme === "basic" && credentials && "username" in credentials) {
            return basic(credentials);
        }
        throw new ExportError(
            "AccessDenied",
            credentials
                ? `${registry} asks for a login of the kind "${challenge.scheme}", expected basic or bearer.`
                : `${registry} asks for a login and there is none: run docker login, or give AWS credentials for ECR.`,
        );
    }

    return { current: async () => login?.catch(() => undefined), renew };
}

/** Reads a `WWW-Authenticate` header; of several challenges the first that this exporter knows. */
export function parseChallenge(header = ""): Challenge {
    const match = /\b(basic|bearer)\b\s*(.*)$/i.exec(header);
    const [, scheme = header.split(" ")[0] ?? "", rest = ""] = match ?? [];
    const parameters = [...rest.matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]+))/g)].map(
        ([, name = "", quoted, plain]): [string, string] => [name.toLowerCase(), quoted ?? plain ?? ""],
    );
    return { scheme: scheme.toLowerCase(), parameters: Object.fromEntries(parameters) };
}

/** Gets a bearer token (distribution's token specification; a refresh token goes the OAuth 2 way). */
async function fetchToken(
    { parameters }: Challenge,
    scope: string,
    credentials: RegistryCredentials | undefined,
    http: HttpClient,
    signal: AbortSignal,
): Promise<string> {
    const { realm = "", service = "" } = parameters;
    if (!URL.canParse(realm)) {
        throw new ExportError("AccessDenied", `The registry names the token server "${realm}", which is not a URL.`);
    }
    const url = new URL(realm);
    const query = { service, scope: parameters["scope"] ?? scope };
    const response = await (credentials && "identityToken" in credentials
        ? http({
              method: "POST",
              url,
              headers: { "content-type": "application/x-www-form-urlencoded" },
              body: new URLSearchParams({
                  ...query,
                  grant_type: "refresh_token",
                  client_id: "ecr-image-export",
                  refresh_token: credentials.identityToken,
              }).toString(),
              signal,
          })
        : http({
              method: "GET",
              url: withQuery(url, query),
              headers: credentials ? { authorization: basic(credentials) } : {},
              signal,
          }));
    return readToken(response, url);
}

function readToken({ status, headers, body }: DocumentResponse, url: URL): string {
    if (isTransientStatus(status)) {
        throw new TransientError(`${url.origin} answered ${status}`, retryAfterMs(headers["retry-after"]));
    }
    if (status !== 200) {
        throw new ExportError("AccessDenied", `The token server ${url.origin} answered ${status}: check the login.`);
    }
    const { token, access_token: accessToken } = JSON.parse(body.toString("utf8")) as Record<string, unknown>;
    const found = token ?? accessToken;
    if (typeof found !== "string") {
        throw new ExportError("AccessDenied", `The token server ${url.origin} sent no token.`);
    }
    return found;
}

function basic({ username, password }: { username: string; password: string }): string {
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function withQuery(url: URL, query: Readonly<Record<string, string>>): URL {
    const result = new URL(url);
    for (const [name, value] of Object.entries(query)) if (value !== "") result.searchParams.set(name, value);
    return result;
}
