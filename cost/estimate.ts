/** What a month of exports costs. Pure: usage in, dollars out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { type Item, prices } from "./prices";

/** How the exports of a month are made and kept. */
export interface Usage {
    /** AWS region, one of those in `prices`. */
    readonly region: string;
    /** Exports a month, each of another image. */
    readonly exports: number;
    /** Size of an image as ECR shows it, compressed, in MB. */
    readonly mb: number;
    /** How many times larger the layers are when unpacked. */
    readonly unpackedRatio: number;
    /** Compute type of builds on EC2. */
    readonly computeType: ComputeType;
    /** Days until an archive expires. */
    readonly archiveDays: number;
    /** Days that it is kept as an old version after that. */
    readonly oldVersionDays: number;
}

/** Engine and compute. */
export type Way = "docker" | "stream" | "stream on Lambda compute";

/** One position of the bill. */
export interface Position {
    readonly name: string;
    /** US dollars a month. */
    readonly usd: number;
}

/** What an option adds to the bill. */
export interface Option extends Position {
    /** What the sum is made of. */
    readonly why: string;
}

const minuteItems = {
    BUILD_GENERAL1_SMALL: "buildMinuteSmall",
    BUILD_GENERAL1_MEDIUM: "buildMinuteMedium",
    BUILD_GENERAL1_LARGE: "buildMinuteLarge",
} as const satisfies Record<string, Item>;

/** The compute types whose price is known. */
export type ComputeType = keyof typeof minuteItems;

/** Those compute types, smallest first. */
export const computeTypes = Object.keys(minuteItems) as ComputeType[];

/** The ways to export, in the order of the tables. */
export const ways: readonly Way[] = ["docker", "stream", "stream on Lambda compute"];

/** What nobody has measured on AWS yet, or what does not depend on the usage. */
export const assumptions = {
    /** Seconds from the start of billing to the first command of a build. An assumption. */
    provisioningSeconds: { ec2: 40, lambda: 10 },
    /** How many times longer an export takes on AWS than in the bench. An assumption. */
    slowerThanBench: 2,
    /** States that a successful export passes. Counted by the tests. */
    stateTransitions: 24,
    /** Size of a build's log, in KB: up to 1.5 in the lab, and CodeBuild's own lines, which are an assumption. */
    logKb: 5,
    /** Requests that an export makes to S3 besides its parts: the start and end of the upload, the record; and the looks at what is there. */
    otherPuts: 3,
    gets: 4,
    /** Interface endpoints of an isolated network, and the zones that each is in. Counted by the tests. */
    endpoints: 4,
    zones: 2,
    /** Alarms of a stack that notifies. Counted by the tests. */
    alarms: 11,
} as const;

/** How long the bench took for an image, as `npm run bench` wrote it down. */
export interface Measured {
    /** MB of the image, compressed. */
    readonly mb: number;
    /** How many times larger its layers are when unpacked. */
    readonly unpackedRatio: number;
    /** Seconds that pull, `docker save` and `aws s3 cp` took. */
    readonly dockerSeconds: number;
    /** Seconds that engine `stream` took where each of its 8 connections has 20 MB/s and 30 ms, as to ECR and S3. */
    readonly streamSeconds: number;
}

/** Reads the results of the bench. */
export function readMeasured(): Measured {
    const file = join(__dirname, "../bench/results/stream-500mb.json");
    const results = JSON.parse(readFileSync(file, "utf8")) as {
        image: { compressedBytes: number; uncompressedBytes: number };
        series: { method: string; wallSeconds: number[] }[];
        scaling: { concurrency: number; wallSeconds: number[] }[];
    };
    const { compressedBytes, uncompressedBytes } = results.image;
    return {
        mb: compressedBytes / 1e6,
        unpackedRatio: uncompressedBytes / compressedBytes,
        dockerSeconds: median(
            results.series.find(({ method }) => method.startsWith("docker pull"))?.wallSeconds,
        ),
        streamSeconds: median(results.scaling.find(({ concurrency }) => concurrency === 8)?.wallSeconds),
    };
}

function median(values: number[] | undefined): number {
    const sorted = (values ?? []).toSorted((a, b) => a - b);
    const middle = sorted[Math.floor(sorted.length / 2)];
    if (middle === undefined) throw new Error("The results of the bench lack a measurement.");
    return middle;
}

