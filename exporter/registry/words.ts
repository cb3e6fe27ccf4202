/**
 * What the body of a failure says, after a space; empty where it says nothing that can be read. Registries answer with JSON
 * (github.com/opencontainers/distribution-spec, "Error Codes"), S3 with XML.
 */
export function said(body: Uint8Array | undefined): string {
    const text = Buffer.from(body ?? new Uint8Array())
        .toString("utf8", 0, 64 * 1024)
        .trim();
    const message = text.startsWith("<") ? /<Message>([^<]*)</.exec(text)?.[1] : messageIn(text);
    const line = message?.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
    return line === undefined || line === "" ? "" : ` ${line.slice(0, 500)}`;
}

function messageIn(text: string): string | undefined {
    try {
        const { errors } = JSON.parse(text) as { errors?: { message?: unknown }[] };
        const message = errors?.[0]?.message;
        return typeof message === "string" ? message : undefined;
    } catch {
        return undefined;
    }
}
