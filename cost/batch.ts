/** How long a batch takes and what it costs, and which limit it meets first. Pure: numbers in, numbers out. */
import {
    assumptions,
    buildSeconds,
    type Measured,
    monthlyCost,
    stateTransitionUsd,
    total,
    type Usage,
    type Way,
} from "./estimate";

/** A batch. */
export interface BatchUsage extends Usage {
    /** Images of the batch, each of another repository or tag, none of them exported before. */
    readonly images: number;
    /** `batch.maxConcurrency`. */
    readonly maxConcurrency: number;
}

/** What a batch comes to. */
export interface BatchEstimate {
    readonly hours: number;
    /** US dollars, storage for as long as the archives are kept included. */
    readonly usd: number;
    /** US dollars of the same batch started again, when every image is there already. */
    readonly againUsd: number;
    /** Whether the list fits into the input of an execution; else it has to be a manifest. */
    readonly fitsInput: boolean;
    /** Builds that run at a time, which the account's quota of concurrent builds has to allow. */
    readonly concurrentBuilds: number;
}

/**
 * Limits of AWS that a batch may meet.
 * Sources: docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html and
 * docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
 */
export const limits = {
    /** Bytes of the input of an execution. */
    inputBytes: 256 * 1024,
    /** Executions that a Distributed Map runs at a time. */
    mapConcurrency: 10_000,
} as const;

/** What the state machine of batches adds to an image, and to the batch. Counted by the tests. */
export const batchTransitions = { image: 5, batch: 12 } as const;

/** Bytes of a request in a list: an image URI in its object. An assumption, generous for a URI of ECR. */
export const requestBytes = 120;

/**
 * Estimates a batch.
 *
 * @returns undefined where the way cannot export such an image
 */
export function estimateBatch(way: Way, usage: BatchUsage, measured: Measured): BatchEstimate | undefined {
    const { images, maxConcurrency } = usage;
    const positions = monthlyCost(way, { ...usage, exports: images }, measured);
    if (positions === undefined) return undefined;
    const transitions = images * batchTransitions.image + batchTransitions.batch;
    const concurrentBuilds = Math.min(maxConcurrency, images, limits.mapConcurrency);
    const rounds = Math.ceil(images / concurrentBuilds);
    const transitionUsd = stateTransitionUsd(usage.region);
    return {
        hours: (rounds * buildSeconds(way, usage, measured)) / 3600,
        usd: total(positions) + transitions * transitionUsd,
        againUsd: (transitions + images * assumptions.stateTransitions) * transitionUsd,
        fitsInput: images * requestBytes <= limits.inputBytes,
        concurrentBuilds,
    };
}
