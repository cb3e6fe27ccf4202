/**
 * The state machine that exports one image, or with engine `stream` a set of them: reads and checks the request, asks ECR what a tag
 * means, looks whether the export is at its key, starts a build if it is not, and looks again: a build has made what S3 shows.
 * Pure, under the rules of language.ts.
 */
import type * as pulumi from "@pulumi/pulumi";

import type { AwsLocation } from "../contract/aws";
import type { EngineName } from "../contract/engine";
import { exportErrors } from "../contract/errors";
import { covers, ecrHosts, type EcrRepository, grammar, isPattern, prefixOf, repositoryArn } from "../contract/image";
import {
    artifactKeyPattern,
    artifactKeyRule,
    besideSuffixes,
    keyLimitBytes,
    recordSuffix,
    setRequestPrefix,
} from "../contract/keys";
import { platformPatterns, platformRules } from "../contract/platform";
import { archiveLayout, metadataNames } from "../contract/record";
import {
    causeVariable,
    latest,
    receivers,
    referrersVariable,
    requestDefaults,
    type RequestField,
    requestFields,
    type RequestVariable,
    setVariable,
    sinceVariables,
} from "../contract/request";
import { setLimit } from "../contract/set";
import * as asl from "./language";

/** Arguments of {@link exportDefinition}. */
export interface ExportDefinitionArgs {
    /** Where the stack lives. */
    readonly at: AwsLocation<pulumi.Input<string>>;
    /** Name of the CodeBuild project that exports one image. */
    readonly projectName: pulumi.Input<string>;
    /** Page of the console that lists that project's builds. */
    readonly buildsUrl: pulumi.Input<string>;
    /** Whether what belongs to an image comes along when a request does not say. */
    readonly referrers: boolean;
    /** How that project makes the archive; part of the result. */
    readonly engine: EngineName;
    /** Image that is exported when a request names none. */
    readonly imageUri: string;
    /** Repositories whose images may be requested. */
    readonly repositories: readonly EcrRepository[];
    /** Those of them that a pull-through cache fills when a build pulls. @default none */
    readonly cachedRepositories?: readonly EcrRepository[];
    /** Name of the bucket of the archives. */
    readonly artifactBucket: pulumi.Input<string>;
    /** Key prefix of the archives, with its closing slash. */
    readonly artifactPrefix: string;
    /** ARN of the KMS key that signs records. @default none does */
    readonly signingKeyArn?: pulumi.Input<string> | undefined;
    /** Minutes that a build may run. */
    readonly timeoutMinutes: number;
    /** Minutes that a request may wait for CodeBuild to accept its build, and that the build may wait in the queue. */
    readonly queuedTimeoutMinutes: number;
}

/** Characters of the longest request: its fields have less than half of them, and AWS adds some. */
const requestLimit = 16_384;

/** Bytes of the longest request for a set: what is made of it has to fit into the 256 KiB that a state may assign. */
const setRequestLimit = 131_072;

/** Characters of the longest image URI: host, 256 of the repository, 128 of the tag, 71 of the digest, and what is between. */
const imageUriLimit = 600;

/** Images of a set that ECR is asked about at a time. */
const askedAtATime = 8;

/** Characters of a cause that names images; Step Functions takes 32,768. */
const namesLimit = 30_000;

// For one call that answers within a second; on no answer the build decides.
const lookUpSeconds = 30;

// Between the archive and the record of another export at the same key; the builds wait a minute for it, too.
const recordWait = { seconds: 2, looks: 30 };

// What the timeout of the task leaves for provisioning and for the event that tells of the build's end.
const marginMinutes = 10;

/** The definition. */
export function exportDefinition(args: ExportDefinitionArgs): asl.StateMachineDefinition {
    const key = "$request.artifactKey";
    return {
        Comment: `Exports one container image${hasSets(args) ? ", or a set of them," : ""} from Amazon ECR to S3 as a tar archive`,
        QueryLanguage: "JSONata",
        StartAt: "Read input",
        States: {
            "Read input": readInput(args),
            "Read request": readRequest(args),
            "Check request": checkRequest(args),
            "Ask ECR": askEcr(args),
            ...(hasSets(args) && { "Ask ECR for each image": askEcrForEach(args) }),
            "Look at record": lookAt(args, "record", `${key} & ${asl.literal(recordSuffix)}`, "Look at archive"),
            "Look at archive": lookAt(args, "archive", key, "Is it exported?"),
            "Is it exported?": isItExported(args),
            // Another export has replaced the archive; whether it is of the same image, its record will say in a moment (decision 0010).
            "Wait for record": { Type: "Wait", Seconds: recordWait.seconds, Next: "Look at record" },
            ...(hasSets(args) && { "Store set": storeSet(args) }),
            "Export image": exportImage(args),
            Done: report(args),
            Failed: asl.failed,
        },
    };
}

/** Whether requests may name sets: engine `docker` exports one image. */
function hasSets({ engine }: Pick<ExportDefinitionArgs, "engine">): boolean {
    return engine === "stream";
}

