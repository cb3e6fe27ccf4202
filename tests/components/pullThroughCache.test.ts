import { strict as assert } from "node:assert";

import { PullThroughCache, type PullThroughCacheArgs } from "../../components/pullThroughCache";
import { itKeepsTheHouseRules } from "../support/houseRules";
import { customResourcesOf, evaluate, type Evaluation, resourceOf } from "../../lab/evaluation";
import { typesAndNamesOf } from "../support/evaluated";

const credentialArn =
    "arn:aws:secretsmanager:ap-northeast-1:111122223333:secret:ecr-pullthroughcache/docker-hub-AbCdEf";

function evaluateCache(...pullThroughCache: PullThroughCacheArgs["pullThroughCache"]): Promise<Evaluation> {
    return evaluate(() => ({ cache: new PullThroughCache("test", { pullThroughCache }).urn }));
}

describe("PullThroughCache", () => {
    let cache: Evaluation;
    before(async () => {
        cache = await evaluateCache(
            { prefix: "docker-hub", upstreamRegistryUrl: "registry-1.docker.io", credentialArn },
            { prefix: "mirror/quay", upstreamRegistryUrl: "quay.io" },
            { prefix: "ecr-public" },
        );
    });

    itKeepsTheHouseRules(() => cache);

    it("is a rule for each prefix that the account has none for yet", () => {
        assert.deepEqual(typesAndNamesOf(cache), [
            "aws:ecr/pullThroughCacheRule:PullThroughCacheRule test-docker-hub",
            "aws:ecr/pullThroughCacheRule:PullThroughCacheRule test-mirror/quay",
            "ecr-image-export:index:PullThroughCache test",
        ]);
    });

    it("names registry and secret where there is a login, and the registry alone where there is none", () => {
        assert.deepEqual(resourceOf(cache, "test-docker-hub").inputs, {
            ecrRepositoryPrefix: "docker-hub",
            upstreamRegistryUrl: "registry-1.docker.io",
            credentialArn,
        });
        assert.deepEqual(resourceOf(cache, "test-mirror/quay").inputs, {
            ecrRepositoryPrefix: "mirror/quay",
            upstreamRegistryUrl: "quay.io",
        });
    });

    it("deletes a rule before its successor is made, since a prefix takes one", () => {
        assert.equal(resourceOf(cache, "test-docker-hub").deleteBeforeReplace, true);
    });

    it("makes nothing where every rule exists already", async () => {
        assert.deepEqual(customResourcesOf(await evaluateCache({ prefix: "docker-hub" })), []);
    });
});
