/** Who may import whom (CONTRIBUTING.md, "The rooms"): `npm run lint` holds it. */

/** The program's rooms, and the rooms and packages that each may import besides itself. */
const rooms = {
    contract: { rooms: [], packages: [] },
    stateMachines: { rooms: ["contract"], packages: ["@pulumi/pulumi"] },
    policies: { rooms: ["contract"], packages: ["@pulumi/aws", "@pulumi/pulumi"] },
    components: {
        rooms: ["contract", "stateMachines", "policies"],
        packages: ["@pulumi/aws", "@pulumi/awsx", "@pulumi/pulumi"],
    },
    exporter: { rooms: ["contract"], packages: ["@aws-sdk/", "@smithy/", "esbuild"] },
    cli: {
        rooms: ["contract", "exporter"],
        packages: ["@aws-sdk/", "@commander-js/extra-typings", "commander", "csv-parse", "esbuild"],
    },
};
const workshop = ["lab", "proof", "bench", "tests"];
const programs = ["bootstrap", "examples"];
const all = [...Object.keys(rooms), ...workshop, ...programs];
const packagesOf = (names) => names.map((name) => `^node_modules/${name}`);

module.exports = {
    forbidden: [
        { name: "no-circle", severity: "error", from: {}, to: { circular: true } },
        {
            name: "no-unnamed-room",
            comment: "A new folder has a place in the table of rooms, or none.",
            severity: "error",
            from: { path: "^[^/]+/", pathNot: [`^(?:${all.join("|")})/`, "^node_modules/"] },
            to: {},
        },
        ...Object.entries(rooms).flatMap(([room, may]) => [
            {
                name: `${room}-imports-rooms`,
                severity: "error",
                from: { path: `^${room}/` },
                to: {
                    path: "^(?!node_modules/)",
                    pathNot: [room, ...may.rooms].map((each) => `^${each}/`),
                    dependencyTypesNot: ["core"],
                },
            },
            {
                name: `${room}-imports-packages`,
                severity: "error",
                from: { path: `^${room}/` },
                to: {
                    path: "^node_modules/",
                    ...(may.packages.length > 0 && { pathNot: packagesOf(may.packages) }),
                },
            },
        ]),
        {
            name: "config-imports",
            severity: "error",
            from: { path: "^config\\.ts$" },
            to: { path: "^(?!node_modules/)", pathNot: "^contract/", dependencyTypesNot: ["core"] },
        },
        {
            name: "index-imports",
            severity: "error",
            from: { path: "^index\\.ts$" },
            to: {
                path: "^(?!node_modules/)",
                pathNot: ["^config\\.ts$", "^components/", "^contract/", "^exporter/bundle\\.ts$"],
                dependencyTypesNot: ["core"],
            },
        },
        {
            name: "programs-stand-alone",
            severity: "error",
            from: { path: "^(bootstrap|examples/[^/]+)/" },
            to: {
                path: "^(?!node_modules/)",
                pathNot: ["^contract/outputs\\.ts$", "^$1/"],
                // "unknown" are packages that only the program itself has installed.
                dependencyTypesNot: ["core", "unknown"],
            },
        },
        {
            name: "nobody-imports-the-workshop",
            severity: "error",
            from: { pathNot: `^(?:${workshop.join("|")})/` },
            to: { path: `^(?:${workshop.join("|")})/` },
        },
    ],
    options: {
        doNotFollow: { path: "node_modules" },
        exclude: { path: "^(?:bootstrap|examples/[^/]+)/node_modules/" },
        tsConfig: { fileName: "tsconfig.json" },
        // csv-parse/sync is where package.json's exports say.
        enhancedResolveOptions: {
            exportsFields: ["exports"],
            conditionNames: ["import", "require", "node", "default"],
        },
        tsPreCompilationDeps: true,
    },
};
