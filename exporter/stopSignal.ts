import { ExportError } from "../contract/errors";

/** Aborted by SIGTERM and SIGINT: what is stopped takes back what it has written. For programs, which call it once. */
export function stopSignal(): AbortSignal {
    const controller = new AbortController();
    for (const name of ["SIGTERM", "SIGINT"] as const) {
        process.once(name, () => {
            controller.abort(new ExportError("ExportFailed", `Stopped by ${name}.`));
        });
    }
    return controller.signal;
}