function readInput(args: ExportDefinitionArgs): asl.State {
    const length = "$length($string($states.input))";
    // An upper bound of its bytes: what is not ASCII has three at most.
    const bytes = `${length} + 2 * $length($replace($string($states.input), /[ -~]+/, ''))`;
    const limit = hasSets(args)
        ? `($exists($states.input.images) ? ${setRequestLimit} : ${requestLimit})`
        : requestLimit;
    const given = "$states.input.images";
    const setProblem = hasSets(args)
        ? `$type(${given}) != 'array' ? 'images is ' & ${asl.quoted(given)} & ': expected a list of image URIs, or of objects with imageUri and platform.'
            : $exists($states.input.imageUri) ? 'The request names both imageUri and images: give one of the two.'
            : $exists($states.input.artifactKey) = false ? 'A set of images has no key by default: give artifactKey.'
            : $count(${given}) < 1 or $count(${given}) > ${setLimit} ? 'images has ' & $string($count(${given})) & ' images: expected 1 to ${setLimit}.'
            : ''`
        : "'This stack exports one image a request, as its engine is docker: set engine: stream in its configuration for images, or request one imageUri.'";
    return {
        Type: "Pass",
        Comment: "Knows the stack, measures the input, looks at its fields",
        Assign: {
            stack: {
                accountId: args.at.accountId,
                region: args.at.region,
                projectName: args.projectName,
                buildsUrl: args.buildsUrl,
                ...(args.signingKeyArn !== undefined && { signingKey: args.signingKeyArn }),
                defaults: {
                    imageUri: args.imageUri,
                    artifactBucket: args.artifactBucket,
                    ...requestDefaults,
                    referrers: args.referrers,
                },
                registries: registriesOf(args),
            },
            input: asl.expression(`(
                $problem := $type($states.input) != 'object' ?
                    'The input of the execution is not a JSON object. Give the fields of the request in one, or {} for the defaults.'
                : ${hasSets(args) ? bytes : length} > ${limit} ?
                    'The input of the execution is longer than ' & $string(${limit}) & ' characters, and no request is.'
                : (
                    $unknown := ${asl.unknownField("$states.input", requestFields)};
                    $unknown != '' ? 'The request ' & $unknown : $exists(${given}) ? (${setProblem}) : ''
                );
                { 'problem': $problem }
            )`),
            digest: asl.expression("''"),
            buildId: asl.expression("''"),
            looked: asl.expression("''"),
            looks: 0,
            ...(hasSets(args) && {
                set: asl.expression("{ 'images': [], 'names': '', 'digest': '', 'isKnown': false, 'missing': '' }"),
            }),
            record: asl.expression(blankRecord),
            archive: asl.expression("{ 'versionId': '', 'sizeBytes': 0 }"),
        },
        Next: "Read request",
    };
}

/**
 * Whether the state machine may ask ECR, should the repositories be of the stack's own account, which image a tag means. It does not
 * ask for what a pull-through cache fills.
 */
export function isAskable(
    { at, cachedRepositories = [] }: Pick<ExportDefinitionArgs, "at" | "cachedRepositories">,
    repository: EcrRepository,
): boolean {
    const isCached = cachedRepositories.some((each) => covers(repositoryArn(each), repositoryArn(repository)));
    return repository.region === at.region && !isCached;
}

/**
 * The repositories by registry, so that hosts are written once: names, and what those of patterns begin with, up to a slash. Those among
 * them that a pull-through cache fills, for which ECR is not asked, are `cached`.
 */
function registriesOf({ repositories, cachedRepositories = [] }: ExportDefinitionArgs): object[] {
    const registries = new Map(repositories.map((each) => [ecrHosts(each)[0], each]));
    return [...registries].map(([host, registry]) => {
        const ofIt = (all: readonly EcrRepository[]): string[] =>
            all
                .filter((each) => ecrHosts(each)[0] === host)
                .map(({ name }) => (isPattern(name) ? prefixOf(name) : name));
        const { accountId, region } = registry;
        const hosts = ecrHosts(registry);
        return { accountId, region, hosts, listed: ofIt(repositories), cached: ofIt(cachedRepositories) };
    });
}

