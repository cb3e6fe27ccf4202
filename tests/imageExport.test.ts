import { strict as assert } from "node:assert";

import * as pulumi from "@pulumi/pulumi";

import { ImageExport, type ImageExportArgs } from "../imageExport";
import { stackConfiguration } from "../lab/stackFiles";
import { evaluateStack } from "./support/program";
import { evaluate, type Evaluation } from "./support/pulumiMocks";

const vpc = { vpcId: "vpc-0a1b2c3d", subnetIds: ["subnet-0a1b2c3d"], securityGroupIds: ["sg-0a1b2c3d"] };

/** The fewest arguments, and these. */
function argsWith(args: Partial<ImageExportArgs>): ImageExportArgs {
    return {
        region: "ap-northeast-1",
        accountId: "111122223333",
        imageUri: "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:mainline-alpine3.22",
        ...args,
    };
}

/** Evaluates a program that has a pipeline with these arguments. */
function evaluateArgs(args: Partial<ImageExportArgs> = {}): Promise<Evaluation> {
    return evaluate(() => {
        new ImageExport("images", argsWith(args));
        return {};
    });
}

/** The URNs in stacks from before the pipeline was one component, without project and stack. */
const former = [
    "ecr-image-export:index:ArtifactStorage$aws:kms/alias:Alias::image-export-key-alias",
    "ecr-image-export:index:ArtifactStorage$aws:kms/key:Key::image-export-key",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucket:Bucket::image-export-bucket",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration::image-export-lifecycle",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucketOwnershipControls:BucketOwnershipControls::image-export-ownership",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucketPolicy:BucketPolicy::image-export-policy",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock::image-export-access-block",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration::image-export-encryption",
    "ecr-image-export:index:ArtifactStorage$aws:s3/bucketVersioning:BucketVersioning::image-export-versioning",
    "ecr-image-export:index:ArtifactStorage::image-export",
    "ecr-image-export:index:BatchOrchestration$aws:cloudwatch/logGroup:LogGroup::image-export-batch-execution-log",
    "ecr-image-export:index:BatchOrchestration$aws:iam/role:Role::image-export-batch-machine-role",
    "ecr-image-export:index:BatchOrchestration$aws:iam/rolePolicy:RolePolicy::image-export-batch-machine-policy",
    "ecr-image-export:index:BatchOrchestration$aws:iam/rolePolicy:RolePolicy::image-export-batch-map-policy",
    "ecr-image-export:index:BatchOrchestration$aws:sfn/stateMachine:StateMachine::image-export-batch-machine",
    "ecr-image-export:index:BatchOrchestration::image-export-batch",
    "ecr-image-export:index:BuildRunner$aws:cloudwatch/logGroup:LogGroup::image-export-build-log",
    "ecr-image-export:index:BuildRunner$aws:codebuild/project:Project::image-export-project",
    "ecr-image-export:index:BuildRunner$aws:iam/role:Role::image-export-build-role",
    "ecr-image-export:index:BuildRunner$aws:iam/rolePolicy:RolePolicy::image-export-build-policy",
    "ecr-image-export:index:BuildRunner$aws:s3/bucketObjectv2:BucketObjectv2::image-export-exporter",
    "ecr-image-export:index:BuildRunner::image-export",
    "ecr-image-export:index:ExportOrchestration$aws:cloudwatch/logGroup:LogGroup::image-export-execution-log",
    "ecr-image-export:index:ExportOrchestration$aws:iam/role:Role::image-export-machine-role",
    "ecr-image-export:index:ExportOrchestration$aws:iam/rolePolicy:RolePolicy::image-export-machine-policy",
    "ecr-image-export:index:ExportOrchestration$aws:sfn/stateMachine:StateMachine::image-export-machine",
    "ecr-image-export:index:ExportOrchestration::image-export",
    "ecr-image-export:index:IsolatedNetwork$aws:cloudwatch/logGroup:LogGroup::image-export-flow-log",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/defaultSecurityGroup:DefaultSecurityGroup::image-export-default-group",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/flowLog:FlowLog::image-export-flows",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/routeTable:RouteTable::image-export-route-table",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/routeTableAssociation:RouteTableAssociation::image-export-association-1",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/routeTableAssociation:RouteTableAssociation::image-export-association-2",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/securityGroup:SecurityGroup::image-export-build-group",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/securityGroup:SecurityGroup::image-export-endpoint-group",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/subnet:Subnet::image-export-subnet-1",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/subnet:Subnet::image-export-subnet-2",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/vpc:Vpc::image-export-vpc",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/vpcEndpoint:VpcEndpoint::image-export-ecr-api-endpoint",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/vpcEndpoint:VpcEndpoint::image-export-ecr-dkr-endpoint",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/vpcEndpoint:VpcEndpoint::image-export-logs-endpoint",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/vpcEndpoint:VpcEndpoint::image-export-s3-endpoint",
    "ecr-image-export:index:IsolatedNetwork$aws:ec2/vpcEndpoint:VpcEndpoint::image-export-sts-endpoint",
    "ecr-image-export:index:IsolatedNetwork$aws:iam/role:Role::image-export-flow-role",
    "ecr-image-export:index:IsolatedNetwork$aws:iam/rolePolicy:RolePolicy::image-export-flow-policy",
    "ecr-image-export:index:IsolatedNetwork$aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule::image-export-build-to-endpoints",
    "ecr-image-export:index:IsolatedNetwork$aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule::image-export-build-to-s3",
    "ecr-image-export:index:IsolatedNetwork$aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule::image-export-endpoints-from-build",
    "ecr-image-export:index:IsolatedNetwork::image-export",
    "ecr-image-export:index:PullThroughCache$aws:ecr/pullThroughCacheRule:PullThroughCacheRule::image-export-cache-docker-hub",
    "ecr-image-export:index:PullThroughCache::image-export",
    "ecr-image-export:index:Triggers$aws:cloudwatch/eventRule:EventRule::image-export-triggers-on-push",
    "ecr-image-export:index:Triggers$aws:cloudwatch/eventTarget:EventTarget::image-export-triggers-on-push-target",
    "ecr-image-export:index:Triggers$aws:cloudwatch/logGroup:LogGroup::image-export-triggers-execution-log",
    "ecr-image-export:index:Triggers$aws:cloudwatch/metricAlarm:MetricAlarm::image-export-triggers-starter-alarm",
    "ecr-image-export:index:Triggers$aws:cloudwatch/metricAlarm:MetricAlarm::image-export-triggers-undelivered-alarm",
    "ecr-image-export:index:Triggers$aws:iam/role:Role::image-export-triggers-machine-role",
    "ecr-image-export:index:Triggers$aws:iam/role:Role::image-export-triggers-on-push-role",
    "ecr-image-export:index:Triggers$aws:iam/role:Role::image-export-triggers-schedule-role",
    "ecr-image-export:index:Triggers$aws:iam/rolePolicy:RolePolicy::image-export-triggers-machine-policy",
    "ecr-image-export:index:Triggers$aws:iam/rolePolicy:RolePolicy::image-export-triggers-on-push-policy",
    "ecr-image-export:index:Triggers$aws:iam/rolePolicy:RolePolicy::image-export-triggers-schedule-policy",
    "ecr-image-export:index:Triggers$aws:scheduler/schedule:Schedule::image-export-triggers-schedule",
    "ecr-image-export:index:Triggers$aws:scheduler/scheduleGroup:ScheduleGroup::image-export-triggers-schedules",
    "ecr-image-export:index:Triggers$aws:sfn/stateMachine:StateMachine::image-export-triggers-machine",
    "ecr-image-export:index:Triggers$aws:sqs/queue:Queue::image-export-triggers-undelivered",
    "ecr-image-export:index:Triggers$aws:sqs/queuePolicy:QueuePolicy::image-export-triggers-undelivered-policy",
    "ecr-image-export:index:Triggers::image-export-triggers",
];

