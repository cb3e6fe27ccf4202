/** Who may import whom (CONTRIBUTING.md, "The rooms"): `npm run lint` holds it. */

/** The rooms, and the rooms and packages that each may import besides itself and Node's own modules. */
const rooms = {
    "contract/": [],
    "stateMachines/": ["contract/", "@pulumi/pulumi"],
    "policies/": ["contract/", "@pulumi/aws", "@pulumi/pulumi"],
    "components/": ["config.ts", "contract/", "stateMachines/", "policies/", "@pulumi/"],
    "config.ts": ["contract/", "@pulumi/pulumi", "zod"],
    "index.ts": ["config.ts", "components/", "contract/", "exporter/bundle.ts", "@pulumi/aws"],
    "exporter/": ["contract/", "@aws-sdk/", "@smithy/", "esbuild"],
    "cli/": ["contract/", "exporter/", "@aws-sdk/", "@commander-js/extra-typings", "commander", "csv-parse", "esbuild"],
};
/** Who may import all of these, and is imported by nobody. */
const workshop = "^(?:lab|proof|bench|tests)/";
/** Programs of their own, with packages of their own. */
const programs = "^(bootstrap|examples/[^/]+)/";

const pathOf = (name) => `^(?:node_modules/)?${name.replaceAll(".", "\\.")}`;

module.exports = {
    forbidden: [
        { name: "no-circle", severity: "error", from: {}, to: { circular: true } },
        {
            name: "no-unnamed-room",
            severity: "error",
            from: { path: "/", pathNot: [...Object.keys(rooms).map(pathOf), workshop, programs, "^node_modules/"] },
            to: {},
        },
        ...Object.entries(rooms).map(([room, allowed]) => ({
            name: `${room.replace(/\W.*/, "")}-imports`,
            severity: "error",
            from: { path: pathOf(room) },
            to: { pathNot: [room, ...allowed].map(pathOf), dependencyTypesNot: ["core"] },
        })),
        {
            name: "components-take-types-of-the-configuration-only",
            severity: "error",
            from: { path: "^components/" },
            to: { path: "^config\\.ts$", dependencyTypesNot: ["type-only"] },
        },
        {
            name: "programs-stand-alone",
            severity: "error",
            from: { path: programs },
            to: {
                path: "^(?!node_modules/)",
                pathNot: ["^contract/outputs\\.ts$", "^$1/"],
                // "unknown" are packages that only the program itself has installed.
                dependencyTypesNot: ["core", "unknown"],
            },
        },
        { name: "nobody-imports-the-workshop", severity: "error", from: { pathNot: workshop }, to: { path: workshop } },
    ],
    options: {
        doNotFollow: { path: "node_modules" },
        exclude: { path: "(?:^coverage|^dist|.+/node_modules)/" },
        tsConfig: { fileName: "tsconfig.json" },
        // csv-parse/sync is where package.json's exports say.
        enhancedResolveOptions: {
            exportsFields: ["exports"],
            conditionNames: ["import", "require", "node", "default"],
        },
        tsPreCompilationDeps: true,
    },
};
