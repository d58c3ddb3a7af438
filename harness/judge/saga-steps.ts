import { needsRepair } from "../../runtime/transactions/status.ts";
import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { neededFor, planOfBank, type Move } from "./bank.ts";
import { endOf, transactionsOf, type Transaction } from "./branches.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";

type Spec = Extract<CheckSpec, { check: "saga-steps" }>;

/**
 * Every step of a saga that was done is kept, or taken back once, the last one first: what a saga did to accounts and goods is its steps in
 * order, and then their compensations in the reverse order, all of them or none. Of one that needs a person the last compensations may be
 * missing. The run has to show sagas that were taken back, that were when their engine died, or that need a person, else there is nothing
 * to judge.
 */
export const sagaSteps: CheckKind<Spec> = {
  plan: (spec, context) => {
    const plan = planOfBank(spec, context, {
      name: `${spec.service}'s sagas keep a step or take it back, once, in order`,
      detects: "don't",
    });
    if (plan.bank?.mode === "saga") {
      const order = context.scenario.fleet[spec.service];
      if (spec.shows !== "dirty-read" || (order?.program === "order" && order.looks !== undefined)) return plan;
      throw new ScenarioError(`"${plan.name}": nobody looks`, {
        code: "INVALID_SCENARIO",
        hint: 'bank({ mode: "saga", looks: {} })',
      });
    }
    throw new ScenarioError(`"${plan.name}": ${spec.service} runs no sagas`, {
      code: "INVALID_SCENARIO",
      hint: 'a bank does in mode "saga": bank({ mode: "saga" })',
    });
  },
  judge: (plan, history) => {
    const { shows } = plan.check;
    const bank = plan.bank!;
    const bound = "0 don't";
    const told = taleOf(history, bank);
    const wrong = told.filter(({ isWrong }) => isWrong);
    const trials = told.filter((saga) => saga.isWrong || saga.shows.includes(shows)).length;
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, `saga that ${shownAs[shows].one}`));
    const isEnough = trials >= neededFor(plan.check);
    const first = wrong.toSorted((a, b) => a.atUs - b.atUs)[0];
    return resultOf(plan, {
      verdict: first !== undefined ? "fail" : isEnough ? "pass" : "inconclusive",
      observed: `${wrong.length} of ${trials}`,
      bound,
      trials,
      message:
        first !== undefined
          ? `${first.xid} did ${first.steps.join(", ") || "nothing"}, and was ${first.found}${wrong.length > 1 ? ` (and ${wrong.length - 1} more)` : ""}`
          : `${trials} sagas that ${shownAs[shows].many} did it in order${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: first?.atUs,
    });
  },
};

const shownAs: Readonly<Record<Spec["shows"], { readonly one: string; readonly many: string }>> = {
  compensation: { one: "was taken back", many: "were taken back" },
  repair: { one: "needs a person", many: "need a person" },
  resumption: {
    one: "was being taken back when its engine died",
    many: "were being taken back when their engine died",
  },
  "dirty-read": { one: "saw what another one then took back", many: "saw what another one then took back" },
};

interface Tale {
  readonly xid: string;
  readonly atUs: number;
  readonly steps: readonly string[];
  readonly found: string;
  readonly shows: readonly Spec["shows"][];
  readonly isWrong: boolean;
}

/** Those of which it is known what they did and how they ended. */
function taleOf(history: History, bank: BankPlan): readonly Tale[] {
  const resumed = resumedIn(history);
  const dirty = dirtyReadersIn(history, bank);
  return transactionsOf(history, bank).flatMap((transaction): readonly Tale[] => {
    const { xid, isDoubtful, toUs } = transaction;
    const end = knownEnd(transaction);
    if (isDoubtful || end === undefined) return [];
    const moves = [...transaction.paid, ...transaction.taken].toSorted((a, b) => a.atUs - b.atUs);
    const steps = moves.map(stepOf);
    const back = steps.filter((step) => step.startsWith("-")).length;
    return [
      {
        ...{ xid, steps, atUs: moves.at(-1)?.atUs ?? toUs, found: end },
        shows: [
          ...(end === "in need of a person" ? (["repair"] as const) : back > 0 ? (["compensation"] as const) : []),
          ...(resumed.has(xid) ? (["resumption"] as const) : []),
          ...(dirty.has(xid) ? (["dirty-read"] as const) : []),
        ],
        isWrong: !isInOrder(steps, end, bank),
      },
    ];
  });
}

/** Of those that were being taken back when their node was killed, those whose end its next life has told. */
function resumedIn(history: History): ReadonlySet<string> {
  const began = new Map<string, number>();
  const resumed = new Set<string>();
  for (const change of history.transactions) {
    if (change.what !== "saga") continue;
    const { xid, node, phase, atUs } = change;
    if (phase === "compensating" && !began.has(xid)) began.set(xid, atUs);
    if (phase !== "compensated" && phase !== "failed") continue;
    const fromUs = began.get(xid);
    const hasBegunAnew = history.phases.some(
      (life) => life.phase === "listening" && life.node === node && fromUs! < life.atUs && life.atUs < atUs,
    );
    if (fromUs !== undefined && hasBegunAnew) resumed.add(xid);
  }
  return resumed;
}

/** Those that looked at what a step of another one had left, which was rolled back afterwards. */
function dirtyReadersIn(history: History, bank: BankPlan): ReadonlySet<string> {
  const aborted = new Set(
    transactionsOf(history, bank).flatMap((one) => (knownEnd(one) === "rolled back" ? [one.xid] : [])),
  );
  const used = new Map<string, number>();
  const steps = new Map<string, string>();
  const readers = new Set<string>();
  for (const change of history.transactions) {
    if (change.what === "holding") {
      const row = `${change.node} ${change.item}`;
      // What is given back is no step that could be taken back.
      if (change.used > (used.get(row) ?? 0)) steps.set(`${row} ${change.version}`, change.xid);
      used.set(row, change.used);
    } else if (change.what === "look") {
      const writer = steps.get(`${change.node} ${change.item} ${change.version}`);
      if (writer !== undefined && writer !== change.xid && aborted.has(writer)) readers.add(change.xid);
    }
  }
  return readers;
}

/** What its manager was told is the promise, whatever a coordinator makes of it; not every manager is told, and a Seata forgets. */
function knownEnd({ found, told }: Transaction): string | undefined {
  if (found === undefined) return undefined;
  if (needsRepair(found)) return "in need of a person";
  const said = told.map(({ status }) => endOf(status)).find((end) => end !== undefined);
  return said ?? endOf(found) ?? (found === "Finished" ? "over" : undefined);
}

function isInOrder(steps: readonly string[], end: string, { account, stock }: BankPlan): boolean {
  const wanted = [account, stock];
  const done = steps.filter((step) => !step.startsWith("-"));
  const back = steps.slice(done.length);
  const isForward = done.every((step, index) => step === wanted[index] && step === steps[index]);
  const expected = [...done].reverse().map((step) => `-${step}`);
  const isReverse = back.every((step, index) => step === expected[index]);
  if (!isForward || !isReverse) return false;
  const isKept = back.length === 0 && done.length === wanted.length;
  const isBack = back.length === done.length;
  if (end === "committed") return isKept;
  if (end === "rolled back") return isBack;
  return end === "over" ? isKept || isBack : true;
}

/** "account": it was done there; "-account": taken back. */
function stepOf({ node, before, after }: Move): string {
  const service = node.slice(0, node.lastIndexOf("/"));
  return before !== undefined && after.used < before.used ? `-${service}` : service;
}
