import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { exportErrors } from "../../contract/errors";
import { root } from "../../lab/stackFiles";
import { evaluateStack } from "../../lab/program";
import { customResourcesOf, type Evaluation, resourceOf } from "../../lab/evaluation";

const page = readFileSync(join(root, "docs/operations.md"), "utf8");
const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);

describe("docs/operations.md", () => {
    let program: Evaluation;
    before(async () => {
        program = await evaluateStack("prod", false, {
            "ecr-image-export:triggers": JSON.stringify({ onPush: {}, schedule: { expression: "rate(1 day)" } }),
        });
    });

    const alarms = () => customResourcesOf(program).filter(({ type }) => type.endsWith(":MetricAlarm"));

    it("has the section that each alarm sends people to, and no section of an alarm that is gone", () => {
        const named = alarms().map(({ name, inputs }) => {
            const [, section] =
                /See "([^"]+)" in docs\/operations\.md\.$/.exec(String(inputs["alarmDescription"])) ?? [];
            assert(section !== undefined, name);
            return section;
        });
        const sections = headings.filter((heading) => /^When (?!pulumi )/.test(heading));
        assert.deepEqual([...new Set(named)].sort(), sections.sort());
    });

    it("has the sections that messages send people to", () => {
        const { definition } = resourceOf(program, "image-export-monitoring-notifier").inputs;
        const named = [...String(definition).matchAll(/docs\/operations\.md, \\"([^"\\]+)\\"/g)];
        assert.equal(named.length, 2);
        for (const [, section = ""] of named) assert(headings.includes(section), section);
    });

    it("says what to do about each error", () => {
        const errors = headings.filter((heading) => /^[A-Z]\w+[a-z][A-Z]\w+$/.test(heading));
        assert.deepEqual(errors.sort(), Object.keys(exportErrors).sort());
    });

    it("counts the alarms of notifications as they are", () => {
        const ofMonitoring = alarms().filter(({ name }) => !name.startsWith("image-export-triggers-"));
        assert(page.includes(`a topic, ${ofMonitoring.length} alarms, and a message`));
    });
});
