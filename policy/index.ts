/** The policy pack: hands the rules to Pulumi. The CLI starts it, with the configuration of the stack. */
import {
    PolicyPack,
    type ReportViolation,
    type ResourceValidationArgs,
    type StackValidationArgs,
} from "@pulumi/policy";
import * as pulumi from "@pulumi/pulumi";

import { resourceRules, stackRules } from "./rules";

const engine = new pulumi.Config("ecr-image-export").get("engine") ?? "docker";

new PolicyPack("ecr-image-export", {
    enforcementLevel: "mandatory",
    policies: [
        ...Object.entries(resourceRules).map(([name, { description, judge }]) => ({
            name,
            description,
            validateResource: (resource: ResourceValidationArgs, report: ReportViolation) => {
                for (const message of judge(resource, engine)) report(message);
            },
        })),
        ...Object.entries(stackRules).map(([name, { description, judge }]) => ({
            name,
            description,
            validateStack: ({ resources }: StackValidationArgs, report: ReportViolation) => {
                for (const { urn, message } of judge(resources)) report(message, urn);
            },
        })),
    ],
});
