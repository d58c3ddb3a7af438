import { existsSync, readdirSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { openWorld } from "../../harness/cli/worlds.ts";
import { whoseName, type Whose } from "../../harness/judge/select.ts";
import type { RunResult } from "../../harness/report/verdict.ts";
import { runScenario } from "../../harness/run.ts";
import { ScenarioError } from "../../harness/scenario/error.ts";
import { isOfBank } from "../../harness/scenario/nodes.ts";
import { planScenario } from "../../harness/scenario/planner.ts";
import type { CheckSpec, Scenario } from "../../harness/scenario/schema.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";
import type { SabotagedCheck } from "./kit.ts";

/**
 * Every check of every scenario can fail, and fails alone, or along with those that it names: over many seeds healthy fleets pass always,
 * grossly sabotaged ones fail always, as those do that have a defect which users reported of others, and mildly sabotaged ones (at exactly
 * what the check says it detects) nearly always.
 */
const allSeeds = Number(process.env["FLYBALL_SEEDS"] ?? 3);

export const scenarios = new Map<string, Scenario>();
for (const file of readdirSync(new URL("..", import.meta.url)).sort()) {
  if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
  const value = ((await import(new URL(`../${file}`, import.meta.url).href)) as { default: Scenario }).default;
  scenarios.set(value.name, value);
}

/** What `sim` can't do can't be sabotaged there; the checks' own tests sabotage those that only other worlds have. */
export const elsewhere = [...scenarios.values()].filter((scenario) => !isSimulated(scenario));
for (const { name } of elsewhere) scenarios.delete(name);

function isSimulated(scenario: Scenario): boolean {
  try {
    planScenario(scenario, { world: "sim", seed: 1 });
    return true;
  } catch (error) {
    if (error instanceof ScenarioError && error.code === "UNSUPPORTED") return false;
    throw error;
  }
}

/** Of a sabotaged run only the checks are looked at: its faults needn't prove that they took effect. */
async function play(scenario: Scenario, seed: number, sabotage?: Sabotage): Promise<RunResult> {
  const world = await openWorld("sim");
  return (await runScenario(scenario, { world, seed, sabotage, hasControls: sabotage === undefined })).result;
}

/** A check's kind; whose calls and when, where there are several of a kind; and their service, where that doesn't tell them apart. */
function labelsOf(all: readonly CheckSpec[]): readonly string[] {
  const detail = (spec: CheckSpec): string => {
    const { during } = spec as { readonly during?: string };
    return `${spec.check}${whoseName(spec as Whose)}${during === undefined ? "" : ` ${during}`}`;
  };
  return all.map((spec) => {
    if (all.filter(({ check }) => check === spec.check).length === 1) return spec.check;
    const isAlone = all.filter((other) => detail(other) === detail(spec)).length === 1;
    return isAlone ? detail(spec) : detail(spec).replace(spec.check, `${spec.check} of ${spec.service}`);
  });
}

/** What is planted into a scenario, in the order of its checks: the file of its name in `of/`. */
async function sabotagesOf(scenario: string): Promise<readonly SabotagedCheck[]> {
  const file = new URL(`of/${scenario}.ts`, import.meta.url);
  return existsSync(file) ? ((await import(file.href)) as { default: readonly SabotagedCheck[] }).default : [];
}
const sabotages = new Map<string, readonly SabotagedCheck[]>();
for (const name of scenarios.keys()) sabotages.set(name, await sabotagesOf(name));

/** Declares the tests of the scenarios with these names. Files share them out, so that they run side by side. */
export function sabotageScenarios(isMeant: (name: string) => boolean): void {
  describe.each([...scenarios.values()].filter(({ name }) => isMeant(name)))("$name", (scenario) => {
    // A bank's run is ten times as long as others, and a judge's four questions about it are asked of every bank.
    const seeds = Object.values(scenario.fleet).some(isOfBank) ? Math.ceil(allSeeds / 5) : allSeeds;
    const planted = sabotages.get(scenario.name)!;
    const labels = labelsOf(scenario.expect);

    test("has a gross and a mild sabotage for every check", () => {
      expect(planted.map(({ check }) => check)).toEqual(labels);
    });

    test(`passes when healthy, ${seeds} seeds of ${seeds}`, { timeout: 600_000 }, async () => {
      for (let seed = 1; seed <= seeds; seed++) {
        const { verdict, checks, reason } = await play(scenario, seed);
        expect({ seed, verdict, reason, broken: broken(checks) }).toEqual({
          seed,
          verdict: "pass",
          reason: undefined,
          broken: [],
        });
      }
    });

    for (const entry of planted) {
      const target = labels.indexOf(entry.check);
      const seesOther = (_check: unknown, index: number): boolean =>
        index !== target && entry.alongWith?.includes(labels[index]!) !== true;

      const more = Object.entries({ ...entry.reported, ...entry.more });
      test.each(more)(`${entry.check}: %s fails it, always`, { timeout: 600_000 }, async (_name, defect) => {
        for (let seed = 1; seed <= seeds; seed++) {
          const { checks } = await play(scenario, seed, defect(seed));
          expect({ seed, failed: checks[target]!.verdict }).toEqual({ seed, failed: "fail" });
        }
      });

      test(`${entry.check}: gross sabotage fails it alone, always`, { timeout: 600_000 }, async () => {
        for (let seed = 1; seed <= seeds; seed++) {
          const { verdict, checks } = await play(scenario, seed, entry.gross(seed));
          const [failed, others] = [checks[target]!.verdict, broken(checks.filter(seesOther))];
          expect({ seed, verdict, failed, others }).toEqual({ seed, verdict: "fail", failed: "fail", others: [] });
        }
      });

      test(`${entry.check}: mild sabotage, at what it detects, fails it alone`, { timeout: 600_000 }, async () => {
        let found = 0;
        for (let seed = 1; seed <= seeds; seed++) {
          const { checks } = await play(scenario, seed, entry.mild(seed));
          if (checks[target]!.verdict === "fail") found++;
          expect({ seed, others: broken(checks.filter(seesOther)) }).toEqual({ seed, others: [] });
        }
        // What a check promises is 999 of 1000; here 99 of 100, and with few seeds all.
        expect(found).toBeGreaterThanOrEqual(Math.ceil(seeds * 0.99));
      });
    }
  });
}

function broken(checks: RunResult["checks"]): string[] {
  return checks.filter(({ verdict }) => verdict !== "pass").map(({ name }) => name);
}
