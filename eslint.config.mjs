import eslint from "@eslint/js";
import pulumi from "@pulumi/eslint-plugin";
import tseslint from "typescript-eslint";

/** Forbids imports by pattern: who may import whom is part of the design (CONTRIBUTING.md). */
function mayNotImport(files, patterns) {
    return {
        files,
        rules: {
            "no-restricted-imports": ["error", { patterns: patterns.map(([group, message]) => ({ group, message })) }],
        },
    };
}

const jsonStringifyOfOutput = {
    selector: "CallExpression[callee.object.name='JSON'][callee.property.name='stringify']",
    message: "JSON.stringify writes the error text of an Output into the document: use pulumi.jsonStringify.",
};

const developmentOnly = "For development and tests only: some of it is under AGPL-3.0, and nothing of it is deployed.";

export default tseslint.config(
    { ignores: ["node_modules/", "coverage/", "**/dist/"] },
    eslint.configs.recommended,
    {
        files: ["**/*.ts"],
        extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
        plugins: { "@pulumi": pulumi },
        languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
        rules: {
            "@pulumi/no-output-in-template-literal": "error",
            "@typescript-eslint/consistent-type-imports": "error",
            // Numbers in messages are wanted as they are.
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
            eqeqeq: "error",
        },
    },
    {
        files: ["components/**/*.ts"],
        rules: { "no-restricted-syntax": ["error", jsonStringifyOfOutput] },
    },
    mayNotImport(
        ["*.ts", "package/**/*.ts", "component/**/*.ts"],
        [[["@cloud-copilot/*", "**/lab/**", "**/proof/**"], developmentOnly]],
    ),
    mayNotImport(
        ["components/**/*.ts"],
        [
            [["@cloud-copilot/*", "**/proof/**"], developmentOnly],
            [
                ["../config", "../engine", "../imageExport", "**/cli/**", "**/lab/**"],
                "components/ takes its values as arguments.",
            ],
            [["**/exporter/**"], "The components carry the exporter as a bundle, not as an import."],
        ],
    ),
    mayNotImport(
        ["exporter/**/*.ts"],
        [
            [["@cloud-copilot/*", "**/proof/**"], developmentOnly],
            [
                ["@pulumi/*", "../components/**", "../cli/**", "../lab/**", "../config"],
                "The bundle is exporter/ alone.",
            ],
        ],
    ),
    mayNotImport(
        ["cli/**/*.ts"],
        [
            [["@cloud-copilot/*", "**/proof/**"], developmentOnly],
            [["@pulumi/*", "**/config", "**/lab/**"], "The command line runs without Pulumi's SDK and the lab."],
        ],
    ),
    // Its packages are its own, and `npm ci` at the root does not install them; `npm run programs` checks its types.
    {
        files: ["bootstrap/index.ts"],
        rules: {
            "@typescript-eslint/no-unsafe-call": "off",
            "@typescript-eslint/no-unsafe-member-access": "off",
        },
    },
    mayNotImport(["policy/**/*.ts"], [[["../**"], "The policy pack can be published: policy/ is all that it has."]]),
    {
        files: ["tests/**/*.ts"],
        rules: {
            // describe and it return promises only in type; mocha awaits them.
            "@typescript-eslint/no-floating-promises": "off",
        },
    },
    {
        files: ["**/*.js"],
        languageOptions: {
            sourceType: "commonjs",
            globals: {
                require: "readonly",
                process: "readonly",
                console: "readonly",
                __dirname: "readonly",
                module: "readonly",
            },
        },
    },
);
