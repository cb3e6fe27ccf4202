/** Errors of the states language, by the names that executions show. */

/** An error that a state fails with, and that its Retry and Catch may name. */
export class StateError extends Error {
    /**
     * @param error Its name, for instance `States.TaskFailed`.
     * @param reason Its cause; undefined where there is none, as after an abort.
     */
    public constructor(
        public readonly error: string,
        public readonly reason: string | undefined,
    ) {
        super(`${error}: ${reason ?? ""}`);
    }
}

/** A definition that this interpreter refuses: what CreateStateMachine would refuse, and what it does not know itself. */
export class DefinitionError extends Error {}