/** Puts the request over the defaults and takes image URIs apart; what cannot be read is left blank, and refused after. */
function readRequest(args: ExportDefinitionArgs): asl.State {
    const { artifactPrefix } = args;
    const uri = `^([^/]+)/(${grammar.repository})((?::${grammar.tag})?)((?:@${grammar.digest})?)$`;
    return {
        Type: "Pass",
        Comment:
            "Picks the fields of a request, fills in the defaults, finds the repositories of images among those of the stack",
        Assign: {
            request: asl.expression(`(
                $isKnown := function($value, $name) { $name in ['${requestFields.join("','")}'] };
                $request := $merge([$stack.defaults, $input.problem = '' ? $sift($states.input, $isKnown) : {}]);
                $read := function($given) {(
                    $uri := $type($given) = 'string' ? $given : '';
                    $match := $length($uri) <= ${imageUriLimit} ? $match($uri, ${asl.regex(uri)})[0] : {};
                    $parts := $match.match = $uri ? $match.groups : ['', '', '', ''];
                    $name := $parts[1];
                    $registry := $filter($stack.registries, function($each) { $parts[0] in $each.hosts })[0];
                    $isIn := function($all) { $exists($filter($all, function($each) {
                        $each = $name or $substring($each, -1) = '/' and $substring($name, 0, $length($each)) = $each
                    })) };
                    $isAllowed := $exists($registry) ? $isIn($registry.listed) : false;
                    $isHome := $exists($registry) ? $registry.accountId = $stack.accountId and $registry.region = $stack.region : true;
                    $digest := $substring($parts[3], 1);
                    $tag := $parts[2] != '' ? $substring($parts[2], 1) : $digest = '' ? 'latest' : '';
                    {
                        'isRead': $name != '',
                        'isAllowed': $isAllowed,
                        'isAskable': $isAllowed and $isHome ? $not($isIn($registry.cached)) : false,
                        'folder': $isHome ? '' : '@' & $registry.accountId & '/' & $registry.region & '/',
                        'repository': $name,
                        'tag': $tag,
                        'digest': $digest,
                        'name': $parts[0] & '/' & $name & ($tag != '' ? ':' & $tag : '@' & $digest)
                    }
                )};
                ${hasSets(args) ? readSet : ""}
                $image := $read($request.imageUri);
                $one := $merge([
                    { 'artifactKey': ${asl.literal(artifactPrefix)} & $image.folder & $image.repository & '/'
                        & ($image.tag != '' ? $image.tag : '@' & $substring($image.digest, 7)) & '.tar' },
                    $request,
                    { 'image': $image }
                ]);
                ${hasSets(args) ? "$exists($request.images) ? $set : $merge([$one, { 'images': [], 'problem': '' }])" : "$one"}
            )`),
        },
        Output: {},
        Next: "Check request",
    };
}

const wrongUri =
    "'expected an image in Amazon ECR, ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@sha256:DIGEST]'";
const wrongRepository =
    "'this stack may not read that repository. Request an image of one that it may read, or add the ARN of the repository to repositoryArns or crossAccountRepositoryArns in the configuration of the stack'";

/** Whether a value is a platform that an engine exports. */
function isPlatform(value: string, engine: EngineName): string {
    const matches = asl.matches(value, platformPatterns[engine]);
    return `($type(${value}) = 'string' ? $length(${value}) <= 100 ? (${matches}) : false : false)`;
}

/**
 * Binds `$set`: the request with its images by name, each once, and what is wrong with the first that cannot be exported. Each is
 * its name in the archive, its platform, and its digest, an empty string where the request has none; `ask` where ECR is asked.
 */
const readSet = `
    $set := $exists($request.images) ? (
        $images := [$map($request.images, function($given, $at) {(
            $object := $type($given) = 'string' ? { 'imageUri': $given } : $type($given) = 'object' ? $given : {};
            $image := $read($object.imageUri);
            $platform := $exists($object.platform) ? $object.platform : $request.platform;
            $others := $filter($keys($object), function($name) { $not($name in ['imageUri', 'platform']) });
            $wrong := $exists($others) or $exists($object.imageUri) = false ? 'expected an image URI, or an object with imageUri and platform'
                : $not($image.isRead) ? ${wrongUri}
                : $not($image.isAllowed) ? ${wrongRepository}
                : $not(${isPlatform("$platform", "stream")}) ? ${asl.literal(`expected for the platform ${platformRules.stream}`)}
                : '';
            $wrong != '' ? { 'problem': 'images[' & $at & '] is ' & ${asl.quoted("$given")} & ': ' & $wrong & '.' }
                : { 'name': $image.name, 'platform': $platform, 'digest': $image.digest, 'ask': $image.isAskable and $image.digest = '' }
        )})];
        $problem := $filter($images, function($each) { $exists($each.problem) })[0].problem;
        $distinct := $exists($problem) ? [] : [$each($merge([$map($images, function($each) {
            { $each.name & ' ' & $each.platform & ' ' & $each.digest: $each }
        })]), function($value) { $value })];
        $sorted := [$sort($distinct, function($one, $other) { $one.name > $other.name })];
        $twice := $reduce($sorted, function($before, $each) {
            { 'name': $each.name, 'twice': $before.name = $each.name ? $each.name : $before.twice }
        }, { 'name': '', 'twice': '' }).twice;
        $merge([$request, {
            'imageUri': '',
            'images': $sorted,
            'image': { 'isRead': true, 'isAllowed': true, 'isAskable': false, 'digest': '' },
            'problem': $exists($problem) ? $problem
                : $twice != '' ? 'images has ' & $twice & ' with different platforms or digests: an archive has one image of a name.'
                : ''
        }])
    ) : {};`;

