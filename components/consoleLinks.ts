/** Links into the AWS console: pure texts, for messages, outputs and dashboards. */

/** Where a console is: its host differs by partition. */
interface Place {
    readonly partition: string;
    readonly region: string;
}

/** The console's domain in the partitions that are not `aws`. */
const domains: Readonly<Record<string, string>> = {
    "aws-cn": "amazonaws.cn",
    "aws-us-gov": "amazonaws-us-gov.com",
    "aws-eusc": "amazonaws-eusc.eu",
};

/** Where the console of a region begins, without a closing slash. */
function consoleUrl({ partition, region }: Place): string {
    return `https://${region}.console.${domains[partition] ?? "aws.amazon.com"}`;
}

/** The page of an execution, up to the ARN that it ends with. */
export function executionsUrl(place: Place): string {
    return `${consoleUrl(place)}/states/home?region=${place.region}#/v2/executions/details/`;
}

/** The list of a CodeBuild project's builds, each with its phases and its log. */
export function buildsUrl(place: Place, accountId: string, projectName: string): string {
    return `${consoleUrl(place)}/codesuite/codebuild/${accountId}/projects/${projectName}/history?region=${place.region}`;
}

/** A CloudWatch dashboard. */
export function dashboardUrl(place: Place, dashboardName: string): string {
    return `${consoleUrl(place)}/cloudwatch/home?region=${place.region}#dashboards/dashboard/${dashboardName}`;
}
