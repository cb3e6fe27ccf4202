import { proveAllByEvaluation } from "../../proof/evaluation";

let result: ReturnType<typeof proveAllByEvaluation> | undefined;

/** What the proof finds in the program, which takes seconds: evaluated once for all tests. */
export function proven(): ReturnType<typeof proveAllByEvaluation> {
    return (result ??= proveAllByEvaluation());
}
