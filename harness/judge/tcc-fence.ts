import type { History } from "../history/history.ts";
import { formatShare, fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { movesOf, neededFor, openDoubts, type Move } from "./bank.ts";
import type { CheckKind } from "./check.ts";
import { isOf } from "./nodes.ts";
import { nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";

type Spec = Extract<CheckSpec, { check: "tcc-fence" }>;

/** What a fence says of an accident that it made harmless. */
const accidents: Readonly<
  Record<Spec["shows"], { readonly step: string; readonly outcome: string; readonly what: string }>
> = {
  "empty-rollback": { step: "cancel", outcome: "empty", what: "cancel without a try" },
  suspension: { step: "try", outcome: "refused", what: "try after its cancel" },
  "duplicate-confirm": { step: "confirm", outcome: "again", what: "second confirm" },
  "duplicate-cancel": { step: "cancel", outcome: "again", what: "second cancel" },
};

const areOfCancels: ReadonlySet<Spec["shows"]> = new Set(["empty-rollback", "duplicate-cancel"]);

/**
 * Steps that come twice, too late or without the one before have no effect: what a branch did to an account or a good is nothing, a try, a
 * try and a confirm, or a try and a cancel. A cancel without a try is done when it comes first, and not after others were refused. The run
 * has to show such accidents, else there is nothing to judge.
 */
export const tccFence: CheckKind<Spec> = {
  plan: (spec, context) => {
    const { service, shows } = spec;
    const name = `a ${accidents[shows].what} at ${service} has no effect`;
    const { program } = context.scenario.fleet[service]!;
    const node = context.nodes.find((one) => one.service === service);
    const isByTcc = (node?.config["mode"] ?? "tcc") === "tcc" && node?.config["outside"] === undefined;
    if ((program !== "account" && program !== "stock") || !isByTcc) {
      throw new ScenarioError(`"${name}": ${service} has no fence`, {
        code: "INVALID_SCENARIO",
        hint: 'account and stock of a bank have one, in mode "tcc", where nothing is outside',
      });
    }
    const { expected, atLeast: trials } = plannedCalls(context, service);
    requireTrials({ name, context, trials }, neededFor(spec));
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: expected,
      falseAlarm: 0,
      detects: `${formatShare(fractionOf(spec.detects))} of them have one`,
    };
  },
  judge: (plan, history) => {
    const { service, shows } = plan.check;
    const { what } = accidents[shows];
    const bound = "0 have one";
    const wrong = wrongBranches(history, service);
    const refused = areOfCancels.has(shows) ? refusedCancels(history, service) : new Map<string, Refused>();
    const seen = accidentsIn(history, plan.check);
    const trials = new Set([...seen, ...wrong.keys(), ...refused.keys()]).size;
    const count = new Set([...wrong.keys(), ...refused.keys()]).size;
    const more = count > 1 ? ` (and ${count - 1} more)` : "";
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, `${what} at ${service}`));
    const isEnough = trials >= neededFor(plan.check);
    const [first] = wrong.values();
    const [firstRefused] = refused.values();
    return resultOf(plan, {
      verdict: count > 0 ? "fail" : isEnough ? "pass" : "inconclusive",
      observed: `${count} of ${trials}`,
      bound,
      trials,
      message:
        first !== undefined
          ? `a branch of ${first[0]!.xid} did ${first.map(stepOf).join(", ")} to ${first[0]!.item} of ${first[0]!.node}${more}`
          : firstRefused !== undefined
            ? `${firstRefused.node} refused a cancel of ${firstRefused.xid} that had no try${more}`
            : `none of ${trials} had an effect${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: first?.at(-1)?.atUs ?? firstRefused?.atUs,
    });
  },
};

function accidentsIn(history: History, { service, shows }: Spec): ReadonlySet<string> {
  const { step, outcome } = accidents[shows];
  return new Set(
    history.transactions.flatMap((change) =>
      change.what === "step" && isOf(service, change) && change.step === step && change.outcome === outcome
        ? [change.branchId]
        : [],
    ),
  );
}

interface Refused {
  readonly xid: string;
  readonly node: string;
  readonly atUs: number;
}

/** Branches without a try whose cancel is to come again, as their node said. */
function refusedCancels(history: History, service: string): ReadonlyMap<string, Refused> {
  const tried = new Set<string>();
  const refused = new Map<string, Refused>();
  for (const change of history.transactions) {
    if (!isOf(service, change)) continue;
    if (change.what === "step" && change.step === "try" && change.outcome === "done") tried.add(change.branchId);
    if (change.what !== "branch" || change.status !== "PhaseTwo_RollbackFailed_Retryable") continue;
    const { branchId, xid, node, atUs } = change;
    if (!tried.has(branchId) && !refused.has(branchId)) refused.set(branchId, { xid, node, atUs });
  }
  return refused;
}

/**
 * Branches with other effects than they may have. One that a killed node may have kept to itself, or whose commit got no answer, is given
 * the benefit of the doubt.
 */
function wrongBranches(history: History, service: string): ReadonlyMap<string, readonly Move[]> {
  const branches = new Map<string, Move[]>();
  for (const move of movesOf(history, service)) {
    if (move.branchId === undefined || move.before === undefined) continue;
    const own = branches.get(move.branchId);
    if (own === undefined) branches.set(move.branchId, [move]);
    else own.push(move);
  }
  const begins = new Map<string, number>();
  for (const change of history.transactions) {
    if (change.what === "branch" && isOf(service, change) && change.status === "Registered")
      begins.set(change.branchId, change.atUs);
  }
  const gaps = history.gaps.filter((gap) => isOf(service, gap));
  const doubted = new Set(openDoubts(history, service).map(({ branchId }) => branchId));
  return new Map(
    [...branches].filter(([branchId, moves]) => {
      if (doubted.has(branchId)) return false;
      const fromUs = begins.get(branchId) ?? -Infinity;
      const toUs = moves.at(-1)!.atUs;
      if (gaps.some((gap) => gap.fromUs <= toUs && gap.toUs >= fromUs)) return false;
      return !allowed.has(moves.map(stepOf).join(" "));
    }),
  );
}

const allowed: ReadonlySet<string> = new Set(["try", "try confirm", "try cancel"]);

function stepOf({ before, after }: Move): string {
  if (after.used > before!.used) return "confirm";
  if (after.frozen > before!.frozen) return "try";
  return after.free > before!.free ? "cancel" : "something else";
}
