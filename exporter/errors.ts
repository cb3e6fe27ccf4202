/** The names an export can fail with. They are the `Error` of a failed execution (docs: "The request"). */
export type ExportErrorName =
    "InvalidInput" | "ImageNotFound" | "AccessDenied" | "DigestMismatch" | "ExportFailed";

/** Exit code of the command for each named error; 0 is success and skip. */
export const exitCodes: Readonly<Record<ExportErrorName, number>> = {
    ExportFailed: 1,
    InvalidInput: 2,
    ImageNotFound: 3,
    AccessDenied: 4,
    DigestMismatch: 5,
};

/** An export that failed for a reason a person can act on. */
export class ExportError extends Error {
    override readonly name: ExportErrorName;

    /**
     * @param name what kind of failure this is
     * @param message what was given, what is expected, what to do
     * @param cause the underlying error, for the log
     */
    constructor(name: ExportErrorName, message: string, cause?: unknown) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = name;
    }
}

/** Turns whatever was thrown into a named error; what has no name of its own is an `ExportFailed`. */
export function asExportError(error: unknown): ExportError {
    return error instanceof ExportError ? error : new ExportError("ExportFailed", messageOf(error), error);
}

/** The text of an error with the causes below it, which Node's network errors hide. */
export function messageOf(error: unknown): string {
    if (!(error instanceof Error)) {
        return String(error);
    }
    const own = error.message === "" ? error.name : error.message;
    const inner = error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : "";
    return inner === "" ? own : `${own} (${inner})`;
}
