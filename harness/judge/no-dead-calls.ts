import type { History } from "../history/history.ts";
import { isDeath } from "../scenario/deaths.ts";
import { ScenarioError } from "../scenario/error.ts";
import { durationUs, formatDuration, type Window } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckContext, type CheckKind } from "./check.ts";
import { shortestStopUs } from "./graceful-stop.ts";
import { despiteLag, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { joined } from "./select.ts";
import { trialsToSee } from "./statistics.ts";

/**
 * From `within` after an instance died until it comes back, nobody tries it. Found is a fleet that goes on giving the instance
 * its usual share of the calls for `detects` longer.
 */
export const noDeadCalls: CheckKind<Extract<CheckSpec, { check: "no-dead-calls" }>> = {
  plan: (spec, context) => {
    const withinUs = durationUs(spec.within);
    const detectsUs = durationUs(spec.detects);
    const name = `no calls to dead ${spec.service} after ${formatDuration(withinUs)}`;
    const deaths = plannedDeaths(spec.service, context);
    if (deaths.length === 0) {
      throw new ScenarioError(`"${name}": no instance of ${spec.service} dies in this scenario`, {
        code: "INVALID_SCENARIO",
        hint: "kill or stop one, or leave the check out",
      });
    }
    for (const { node, fromUs, toUs } of deaths) {
      const lateUs = fromUs + withinUs;
      if (lateUs + detectsUs > toUs) {
        throw new ScenarioError(
          `"${name}": ${node} comes back, or the load ends, before a breach of ${formatDuration(detectsUs)} could be seen`,
          { code: "TOO_FEW_TRIALS", hint: "let the instance stay dead for longer" },
        );
      }
      const { atLeast } = plannedCalls(context, spec.service, [{ fromUs: lateUs, toUs: lateUs + detectsUs }]);
      const needed = trialsToSee(usualShare(node, spec.service, context), missMax);
      requireTrials({ name, context, trials: atLeast, more: "rate" }, needed);
    }
    const watched = joined(deaths.map(({ fromUs, toUs }) => ({ fromUs: fromUs + withinUs, toUs })));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: plannedCalls(context, spec.service, watched).expected,
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
        const dead = deaths.filter(({ fromUs, toUs }) => beginUs >= fromUs + withinUs && beginUs < toUs);
        if (dead.length > 0) trials++;
        const met = dead.find(({ node }) => node === instance);
        if (met === undefined) continue;
        breaches++;
        latestUs = Math.max(latestUs, beginUs - met.fromUs);
        firstUs = Math.min(firstUs ?? Infinity, beginUs);
      }
    }
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, `attempt at ${service} after a death`));
    const latest = formatDuration(Math.round(latestUs / 1000) * 1000);
    const finding = {
      verdict: breaches === 0 ? ("pass" as const) : ("fail" as const),
      observed: breaches === 0 ? "0" : `${breaches}, up to ${latest}`,
      bound,
      trials,
      message:
        breaches === 0
          ? `none of ${trials} attempts went to an instance dead for over ${formatDuration(withinUs)}`
          : `${breaches} of ${trials} attempts went to a dead instance, the latest ${latest} after its death`,
      brokenAtUs: firstUs,
    };
    const fromUs = Math.min(...deaths.map((death) => death.fromUs));
    return resultOf(plan, despiteLag(finding, history, withinUs, { fromUs, toUs: history.run.durationUs }));
  },
};

interface Death extends Window {
  readonly node: string;
}

/** When instances of the service were dead: killed by a fault, stopped by an action, or gone by themselves. */
function deathsOf(history: History, service: string): readonly Death[] {
  const deaths: { node: string; fromUs: number; toUs: number }[] = [];
  const die = (node: string, atUs: number): void => {
    const isDead = deaths.some((death) => death.node === node && death.toUs === Infinity);
    if (node.startsWith(`${service}/`) && !isDead) deaths.push({ node, fromUs: atUs, toUs: Infinity });
  };
  const comeBack = (node: string, atUs: number): void => {
    for (const death of deaths) if (death.node === node && death.toUs === Infinity) death.toUs = atUs;
  };
  for (const { what, phase, atUs } of history.steps) {
    if (what.kind === "publish") continue;
    const kills = what.kind === "fault" && isDeath(what.fault.kind);
    for (const node of what.nodes) {
      if (phase === "applied" && (kills || what.kind === "stop")) die(node, atUs);
      if ((kills && phase === "lift") || (what.kind === "restart" && phase === "apply")) comeBack(node, atUs);
    }
  }
  for (const { node, atUs } of history.processes) die(node, atUs);
  return deaths;
}

/** The same by the plan; a restart brings back what was killed or stopped before. */
function plannedDeaths(service: string, { timeline, durationUs: loadUs }: CheckContext): readonly Death[] {
  return timeline.flatMap(({ atUs, what }): Death[] => {
    const isKill = what.kind === "fault" && isDeath(what.fault.kind);
    if (what.kind !== "stop" && !isKill) return [];
    const liftUs = isKill && what.forUs !== undefined ? atUs + what.forUs : loadUs;
    return what.nodes
      .filter((node) => node.startsWith(`${service}/`))
      .map((node) => {
        const back = timeline.find(
          (step) => step.atUs > atUs && step.what.kind === "restart" && step.what.nodes.includes(node),
        );
        const fromUs = isKill ? atUs : atUs + shortestStopUs;
        return { node, fromUs, toUs: Math.min(liftUs, back?.atUs ?? loadUs, loadUs) };
      });
  });
}

/** The part of a service's calls that goes to the node while all is well, by weight. */
function usualShare(node: string, service: string, { nodes }: CheckContext): number {
  const instances = nodes.filter((other) => other.service === service);
  const sum = instances.reduce((total, { weight }) => total + weight, 0);
  return sum === 0 ? 0 : instances.find(({ id }) => id === node)!.weight / sum;
}