describe("ImageExport", function () {
    this.timeout(10_000);

    it("keeps every resource of a stack from before it was there", async () => {
        const imageUri = "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/docker-hub/library/nginx:1.29";
        const programs = [
            await evaluateStack("dev", false, {
                ...stackConfiguration("isolated", "examples/stacks"),
                "ecr-image-export:engine": "stream",
                "ecr-image-export:encryption": "kms",
                "ecr-image-export:triggers": JSON.stringify({
                    onPush: {},
                    schedule: { expression: "rate(1 day)" },
                }),
            }),
            await evaluateStack("dev", false, {
                "ecr-image-export:imageUri": imageUri,
                "ecr-image-export:pullThroughCache": JSON.stringify([
                    { prefix: "docker-hub", upstreamRegistryUrl: "public.ecr.aws" },
                ]),
            }),
        ];
        const aliases = programs.flatMap(({ resources }) => resources.flatMap((each) => each.aliases));
        const missed = former.filter(
            (each) => !aliases.includes(`urn:pulumi:dev::ecr-image-export::${each}`),
        );
        assert.deepEqual(missed, []);
    });

    it("has everything below it", async () => {
        const program = await evaluateArgs();
        const top = program.resources.filter(({ parent }) => parent === "").map(({ type }) => type);
        assert.deepEqual(top, ["ecr-image-export:index:ImageExport"]);
    });

    it("takes the ids of a VPC that is made by the same program", async () => {
        const program = await evaluateArgs({
            vpc: { ...vpc, vpcId: pulumi.output(vpc.vpcId), subnetIds: pulumi.output(vpc.subnetIds) },
        });
        assert.deepEqual(program.resource("images-project").inputs["vpcConfig"], {
            vpcId: vpc.vpcId,
            subnets: vpc.subnetIds,
            securityGroupIds: vpc.securityGroupIds,
        });
    });

    it("takes a VPC that is not known as a whole, which is how Pulumi hands it over from other languages", async () => {
        const program = await evaluateArgs({ vpc: pulumi.output(vpc) as unknown as typeof vpc });
        assert.deepEqual(program.resource("images-project").inputs["vpcConfig"], {
            vpcId: vpc.vpcId,
            subnets: vpc.subnetIds,
            securityGroupIds: vpc.securityGroupIds,
        });
    });

    it("makes a network of its own in the zones that it is given", async () => {
        const zones = pulumi.output(["ap-northeast-1a", "ap-northeast-1d"]);
        const program = await evaluateArgs({ network: "isolated", zones });
        assert.deepEqual(
            ["images-subnet-1", "images-subnet-2"].map(
                (name) => program.resource(name).inputs["availabilityZone"],
            ),
            ["ap-northeast-1a", "ap-northeast-1d"],
        );
    });

    describe("refuses, before it declares anything,", () => {
        const refused: [what: string, args: Partial<ImageExportArgs>, message: string][] = [
            ["an isolated network without zones", { network: "isolated" }, "The argument zones is missing"],
            [
                "two networks",
                { network: "isolated", vpc, zones: ["ap-northeast-1a", "ap-northeast-1c"] },
                'network is "isolated": a VPC is given as well',
            ],
            [
                "a VPC with Lambda compute, and tells what is not known of it",
                {
                    engine: "stream",
                    compute: { type: "lambda" },
                    vpc: { ...vpc, subnetIds: [pulumi.output("subnet-0a1b2c3d")] },
                },
                'network is "{"vpcId":"vpc-0a1b2c3d","subnetIds":["(an Output)"],"securityGroupIds":["sg-0a1b2c3d"]}": Lambda',
            ],
            [
                "an Output where it needs plain text",
                { imageUri: pulumi.output("nginx") as unknown as string },
                'imageUri is ""(an Output)"": expected a text',
            ],
            ["a value out of its range", { batch: { maxConcurrency: 0 } }, 'batch.maxConcurrency is "0"'],
        ];
        for (const [what, args, message] of refused) {
            it(what, async () => {
                const program = await evaluate(() => {
                    assert.throws(
                        () => new ImageExport("images", argsWith(args)),
                        (error: unknown) => {
                            assert(pulumi.RunError.isInstance(error));
                            assert(error.message.includes(message), error.message);
                            return true;
                        },
                    );
                    return {};
                });
                assert.deepEqual(program.resources, []);
            });
        }
    });
});
