/**
 * Which properties of a resource the AWS provider can only change by replacing it. The provider's schema is not in its SDK, so
 * these are our own copy of `ForceNew` and `RequiresReplace` in the source of the provider underneath,
 * github.com/hashicorp/terraform-provider-aws, internal/service/… (main, 2026); wherever results rest on them, it is said that
 * the rules are ours.
 */

/** The rules of one resource type. */
export interface ReplaceRules {
    /** Source file below internal/service of the provider; of another provider, with its repository. */
    readonly source: string;
    /** Properties whose change replaces the resource, as Pulumi names them. */
    readonly replacedBy: readonly string[];
    /**
     * Whether the service knows no regions. Every other resource is replaced when the provider's region changes: its property
     * `region` is the provider's unless it is given (internal/provider/sdkv2/region.go: `defaultRegion`,
     * `forceNewIfRegionChanges`). Before version 7 the whole provider was replaced, IAM with it: github.com/pulumi/pulumi-aws/pull/4000, 5656
     */
    readonly global?: true;
}

const name = ["name", "namePrefix"];

/** By type. */
export const replaceRules: Readonly<Record<string, ReplaceRules | undefined>> = {
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": {
        source: "chatbot/slack_channel_configuration.go",
        replacedBy: [],
    },
    "aws:cloudwatch/dashboard:Dashboard": { source: "cloudwatch/dashboard.go", replacedBy: ["dashboardName"] },
    "aws:cloudwatch/eventRule:EventRule": { source: "events/rule.go", replacedBy: [...name, "eventBusName"] },
    "aws:cloudwatch/eventTarget:EventTarget": {
        source: "events/target.go",
        replacedBy: ["rule", "eventBusName", "targetId"],
    },
    "aws:cloudwatch/logGroup:LogGroup": { source: "logs/group.go", replacedBy: [...name, "logGroupClass"] },
    "aws:cloudwatch/metricAlarm:MetricAlarm": { source: "cloudwatch/metric_alarm.go", replacedBy: ["name"] },
    "aws:codebuild/project:Project": { source: "codebuild/project.go", replacedBy: ["name"] },
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": {
        source: "ec2/vpc_default_security_group.go",
        replacedBy: ["vpcId"],
    },
    "aws:ec2/flowLog:FlowLog": {
        source: "ec2/vpc_flow_log.go",
        replacedBy: [
            "iamRoleArn",
            "logDestination",
            "logDestinationType",
            "logFormat",
            "maxAggregationInterval",
            "trafficType",
            "vpcId",
        ],
    },
    "aws:ec2/routeTable:RouteTable": { source: "ec2/vpc_route_table.go", replacedBy: ["vpcId"] },
    "aws:ec2/routeTableAssociation:RouteTableAssociation": {
        source: "ec2/vpc_route_table_association.go",
        replacedBy: ["subnetId", "gatewayId"],
    },
    "aws:ec2/securityGroup:SecurityGroup": {
        source: "ec2/vpc_security_group.go",
        replacedBy: [...name, "description", "vpcId"],
    },
    "aws:ec2/subnet:Subnet": {
        source: "ec2/vpc_subnet.go",
        replacedBy: ["availabilityZone", "availabilityZoneId", "cidrBlock", "outpostArn", "vpcId"],
    },
    "aws:ec2/vpc:Vpc": { source: "ec2/vpc_.go", replacedBy: ["cidrBlock"] },
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        source: "ec2/vpc_endpoint.go",
        replacedBy: ["serviceName", "serviceRegion", "vpcEndpointType", "vpcId"],
    },
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": {
        source: "ecr/pull_through_cache_rule.go",
        replacedBy: ["ecrRepositoryPrefix", "upstreamRegistryUrl", "upstreamRepositoryPrefix"],
    },
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
        source: "iam/openid_connect_provider.go",
        replacedBy: ["url"],
        global: true,
    },
    "aws:iam/policy:Policy": { source: "iam/policy.go", replacedBy: [...name, "description", "path"], global: true },
    "aws:iam/role:Role": { source: "iam/role.go", replacedBy: [...name, "path"], global: true },
    "aws:iam/rolePolicy:RolePolicy": { source: "iam/role_policy.go", replacedBy: [...name, "role"], global: true },
    "aws:kms/alias:Alias": { source: "kms/alias.go", replacedBy: name },
    "aws:kms/key:Key": {
        source: "kms/key.go",
        replacedBy: ["customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"],
    },
    "aws:kms/keyPolicy:KeyPolicy": { source: "kms/key_policy.go", replacedBy: [] },
    "aws:s3/bucket:Bucket": { source: "s3/bucket.go", replacedBy: ["bucket", "bucketPrefix", "objectLockEnabled"] },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        source: "s3/bucket_lifecycle_configuration.go",
        replacedBy: ["bucket", "expectedBucketOwner"],
    },
    "aws:s3/bucketLogging:BucketLogging": {
        source: "s3/bucket_logging.go",
        replacedBy: ["bucket", "expectedBucketOwner"],
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": { source: "s3/object.go", replacedBy: ["bucket", "key"] },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
        source: "s3/bucket_ownership_controls.go",
        replacedBy: ["bucket"],
    },
    "aws:s3/bucketPolicy:BucketPolicy": { source: "s3/bucket_policy.go", replacedBy: ["bucket"] },
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {
        source: "s3/bucket_public_access_block.go",
        replacedBy: ["bucket"],
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        source: "s3/bucket_server_side_encryption_configuration.go",
        replacedBy: ["bucket", "expectedBucketOwner"],
    },
    "aws:s3/bucketVersioning:BucketVersioning": {
        source: "s3/bucket_versioning.go",
        replacedBy: ["bucket", "expectedBucketOwner"],
    },
    "aws:scheduler/schedule:Schedule": { source: "scheduler/schedule.go", replacedBy: [...name, "groupName"] },
    "aws:scheduler/scheduleGroup:ScheduleGroup": { source: "scheduler/schedule_group.go", replacedBy: name },
    "aws:sfn/stateMachine:StateMachine": { source: "sfn/state_machine.go", replacedBy: [...name, "type"] },
    "aws:sns/topic:Topic": { source: "sns/topic.go", replacedBy: [...name, "fifoTopic"] },
    "aws:sns/topicPolicy:TopicPolicy": { source: "sns/topic_policy.go", replacedBy: ["arn"] },
    "aws:sns/topicSubscription:TopicSubscription": {
        source: "sns/topic_subscription.go",
        replacedBy: ["endpoint", "protocol", "topic"],
    },
    "aws:sqs/queue:Queue": { source: "sqs/queue.go", replacedBy: [...name, "fifoQueue"] },
    "aws:sqs/queuePolicy:QueuePolicy": { source: "sqs/queue_policy.go", replacedBy: ["queueUrl"] },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {
        source: "ec2/vpc_security_group_ingress_rule.go",
        replacedBy: ["securityGroupId"],
    },
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
        source: "ec2/vpc_security_group_ingress_rule.go",
        replacedBy: ["securityGroupId"],
    },
    "pulumiservice:index:DeploymentSettings": {
        source: "github.com/pulumi/pulumi-pulumiservice, provider/pkg/resources/deployment_settings.go",
        replacedBy: ["organization", "project", "stack"],
        global: true,
    },
};
