import { strict as assert } from "node:assert";

import { parseRepositoryArn } from "../../contract/image";
import { repositoryPolicies } from "../../policies/repositoryPolicies";
import { evaluate } from "../../lab/evaluation";

const own = parseRepositoryArn("arn:aws:ecr:ap-northeast-1:111122223333:repository/web/nginx");
const foreign = parseRepositoryArn("arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base");
const farther = parseRepositoryArn("arn:aws:ecr:eu-west-1:777788889999:repository/tools");
const role = "arn:aws:iam::111122223333:role/build";

async function policies(repositories: (typeof own)[]): Promise<Record<string, string>> {
    const { result } = await evaluate(() => ({
        policies: repositoryPolicies("docker", "111122223333", repositories, role),
    }));
    return result["policies"] as Record<string, string>;
}

describe("repositoryPolicies", () => {
    it("gives one policy for each repository of another account", async () => {
        assert.deepEqual(Object.keys(await policies([own, foreign, farther])), [
            "arn:aws:ecr:ap-northeast-1:444455556666:repository/platform/base",
            "arn:aws:ecr:eu-west-1:777788889999:repository/tools",
        ]);
    });

    it("lets the build role pull, and do nothing else", async () => {
        const [policy] = Object.values(await policies([foreign]));
        assert.deepEqual(JSON.parse(policy ?? ""), {
            Version: "2012-10-17",
            Statement: [
                {
                    Sid: "LetImageExportPull",
                    Effect: "Allow",
                    Principal: { AWS: role },
                    Action: [
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:GetDownloadUrlForLayer",
                    ],
                },
            ],
        });
    });

    it("gives none for repositories of the stack's own account", async () => {
        assert.deepEqual(await policies([own]), {});
        assert.deepEqual(await policies([]), {});
    });
});
