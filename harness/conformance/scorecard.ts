import { runScenario } from "../run.ts";
import type { History } from "../history/history.ts";
import type { RunResult } from "../report/verdict.ts";
import type { Plan } from "../scenario/plan.ts";
import type { World } from "../worlds/world.ts";
import type { Measurement, Property } from "./property.ts";

/** A property, and what was found now. */
export interface Score extends Measurement {
  readonly property: Property;
  /** `surprise`: it isn't as the property says any more; `unmeasured` is neither. */
  readonly verdict: "as expected" | "surprise" | "unmeasured";
  readonly replay: string;
}

export interface ScoreOptions {
  readonly world: World;
  /** Where the histories go; undefined keeps none. */
  readonly out?: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (message: string) => void;
}

/**
 * Measures one property. What can't be told, also because its fleet doesn't come up, is tried once more; and what isn't as expected is
 * one when it was found twice.
 */
export async function score(property: Property, options: ScoreOptions): Promise<Score> {
  const found: Score[] = [];
  for (;;) {
    const now = await measured(property, options);
    const told = conclusion([...found, now]);
    if (told !== undefined || options.signal.aborted) return told ?? now;
    found.push(now);
    options.onProgress(
      now.verdict === "surprise"
        ? `isn't as expected (${now.evidence.en}): once more`
        : `can't be told (${now.evidence.en}): once more`,
    );
  }
}

/** What measurements of one property say together; undefined: one more has to be made. */
export function conclusion(found: readonly Score[]): Score | undefined {
  const last = found.at(-1)!;
  const surprises = found.filter(({ verdict }) => verdict === "surprise");
  if (surprises.length > 1) return last;
  if (last.verdict === "as expected") return surprises.length === 0 ? last : divided(surprises[0]!, last);
  return found.filter(({ verdict }) => verdict === "unmeasured").length > 1 ? last : undefined;
}

/** Found so once, and otherwise once: a program that takes turns, or a machine that was too busy. */
function divided(one: Score, other: Score): Score {
  const both = (language: keyof Measurement["evidence"], join: string): string =>
    [one, other].map(({ outcome, evidence }) => `${outcomes[language][outcome]}${evidence[language]}`).join(join);
  return {
    ...other,
    outcome: "unmeasured",
    verdict: "unmeasured",
    evidence: { en: both("en", "; then it "), zh: both("zh", "；随后") },
  };
}

const outcomes = {
  en: { holds: "held: ", fails: "failed: ", unmeasured: "" },
  zh: { holds: "成立：", fails: "不成立：", unmeasured: "" },
} as const;

async function measured(property: Property, options: ScoreOptions): Promise<Score> {
  try {
    return await run(property, options);
  } catch (error) {
    // A fleet that didn't come up says nothing of the others.
    if (!(error instanceof Error) || error.name !== "WorldError" || options.signal.aborted) throw error;
    // Why, and the last that a program had to say.
    const [reason = "", ...printed] = error.message.split("\n");
    const evidence = same([reason, ...printed.slice(-1)].join(" "));
    return { property, outcome: "unmeasured", evidence, verdict: "unmeasured", replay: "" };
  }
}

async function run(property: Property, { world, out, signal, onProgress }: ScoreOptions): Promise<Score> {
  const { result, history, plan } = await runScenario(property.scenario, {
    world,
    seed: 1,
    out,
    signal,
    onProgress: ({ phase, message }) => onProgress(phase === "starting" ? message : phase),
    reference: `scenarios/foreign/conformance/${property.name}.ts`,
  });
  const measurement = measurementOf(property, { result, history, plan });
  const verdict = verdictOf(property, measurement.outcome);
  return { property, ...measurement, verdict, replay: result.replay };
}

export function verdictOf({ expected }: Property, outcome: Measurement["outcome"]): Score["verdict"] {
  if (outcome === "unmeasured") return "unmeasured";
  return outcome === expected ? "as expected" : "surprise";
}

function measurementOf(
  { measure }: Property,
  { result, history, plan }: { readonly result: RunResult; readonly history: History; readonly plan: Plan },
): Measurement {
  const died = history.processes.find(({ node }) => plan.nodes.some(({ id, foreign }) => id === node && foreign));
  if (died !== undefined) {
    const at = `${(died.atUs / 1e6).toFixed(1)} s`;
    return { outcome: "fails", evidence: { en: `${died.node} died at ${at}`, zh: `${died.node} 在 ${at} 时崩溃` } };
  }
  const { verdict, reason = "" } = result;
  if (verdict === "error") return { outcome: "unmeasured", evidence: same(reason) };
  if (measure !== undefined) return measure(history);
  const broken = result.checks.filter((check) => check.verdict === "fail");
  const shown = broken.length > 0 ? broken : result.checks;
  const evidence = {
    en: shown.map(({ name, observed, bound }) => `${name}: ${observed} (wanted: ${bound})`).join("; "),
    zh: shown.map(({ name, observed, bound }) => `${name}：${observed}（应为 ${bound}）`).join("；"),
  };
  switch (verdict) {
    case "pass":
      return { outcome: "holds", evidence };
    case "fail":
      return { outcome: "fails", evidence };
    case "inconclusive":
    case "unsupported":
      return { outcome: "unmeasured", evidence: same(reason) };
  }
}

const same = (text: string): Measurement["evidence"] => ({ en: text, zh: text });