/** Whether the request is for a set. */
const isSet = "$count($request.images) > 0";

/**
 * What is known of a set once ECR has been asked for its digests: by what its record and the request for it are found.
 *
 * @param images Source of an expression for them, as {@link readSet} leaves them.
 * @param missing Source of an expression for those that ECR does not have, in words; an empty string for none.
 */
function knownSet(images: string, missing = "''"): asl.Assign {
    const fold = (line: string): string =>
        `'sha256:' & $reduce($images, function($before, $each) { $hash($before & ${line}, 'SHA-256') }, '')`;
    const line = "$each.name & ' ' & $each.platform";
    return {
        set: asl.expression(`(
            $images := ${images};
            {
                'images': $images,
                'names': ${fold(line)},
                'digest': ${fold(`${line} & ' ' & $each.digest`)},
                'isKnown': $not($exists($filter($images, function($each) { $each.digest = '' }))),
                'missing': ${missing}
            }
        )`),
    };
}

/** Refuses what cannot work, before anything is started. */
function checkRequest(args: ExportDefinitionArgs): asl.State {
    const { engine, artifactPrefix } = args;
    const refuse = (field: RequestField, isGood: string, expected: string): object => {
        const cause = `${asl.literal(`${field} is `)} & ${asl.quoted(`$request.${field}`)} & ': ' & ${expected} & '.'`;
        return asl.rule(`$not(${isGood})`, "Failed", asl.failure("InvalidInput", cause));
    };
    const isText = (field: string, limit: number, then: string): string =>
        `($type($request.${field}) = 'string' ? $length($request.${field}) <= ${limit} ? (${then}) : false : false)`;
    return {
        Type: "Choice",
        Choices: [
            asl.rule("$input.problem != ''", "Failed", asl.failure("InvalidInput", "$input.problem")),
            ...(hasSets(args)
                ? [asl.rule("$request.problem != ''", "Failed", asl.failure("InvalidInput", "$request.problem"))]
                : []),
            refuse("imageUri", "$request.image.isRead", wrongUri),
            refuse("imageUri", "$request.image.isAllowed", wrongRepository),
            refuse(
                "platform",
                isPlatform("$request.platform", engine),
                asl.literal(`expected ${platformRules[engine]}`),
            ),
            refuse("referrers", ...referrersRule(args)),
            refuse("since", ...sinceRule(args)),
            refuse("force", "$type($request.force) = 'boolean'", asl.literal("expected true or false")),
            refuse(
                "artifactBucket",
                "$request.artifactBucket = $stack.defaults.artifactBucket",
                "'this stack only exports to ' & $stack.defaults.artifactBucket & '. Give that bucket, or leave the field out'",
            ),
            refuse(
                "artifactKey",
                isText("artifactKey", keyLimitBytes, isArtifactKey("$request.artifactKey", artifactPrefix)),
                asl.literal(
                    `expected ${artifactKeyRule(artifactPrefix)}. Leave the field out for a key made of repository and tag`,
                ),
            ),
            ...(hasSets(args)
                ? [
                      asl.rule(
                          "$exists($filter($request.images, function($each) { $each.ask }))",
                          "Ask ECR for each image",
                      ),
                      asl.rule(isSet, "Look at record", knownSet("$request.images")),
                  ]
                : []),
            asl.rule("$request.image.digest != ''", "Look at record", {
                digest: asl.expression("$request.image.digest"),
            }),
            asl.rule("$request.image.isAskable", "Ask ECR"),
        ],
        // The build asks the registry, and finds out whether the export is there.
        Default: "Export image",
    };
}

/** What `referrers` may be, and what is expected of it. */
function referrersRule(args: ExportDefinitionArgs): [isGood: string, expected: string] {
    return hasSets(args)
        ? ["$type($request.referrers) = 'boolean'", asl.literal("expected true or false")]
        : [
              "$request.referrers = false",
              asl.literal(
                  "expected false, as docker save has no signatures: set engine: stream in the configuration of the stack",
              ),
          ];
}

const hasSince = "$exists($request.since)";
const sinceKey = "($type($request.since) = 'string' ? $request.since : $request.since.key)";
const sinceFor = `($type($request.since) = 'object' and $exists($request.since.for) ? $request.since.for : '${receivers[0]}')`;

