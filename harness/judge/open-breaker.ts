import type { History } from "../history/history.ts";
import { formatShare, fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { NodePlan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckKind } from "./check.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { trialsToSee } from "./statistics.ts";

/**
 * From the moment a caller's breaker opens until it is half-open no attempt begins through it; while it is half-open no more than
 * its probes (a cancelled one may be made up for).
 */
export const openBreaker: CheckKind<Extract<CheckSpec, { check: "open-breaker" }>> = {
  plan: (spec, context) => {
    const name = `nothing goes through an open breaker of ${spec.service}`;
    if (!context.nodes.some((node) => hasBreaker(node, spec.service))) {
      throw new ScenarioError(`"${name}": nobody calls ${spec.service} with a breaker`, {
        code: "INVALID_SCENARIO",
        hint: 'breaker: { errorRatio: "50%" } where it is called',
      });
    }
    const { expected, atLeast: trials } = plannedCalls(context, spec.service);
    requireTrials({ name, context, trials }, neededFor(spec));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: expected,
      // An attempt through an open breaker is a defect, by definition.
      falseAlarm: 0,
      detects: `${formatShare(fractionOf(spec.detects))} get through`,
    };
  },
  judge: (plan, history) => {
    const { service } = plan.check;
    const bound = "0 get through";
    const shut = shutTimes(history, service);
    let trials = 0;
    let through = 0;
    let firstUs: number | undefined;
    const breach = (atUs: number): void => {
      through++;
      firstUs = Math.min(firstUs ?? Infinity, atUs);
    };
    const probed = new Map<Shut, number>();
    for (const { node, service: called, beginUs: callUs, attempts } of history.calls) {
      if (called !== service) continue;
      const own = shut.filter((one) => one.node === node);
      if (own.some((one) => one.state === "open" && callUs > one.fromUs && callUs < one.toUs)) trials++;
      for (const { instance, beginUs, code } of attempts) {
        const at = own.find(
          (one) =>
            beginUs > one.fromUs && beginUs < one.toUs && (one.instance === undefined || one.instance === instance),
        );
        if (at === undefined) continue;
        if (at.state === "open") breach(beginUs);
        else if (code !== "CANCELLED") {
          const count = (probed.get(at) ?? 0) + 1;
          probed.set(at, count);
          if (count > at.probes) breach(beginUs);
        }
      }
    }
    if (shut.length === 0) return resultOf(plan, nothingToJudge(bound, `breaker of ${service} that opened`));
    const isEnough = trials >= neededFor(plan.check);
    return resultOf(plan, {
      verdict: through > 0 ? "fail" : isEnough ? "pass" : "inconclusive",
      observed: `${through} of ${trials}`,
      bound,
      trials,
      message:
        through > 0
          ? `${through} attempts were made through an open breaker, or beyond the probes of a half-open one`
          : `none of ${trials} calls that came while a breaker was open got through${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: firstUs,
    });
  },
};

/** A stretch in which a breaker isn't closed. */
interface Shut {
  readonly node: string;
  readonly instance: string | undefined;
  readonly state: "open" | "half-open";
  readonly probes: number;
  readonly fromUs: number;
  toUs: number;
}

function shutTimes(history: History, service: string): readonly Shut[] {
  const all: Shut[] = [];
  const current = new Map<string, Shut>();
  for (const { node, policy, service: called, instance, state, atUs, value = 1 } of history.policies) {
    if (policy !== "breaker" || called !== service) continue;
    const key = `${node} ${instance ?? ""}`;
    const before = current.get(key);
    if (before !== undefined) before.toUs = atUs;
    current.delete(key);
    if (state !== "open" && state !== "half-open") continue;
    const shut: Shut = { node, instance, state, probes: value, fromUs: atUs, toUs: Infinity };
    current.set(key, shut);
    all.push(shut);
  }
  return all;
}

function hasBreaker({ config }: NodePlan, service: string): boolean {
  type Calls = { readonly service: string; readonly breaker?: unknown };
  const { calls, alsoCalls = [] } = config as { readonly calls?: Calls; readonly alsoCalls?: readonly Calls[] };
  return [calls, ...alsoCalls].some((each) => each?.service === service && each.breaker !== undefined);
}

const neededFor = ({ detects }: { readonly detects: string | number }): number =>
  trialsToSee(fractionOf(detects), missMax);
