import { strict as assert } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { root } from "../../lab/stackFiles";
import { disagreement } from "../../proof/evaluation";
import { offencesOf } from "../../proof/facts";
import { evaluateVariant, type Program, variants } from "../../proof/program";
import { reportPage, shownOn } from "../../proof/report";
import { makeRows, type Row, verdictOn } from "../../proof/rows";

describe("least privilege", () => {
    const programs: Program[] = [];
    before(async () => {
        for (const variant of variants) programs.push(await evaluateVariant(variant));
    });

    it("finds every policy of every configuration, made of what policies/ has", () => {
        assert.deepEqual(
            programs.flatMap(({ problems }) => problems),
            [],
        );
    });

    it("finds every statement of policies/ in some configuration", () => {
        const declared = programs.flatMap(({ grants }) => grants.map(({ statement }) => statement.Sid));
        const load = createRequire(__filename);
        const tables = readdirSync(join(root, "policies"))
            .flatMap((file) => Object.values(load(join(root, "policies", file)) as Record<string, unknown>))
            .filter((table) => typeof table === "object" && table !== null);
        const known = tables.flatMap((table) =>
            Object.entries(table).flatMap(([sid, { statement }]) => (statement === undefined ? [] : [sid])),
        );
        assert(known.length > 50, `${known.length} statements`);
        assert.deepEqual(
            known.filter((sid) => !declared.includes(sid)),
            [],
        );
    });

    it("has an account of every statement, and AWS knows its actions, resources and conditions", async () => {
        for (const { grants, variant } of programs) {
            assert.deepEqual((await Promise.all(grants.map(offencesOf))).flat(), [], variant.name);
        }
    });

    it("is told in docs/results/least-privilege.md as it is now", () => {
        const page = readFileSync(join(root, "docs", "results", "least-privilege.md"), "utf8");
        assert.equal(page, reportPage(programs, shownOn(page)), "stale: run npm run prove");
    });

    // `npm run prove` makes every request of every configuration.
    describe("of the configuration that has most, by every fifth request", () => {
        let program: Program;
        const rows: Row[] = [];
        before(() => {
            const sizeOf = ({ variant }: Program) => Object.keys(variant.changes).length;
            const [most] = programs.toSorted((one, other) => sizeOf(other) - sizeOf(one));
            program = most ?? assert.fail("no configuration");
        });

        it("is proven", async () => {
            for (const row of (await makeRows(program)).filter((_, index) => index % 5 === 0)) {
                const verdict = await verdictOn(row, program.policies);
                if (verdict === undefined) continue; // AWS knows no such request
                assert.equal(verdict, row.expected, disagreement(row, verdict));
                rows.push(row);
            }
        });

        it("is judged by requests of every kind, many of each holder", () => {
            assert.equal(new Set(rows.map(({ kind }) => kind)).size, 8);
            const holders = program.policies.flatMap(({ holder }) => (holder.kind === "identity" ? [holder.name] : []));
            for (const name of new Set(holders)) {
                const own = rows.filter(({ actor }) => actor.name === name);
                assert(own.length > 30, `${own.length} requests of ${name}`);
                assert(
                    own.some(({ expected }) => expected === "Allowed"),
                    name,
                );
            }
        });

        it("says of a verdict that is wrong who asked for what", () => {
            const [row] = rows;
            assert(row);
            const told = disagreement(row, "ImplicitlyDenied");
            assert.match(told, /asks for .* on .*: ImplicitlyDenied, expected /);
        });
    });
});