/** The same of `since`. A set has no newest archive of its own, and an archive is no base of what replaces it. */
function sinceRule(args: ExportDefinitionArgs): [isGood: string, expected: string] {
    if (!hasSets(args)) {
        return [
            `$not(${hasSince})`,
            asl.literal("expected nothing: set engine: stream in the configuration of the stack for deltas"),
        ];
    }
    const key = `($type(${sinceKey}) = 'string' ? $length(${sinceKey}) <= ${keyLimitBytes} ? (
        ${sinceKey} = '${latest}' ? $not(${isSet}) : ${sinceKey} != $request.artifactKey and (${isArtifactKey(sinceKey, args.artifactPrefix)})
    ) : false : false)`;
    const form = `($type($request.since) = 'object' ? $not($exists($filter($keys($request.since), function($name) { $not($name in ['key', 'for']) }))) : $type($request.since) = 'string')`;
    const rule = `expected the key of an archive below ${args.artifactPrefix} other than artifactKey, ${latest} for one image, or an object with such a key and for, ${receivers.join(" or ")}`;
    const receiver = `${sinceFor} in ['${receivers.join("','")}']`;
    return [`(${hasSince} ? ${form} ? ${receiver} ? ${key} : false : false : true)`, asl.literal(rule)];
}

/** What `isArtifactKey` of contract/keys.ts tests, of a string of no more characters than bytes are allowed. */
function isArtifactKey(key: string, artifactPrefix: string): string {
    // A half of a pair of surrogates has no UTF-8.
    const halves = `$contains($replace(${key}, /[\\ud800-\\udbff][\\udc00-\\udfff]/, ''), /[\\ud800-\\udfff]/)`;
    const bytes = `$length($replace($encodeUrlComponent(${key}), /%../, '-'))`;
    return [
        `$substring(${key}, 0, ${artifactPrefix.length}) = ${asl.literal(artifactPrefix)}`,
        `$length(${key}) > ${artifactPrefix.length}`,
        ...besideSuffixes.map((each) => `$substring(${key}, $length(${key}) - ${each.length}) != ${asl.literal(each)}`),
        `(${halves} ? false : ${bytes} <= ${keyLimitBytes})`,
        asl.matches(key, artifactKeyPattern),
    ].join(" and ");
}

/** What ECR answers to the name of what it does not have. */
const notInEcr = ["Ecr.ImageNotFoundException", "Ecr.RepositoryNotFoundException"];

/** The question, about the `repository` and the `tag` of an object. */
function describeImages(partition: string, image: string): asl.State {
    return {
        ...asl.task(partition, "aws-sdk:ecr:describeImages", {
            RepositoryName: asl.expression(`${image}.repository`),
            ImageIds: [{ ImageTag: asl.expression(`${image}.tag`) }],
        }),
        TimeoutSeconds: lookUpSeconds,
        Retry: [asl.retry(["Ecr.EcrException", "Ecr.ServerException"], 2, 1)],
    };
}

/** Asks which digest a tag means. A tag that ECR does not have ends the execution; whatever else it says, the build finds out. */
function askEcr({ at }: ExportDefinitionArgs): asl.State {
    const told = "$states.result.ImageDetails[0].ImageDigest";
    const missing = `$request.imageUri & ' does not exist in the registry. ' & ${asl.caughtCause}`;
    return {
        ...describeImages(at.partition, "$request.image"),
        Assign: { digest: asl.expression(`$exists(${told}) ? $string(${told}) : ''`) },
        Output: {},
        Catch: [
            asl.caught(notInEcr, "Failed", asl.failure("ImageNotFound", missing)),
            asl.caught(["States.ALL"], "Export image"),
        ],
        Next: "Look at record",
    };
}

/** Those of a set that ECR does not have, out of the answers to {@link askEcrForEach}, in words. */
const missingImages = `(
    $names := [$map($filter($states.result, function($each) { $each.missing }), function($each) { $each.name })];
    $count($names) = 0 ? '' : $substring(
        $string($count($names)) & ' of the ' & $string($count($request.images)) & ' images do not exist in the registry: ' & $join($names, ', '),
        0, ${namesLimit}
    )
)`;

/** Asks the same for each image of a set; all that are missing are named at once. */
function askEcrForEach({ at }: ExportDefinitionArgs): asl.State {
    const told = "$states.result.ImageDetails[0].ImageDigest";
    const answer = (digest: string, missing: boolean): object => ({
        name: asl.expression("$states.input.name"),
        digest: asl.expression(digest),
        missing,
    });
    const passed = (errors: readonly string[], missing: boolean): object => ({
        ErrorEquals: errors,
        Output: answer("''", missing),
        Next: "Take answer",
    });
    const asked = "$filter($request.images, function($each) { $each.ask })";
    const images = `(
        $digests := $merge([$map($states.result, function($each) { { $each.name: $each.digest } })]);
        [$map($request.images, function($each) {
            $each.ask ? $merge([$each, { 'digest': $lookup($digests, $each.name) }]) : $each
        })]
    )`;
    return {
        Type: "Map",
        Items: asl.expression(`[$map(${asked}, function($each) {{
            'name': $each.name,
            'repository': $substringBefore($substringAfter($each.name, '/'), ':'),
            'tag': $substringAfter($each.name, ':')
        }})]`),
        MaxConcurrency: askedAtATime,
        ItemProcessor: {
            ProcessorConfig: { Mode: "INLINE" },
            StartAt: "Ask for digest",
            States: {
                "Ask for digest": {
                    ...describeImages(at.partition, "$states.input"),
                    Output: answer(`$exists(${told}) ? $string(${told}) : ''`, false),
                    Catch: [passed(notInEcr, true), passed(["States.ALL"], false)],
                    Next: "Take answer",
                },
                "Take answer": { Type: "Pass", End: true },
            },
        },
        Assign: knownSet(images, missingImages),
        Output: {},
        // The build finds out what ECR has.
        Catch: [asl.caught(["States.ALL"], "Look at record", knownSet("$request.images"))],
        Next: "Look at record",
    };
}

