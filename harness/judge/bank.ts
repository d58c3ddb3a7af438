import type { RowKeys } from "../../services/bank/holdings.ts";
import type { TransactionChange } from "../../runtime/telemetry/events.ts";
import type { History } from "../history/history.ts";
import { formatShare, fractionOf } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { BankPlan, CheckPlan } from "../scenario/plan.ts";
import { missMax, type CheckContext } from "./check.ts";
import { callersOf, isOf } from "./nodes.ts";
import { requireTrials } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { trialsToSee } from "./statistics.ts";

/** What checks of a bank are planned alike by: a transaction is a trial, and one that breaks what must hold is a defect by definition. */
export function planOfBank<Spec extends CheckPlan["check"] & { readonly detects: string | number }>(
  spec: Spec,
  context: CheckContext,
  { name, detects }: { readonly name: string; readonly detects: string },
): CheckPlan & { readonly check: Spec } {
  const bank = bankOf(spec.service, context);
  const { expected, atLeast: trials } = plannedCalls(context, spec.service);
  requireTrials({ name, context, trials }, neededFor(spec));
  return {
    check: spec,
    name,
    phase: "safety",
    expectedTrials: expected,
    falseAlarm: 0,
    detects: `${formatShare(fractionOf(spec.detects))} of them ${detects}`,
    bank,
    ...callersOf(spec.service, context),
  };
}

export const neededFor = ({ detects }: { readonly detects: string | number }): number =>
  trialsToSee(fractionOf(detects), missMax);

function bankOf(service: string, { scenario }: CheckContext): BankPlan {
  const spec = scenario.fleet[service];
  if (spec?.program === "order") {
    const { account, stock, price = defaultPrice, mode = "tcc" } = spec;
    const keysOf = (name: string): RowKeys => {
      const part = scenario.fleet[name];
      return ((part?.program === "account" || part?.program === "stock") && part.keys) || "name";
    };
    return {
      ...{ order: service, account: account.service, stock: stock.service, price, mode },
      keys: { account: keysOf(account.service), stock: keysOf(stock.service) },
    };
  }
  throw new ScenarioError(`${service} is no order service of a bank, and runs no transactions`, {
    code: "INVALID_SCENARIO",
    hint: 'fleet: { buyer: consumer({ calls: "order" }), ...bank() }',
  });
}

/** What a piece costs where the scenario doesn't say (services/bank/order.ts). */
const defaultPrice = 10;

export type Change = TransactionChange & { readonly node: string };
export type ChangeOf<What extends Change["what"]> = Extract<Change, { readonly what: What }>;

/** What is in an account, or of a good, and whose change left it so. */
export interface Holding {
  readonly free: number;
  readonly frozen: number;
  readonly used: number;
}

/** What `item` of a node was before and after; without `before` it is the first that was heard of it. */
export interface Move {
  readonly node: string;
  readonly item: string;
  readonly atUs: number;
  readonly xid: string;
  readonly branchId: string | undefined;
  readonly before: Holding | undefined;
  readonly after: Holding;
}

/**
 * Every change of what the service has, in order, and what it read on its disk when it began and at the end. What is read while a
 * transaction is being written down may be ahead of what that one reports: it is compared, and nothing else is counted from there.
 */
export const movesOf: (history: History, service: string) => readonly Move[] = once((service) => service, readMoves);

function readMoves(history: History, service: string): readonly Move[] {
  const nodes = new Map<string, Map<string, Holding>>();
  const moves: Move[] = [];
  for (const change of history.transactions) {
    if ((change.what !== "holding" && change.what !== "audit") || !isOf(service, change)) continue;
    const { node, atUs, xid } = change;
    const branchId = change.what === "holding" ? change.branchId : undefined;
    const last = nodes.get(node) ?? new Map<string, Holding>();
    nodes.set(node, last);
    for (const { item, free, frozen, used } of change.what === "holding" ? [change] : change.holdings) {
      const after = { free, frozen, used };
      moves.push({ node, item, atUs, xid, branchId, before: last.get(item), after });
      if (change.what === "holding" || change.isFirst === true) last.set(item, after);
    }
  }
  return moves;
}

/** Writes whose commit got no answer and of which nobody has found out since: they may be there or not. */
export const openDoubts: (history: History, service: string) => readonly ChangeOf<"doubt">[] = once(
  (service) => service,
  (history, service) => {
    const open = new Map<string, ChangeOf<"doubt">>();
    for (const change of history.transactions) {
      if (change.what !== "doubt" || !isOf(service, change)) continue;
      // Whose it is, too: what is taken back has the version again that others have taken back to.
      const write = `${change.node} ${change.xid} ${change.branchId} ${change.item} ${change.version}`;
      if (change.state === "open") open.set(write, change);
      else open.delete(write);
    }
    return [...open.values()];
  },
);

/** The same of a history that is whole, read once however many checks ask for it. `keyOf`: what else it is read by. */
export function once<By, T>(keyOf: (by: By) => string, read: (history: History, by: By) => T): typeof read {
  const known = new WeakMap<History, Map<string, T>>();
  return (history, by) => {
    const own = known.get(history) ?? new Map<string, T>();
    known.set(history, own);
    const key = keyOf(by);
    if (!own.has(key)) own.set(key, read(history, by));
    return own.get(key)!;
  };
}

/** What a service's nodes reported once the load was over and the transactions with it; undefined where one didn't. */
export const lastWords: (history: History, service: string) => readonly ChangeOf<"audit">[] | undefined = once(
  (service) => service,
  (history, service) => {
    const last = new Map<string, ChangeOf<"audit">>();
    for (const change of history.transactions) {
      if (change.what === "audit" && isOf(service, change) && change.atUs >= history.run.durationUs)
        last.set(change.node, change);
    }
    const nodes = history.run.nodes.filter((node) => node.service === service);
    return nodes.every(({ id }) => last.has(id)) ? [...last.values()] : undefined;
  },
);
