/**
 * IAM policy documents as a policy pack meets them: as the object that the program wrote, or as the JSON text that the
 * provider makes of it before the engine shows the resource to the pack. Pure.
 */

/** A statement of a policy document; each list may be a single value. */
export interface Statement {
    readonly Sid?: string;
    readonly Effect?: string;
    readonly Principal?: Principal;
    readonly NotPrincipal?: Principal;
    readonly Action?: string | readonly string[];
    readonly NotAction?: string | readonly string[];
    readonly Resource?: string | readonly string[];
    readonly NotResource?: string | readonly string[];
    /** Operator, condition key, values. */
    readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

type Principal = string | Readonly<Record<string, string | readonly string[]>>;

/** The statements of a document; none where there is no document. */
export function statementsOf(document: unknown): Statement[] {
    if (document === undefined || document === null || document === "") return [];
    const { Statement: statements } = (typeof document === "string" ? JSON.parse(document) : document) as {
        readonly Statement?: Statement | readonly Statement[];
    };
    return listOf(statements);
}

/** The statements of a document that allow something. */
export function grantsOf(document: unknown): Statement[] {
    return statementsOf(document).filter(({ Effect }) => Effect === "Allow");
}

/** What policies write as one value or as a list, as a list. */
export function listOf<T>(values: T | readonly T[] | undefined): T[] {
    return values === undefined ? [] : ([values].flat() as T[]);
}

/** Whether a statement is about everybody, in any account. */
export function isAboutEverybody({ Principal, NotPrincipal }: Statement): boolean {
    if (NotPrincipal !== undefined || Principal === "*") return true;
    return typeof Principal === "object" && listOf(Principal["AWS"]).includes("*");
}

/** The values of a condition key under one of these operators. */
export function conditionValues({ Condition }: Statement, operators: readonly string[], key: string): string[] {
    return operators.flatMap((operator) =>
        Object.entries(Condition?.[operator] ?? {})
            // Condition keys are not case-sensitive.
            .filter(([name]) => name.toLowerCase() === key.toLowerCase())
            .flatMap(([, values]) => listOf(values)),
    );
}

/** Whether the value of a condition is one account, or resources of one account: a wildcard stands behind it alone. */
export function isOfOneAccount(value: string): boolean {
    return !/[*?]/.test(value) || /^arn:[^*?]+:[0-9]{12}:/.test(value);
}

/** Services whose ARNs have the resource's name where others have its type. */
const withoutTypeInArn = ["s3", "sns", "sqs"];

/**
 * Whether a resource of a statement names what it is about: one resource, or what is inside of one, such as the objects
 * under a prefix or the streams of a log group. `*`, `role/*` and `bucket*` do not.
 */
export function namesAResource(arn: string): boolean {
    const [prefix, partition, service = "", region, account, ...rest] = arn.split(":");
    const place = [prefix, partition, service, region, account].join(":");
    const resource = rest.join(":");
    const name = withoutTypeInArn.includes(service) ? resource : resource.replace(/^[a-z-]+[/:]/i, "");
    return !/[*?]/.test(place) && /^[^*?]+(?:[/:]\*)?$/.test(name);
}
