import { strict as assert } from "node:assert";

import { type Grant, type Target } from "../../bootstrap/grants";
import { documentsOf, lengthOf, maxPolicyCharacters } from "../../bootstrap/policies";
import { at } from "../../lab/awsTypes";

const target: Target = { ...at, stack: "dev" };
const on = (arn: string) => [() => arn];

describe("the policies of grants", () => {
    it("have one statement for all actions on a resource, and for all resources of actions", () => {
        const grants: Grant[] = [
            { actions: ["s3:GetObject"], on: on("arn:aws:s3:::a/*") },
            { actions: ["s3:PutObject", "s3:GetObject"], on: on("arn:aws:s3:::a/*") },
            { actions: ["s3:GetObject", "s3:PutObject"], on: on("arn:aws:s3:::b/*") },
        ];
        assert.deepEqual(documentsOf(grants, target), [
            {
                Version: "2012-10-17",
                Statement: [
                    {
                        Effect: "Allow",
                        Action: ["s3:GetObject", "s3:PutObject"],
                        Resource: ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
                    },
                ],
            },
        ]);
    });

    it("keep what has another condition apart", () => {
        const when = ({ stack }: Target) => ({ StringEquals: { "aws:ResourceTag/stack": stack } });
        const grants: Grant[] = [
            { actions: ["ec2:DeleteVpc"], on: on("*") },
            { actions: ["ec2:DeleteSubnet"], on: on("*"), when },
        ];
        assert.deepEqual(documentsOf(grants, target)[0]?.Statement, [
            { Effect: "Allow", Action: ["ec2:DeleteVpc"], Resource: ["*"] },
            {
                Effect: "Allow",
                Action: ["ec2:DeleteSubnet"],
                Resource: ["*"],
                Condition: { StringEquals: { "aws:ResourceTag/stack": "dev" } },
            },
        ]);
    });

    it("are cut where IAM would refuse them, and lose nothing", () => {
        const grants = Array.from({ length: 200 }, (_, index): Grant => ({
            actions: [`sqs:Action${index}`],
            on: on(`arn:aws:sqs:ap-northeast-1:111122223333:queue-${index}`),
        }));
        const documents = documentsOf(grants, target);
        assert(documents.length > 1);
        for (const document of documents) assert(lengthOf(document) <= maxPolicyCharacters);
        assert.equal(documents.flatMap(({ Statement }) => Statement).length, grants.length);
    });

    it("are refused where a role could not have all of them", () => {
        const grants = Array.from({ length: 2000 }, (_, index): Grant => ({
            actions: [`sqs:Action${index}`],
            on: on(`arn:aws:sqs:ap-northeast-1:111122223333:queue-${index}`),
        }));
        assert.throws(() => documentsOf(grants, target), /a role takes 10/);
    });
});
