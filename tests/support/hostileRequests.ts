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
    "expressions of the states language": "{% $states.input %}$eval('1') $$ [$states.context]",
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
export function hostileRequests({ imageUri, artifactBucket, artifactPrefix }: Target, text: string): HostileRequest[] {
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

/** Requests for sets with a text where an image is named, alone or among good ones, and in its place. */
export function hostileSets({ imageUri, artifactPrefix }: Target, text: string): HostileRequest[] {
    const [before = ""] = imageUri.split(/:[^:/]*$/);
    const images: readonly unknown[] = [
        text,
        [text],
        [imageUri + text],
        [imageUri, text + imageUri, `${before}:2`],
        [`${before}:${text}`, `${before}:2`],
        [{ imageUri, platform: text }],
        [{ imageUri, platform: `linux/amd64${text}` }],
        [{ imageUri: text, platform: "all" }],
        [{ imageUri, [text]: text }],
        [[imageUri, text]],
        { [text]: imageUri },
    ];
    return images.map((each) => ({ images: each, artifactKey: `${artifactPrefix}set.tar` }));
}

/** Requests with a text in what is no field of a request: fields of StartBuild, of a state, of an object in JavaScript. */
export function misplacedRequests(text: string): HostileRequest[] {
    return [
        { ProjectName: text, BuildspecOverride: text, EnvironmentVariablesOverride: [{ Name: text, Value: text }] },
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

/** Any JSON, requests with hostile strings in any field, of any type, with closing line feeds, up to 250 KiB. */
export function anyRequest(target: Target): fc.Arbitrary<unknown> {
    const text = hostileText(target);
    const good = fc.constantFrom(
        target.imageUri,
        target.artifactBucket,
        `${target.artifactPrefix}a.tar`,
        "linux/amd64",
        "all",
        "true",
        `${target.imageUri}@sha256:${"0".repeat(64)}`,
    );
    const value = fc.oneof(
        good,
        good.map((each) => `${each}\n`),
        text,
        fc.tuple(good, text).map((parts) => parts.join("")),
        fc.jsonValue({ maxDepth: 3 }),
        fc.boolean(),
        // What regular expressions may take long over, or fail at.
        fc
            .tuple(fc.constantFrom("a", "a/", "-", ".", "é", "😀", "\n", '"', "\\", "/images"), fc.nat(250_000))
            .map(([each, count]) => each.repeat(Math.floor(count / Buffer.byteLength(each)))),
    );
    const requests = hostileRequests(target, "").length;
    const any = fc.oneof(
        fc.tuple(text, fc.nat(requests - 1)).map(([each, place]) => hostileRequests(target, each)[place]),
        text.chain((each) => fc.constantFrom(...misplacedRequests(each))),
        fc.record(
            { imageUri: value, artifactBucket: value, artifactKey: value, platform: value, force: value },
            { requiredKeys: [] },
        ),
        fc.record({
            artifactKey: fc.oneof(fc.constant(`${target.artifactPrefix}set.tar`), value),
            images: fc.array(fc.oneof(value, good, fc.record({ imageUri: fc.oneof(good, value), platform: value }))),
        }),
        fc.dictionary(fc.oneof(fc.constantFrom("imageUri", "AWS_X", "__proto__"), fc.string()), value, { maxKeys: 4 }),
        fc.jsonValue(),
    );
    // StartExecution takes no more.
    return any.filter((each) => Buffer.byteLength(JSON.stringify(each)) <= 256 * 1024);
}
