import eslint from "@eslint/js";
import pulumi from "@pulumi/eslint-plugin";
import tseslint from "typescript-eslint";

const jsonStringifyOfOutput = {
    selector: "CallExpression[callee.object.name='JSON'][callee.property.name='stringify']",
    message: "JSON.stringify writes the error text of an Output into the document: use pulumi.jsonStringify.",
};

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
            // The one dialect of the tree (CONTRIBUTING.md).
            "func-style": ["error", "declaration", { allowArrowFunctions: true }],
            curly: ["error", "multi-line"],
            "@typescript-eslint/explicit-member-accessibility": "error",
            "@typescript-eslint/prefer-readonly": "error",
        },
    },
    { files: ["components/**/*.ts"], rules: { "no-restricted-syntax": ["error", jsonStringifyOfOutput] } },
    // Its packages are its own, and `npm ci` at the root does not install them; `npm run programs` checks its types.
    {
        files: ["bootstrap/index.ts"],
        rules: { "@typescript-eslint/no-unsafe-call": "off", "@typescript-eslint/no-unsafe-member-access": "off" },
    },
    {
        files: ["tests/**/*.ts"],
        rules: {
            // describe and it return promises only in type; mocha awaits them.
            "@typescript-eslint/no-floating-promises": "off",
        },
    },
    {
        files: ["**/*.js", "**/*.cjs"],
        languageOptions: {
            sourceType: "commonjs",
            globals: { process: "readonly", console: "readonly", __dirname: "readonly" },
        },
    },
);