/** What is known of a record that is not there: all of its metadata blank. */
const blankRecord = JSON.stringify(Object.fromEntries(Object.values(metadataNames).map((name) => [name, ""])));

const metadata = "$states.result.Metadata";

/** What is seen of the two objects of an export: the metadata of the record's (contract/record.ts), the version of the archive. */
const seen = {
    record: {
        record: asl.expression(`$merge([${blankRecord}, $exists(${metadata}) ? ${metadata} : {}])`),
        looked: asl.expression("''"),
    },
    archive: {
        archive: {
            versionId: asl.expression("$exists($states.result.VersionId) ? $string($states.result.VersionId) : ''"),
            sizeBytes: asl.expression("$exists($states.result.ContentLength) ? $states.result.ContentLength : 0"),
        },
    },
};

/** Asks S3 for one of them; an answer that shows none is left in `looked`. */
function lookAt({ at }: ExportDefinitionArgs, what: keyof typeof seen, key: string, next: string): asl.State {
    return {
        ...asl.task(at.partition, "aws-sdk:s3:headObject", {
            Bucket: asl.expression("$request.artifactBucket"),
            Key: asl.expression(key),
        }),
        TimeoutSeconds: lookUpSeconds,
        Assign: seen[what],
        Output: {},
        // What S3 does not answer within a moment. Without s3:ListBucket a missing object is a 403, as much else is.
        Retry: [asl.retry(["S3.S3Exception", "S3.SdkClientException", "States.Timeout"], 2, 1)],
        Catch: [
            asl.caught(["States.ALL"], "Is it exported?", {
                looked: asl.expression(`'the ${what}: ' & ${asl.caughtError}`),
            }),
        ],
        Next: next,
    };
}

/** The value of a field of the record's metadata. */
function recorded(field: keyof typeof metadataNames): string {
    return `$record.\`${metadataNames[field]}\``;
}

/** Before a build: is it there already? After one: has it made what was asked for? */
function isItExported(args: ExportDefinitionArgs): asl.State {
    const { engine, signingKeyArn } = args;
    const isDigest = (field: "imageDigest" | "indexDigest"): string => `${recorded(field)} = $digest`;
    const sameImage = [
        `${recorded("imageName")} = $request.image.name`,
        `${recorded("platform")} = $request.platform`,
        `${recorded("imageDigest")} != ''`,
        // Where nobody knew the digest beforehand, the build has compared it. So it is with a set.
        `(${isDigest("imageDigest")} or ${isDigest("indexDigest")} or ($digest = '' and $buildId != ''))`,
    ].join(" and ");
    const sameSet = [
        `${recorded("setNames")} = $set.names`,
        asl.matches(recorded("savedBytes"), "[0-9]{1,15}"),
        `${recorded("setDigest")} != ''`,
        `($set.isKnown ? ${recorded("setDigest")} = $set.digest : $buildId != '')`,
    ].join(" and ");
    const isSame = [
        "$looked = ''",
        "$archive.versionId != ''",
        `${recorded("versionId")} = $archive.versionId`,
        `${recorded("layout")} = '${archiveLayout}'`,
        `${recorded("engine")} = '${engine}'`,
        `${recorded("signingKeyArn")} = ${signingKeyArn === undefined ? "''" : "$stack.signingKey"}`,
        `${recorded("sha256")} != ''`,
        // Which referrers an image has by now, the build has compared.
        `($request.referrers ? ${recorded("referrerCount")} != '' and $buildId != '' : ${recorded("referrerCount")} = '')`,
        // So it is with what it leaves out.
        `(${hasSince} ? $buildId != '' : ${recorded("baseSha256")} = '')`,
        hasSets(args) ? `(${isSet} ? ${sameSet} : ${sameImage})` : sameImage,
    ].join(" and ");
    const unseen =
        "'The build ' & $buildId & ' succeeded, but S3 does not show ' & $looked & '. The state machine needs s3:GetObject for it. (Builds and their logs: ' & $stack.buildsUrl & ')'";
    return {
        Type: "Choice",
        Choices: [
            ...(hasSets(args)
                ? [asl.rule("$set.missing != ''", "Failed", asl.failure("ImageNotFound", "$set.missing"))]
                : []),
            asl.rule(`($buildId != '' or $not($request.force)) and ${isSame}`, "Done"),
            ...(hasSets(args) ? [asl.rule(`$buildId = '' and ${isSet}`, "Store set")] : []),
            asl.rule("$buildId = ''", "Export image"),
            asl.rule("$looked != ''", "Failed", asl.failure("ExportFailed", unseen)),
            asl.rule(
                `$looks < ${recordWait.looks} and ${recorded("versionId")} != $archive.versionId`,
                "Wait for record",
                { looks: asl.expression("$looks + 1") },
            ),
        ],
        Default: "Failed",
    };
}

