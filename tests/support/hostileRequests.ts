/** Requests of somebody who may start executions, and means harm. */
import fc from "fast-check";

/** The program that every text tries to run. The tests put one of this name into the build, to see whether it is run. */
export const program = "pwned";

/** Texts that a shell, a command line, a path, a document or a template would take for something else than text. */
export const hostileTexts: Readonly<Record<string, string>> = {
    "commands in substitutions": `$(${program})\`${program}\`<(${program})`,
    "commands behind separators": `;${program};|${program}&${program}&&${program}||${program} #`,
    "commands on lines of their own": `\n${program}\n\r\n${program}\r`,
    "commands behind quotes": `'; ${program}; '"; ${program}; "\\'; ${program}; \\"`,
    "commands in arithmetic and subscripts": `a[$(${program})]+$((a[$(${program})]))`,
    variables: "${AWS_SECRET_ACCESS_KEY}$AWS_SESSION_TOKEN$PATH~",
    options: "--endpoint-url=http://127.0.0.1:1",
    "a short option": "-o/tmp/x",
    "the end of options": "-- --force",
    "a way upward": "../../other/x",
    "folders that are none": "a//./../b/",
    "a way upward in code": "%2e%2e%2f..%2f..\\..\\",
    wildcards: "*?[a-z]{a,b}!(x)",
    redirections: ">/tmp/x</etc/passwd>&2",
    NUL: "a\u0000b",
    "control characters": "\u0007\u001b[2J\u007f\u0085\t",
    "letters of the world": "製品ü😀é\u202e\uff0f\ufeff",
    "the end of a document": '"},"force":true,"artifactBucket":"other","x":{"y":"',
    templates: "{}{0}%s%n\\{\\}$.stack.projectName $$.Execution.Id",
    "a function of the states language": "States.Format('{}', $)",
    "a tag of YAML": "!!python/object/apply:os.system [pwned]",
    "10 KB": "a".repeat(10_240),
    "10 KB of slashes": "/".repeat(10_240),
    nothing: "",
    "a blank": " ",
};

/** What a request is about, and where hostile texts are put. */
export interface Target {
    /** Image that the stack exports, `HOST/REPOSITORY:TAG`. */
    readonly imageUri: string;
    readonly artifactBucket: string;
    readonly artifactPrefix: string;
}

/** A request, or what somebody takes for one. */
export type HostileRequest = Readonly<Record<string, unknown>>;

/** Requests with a text in each field, with what might make it pass before and behind it. */
export function hostileRequests(
    { imageUri, artifactBucket, artifactPrefix }: Target,
    text: string,
): HostileRequest[] {
    const [host = "", path = ""] = imageUri.split(/\/(.*)/s);
    const [repository = ""] = path.split(":");
    const digest = `sha256:${"0".repeat(64)}`;
    return [
        { imageUri: text },
        { imageUri: imageUri + text },
        { imageUri: text + imageUri },
        { imageUri: `${host}${text}/${repository}:latest` },
        { imageUri: `${host}/${text}:latest` },
        { imageUri: `${host}/${repository}/${text}` },
        { imageUri: `${host}/${repository}:${text}` },
        { imageUri: `${host}/${repository}@${text}` },
        { imageUri: `${host}/${repository}@${digest}${text}` },
        { imageUri: `${host}/${repository}:${text}@${digest}` },
        { artifactKey: text },
        { artifactKey: artifactPrefix + text },
        { artifactKey: `${artifactPrefix}${text}/x.tar` },
        { artifactKey: text + artifactPrefix },
        { artifactBucket: text },
        { artifactBucket: artifactBucket + text },
        { artifactBucket: `${artifactBucket}/${text}` },
        { platform: text },
        { platform: `linux/${text}` },
        { platform: `${text}/amd64` },
        { platform: `linux/amd64${text}` },
        { force: text },
    ];
}

/** Requests with a text in what is no field of a request: fields of StartBuild, of a state, of an object in JavaScript. */
export function misplacedRequests(text: string): HostileRequest[] {
    return [
        {
            ProjectName: text,
            BuildspecOverride: text,
            EnvironmentVariablesOverride: [{ Name: text, Value: text }],
        },
        { "imageUri.$": text, "artifactKey.$": text, ResultPath: text, [text]: text },
        JSON.parse(
            `{"__proto__":{"imageUri":${JSON.stringify(text)}},"constructor":${JSON.stringify(text)}}`,
        ) as HostileRequest,
    ];
}

/** Texts made of hostile ones, of their pieces, and of what the fields of a request begin with. */
export function hostileText({ imageUri, artifactBucket, artifactPrefix }: Target): fc.Arbitrary<string> {
    const short = Object.values(hostileTexts).filter((text) => text.length < 100);
    const piece = fc.oneof(
        fc.constantFrom(...short, imageUri, artifactBucket, artifactPrefix, "linux/amd64", `$(${program})`),
        fc.constantFrom(...Array.from(`/:@.-_*?$\`'"\\;|&<>(){}[]!#~ \n\r\t\u0000`)),
        fc.string({ unit: "binary", maxLength: 8 }),
    );
    return fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(""));
}
