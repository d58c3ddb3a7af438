import type { History } from "../history/history.ts";
import { ScenarioError } from "../scenario/error.ts";
import { durationUs, formatDuration } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckContext, type CheckKind } from "./check.ts";
import { despiteLag, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./select.ts";

/** From `within` after an instance died until it comes back, nobody tries it. */
export const noDeadCalls: CheckKind<Extract<CheckSpec, { check: "no-dead-calls" }>> = {
  plan: (spec, context) => {
    const name = `no calls to dead ${spec.service} after ${formatDuration(durationUs(spec.within))}`;
    const detectsUs = durationUs(spec.detects);
    const deaths = plannedDeaths(spec.service, context);
    if (deaths.length === 0) {
      throw new ScenarioError(`"${name}": no instance of ${spec.service} dies in this scenario`, {
        code: "INVALID_SCENARIO",
        hint: "kill or stop one, or leave the check out",
      });
    }
    const instances = context.nodes.filter(({ service }) => service === spec.service).length;
    const trials = deaths.map(({ fromUs, toUs }) => {
      const late = fromUs + durationUs(spec.within);
      if (late + detectsUs > toUs) {
        throw new ScenarioError(
          `"${name}": it comes back, or the load ends, before a breach of ${formatDuration(detectsUs)} could be seen`,
          { code: "TOO_FEW_TRIALS", hint: "let the instance stay dead for longer" },
        );
      }
      const isIn = (atUs: number): boolean => atUs >= late && atUs < late + detectsUs;
      return plannedCalls(context, spec.service).filter(isIn).length / instances;
    });
    requireTrials(name, context, Math.min(...trials), -Math.log(missMax));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: Math.floor(trials.reduce((sum, one) => sum + one, 0) * instances),
      falseAlarm: context.world === "sim" ? 0 : null,
      detects: `${formatDuration(detectsUs)} longer`,
    };
  },
  judge: (plan, history) => {
    const { service, within } = plan.check;
    const withinUs = durationUs(within);
    const deaths = deathsOf(history, service);
    const bound = `0 after ${formatDuration(withinUs)}`;
    let trials = 0;
    let breaches = 0;
    let latestUs = 0;
    let firstUs: number | undefined;
    for (const call of history.calls) {
      if (call.service !== service || call.dueUs < 0) continue;
      for (const { instance, beginUs } of call.attempts) {
        for (const { node, fromUs, toUs } of deaths) {
          if (beginUs < fromUs + withinUs || beginUs >= toUs) continue;
          trials++;
          if (instance !== node) continue;
          breaches++;
          latestUs = Math.max(latestUs, beginUs - fromUs);
          firstUs ??= beginUs;
        }
      }
    }
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, `attempt at ${service} after a death`));
    const finding = {
      verdict: breaches === 0 ? ("pass" as const) : ("fail" as const),
      observed: breaches === 0 ? "0" : `${breaches}, up to ${formatDuration(Math.round(latestUs / 1000) * 1000)}`,
      bound,
      trials,
      message:
        breaches === 0
          ? `none of ${trials} attempts went to an instance dead for over ${formatDuration(withinUs)}`
          : `${breaches} attempts went to a dead instance, the latest ${formatDuration(Math.round(latestUs / 1000) * 1000)} after its death`,
      brokenAtUs: firstUs,
    };
    return resultOf(plan, despiteLag(finding, history, withinUs, deaths[0]?.fromUs ?? 0, history.run.durationUs));
  },
};

interface Death {
  readonly node: string;
  readonly fromUs: number;
  readonly toUs: number;
}

/** When instances of the service were dead: killed by a fault, stopped by an action, or gone by themselves. */
function deathsOf(history: History, service: string): Death[] {
  const deaths: { node: string; fromUs: number; toUs: number }[] = [];
  const die = (node: string, atUs: number): void => {
    if (node.startsWith(`${service}/`)) deaths.push({ node, fromUs: atUs, toUs: Infinity });
  };
  const comeBack = (node: string, atUs: number): void => {
    for (const death of deaths) if (death.node === node && death.toUs === Infinity) death.toUs = atUs;
  };
  for (const { what, phase, atUs } of history.steps) {
    if (what.kind === "publish") continue;
    const kills = what.kind === "fault" && what.fault.kind === "kill";
    if (kills && phase === "applied") for (const node of what.nodes) die(node, atUs);
    if (kills && phase === "lift") for (const node of what.nodes) comeBack(node, atUs);
    if (what.kind === "stop" && phase === "applied") for (const node of what.nodes) die(node, atUs);
    if (what.kind === "restart" && phase === "apply") for (const node of what.nodes) comeBack(node, atUs);
  }
  for (const { node, state, atUs } of history.processes) if (state === "exited") die(node, atUs);
  return deaths;
}

function plannedDeaths(service: string, context: CheckContext): Death[] {
  return context.timeline.flatMap(({ atUs, what }) => {
    if (what.kind === "publish") return [];
    const kills = what.kind === "stop" || (what.kind === "fault" && what.fault.kind === "kill");
    if (!kills) return [];
    const backUs = what.kind === "fault" && what.forUs !== undefined ? atUs + what.forUs : context.durationUs;
    return what.nodes
      .filter((node) => node.startsWith(`${service}/`))
      .map((node) => ({ node, fromUs: atUs, toUs: Math.min(backUs, context.durationUs) }));
  });
}
