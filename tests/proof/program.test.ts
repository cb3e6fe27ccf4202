import { strict as assert } from "node:assert";

import type { RecordedResource } from "../../lab/evaluation";
import { collectPolicies } from "../../proof/program";

const statement = { Sid: "LogInToEcr", Effect: "Allow", Action: "s3:GetObject", Resource: "*" };
const document = { Version: "2012-10-17", Statement: [statement] };

function resource(type: string, inputs: Record<string, unknown>): RecordedResource {
    return {
        urn: "",
        type,
        name: "a",
        inputs,
        parent: "",
        dependencies: [],
        propertyDependencies: {},
        protect: false,
        retainOnDelete: false,
        deletedWith: "",
        importId: "",
        ignoreChanges: [],
        outputs: undefined,
        deleteBeforeReplace: false,
    };
}

/** The problems of a program of one resource and some outputs. */
function problems(inputs: [string, Record<string, unknown>], outputs = {}): readonly string[] {
    return collectPolicies({ resources: [resource(...inputs)], result: outputs }).problems;
}

const inRole: [string, Record<string, unknown>] = [
    "aws:iam/rolePolicy:RolePolicy",
    { role: "image-export-build-role", policy: document },
];

describe("the collection of policies", () => {
    it("takes a policy where policies are known to be", () => {
        assert.deepEqual(problems(inRole), []);
    });

    it("notices a statement of no table, and one of another holder's", () => {
        for (const sid of ["DoAnything", "RunBuilds", undefined]) {
            const policy = { ...document, Statement: [{ ...statement, Sid: sid }] };
            const found = problems([inRole[0], { ...inRole[1], policy }]);
            assert.match(found.join(), /is in no table of policies/);
        }
    });

    const elsewhere: [string, string, Record<string, unknown>][] = [
        ["in a resource of another type", "aws:ecr/repositoryPolicy:RepositoryPolicy", { policy: document }],
        ["as text", "aws:ecr/repositoryPolicy:RepositoryPolicy", { policy: JSON.stringify(document) }],
        ["deep inside a resource", "aws:s3/bucket:Bucket", { a: [{ b: document }] }],
        ["in another argument of a role", "aws:iam/role:Role", { inlinePolicies: [{ policy: document }] }],
    ];
    for (const [where, type, inputs] of elsewhere) {
        it(`notices a policy ${where}`, () => {
            assert.match(problems([type, inputs]).join(), /holders\.ts does not say/);
        });
    }

    it("notices a policy in an output that it does not know", () => {
        const output = { anotherPolicy: JSON.stringify(document) };
        assert.match(problems(inRole, output).join(), /output anotherPolicy: .*does not say/);
    });

    it("notices what grants without a statement of the program's own", () => {
        const arn = "arn:aws:iam::aws:policy/AdministratorAccess";
        const attachment = { role: "r", policyArn: arn };
        assert.match(
            problems(["aws:iam/rolePolicyAttachment:RolePolicyAttachment", attachment]).join(),
            /grants what no table of policies\/ has/,
        );
        assert.match(problems(["aws:iam/role:Role", { managedPolicyArns: [arn] }]).join(), /managedPolicyArns/);
    });
});
