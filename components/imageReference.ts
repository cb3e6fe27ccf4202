/**
 * Image URIs and repository ARNs of Amazon ECR: taken apart, checked, put together. Pure functions, no AWS calls.
 */

/** A repository of a private ECR registry. */
export interface EcrRepository {
    /** AWS partition: `aws`, `aws-cn`, `aws-us-gov` or `aws-eusc`. */
    readonly partition: string;
    /** AWS region of the registry, for instance `ap-northeast-1`. */
    readonly region: string;
    /** AWS account of the registry, 12 digits. */
    readonly accountId: string;
    /** Name of the repository with its namespaces, for instance `team/app`. */
    readonly name: string;
}

/** An image URI, taken apart. */
export interface EcrImage {
    /** The URI as it was given. */
    readonly uri: string;
    /** The repository that holds the image. */
    readonly repository: EcrRepository;
    /** The tag, where the URI has one. */
    readonly tag?: string;
    /** The digest (`sha256:` and 64 hex digits), where the URI has one. */
    readonly digest?: string;
}

// Repository names: 2 to 256 characters, see docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
const repositoryName = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*";
const regionName = "[a-z]{2,}(?:-[a-z]+)+-[0-9]+";

// The hosts of a private registry, from the pattern of the ECR credential helper
// (github.com/awslabs/amazon-ecr-credential-helper, ecr-login/api/client.go): with and without FIPS, dual-stack.
const registryHost =
    `(?<accountId>[0-9]{12})\\.(?:dkr\\.ecr(?:-fips)?\\.(?<region>${regionName})\\.amazonaws\\.(?:com|com\\.cn|eu)` +
    `|dkr-ecr(?:-fips)?\\.(?<dualStackRegion>${regionName})\\.on\\.(?:aws|amazonwebservices\\.com\\.cn))`;

const imageUriPattern = new RegExp(
    `^${registryHost}/(?<name>${repositoryName})(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?` +
        `(?:@(?<digest>sha256:[0-9a-f]{64}))?$`,
);

const repositoryArnPattern = new RegExp(
    `^arn:(?<partition>aws[a-z-]*):ecr:(?<region>${regionName}):(?<accountId>[0-9]{12}):repository/(?<name>${repositoryName})$`,
);

/**
 * Takes an image URI apart: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@DIGEST]`, or one of ECR's
 * other host forms (FIPS, dual-stack, China, European Sovereign Cloud).
 *
 * @throws Error when `uri` is not such a URI; the message says what is expected.
 */
export function parseImageUri(uri: string): EcrImage {
    const expectation =
        "expected an image in Amazon ECR, ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG][@sha256:DIGEST]";
    const groups = imageUriPattern.exec(uri)?.groups;
    const region = groups?.["region"] ?? groups?.["dualStackRegion"];
    const { accountId, name, tag, digest } = groups ?? {};
    if (region === undefined || accountId === undefined || name === undefined || !isRepositoryName(name)) {
        throw new Error(expectation);
    }
    const repository = { partition: partitionOf(region), region, accountId, name };
    // The pattern lets every domain go with every region.
    if (!repositoryUris(repository).includes(uri.replace(/(?::[^/]*)?(?:@.*)?$/, ""))) {
        throw new Error(`${expectation}, at the domain of the region's partition, ${repository.partition}`);
    }
    return {
        uri,
        repository,
        ...(tag === undefined ? {} : { tag }),
        ...(digest === undefined ? {} : { digest }),
    };
}

/**
 * Takes the ARN of an ECR repository apart. Wildcards are refused: the program's policies name each repository.
 *
 * @throws Error when `arn` is not the ARN of one repository; the message says what is expected.
 */
export function parseRepositoryArn(arn: string): EcrRepository {
    const { partition, region, accountId, name } = repositoryArnPattern.exec(arn)?.groups ?? {};
    if (
        partition === undefined ||
        region === undefined ||
        accountId === undefined ||
        name === undefined ||
        !isRepositoryName(name)
    ) {
        throw new Error(
            "expected the ARN of one ECR repository, arn:aws:ecr:REGION:ACCOUNT:repository/NAME, without wildcards",
        );
    }
    if (partition !== partitionOf(region)) {
        throw new Error(
            `the region ${region} is in the partition ${partitionOf(region)}, not in ${partition}`,
        );
    }
    return { partition, region, accountId, name };
}

/** The ARN of a repository. */
export function repositoryArn(repository: EcrRepository): string {
    const { partition, region, accountId, name } = repository;
    return `arn:${partition}:ecr:${region}:${accountId}:repository/${name}`;
}

/** Every form in which an image URI can name a repository, without tag and digest. */
export function repositoryUris(repository: EcrRepository): string[] {
    const { partition, region, accountId, name } = repository;
    const { suffix, dualStackSuffix } = dnsOf(partition);
    return [
        `${accountId}.dkr.ecr.${region}.${suffix}`,
        `${accountId}.dkr.ecr-fips.${region}.${suffix}`,
        `${accountId}.dkr-ecr.${region}.${dualStackSuffix}`,
        `${accountId}.dkr-ecr-fips.${region}.${dualStackSuffix}`,
    ].map((host) => `${host}/${name}`);
}

/**
 * The key at which an image is stored when a request names none: prefix, repository, then the tag, or the digest's
 * hex digits where the URI has no tag.
 *
 * @param artifactPrefix Key prefix of the archives, with its closing slash.
 */
export function defaultArtifactKey(artifactPrefix: string, image: EcrImage): string {
    const reference = image.tag ?? image.digest?.slice("sha256:".length) ?? "latest";
    return `${artifactPrefix}${image.repository.name}/${reference}.tar`;
}

/**
 * The AWS partition that a region belongs to. Partitions that are closed to the public are not known here.
 *
 * @see {@link https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html}
 */
export function partitionOf(region: string): string {
    if (region.startsWith("cn-")) return "aws-cn";
    if (region.startsWith("us-gov-")) return "aws-us-gov";
    if (region.startsWith("eusc-")) return "aws-eusc";
    return "aws";
}

function dnsOf(partition: string): { suffix: string; dualStackSuffix: string } {
    if (partition === "aws-cn") {
        return { suffix: "amazonaws.com.cn", dualStackSuffix: "on.amazonwebservices.com.cn" };
    }
    return { suffix: partition === "aws-eusc" ? "amazonaws.eu" : "amazonaws.com", dualStackSuffix: "on.aws" };
}

function isRepositoryName(name: string): boolean {
    return name.length >= 2 && name.length <= 256;
}
