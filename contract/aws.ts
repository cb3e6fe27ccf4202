/** AWS as far as names go: partitions with their regions and domains, where a stack lives, links into the console. */

/**
 * The partitions that this program knows, parts of AWS with their own accounts, regions and domains: what the names of regions
 * match, those to come as well, and the domains of services, of ECR's registries that answer over IPv6 as well, and of the
 * console. Partitions that are closed to the public are not among them.
 *
 * Sources: partitions.json of AWS's SDKs (regions, domain); awslabs/amazon-ecr-credential-helper, ecr-login/api/client.go
 * (dual-stack domain); docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html (names).
 */
export const partitions = {
    aws: {
        regions: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+$/,
        domain: "amazonaws.com",
        dualStackDomain: "on.aws",
        consoleDomain: "aws.amazon.com",
    },
    "aws-cn": {
        regions: /^cn-[a-z]+-[0-9]+$/,
        domain: "amazonaws.com.cn",
        dualStackDomain: "on.amazonwebservices.com.cn",
        consoleDomain: "amazonaws.cn",
    },
    "aws-us-gov": {
        regions: /^us-gov-[a-z]+-[0-9]+$/,
        domain: "amazonaws.com",
        dualStackDomain: "on.aws",
        consoleDomain: "amazonaws-us-gov.com",
    },
    "aws-eusc": {
        regions: /^eusc-de-[a-z]+-[0-9]+$/,
        domain: "amazonaws.eu",
        dualStackDomain: "on.aws",
        consoleDomain: "amazonaws-eusc.eu",
    },
} as const;

/** Name of a partition, as ARNs have it. */
export type PartitionName = keyof typeof partitions;

/** Where something of AWS is: the parts that ARNs are made of. */
export interface AwsLocation<AccountId = string> {
    readonly partition: PartitionName;
    /** For instance `ap-northeast-1`. */
    readonly region: string;
    /** 12 digits; in a Pulumi program an Output as well. */
    readonly accountId: AccountId;
}

/** The partition of a region; undefined for what is no region's name. */
export function partitionOf(region: string): PartitionName | undefined {
    return (Object.keys(partitions) as PartitionName[]).find((name) => partitions[name].regions.test(region));
}

/**
 * Limits of tags: of all the services whose resources carry those of a stack the narrowest, as their API models have them.
 */
export const tagLimits = {
    /** Characters of a key: CodeBuild's, 128 elsewhere. */
    keyLength: 127,
    /** Characters of a value: CodeBuild's, 256 elsewhere. One at least, as EventBridge Scheduler wants. */
    valueLength: 255,
    /** Tags on a resource. */
    perResource: 50,
    /** Tags on an S3 object. */
    perObject: 10,
} as const;

/** Where a page of the console is; accounts have no consoles of their own. */
type Place = Pick<AwsLocation, "partition" | "region">;

function consoleUrl({ partition, region }: Place): string {
    return `https://${region}.console.${partitions[partition].consoleDomain}`;
}

/** The console's page of an execution, up to the ARN that it ends with. */
export function executionsUrl(place: Place): string {
    return `${consoleUrl(place)}/states/home?region=${place.region}#/v2/executions/details/`;
}

/** The console's list of a CodeBuild project's builds, each with its phases and its log. */
export function buildsUrl(place: Place, accountId: string, projectName: string): string {
    return `${consoleUrl(place)}/codesuite/codebuild/${accountId}/projects/${projectName}/history?region=${place.region}`;
}

/** The console's page of a CloudWatch dashboard. */
export function dashboardUrl(place: Place, dashboardName: string): string {
    return `${consoleUrl(place)}/cloudwatch/home?region=${place.region}#dashboards/dashboard/${dashboardName}`;
}

/** ARN of a KMS key, multi-Region or not, with its partition and region: docs.aws.amazon.com/kms/latest/developerguide/concepts.html */
export const keyArnPattern =
    /^arn:(aws[a-z-]*):kms:([a-z0-9-]+):[0-9]{12}:key\/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;
