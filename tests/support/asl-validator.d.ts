/** asl-validator comes without types. */
declare module "asl-validator" {
    interface Validation {
        readonly isValid: boolean;
        errorsText(separator?: string): string;
    }
    /** Checks a definition; adds `QueryLanguage` to its states. */
    function validate(definition: object): Validation;
    export = validate;
}
