/** Resources that the lab keeps by itself: whatever judges, runs or starts something. */
import type { DeclaredProject, DeclaredStateMachine } from "../account";
import type { DeclaredSchedule, DeclaredTarget } from "../events";
import type { PolicyDocument } from "../iam";
import type { Creators } from "./create";

/** Creators of what the lab keeps by itself. */
export const accountCreators = {
    "aws:iam/role:Role": (
        { assumeRolePolicy }: { assumeRolePolicy: PolicyDocument },
        { id, arn = "" },
        { account },
    ) => {
        account.iam.roles.set(id, { name: id, arn, trustPolicy: assumeRolePolicy, policies: [] });
    },
    "aws:iam/rolePolicy:RolePolicy": (
        { role, policy }: { role: string; policy: PolicyDocument },
        _,
        { account },
    ) => {
        account.iam.roles.get(role)?.policies.push(policy);
    },
    // moto would apply a Deny without its condition, to everybody and everything.
    "aws:s3/bucketPolicy:BucketPolicy": (
        { bucket, policy }: { bucket: string; policy: PolicyDocument },
        _,
        { account },
    ) => {
        account.iam.bucketPolicies.set(bucket, policy);
    },
    "aws:kms/key:Key": ({ policy }: { policy: string }, { arn = "" }, { account }) => {
        account.iam.keyPolicies.set(arn, JSON.parse(policy) as PolicyDocument);
    },
    "aws:codebuild/project:Project": (
        inputs: Omit<DeclaredProject, "name" | "arn">,
        { name = "", arn = "" },
        { account },
    ) => {
        account.projects.set(name, { ...inputs, name, arn });
    },
    "aws:sfn/stateMachine:StateMachine": (
        inputs: Omit<DeclaredStateMachine, "name" | "arn">,
        { name = "", arn = "" },
        { account },
    ) => {
        account.stateMachines.set(arn, { ...inputs, name, arn });
    },
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": (
        { upstreamRegistryUrl }: { upstreamRegistryUrl: string },
        { id },
        { account },
    ) => {
        account.cacheRules.set(id, upstreamRegistryUrl);
    },
    "aws:cloudwatch/eventRule:EventRule": (
        { eventPattern }: { eventPattern: string },
        { id },
        { account },
    ) => {
        account.events.putRule(id, eventPattern);
    },
    "aws:cloudwatch/eventTarget:EventTarget": (target: DeclaredTarget, _, { account }) => {
        account.events.putTarget(target);
    },
    "aws:scheduler/schedule:Schedule": (inputs: DeclaredSchedule, { name = "" }, { account }) => {
        account.events.putSchedule(name, inputs);
    },
    "aws:sqs/queuePolicy:QueuePolicy": (
        { queueUrl, policy }: { queueUrl: string; policy: string },
        _,
        { account: { events, location } },
    ) => {
        const { partition, region, accountId } = location;
        const queueArn = `arn:${partition}:sqs:${region}:${accountId}:${queueUrl.split("/").at(-1) ?? ""}`;
        events.queuePolicies.set(queueArn, JSON.parse(policy) as PolicyDocument);
    },
} satisfies Creators;
