import type { History } from "../history/history.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { lastWords, movesOf, neededFor, planOfBank, type Holding, type Move } from "./bank.ts";
import { isOf } from "./nodes.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";

/**
 * What an account has, free, set aside and paid, is as much after every local transaction as it was at first, and so for the goods; none of
 * the three is ever less than nothing; and whenever a node reads what it has, it has the accounts, or goods, that it had at first, each
 * once. As no item is at two nodes, this holds at every cut of the run, consistent ones among them, and when all is quiet.
 */
export const conservation: CheckKind<Extract<CheckSpec, { check: "conservation" }>> = {
  plan: (spec, context) =>
    planOfBank(spec, context, {
      name: `${spec.service} conserves money and goods`,
      detects: "make or lose something",
    }),
  judge: (plan, history) => {
    const { account, stock } = plan.bank!;
    const bound = "nothing made or lost";
    const moved = new Set<string>();
    const broken: Breach[] = [];
    for (const move of [account, stock].flatMap((service) => movesOf(history, service))) {
      const { xid, atUs } = move;
      if (xid !== "" && atUs >= 0) moved.add(xid);
      const breach = breachIn(move);
      if (breach !== undefined) broken.push(breach);
    }
    for (const row of [account, stock].flatMap((service) => rowBreaches(history, service))) broken.push(row);
    const trials = moved.size;
    if (trials === 0 && broken.length === 0) {
      return resultOf(plan, nothingToJudge(bound, "transaction that moved something"));
    }
    const unread = [account, stock].find((service) => lastWords(history, service) === undefined);
    const isEnough = trials >= neededFor(plan.check);
    const first = broken.toSorted((a, b) => a.atUs - b.atUs)[0];
    return resultOf(plan, {
      verdict: first !== undefined ? "fail" : unread === undefined && isEnough ? "pass" : "inconclusive",
      observed: first === undefined ? `0 of ${trials}` : `${transactionsIn(broken)} of ${trials}`,
      bound,
      trials,
      message:
        first !== undefined
          ? `${first.why}${broken.length > 1 ? ` (and ${broken.length - 1} more)` : ""}`
          : unread !== undefined
            ? `nobody could ask ${unread} at the end what it has`
            : `${trials} transactions made and lost nothing${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: first?.atUs,
    });
  },
};

interface Breach {
  readonly why: string;
  readonly atUs: number;
  /** "": nobody's that is known. */
  readonly xid: string;
}

function breachIn({ node, item, xid, atUs, before, after }: Move): Breach | undefined {
  const since = xid || "its node came back";
  if (before !== undefined && sumOf(before) !== sumOf(after)) {
    const why = `${item} of ${node} had ${sumOf(before)} in all, and ${sumOf(after)} after ${since}`;
    return { why, atUs, xid };
  }
  // It is told of who makes it so, and not of all that come later.
  const part = parts.find((name) => after[name] < 0 && !((before?.[name] ?? 0) < 0));
  if (part === undefined) return undefined;
  return { why: `${item} of ${node} has ${after[part]} ${words[part]} after ${since}`, atUs, xid };
}

const parts = ["free", "frozen", "used"] as const;

const words = { free: "free", frozen: "set aside", used: "used up" };

/** Rows that a node read and hadn't had when it first did, or doesn't have any more, or has twice. Of a row's editions one is there. */
function rowBreaches(history: History, service: string): readonly Breach[] {
  const atFirst = new Map<string, ReadonlySet<string>>();
  const breaches: Breach[] = [];
  for (const change of history.transactions) {
    if (change.what !== "audit" || !isOf(service, change)) continue;
    const { node, atUs, holdings } = change;
    const now = new Set<string>();
    const was = atFirst.get(node);
    // Once, and not whenever it is read again.
    const tell = (item: string, what: string): void => {
      const why = `${item} of ${node} ${what} when its node reads what it has`;
      if (breaches.every((breach) => breach.why !== why)) breaches.push({ why, atUs, xid: "" });
    };
    for (const { item } of holdings) {
      if (now.has(item)) tell(item, "is there twice");
      else if (was?.has(item) === false) tell(item, "is there, and wasn't at first,");
      now.add(item);
    }
    for (const item of was ?? []) if (!now.has(item)) tell(item, "is gone");
    if (was === undefined) atFirst.set(node, now);
  }
  return breaches;
}

const sumOf = ({ free, frozen, used }: Holding): number => free + frozen + used;

/** One by one where nobody knows whose they are. */
const transactionsIn = (broken: readonly Breach[]): number => new Set(broken.map(({ xid, why }) => xid || why)).size;
