import { ExportError, messageOf } from "../../contract/errors";
import { parseJsonObject } from "../../contract/json";
import {
    type Answer,
    type DocumentAnswer,
    follow,
    type HttpClient,
    said,
    transientAnswer,
} from "../network/httpClient";
import type { Lead } from "../network/origin";
import { isTransientStatus } from "../network/retry";
import type { RegistryCredentials } from "./credentials";

/** What a 401 asks for: the scheme in lower case and its parameters. */
type Challenge = ReturnType<typeof parseChallenges>[number];

/** How to log in at one origin. */
interface AuthorizationOptions {
    /** The origin, and what it is called in errors. */
    readonly origin: URL;
    readonly registry: string;
    /** What a token is asked for, where the challenge does not say. */
    readonly scope: string;
    /** The login that was made for this origin. */
    readonly credentials: () => Promise<RegistryCredentials | undefined>;
    readonly lead: Lead;
    readonly http: Pick<HttpClient, "send">;
}

/**
 * Logs in at an origin as its challenges ask: bearer with a token of its token server, else basic.
 *
 * @returns sends a request with the login that the origin has accepted before; once more with a new one, where it is asked for that.
 *     Throws `AccessDenied` when there is no way in
 */
export function createAuthorization(options: AuthorizationOptions) {
    let login: Promise<string> | undefined;

    async function logIn(challenges: readonly Challenge[]): Promise<string> {
        const credentials = await options.credentials();
        const isBasic = challenges.some(({ scheme }) => scheme === "basic");
        const bearers = challenges.filter(({ scheme }) => scheme === "bearer");
        // One that names no token server is for others than clients of registries.
        const bearer =
            bearers.find(({ parameters: { realm = "" } }) => URL.canParse(realm)) ?? (isBasic ? undefined : bearers[0]);
        if (bearer !== undefined) return `Bearer ${await fetchToken(bearer, credentials, options)}`;
        if (isBasic && credentials && "username" in credentials) return basic(credentials);
        const schemes = challenges.map(({ scheme }) => scheme).join(", ");
        throw new ExportError(
            "AccessDenied",
            credentials
                ? `${options.registry} asks for a login of the kind "${schemes}", and there is ${"username" in credentials ? "a user name and a password, for basic or bearer" : "an identity token, for bearer: run docker login with a user name"}.`
                : `${options.registry} asks for a login and there is none: run docker login, or give AWS credentials for ECR.`,
        );
    }

    return async <A extends Answer>(send: (login: Record<string, string>) => Promise<A>): Promise<A> => {
        const used = login;
        const authorization = await used?.catch(() => undefined);
        const answer = await send(authorization === undefined ? {} : { authorization });
        if (answer.status !== 401) return answer;
        // Of all who were rejected at once, the first to come here logs in and the others wait for it.
        if (login === undefined || login === used) {
            login = logIn(parseChallenges(answer.headers["www-authenticate"]));
        }
        return send({ authorization: await login });
    };
}

/**
 * Reads `WWW-Authenticate` headers, several of them joined by commas: challenges, each with parameters of its own, or with a
 * token68 that says nothing here (RFC 9110, 11.6.1).
 */
export function parseChallenges(header = "") {
    const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
    const item =
        /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|[ \t]+[\w.~+/-]+=*(?=\s*(?:,|$)))?/g;
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
    { origin, registry, scope, lead, http }: AuthorizationOptions,
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
        return readToken(await http.send({ url, headers, body }), url);
    }
    const asked = new URL(url);
    for (const [name, value] of Object.entries(query)) if (value !== "") asked.searchParams.set(name, value);
    const login = credentials ? { authorization: basic(credentials) } : {};
    const { answer } = await follow(asked, lead, (each) =>
        http.send({ url: each, headers: each.origin === url.origin ? login : {} }),
    );
    return readToken(answer, url);
}

function readToken(answer: DocumentAnswer, url: URL): string {
    const { status, body } = answer;
    if (isTransientStatus(status)) throw transientAnswer(url.origin, answer);
    const server = `The token server ${url.origin}`;
    if (status !== 200) {
        throw new ExportError("AccessDenied", `${server} answered ${status}: check the login.${said(body)}`);
    }
    try {
        const { token, access_token: accessToken } = parseJsonObject(body.toString("utf8"), ["token", "access_token"]);
        const found = [token, accessToken].find((each) => typeof each === "string" && /^[\x21-\x7e]+$/.test(each));
        if (typeof found === "string") return found;
    } catch (error) {
        throw new ExportError("AccessDenied", `${server} answered with something that ${messageOf(error)}.`, error);
    }
    throw new ExportError("AccessDenied", `${server} sent no token.`);
}

function basic({ username, password }: { username: string; password: string }): string {
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