/** What the page and the command assume where nothing is said: the defaults of the configuration, and the bench's image. */
export function defaultUsage(measured: Measured): Usage {
    return {
        region: "ap-northeast-1",
        exports: 1000,
        mb: 500,
        unpackedRatio: measured.unpackedRatio,
        computeType: "BUILD_GENERAL1_MEDIUM",
        archiveDays: 90,
        oldVersionDays: 30,
    };
}

/** Seconds that a build is billed for, before they are rounded up. */
export function buildSeconds(way: Way, { mb }: Usage, measured: Measured): number {
    const { provisioningSeconds, slowerThanBench } = assumptions;
    const seconds = way === "docker" ? measured.dockerSeconds : measured.streamSeconds;
    const compute = way === "stream on Lambda compute" ? "lambda" : "ec2";
    return provisioningSeconds[compute] + (seconds / measured.mb) * mb * slowerThanBench;
}

/** Size of an archive in MB: engine `docker` unpacks the layers, engine `stream` leaves them as they are. */
export function archiveMb(way: Way, { mb, unpackedRatio }: Usage): number {
    return way === "docker" ? mb * unpackedRatio : mb;
}

/**
 * The positions of a month's bill, once as many archives expire as are made.
 *
 * @returns undefined where the way cannot export such an image: Lambda compute ends builds after 15 minutes.
 */
export function monthlyCost(way: Way, usage: Usage, measured: Measured): Position[] | undefined {
    const price = (item: Item) => priceOf(usage.region, item);
    const seconds = buildSeconds(way, usage, measured);
    const lambda = way === "stream on Lambda compute";
    if (lambda && seconds > 15 * 60) return undefined;

    const size = archiveMb(way, usage);
    const daysKept = usage.archiveDays + usage.oldVersionDays;
    const { stateTransitions, logKb, otherPuts, gets } = assumptions;
    // `aws s3 cp` cuts parts of 8 MiB, the exporter of 5 MiB.
    const parts = Math.ceil((size * 1e6) / ((way === "docker" ? 8 : 5) * 1024 ** 2));
    const each = {
        // EC2 by the minute, Lambda compute by the second: aws.amazon.com/codebuild/pricing
        Builds: lambda
            ? Math.ceil(seconds) * price("lambdaBuildSecond")
            : Math.ceil(seconds / 60) * price(minuteItems[usage.computeType]),
        "State machine": stateTransitions * price("stateTransition"),
        "Archives in S3": (size / 1e3) * (daysKept / daysAMonth) * price("storageGbMonth"),
        "Requests to S3": (parts + otherPuts) * price("putRequest") + gets * price("getRequest"),
        "Logs of the builds": (logKb / 1e6) * price("logGb"),
    };
    return Object.entries(each).map(([name, usd]) => ({ name, usd: usd * usage.exports }));
}

const daysAMonth = 365 / 12;
const hoursAMonth = daysAMonth * 24;

/** What the options add. */
export function optionCosts(usage: Usage): Option[] {
    const price = (item: Item) => priceOf(usage.region, item);
    const imagesGb = (usage.exports * usage.mb) / 1e3;
    const { alarms, endpoints, zones } = assumptions;
    return [
        {
            name: "`network: isolated`",
            usd: endpoints * zones * hoursAMonth * price("endpointHour"),
            why: `${endpoints} interface endpoints in ${zones} zones, by the hour; layers and archives go by S3's, which is free`,
        },
        {
            name: "`cache: local`",
            usd: 0,
            why: "nothing; where the host has the layers, the build is shorter",
        },
        {
            name: "`pullThroughCache` with a login",
            usd: price("secretMonth") + imagesGb * price("imageGbMonth"),
            why: "one secret, and each month's images in ECR until you delete them: as much again every month",
        },
        {
            name: "the dashboard",
            usd: price("dashboardMonth"),
            why: "always there; the first three of an account are free",
        },
        {
            name: "`notifications`",
            usd: alarms * price("alarmMonth"),
            why: `${alarms} alarms, of which an account has ten free; messages by e-mail come to less than a cent`,
        },
    ];
}

function priceOf(region: string, item: Item): number {
    const price = prices[region]?.[item];
    if (price === undefined) throw new Error(`No price is known of ${item} in ${region}.`);
    return price.usd;
}

/** US dollars for one state that an execution enters. */
export function stateTransitionUsd(region: string): number {
    return priceOf(region, "stateTransition");
}

/** The sum of positions. */
export function total(positions: readonly Position[]): number {
    return positions.reduce((sum, { usd }) => sum + usd, 0);
}