/**
 * Writes the images of a set, with their digests, for the build: they are too long for its variables. The digest that names the object
 * and that the build is given is that of the images, so it is not in the way that an object has a body of its own for each writer.
 */
function storeSet({ at }: ExportDefinitionArgs): asl.State {
    return {
        ...asl.task(at.partition, "aws-sdk:s3:putObject", {
            Bucket: asl.expression("$request.artifactBucket"),
            Key: asl.expression(`'${setRequestPrefix}' & $substring($set.digest, 7) & '.json'`),
            ContentType: "application/json",
            Body: {
                images: asl.expression(`[$map($set.images, function($each) {{
                    'imageUri': $each.name & ($each.digest = '' or $contains($each.name, '@') ? '' : '@' & $each.digest),
                    'platform': $each.platform
                }})]`),
            },
        }),
        TimeoutSeconds: lookUpSeconds,
        Output: {},
        Retry: [asl.retry(["S3.S3Exception", "S3.SdkClientException", "States.Timeout"], 3, 1)],
        Catch: asl.caughtAll(
            "Failed",
            asl.failure(
                "ExportFailed",
                `'The images of the set could not be written for the build: ' & ${asl.caughtError}`,
            ),
        ),
        Next: "Export image",
    };
}

/** Runs the build. Only what can pass is tried again: lack of capacity and throttling, never a failed build. */
function exportImage(args: ExportDefinitionArgs): asl.State {
    const variables: Readonly<Record<RequestVariable, string>> = {
        IMAGE_URI: "$request.imageUri",
        IMAGE_DIGEST: "$digest",
        PLATFORM: "$request.platform",
        FORCE: "$string($request.force)",
        ARTIFACT_BUCKET: "$request.artifactBucket",
        ARTIFACT_KEY: "$request.artifactKey",
        EXECUTION_ID: "$states.context.Execution.Id",
    };
    const totalMinutes = args.queuedTimeoutMinutes + args.timeoutMinutes + marginMinutes;
    const id = "$states.result.Build.Id";
    return {
        ...asl.task(args.at.partition, "codebuild:startBuild.sync", {
            ProjectName: asl.expression("$stack.projectName"),
            EnvironmentVariablesOverride: Object.entries({
                ...variables,
                ...(hasSets(args) && {
                    [setVariable]: "$set.digest",
                    [referrersVariable]: "$string($request.referrers)",
                    [sinceVariables.key]: `${hasSince} ? ${sinceKey} : ''`,
                    [sinceVariables.for]: `${hasSince} ? ${sinceFor} : ''`,
                }),
            }).map(([Name, value]) => {
                // Its type written out, so that no request can have a parameter or a secret read instead.
                return { Name, Type: "PLAINTEXT", Value: asl.expression(value) };
            }),
        }),
        TimeoutSeconds: totalMinutes * 60,
        Assign: {
            buildId: asl.expression(`$exists(${id}) ? $string(${id}) : '(unknown)'`),
            // Unless the next look says otherwise.
            ...asl.failure(
                "ExportFailed",
                `'The build ' & ($exists(${id}) ? $string(${id}) : '') & ' succeeded, but another export has written ' & $request.artifactKey & ' since. Give the two exports keys of their own, or start this one again.'`,
            ),
        },
        Output: {},
        Retry: [
            // 5, 10, 20 and 40 s, then a minute each: in all at most as long as a build may wait in the queue.
            asl.retry(["CodeBuild.AccountLimitExceededException"], args.queuedTimeoutMinutes + 2),
            // Throttled, dropped, or denied.
            asl.retry(["CodeBuild.AWSCodeBuildException", "CodeBuild.SdkClientException"], 4),
        ],
        Catch: [asl.caught(["States.ALL"], "Failed", { failure: asl.expression(whyItFailed(args, totalMinutes)) })],
        Next: "Look at record",
    };
}

/**
 * The named error of what ended the task. A failed build is `States.TaskFailed` with the Build as JSON in `Cause`, which is cut at
 * 32,768 characters: so its values are looked for, in any order of keys.
 */
