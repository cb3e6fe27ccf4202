import { ExportError, messageOf } from "../../contract/errors";
import { type JsonObject, parseJsonObject } from "../../contract/json";
import { type DocumentResponse, follow, type HttpClient } from "../network/httpClient";
import type { Leads } from "../network/origin";
import { isTransientStatus, retryAfterMs, TransientError } from "../network/retry";
import type { RegistryCredentials } from "./credentials";
import { said } from "./words";

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

/** How to log in at one origin. */
export interface AuthorizationOptions {
    /** The origin, and what it is called in errors. */
    readonly origin: URL;
    readonly registry: string;
    /** What a token is asked for, where the challenge does not say. */
    readonly scope: string;
    /** The login that was made for this origin. */
    readonly credentials: () => Promise<RegistryCredentials | undefined>;
    readonly lead: Leads["follow"];
    readonly http: HttpClient;
    readonly signal: AbortSignal;
}

/** Logs in at an origin as its challenges ask: bearer with a token of its token server, else basic. */
export function createAuthorization(options: AuthorizationOptions): Authorization {
    let login: Promise<string> | undefined;

    async function renew(rejected: string | undefined, challenge: string | undefined): Promise<string> {
        const known = login;
        const header = await known?.catch(() => undefined);
        if (header !== undefined && header !== rejected) return header;
        // Of all who were rejected at once, the first to come here logs in and the others wait for it.
        const next = login === undefined || login === known ? logIn(parseChallenges(challenge)) : login;
        login = next;
        return next;
    }

    async function logIn(challenges: readonly Challenge[]): Promise<string> {
        const credentials = await options.credentials();
        const bearer = challenges.find(({ scheme }) => scheme === "bearer");
        if (bearer !== undefined) return `Bearer ${await fetchToken(bearer, credentials, options)}`;
        const isBasic = challenges.some(({ scheme }) => scheme === "basic");
        if (isBasic && credentials && "username" in credentials) return basic(credentials);
        const schemes = challenges.map(({ scheme }) => scheme).join(", ");
        throw new ExportError(
            "AccessDenied",
            credentials
                ? `${options.registry} asks for a login of the kind "${schemes}", expected basic or bearer.`
                : `${options.registry} asks for a login and there is none: run docker login, or give AWS credentials for ECR.`,
        );
    }

    return { current: async () => login?.catch(() => undefined), renew };
}

/**
 * Reads `WWW-Authenticate` headers, several of them joined by commas: challenges, each with parameters of its own
 * (RFC 9110, 11.6.1).
 */
export function parseChallenges(header = ""): Challenge[] {
    const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
    const item = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"=]+)))?/g;
    for (const [, name = "", quoted, plain] of header.matchAll(item)) {
        const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
        if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
        else Object.assign(challenges.at(-1)?.parameters ?? {}, { [name.toLowerCase()]: value });
    }
    return challenges;
}

/** Gets a bearer token (distribution's token specification; a refresh token goes the OAuth 2 way). */
async function fetchToken(
    { parameters }: Challenge,
    credentials: RegistryCredentials | undefined,
    { origin, registry, scope, lead, http, signal }: AuthorizationOptions,
): Promise<string> {
    const { realm = "", service = "" } = parameters;
    if (!URL.canParse(realm)) {
        throw new ExportError(
            "AccessDenied",
            `${registry} names the token server "${realm.slice(0, 300)}", which is not a URL.`,
        );
    }
    const url = lead(origin, realm);
    const query = { service, scope: parameters["scope"] ?? scope };
    if (credentials && "identityToken" in credentials) {
        // A POST carries a secret: it is not sent on.
        const body = new URLSearchParams({
            ...query,
            grant_type: "refresh_token",
            client_id: "ecr-image-export",
            refresh_token: credentials.identityToken,
        }).toString();
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        return readToken(await http.send({ method: "POST", url, headers, body, signal }), url);
    }
    const login = credentials ? { authorization: basic(credentials) } : {};
    const asked = withQuery(url, query);
    const { response } = await follow(
        asked,
        lead,
        (each) => http.send({ method: "GET", url: each, headers: each.origin === url.origin ? login : {}, signal }),
        ({ status, headers }) => ({ status, location: headers.location }),
    );
    return readToken(response, url);
}

function readToken({ status, headers, body }: DocumentResponse, url: URL): string {
    const words = said(body);
    if (isTransientStatus(status)) {
        throw new TransientError(`${url.origin} answered ${status}.${words}`, retryAfterMs(headers["retry-after"]));
    }
    if (status !== 200) {
        throw new ExportError(
            "AccessDenied",
            `The token server ${url.origin} answered ${status}: check the login.${words}`,
        );
    }
    const { token, access_token: accessToken } = tokensIn(body, url);
    const found = [token, accessToken].find((each) => typeof each === "string" && /^[\x21-\x7e]+$/.test(each));
    if (typeof found === "string") return found;
    throw new ExportError("AccessDenied", `The token server ${url.origin} sent no token.`);
}

function tokensIn(body: Buffer, url: URL): JsonObject {
    try {
        return parseJsonObject(body.toString("utf8"), ["token", "access_token"]);
    } catch (error) {
        throw new ExportError(
            "AccessDenied",
            `The token server ${url.origin} answered with something that ${messageOf(error)}.`,
            error,
        );
    }
}

function basic({ username, password }: { username: string; password: string }): string {
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function withQuery(url: URL, query: Readonly<Record<string, string>>): URL {
    const result = new URL(url);
    for (const [name, value] of Object.entries(query)) if (value !== "") result.searchParams.set(name, value);
    return result;
}
