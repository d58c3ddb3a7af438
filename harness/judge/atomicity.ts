import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CheckSpec, Scenario } from "../scenario/schema.ts";
import { emptyAnswers, type Answer } from "./answers.ts";
import { lastWords, movesOf, neededFor, planOfBank, type Change, type Move } from "./bank.ts";
import { endOf, isSettled, netOf, transactionsOf, type Transaction } from "./branches.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";
import { unaskedFor } from "./unasked.ts";

type Spec = Extract<CheckSpec, { check: "atomicity" }>;

/** Where both ends have to be seen, the least share of each. */
const seenMin = 0.05;

/** What goes wrong in a transaction, and is to come to nothing all the same. */
const accidents: Readonly<
  Record<NonNullable<Spec["shows"]>, { readonly what: string; readonly isOne: (change: Change) => boolean }>
> = {
  "late-commit": {
    what: "branch whose rollback was there before its commit",
    isOne: (change) => change.what === "step" && change.step === "change" && change.outcome === "refused",
  },
  "retried-rollback": {
    what: "rollback whose answer got lost",
    isOne: (change) => change.what === "retry" && change.decision === "rollback",
  },
};

/**
 * All of a transaction's branches or none: a piece is taken out of stock exactly where its price is paid, once, by one account, and what is
 * given back goes to where it was taken from; a manager that was told of an end was told what is so at that moment; whoever was answered
 * OK has a transaction that was committed, who was refused has none, and no call has two; and when all is quiet, everything that was paid
 * is the price of everything that was taken.
 */
export const atomicity: CheckKind<Spec> = {
  plan: (spec, context) => {
    const plan = planOfBank(spec, context, {
      name: `${spec.service} is done whole or not at all`,
      detects: "are done by halves",
    });
    requireAccidents(plan.name, spec, plan.bank!, context.scenario);
    return plan;
  },
  judge: (plan, history) => {
    const bank = plan.bank!;
    const bound = "0 by halves";
    const all = transactionsOf(history, bank).filter(isSettled);
    const empty = emptyAnswers(history, bank).map(emptiness);
    if (all.length === 0 && empty.length === 0) return resultOf(plan, nothingToJudge(bound, "transaction"));
    const { shows } = plan.check;
    const shown = shows === undefined ? [] : history.transactions.filter(accidents[shows].isOne);
    const isMissing = shows !== undefined && shown.length === 0;
    const halves = all.flatMap((transaction) => breachIn(transaction, bank) ?? []);
    // Whoever was told of a half was told wrong in any case.
    const broken = halves.length > 0 ? halves : [...empty, ...unaskedFor(history, bank, plan).map(unwanted)];
    const sum = broken.length === 0 ? sumBreach(history, bank) : undefined;
    const committed = all.filter(({ paid }) => netOf(paid).used !== 0).length;
    const shares = [committed, all.length - committed].map((count) => count / all.length);
    const isOneSided = plan.check.bothEnds === true && Math.min(...shares) < seenMin;
    const lacking = isOneSided
      ? ": both ends were to be seen"
      : isMissing
        ? ": one at least was to be seen"
        : undefined;
    const isEnough = all.length >= neededFor(plan.check) && lacking === undefined;
    const first = broken.toSorted((a, b) => a.atUs - b.atUs)[0];
    const ends = `${committed} done and ${all.length - committed} not`;
    return resultOf(plan, {
      verdict: first !== undefined || sum !== undefined ? "fail" : isEnough ? "pass" : "inconclusive",
      observed:
        first === undefined && sum !== undefined
          ? sum
          : all.length === 0
            ? `${broken.length} answered OK, and no transaction`
            : `${broken.length} of ${all.length}`,
      bound,
      trials: all.length,
      message:
        first !== undefined
          ? `${first.why}${broken.length > 1 ? ` (and ${broken.length - 1} more)` : ""}`
          : (sum ??
            `${all.length} transactions, ${ends}${seenOf(shows, shown.length)}${isEnough ? "" : (lacking ?? ": too few to tell")}`),
      brokenAtUs: first?.atUs,
    });
  },
};