function whyItFailed({ timeoutMinutes, queuedTimeoutMinutes }: ExportDefinitionArgs, totalMinutes: number): string {
    const capacity =
        "Ask for more concurrent builds in Service Quotas, start fewer exports at a time, or raise compute.queuedTimeoutMinutes.";
    const names = Object.fromEntries(Object.entries(exportErrors).map(([name, { exitStatus }]) => [exitStatus, name]));
    const inQueue = [
        `${asl.jsonString("PhaseType", "QUEUED")}"[^{}]*${asl.jsonString("PhaseStatus", "TIMED_OUT")}"`,
        `${asl.jsonString("PhaseStatus", "TIMED_OUT")}"[^{}]*${asl.jsonString("PhaseType", "QUEUED")}"`,
    ];
    const value = asl.jsonString("Value", '([^"]*)');
    const variable = asl.jsonString("Name", `${causeVariable}"`);
    return `(
        $code := $exists($states.errorOutput.Error) ? $string($states.errorOutput.Error) : '';
        ${asl.readCause}
        $status := $find(${asl.regex(asl.jsonString("BuildStatus", '([A-Z_]+)"'))});
        $exit := $find(${asl.regex(asl.jsonString("Message", '[^"]*exit status ([0-9]+)[^"0-9]?"'))});
        $message := $words($find(${asl.regex(asl.jsonString("Message", '([^"]+)'))}));
        $link := $find(${asl.regex(asl.jsonString("DeepLink", '(https:[^"]+)"'))});
        $log := $link != '' ? ' (Log: ' & $words($link) & ')' : ' (Builds and their logs: ' & $stack.buildsUrl & ')';
        $first := $words($find(${asl.regex(`${variable}${asl.jsonSpace},${asl.jsonSpace}${value}`)}));
        $exported := $first != '' ? $first : $words($find(${asl.regex(`${value}"${asl.jsonSpace},${asl.jsonSpace}${variable}`)}));
        $said := $exported != '' ? $exported : $message;
        $isBuild := $status != '' or $exit != '';
        $isQueued := ${inQueue.map((source) => `$contains($plain, ${asl.regex(source)})`).join(" or ")};
        $result := function($name, $text) { { 'error': $name, 'cause': $text } };
        $code = 'States.Timeout' ?
            $result('BuildTimedOut', 'No build came to its end within ${totalMinutes} minutes, the time in the queue included. If builds wait in the queue, the account is at its limit of concurrent builds.' & $log)
        : $code = 'CodeBuild.AccountLimitExceededException' ?
            $result('BuildTimedOut', 'CodeBuild accepted no build within ${queuedTimeoutMinutes} minutes: ' & $words($cause) & ' ${capacity}')
        : $code = 'CodeBuild.InvalidInputException' ?
            $result('InvalidInput', 'CodeBuild refused the values of the request: ' & $words($cause))
        : $status = 'TIMED_OUT' and $isQueued ?
            $result('BuildTimedOut', 'The build waited ${queuedTimeoutMinutes} minutes in the queue of CodeBuild, which has no room for it. ${capacity}' & $log)
        : $status = 'TIMED_OUT' ?
            $result('BuildTimedOut', 'The build was stopped at its timeout of ${timeoutMinutes} minutes. Raise compute.timeoutMinutes or choose a larger compute.type.' & $log)
        : $status = 'STOPPED' ?
            $result('ExportFailed', 'Somebody stopped the build. Start the export again; CloudTrail names who called StopBuild.' & $log)
        : $isBuild ? (
            $name := $lookup(${JSON.stringify(names)}, $exit);
            $result(
                $exists($name) ? $name : 'ExportFailed',
                ($said != '' ? $said : 'The build ended as ' & ($status != '' ? $status : 'FAILED') & ' without a word; read its log.') & $log
            )
        )
        : $code = 'States.Permissions' or $contains($cause, 'AccessDenied') or $contains($cause, 'not authorized') ?
            $result('AccessDenied', $code & ': ' & $words($cause))
        : $result('ExportFailed', $code & ': ' & ($cause != '' ? $words($cause) : 'AWS gives no cause.') & ($code = 'States.TaskFailed' ? $log : ''))
    )`;
}

/** The result (contract/request.ts), as S3 shows it. */
function report(args: ExportDefinitionArgs): asl.State {
    const ofImage = `{
        'imageUri': $request.imageUri,
        'imageDigest': ${recorded("imageDigest")},
        'platform': $request.platform
    }`;
    const ofSet = `{
        'setDigest': ${recorded("setDigest")},
        'imageCount': $count($request.images),
        'savedBytes': $number(${recorded("savedBytes")})
    }`;
    return {
        Type: "Succeed",
        Output: asl.expression(`$merge([${hasSets(args) ? `${isSet} ? ${ofSet} : ` : ""}${ofImage}, {
            'artifactBucket': $request.artifactBucket,
            'artifactKey': $request.artifactKey,
            'artifactVersionId': $archive.versionId,
            'sizeBytes': $archive.sizeBytes,
            'sha256': ${recorded("sha256")},
            'baseSha256': ${recorded("baseSha256")} = '' ? null : ${recorded("baseSha256")},
            'referrerCount': ${recorded("referrerCount")} = '' ? null : $number(${recorded("referrerCount")}),
            'skipped': $buildId = '' or ${recorded("buildId")} != $buildId,
            'engine': '${args.engine}',
            'buildId': $buildId = '' ? null : $buildId
        }])`),
    };
}
