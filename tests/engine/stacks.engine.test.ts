/** dev and prod on Pulumi's own engine, and the changes that are made most. The rules by which resources are replaced are ours: replaceRules.ts */
import { commonChanges } from "./changes";
import { describeStack } from "./stackLife";

for (const name of ["dev", "prod"] as const) {
    describeStack(
        name,
        commonChanges.filter(({ stack }) => stack === name),
    );
}