const seenOf = (shows: Spec["shows"], count: number): string =>
  shows === undefined ? "" : `; ${count} × ${accidents[shows].what}`;

/** Refuses a scenario in which what is to be shown can't happen. */
function requireAccidents(name: string, { shows }: Spec, { account, stock }: BankPlan, { fleet }: Scenario): void {
  const isLate = [account, stock].some((service) => {
    const spec = fleet[service];
    return (spec?.program === "account" || spec?.program === "stock") && spec.commitTime !== undefined;
  });
  if (shows !== "late-commit" || isLate) return;
  throw new ScenarioError(`"${name}": no branch is committed late`, {
    code: "INVALID_SCENARIO",
    hint: 'bank({ mode: "at", account: { commitTime: "20ms" } }), and a fault that makes it slow',
  });
}

interface Breach {
  readonly why: string;
  readonly atUs: number;
}

const emptiness = ({ node, call, instance, endUs }: Answer): Breach => ({
  why: `${instance} answered OK to call ${call} of ${node}, and no transaction was committed for it`,
  atUs: endUs,
});

const unwanted = ({ xid, begun }: Transaction): Breach => ({
  why: `${begun!.node} committed ${xid}, and each call that it got has another one, or was told that nothing is done`,
  atUs: begun!.atUs,
});

function breachIn({ xid, paid, taken, told, toUs }: Transaction, { price }: BankPlan): Breach | undefined {
  const [money, goods] = [netOf(paid).used, netOf(taken).used];
  const isWhole = (goods === 0 || goods === 1) && money === goods * price;
  if (!isWhole) return { why: `${xid} paid ${money} and took ${goods}`, atUs: toUs };
  // What was given back to another one than it was taken from comes to nothing in sum.
  const [payers, givers] = [usedByItem(paid), usedByItem(taken)];
  if (payers.length > goods || givers.length > goods) {
    const parts = [...payers, ...givers].map(([item, used]) => `${used} of ${item}`);
    return { why: `${xid} used ${parts.join(", ")}`, atUs: toUs };
  }
  for (const { status, atUs } of told) {
    const end = endOf(status);
    if (end === undefined) continue;
    const wanted = end === "committed" ? 1 : 0;
    const [then, thenTaken] = [netOf(paid, atUs), netOf(taken, atUs)];
    if (thenTaken.used === wanted && then.used === wanted * price) continue;
    return { why: `${xid} had paid ${then.used} and taken ${thenTaken.used} when ${status} was told`, atUs };
  }
  return undefined;
}

/** Whose is used up in the end, and how much; less than nothing: it was given too much back. */
const usedByItem = (moves: readonly Move[]): readonly (readonly [string, number])[] =>
  [...Map.groupBy(moves, ({ node, item }) => `${item} of ${node}`)]
    .map(([item, own]) => [item, netOf(own).used] as const)
    .filter(([, used]) => used !== 0);

/** The same of everything together, as it was read from the disks; undefined where it is right, or where something is still set aside. */
function sumBreach(history: History, { account, stock, price }: BankPlan): string | undefined {
  const [paid, taken] = [account, stock].map((service) => usedAtRest(history, service));
  if (paid === undefined || taken === undefined || paid === taken * price) return undefined;
  return `${paid} was paid for ${taken} pieces at ${price}`;
}

function usedAtRest(history: History, service: string): number | undefined {
  const last = lastWords(history, service);
  if (last === undefined) return undefined;
  const holdings = last.flatMap((audit) => audit.holdings);
  if (holdings.some(({ frozen }) => frozen !== 0)) return undefined;
  const first = new Map<string, number>();
  for (const { node, item, before, after } of movesOf(history, service)) {
    if (before === undefined && !first.has(`${node} ${item}`)) first.set(`${node} ${item}`, after.used);
  }
  const atFirst = [...first.values()].reduce((sum, used) => sum + used, 0);
  return holdings.reduce((sum, { used }) => sum + used, -atFirst);
}
