import { ExportError, messageOf } from "../../contract/errors";
import { TransientError } from "./retry";

// What no second attempt mends: names that do not exist, certificates that are not trusted, TLS spoken to plain HTTP.
const lastingCodes = /^(ENOTFOUND|EPROTO|CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

const untrustedCodes = /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

/**
 * Judges an error of a connection: transient (resets, refusals, stalls, passing DNS trouble), or lasting.
 *
 * @param url what was being spoken to; only its origin is put into the message, because a redirected blob URL carries
 *     a signature
 */
export function networkError(error: unknown, url: URL): TransientError | ExportError {
    if (error instanceof TransientError || error instanceof ExportError) return error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const message = `${url.origin}: ${messageOf(error)}`;
    if (!lastingCodes.test(code)) return new TransientError(message);
    const advice = untrustedCodes.test(code)
        ? ". For a certificate authority of your own, name the file with its certificate in NODE_EXTRA_CA_CERTS."
        : "";
    return new ExportError("ExportFailed", message + advice, error);
}
