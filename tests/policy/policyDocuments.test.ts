import { strict as assert } from "node:assert";

import {
    conditionValues,
    grantsOf,
    isAboutEverybody,
    isOfOneAccount,
    namesAResource,
    statementsOf,
} from "../../policy/policyDocuments";

describe("policy documents", () => {
    it("are read as objects, and as the JSON text that the provider makes of them", () => {
        const statement = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" };
        const document = { Version: "2012-10-17", Statement: [statement] };
        assert.deepEqual(statementsOf(document), [statement]);
        assert.deepEqual(statementsOf(JSON.stringify(document)), [statement]);
        assert.deepEqual(statementsOf({ Statement: statement }), [statement]);
        for (const nothing of [undefined, null, "", {}]) assert.deepEqual(statementsOf(nothing), []);
    });

    it("grant what they allow, not what they deny", () => {
        const [allow, deny] = [{ Effect: "Allow" }, { Effect: "Deny" }];
        assert.deepEqual(grantsOf({ Statement: [allow, deny] }), [allow]);
    });

    const named = [
        "arn:aws:s3:::bucket",
        "arn:aws:s3:::bucket/images/*",
        "arn:aws:iam::111122223333:role/build",
        "arn:aws:logs:ap-northeast-1:111122223333:log-group:/aws/codebuild/export:*",
        "arn:aws:states:ap-northeast-1:111122223333:execution:export:*",
        "arn:aws:ecr:ap-northeast-1:111122223333:repository/team/app",
        "arn:aws-cn:sns:cn-north-1:111122223333:topic",
    ];
    for (const arn of named) {
        it(`see a name in ${arn}`, () => {
            assert(namesAResource(arn));
        });
    }

    const unnamed = [
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::bucket*",
        "arn:aws:s3:::*/images/*",
        "arn:aws:s3:::bucket/images*",
        "arn:aws:s3:::bucket/imag?s/a",
        "arn:aws:sns:ap-northeast-1:111122223333:*",
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:iam::*:role/build",
        "arn:aws:logs:*:111122223333:log-group:export:*",
        "arn:aws:ecr:ap-northeast-1:111122223333:repository/team*",
        "arn:aws:ecr:ap-northeast-1:111122223333:repository/*/app",
        "arn:aws:ecr:ap-northeast-1:111122223333:*",
        "arn:aws:ecr:ap-northeast-1:111122223333:repository/",
        "arn:*",
        "",
    ];
    for (const arn of unnamed) {
        it(`see no name in ${JSON.stringify(arn)}`, () => {
            assert(!namesAResource(arn));
        });
    }

    it("are about everybody where no principal is named", () => {
        for (const everybody of [
            { Principal: "*" },
            { Principal: { AWS: "*" } },
            { Principal: { AWS: ["arn:aws:iam::111122223333:root", "*"] } },
            { NotPrincipal: { AWS: "arn:aws:iam::111122223333:root" } },
        ]) {
            assert(isAboutEverybody(everybody), JSON.stringify(everybody));
        }
        for (const somebody of [
            {},
            { Principal: { Service: "codebuild.amazonaws.com" } },
            { Principal: { AWS: "arn:aws:iam::111122223333:root" } },
        ]) {
            assert(!isAboutEverybody(somebody), JSON.stringify(somebody));
        }
    });

    it("find the values of a condition key, however it is written", () => {
        const statement = {
            Condition: {
                StringEquals: { "AWS:sourceaccount": ["1", "2"] },
                StringLike: { "aws:SourceAccount": "3" },
            },
        };
        assert.deepEqual(conditionValues(statement, ["StringEquals"], "aws:SourceAccount"), ["1", "2"]);
        assert.deepEqual(conditionValues({}, ["StringEquals"], "aws:SourceAccount"), []);
    });

    it("tell a value of one account from one of any", () => {
        for (const one of ["111122223333", "arn:aws:codebuild:ap-northeast-1:111122223333:project/export*"]) {
            assert(isOfOneAccount(one), one);
        }
        for (const any of [
            "*",
            "arn:aws:codebuild:*:111122223333:project/x",
            "arn:aws:codebuild:r:*:project/x",
        ]) {
            assert(!isOfOneAccount(any), any);
        }
    });
});
