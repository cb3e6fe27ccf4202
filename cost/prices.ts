/**
 * What AWS asks, in US dollars without tax and without its free tier. AWS changes prices: each has the page where it
 * stands, and the date for which it was last read. They were read in public copies of AWS's price list and pages, some
 * of which bear no date; look at the page before you rely on one.
 */

/** A price at a date. */
export interface Price {
    /** US dollars for one unit. */
    readonly usd: number;
    /** Year, month and, where it is known, day for which the price was read. */
    readonly asOf: string;
}

/** What is billed, the unit, and the page of AWS with its price. */
export const items = {
    buildMinuteSmall: { unit: "minute of BUILD_GENERAL1_SMALL", page: "codebuild" },
    buildMinuteMedium: { unit: "minute of BUILD_GENERAL1_MEDIUM", page: "codebuild" },
    buildMinuteLarge: { unit: "minute of BUILD_GENERAL1_LARGE", page: "codebuild" },
    lambdaBuildSecond: { unit: "second of Lambda compute with 4 GB", page: "codebuild" },
    stateTransition: { unit: "state transition", page: "step-functions" },
    storageGbMonth: { unit: "GB-month of S3 Standard", page: "s3" },
    putRequest: { unit: "PUT, COPY, POST or LIST request", page: "s3" },
    getRequest: { unit: "GET or HEAD request", page: "s3" },
    logGb: { unit: "GB written to CloudWatch Logs", page: "cloudwatch" },
    endpointHour: { unit: "hour of an interface endpoint in a zone", page: "privatelink" },
    secretMonth: { unit: "secret and month", page: "secrets-manager" },
    alarmMonth: { unit: "alarm and month", page: "cloudwatch" },
    dashboardMonth: { unit: "dashboard and month", page: "cloudwatch" },
    imageGbMonth: { unit: "GB-month of ECR", page: "ecr" },
} as const;

/** The name of what is billed. */
export type Item = keyof typeof items;

/** Prices by region. */
export const prices: Record<string, Record<Item, Price>> = {
    "ap-northeast-1": {
        // The copy is of us-east-1 and names only ARM machines as dearer in this region.
        buildMinuteSmall: { usd: 0.005, asOf: "undated" },
        buildMinuteMedium: { usd: 0.01, asOf: "undated" },
        buildMinuteLarge: { usd: 0.02, asOf: "undated" },
        lambdaBuildSecond: { usd: 0.00008, asOf: "undated" },
        stateTransition: { usd: 0.000025, asOf: "undated" },
        storageGbMonth: { usd: 0.025, asOf: "2026-09-18" },
        putRequest: { usd: 0.0000047, asOf: "2026-09-18" },
        getRequest: { usd: 0.00000037, asOf: "2026-09-18" },
        logGb: { usd: 0.76, asOf: "2026-09" },
        endpointHour: { usd: 0.014, asOf: "2026-09-13" },
        secretMonth: { usd: 0.4, asOf: "2026-09" },
        alarmMonth: { usd: 0.1, asOf: "undated" },
        dashboardMonth: { usd: 3, asOf: "undated" },
        imageGbMonth: { usd: 0.1, asOf: "2026-09" },
    },
    "us-east-1": {
        buildMinuteSmall: { usd: 0.005, asOf: "undated" },
        buildMinuteMedium: { usd: 0.01, asOf: "2026-10-05" },
        buildMinuteLarge: { usd: 0.02, asOf: "undated" },
        // Linear in memory: 0.00002 for 1 GB and 0.00016 for 8 GB stand in the copy.
        lambdaBuildSecond: { usd: 0.00008, asOf: "undated" },
        stateTransition: { usd: 0.000025, asOf: "undated" },
        storageGbMonth: { usd: 0.023, asOf: "2026-09-30" },
        putRequest: { usd: 0.000005, asOf: "2026-09-30" },
        getRequest: { usd: 0.0000004, asOf: "2026-09-30" },
        logGb: { usd: 0.5, asOf: "2026-09-30" },
        endpointHour: { usd: 0.01, asOf: "2026-08-20" },
        secretMonth: { usd: 0.4, asOf: "2026-10-05" },
        alarmMonth: { usd: 0.1, asOf: "undated" },
        dashboardMonth: { usd: 3, asOf: "undated" },
        imageGbMonth: { usd: 0.1, asOf: "2026-10-05" },
    },
};
