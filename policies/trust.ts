/** Who assumes the stack's roles. */
import type * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";

import { allowTo, arnIn, joined, policyDocument, type Reasoned, type StackLocation } from "./document";

/** Why a service assumes a role. */
export const trustReason: Omit<Reasoned<never>, "statement"> = {
    why: "the service works with the role's permissions; only for this account, and only for what this stack is called",
    page: "IAM/latest/UserGuide/confused-deputy.html",
};

/** Trust of each role. What Pulumi names later, with random digits, is known by how its name begins. */
export const trust = {
    /** docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html */
    builds: (at: StackLocation, projectNamePrefix: string) =>
        assumedBy("codebuild", at, arnIn(at, "codebuild", `project/${projectNamePrefix}*`)),
    /** docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html */
    stateMachine: (at: StackLocation, namePrefix: string) =>
        assumedBy("states", at, arnIn(at, "states", `stateMachine:${namePrefix}*`)),
    /** docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html */
    rules: (at: StackLocation, namePrefix: string) =>
        assumedBy("events", at, arnIn(at, "events", `rule/${namePrefix}*`)),
    /** docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html names the group as the source. */
    schedule: (at: StackLocation, groupArn: pulumi.Input<string>) => assumedBy("scheduler", at, groupArn),
    /** Any flow log, since AWS names it after it was created: docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html */
    flowLogs: (at: StackLocation) => assumedBy("vpc-flow-logs", at, arnIn(at, "ec2", "vpc-flow-log/*")),
    /**
     * docs.aws.amazon.com/chatbot/latest/adminguide/cross-service-confused-deputy-prevention.html
     * Without a region: the service is one for all of them.
     */
    chat: (at: StackLocation, configurationName: pulumi.Input<string>) => {
        const configuration = joined`chat-configuration/slack-channel/${configurationName}`;
        return assumedBy("chatbot", at, arnIn({ ...at, region: "" }, "chatbot", configuration));
    },
};

/**
 * A service may assume a role, but only on behalf of a resource of this account, so that nobody else's resource works with it.
 *
 * @param service Name of the service, for instance `codebuild`. Service principals end in `amazonaws.com` in every partition
 *     but for a few (github.com/aws/aws-cdk, region-info/lib/default.ts), of which `logs` is the only one here: key.ts.
 */
function assumedBy(service: string, at: StackLocation, sourceArn: pulumi.Input<string>): aws.iam.PolicyDocument {
    const Condition = { StringEquals: { "aws:SourceAccount": at.accountId }, ArnLike: { "aws:SourceArn": sourceArn } };
    const Principal = { Service: `${service}.amazonaws.com` };
    return policyDocument([allowTo(Principal, "sts:AssumeRole", undefined, Condition)]);
}
