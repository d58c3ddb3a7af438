import type { History } from "../history/history.ts";
import { durationUs, formatShare, fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import { calleesOf } from "../scenario/calls.ts";
import type { CheckPlan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckContext, type CheckKind } from "./check.ts";
import { deal } from "./dealing.ts";
import { callersOf, mayCall } from "./nodes.ts";
import { despiteLag, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { trialsToSee } from "./statistics.ts";

type Spec = Extract<CheckSpec, { check: "access-log" }>;

/**
 * While a provider's access log is switched on, each call that it serves is exactly one line, and before that and after that none
 * is. Lines carry no call's number, as Dubbo's don't: a line belongs to an attempt at its instance, by its caller's own record, during
 * which the call came in, and no two lines belong to one attempt.
 */
export const accessLogCheck: CheckKind<Spec> = {
  plan: (spec, context) => {
    const { onUs, offUs, withinUs } = timesOf(spec);
    const name = `${spec.service} logs each access from ${spec.on}${spec.off === undefined ? "" : ` to ${spec.off}`}`;
    requireOurs(name, spec, context);
    const fromUs = onUs + withinUs;
    const toUs = Math.min(offUs, context.durationUs);
    if (fromUs >= toUs) {
      throw new ScenarioError(`"${name}": it is off before the news of it has had ${spec.within} to spread`, {
        code: "INVALID_SCENARIO",
        hint: "switch it off later, or let the load last longer",
      });
    }
    const { expected, atLeast: trials } = plannedCalls(context, spec.service, [{ fromUs, toUs }]);
    requireTrials({ name, context, trials }, neededFor(spec));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: expected,
      // A line too many or too few is a defect by definition; how long a rule takes to arrive is a matter of time.
      falseAlarm: context.world === "sim" ? 0 : null,
      detects: `${formatShare(fractionOf(spec.detects))} without a line`,
      ...callersOf(spec.service, context),
    };
  },
  judge: (plan, history) => {
    const { service, within } = plan.check;
    const { onUs, offUs, withinUs } = timesOf(plan.check);
    const bound = "1 line a call while it is on";
    const served = attemptsOf(history, service);
    const due = served.filter(
      ({ beginUs, endUs, isServed }) => isServed && beginUs >= onUs + withinUs && endUs <= offUs,
    );
    if (due.length === 0) return resultOf(plan, nothingToJudge(bound, `call that ${service} served while it was on`));
    const lines = history.accesses.filter((access) => access.service === service);
    const stray = lines.filter(({ beginUs }) => beginUs < onUs || beginUs > offUs + withinUs);
    const missing = unmatched(due, lines).attempts;
    // A call whose end was never recorded has no attempts to show.
    const unknown = history.calls.filter((call) => call.service === service && call.endUs < 0).length;
    const surplus = unmatched(served, lines)
      .lines.filter((access) => !isInGap(plan, history, access))
      .slice(unknown);
    const first = [...missing, ...stray, ...surplus].toSorted((a, b) => a.beginUs - b.beginUs)[0];
    const isEnough = due.length >= neededFor(plan.check);
    const counts = [
      ...(missing.length > 0 ? [`${missing.length} of ${due.length} calls aren't in the log`] : []),
      ...(stray.length > 0 ? [`${stray.length} lines are of a time when it was off`] : []),
      ...(surplus.length > 0 ? [`${surplus.length} lines are of no call`] : []),
    ];
    const finding = {
      verdict: first !== undefined ? ("fail" as const) : isEnough ? ("pass" as const) : ("inconclusive" as const),
      observed: `${lines.length} lines, ${missing.length} missing, ${stray.length + surplus.length} too many`,
      bound,
      trials: due.length,
      message:
        first === undefined
          ? `each of ${due.length} calls is one line${isEnough ? "" : ": too few to tell"}`
          : counts.join("; "),
      brokenAtUs: first?.beginUs,
    };
    const during = { fromUs: onUs, toUs: Math.min(offUs, history.run.durationUs) };
    // Only what is missing can be the machine's fault.
    const isLate = stray.length + surplus.length === 0;
    return resultOf(plan, isLate ? despiteLag(finding, history, durationUs(within), during) : finding);
  },
};

interface Served {
  readonly instance: string;
  readonly beginUs: number;
  /** Infinity: nobody knows. */
  readonly endUs: number;
  /** A handler has answered it, for certain. */
  readonly isServed: boolean;
}

/** Every attempt at the service's instances, whoever made it. */
function attemptsOf({ calls, gaps }: History, service: string): readonly Served[] {
  return calls.flatMap((call) =>
    call.service !== service
      ? []
      : call.attempts.map(({ instance, beginUs, endUs, code }) => ({
          instance,
          beginUs,
          endUs: endUs < 0 ? Infinity : endUs,
          isServed:
            endUs >= 0 &&
            code === "OK" &&
            !gaps.some(({ node, fromUs, toUs }) => node === instance && endUs >= fromUs && beginUs <= toUs),
        })),
  );
}

/** What was written while the records of a caller may be missing, which would say to which call it belongs. */
const isInGap = (
  plan: CheckPlan,
  { gaps }: History,
  { beginUs, atUs }: { readonly beginUs: number; readonly atUs: number },
): boolean => gaps.some((gap) => mayCall(plan, gap) && atUs >= gap.fromUs && beginUs <= gap.toUs);

/** What is left over when as many lines as possible have an attempt of their own at their instance, during which they came in. */
function unmatched(
  attempts: readonly Served[],
  lines: History["accesses"],
): { readonly attempts: readonly Served[]; readonly lines: History["accesses"] } {
  const linesOf = Map.groupBy(lines, ({ node }) => node);
  const byInstance = Map.groupBy(attempts, ({ instance }) => instance);
  const left = [...new Set([...byInstance.keys(), ...linesOf.keys()])].map((node) =>
    deal(linesOf.get(node) ?? [], byInstance.get(node) ?? [], ({ beginUs }) => ({ beginUs, endUs: beginUs })),
  );
  return { attempts: left.flatMap(({ places }) => places), lines: left.flatMap(({ items }) => items) };
}

function timesOf({ on, off, within }: Spec): {
  readonly onUs: number;
  readonly offUs: number;
  readonly withinUs: number;
} {
  return { onUs: durationUs(on), offUs: off === undefined ? Infinity : durationUs(off), withinUs: durationUs(within) };
}

/** Both sides of a call must be ours: the caller's record says that it was served, the provider's log is what is checked. */
function requireOurs(name: string, { service }: Spec, { scenario, nodes }: CheckContext): void {
  const foreign = nodes.find(
    (node) =>
      node.foreign !== undefined &&
      (node.service === service || calleesOf(scenario.fleet[node.service]!).includes(service)),
  );
  if (foreign === undefined) return;
  throw new ScenarioError(
    `"${name}": ${foreign.id} isn't a program of Flyball's, and reports neither calls nor lines`,
    {
      code: "INVALID_SCENARIO",
      hint: "check services whose callers and instances are Flyball's",
    },
  );
}

const neededFor = ({ detects }: { readonly detects: string | number }): number =>
  trialsToSee(fractionOf(detects), missMax);
