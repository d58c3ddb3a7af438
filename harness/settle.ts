import type { TransactionChange } from "../runtime/telemetry/events.ts";
import { isEnded, needsRepair, type GlobalStatus } from "../runtime/transactions/status.ts";
import type { History } from "./history/history.ts";
import { lastWord } from "./history/last-word.ts";
import { untilAborted } from "./parallel.ts";
import type { Plan } from "./scenario/plan.ts";
import type { FleetNode, RunningFleet } from "./worlds/world.ts";

/** Between the first two looks whether every transaction is over, and between any two: what isn't over soon takes long. */
const pauseUs = { first: 100_000, longest: 2_000_000 };

/**
 * Waits until every global transaction of the run has come to its end, as far as the plan allows, and lets everybody who takes part report
 * what there is then. Transactions that need a person have come to theirs. `transactions`: what is told of them, as it grows.
 */
export async function settle(
  { nodes, settleUs }: Plan,
  { clock, nodes: fleet }: RunningFleet,
  { transactions, signal }: { readonly transactions: History["transactions"]; readonly signal: AbortSignal },
): Promise<void> {
  if (settleUs === undefined) return;
  const untilUs = clock.nowUs() + settleUs;
  const running = (...programs: readonly string[]): readonly FleetNode[] =>
    nodes
      .flatMap(({ id, program }) => (programs.includes(program) ? [fleet.get(id)!] : []))
      .filter(({ state }) => state === "running");
  const ledger = new Ledger();
  const collect = (): Promise<unknown> => Promise.all([...fleet.values()].map((node) => node.collect()));
  for (let nextUs = pauseUs.first; ; nextUs = Math.min(1.5 * nextUs, pauseUs.longest)) {
    await collect();
    const open = [...ledger.readOn(transactions).open];
    const asked = running("order").slice(0, 1);
    await untilAborted(Promise.all(asked.map((node) => node.audit(open))), signal);
    await collect();
    const isLast = clock.nowUs() >= untilUs;
    // What there is, is much: while a transaction is open, nobody needs it.
    if (isLast || ledger.readOn(transactions).open.size === 0) {
      const participants = running("coordinator", "account", "stock");
      await untilAborted(Promise.all(participants.map((node) => node.audit([]))), signal);
      await collect();
      if (isLast || ledger.readOn(transactions).isQuiet) return;
    }
    await untilAborted(clock.sleep(Math.min(nextUs, untilUs - clock.nowUs())), signal);
  }
}

type Change = TransactionChange & { readonly node: string };

export type Audit = Extract<Change, { readonly what: "audit" }>;

/** What a history says of its transactions so far. It reads on from where it stopped: a long one is looked at again and again. */
class Ledger {
  /** By xid, the coordinator's last word on it. */
  readonly words = new Map<string, GlobalStatus>();
  /** By node, what it reported last. */
  readonly audits = new Map<string, Audit>();
  /** Those of which the coordinator hasn't said that they are over: what a manager heard may still be under way in the background. */
  readonly open = new Set<string>();
  #read = 0;

  /** `changes` are those that it has read, and what has come since. */
  readOn(changes: readonly Change[]): this {
    for (; this.#read < changes.length; this.#read++) this.#hear(changes[this.#read]!);
    return this;
  }

  /** Nothing is open, and nobody has anything left but of those that need a person. */
  get isQuiet(): boolean {
    if (this.open.size > 0) return false;
    const left = [...this.audits.values()].flatMap((audit) => audit.left);
    return left.every(({ xid }) => needsRepair(this.words.get(xid) ?? "Begin"));
  }

  #hear(change: Change): void {
    const { xid } = change;
    if (change.what === "audit") this.audits.set(change.node, change);
    if (xid === "") return;
    const word = lastWord(this.words.get(xid), change);
    if (word !== undefined) this.words.set(xid, word);
    if (word !== undefined && isEnded(word)) this.open.delete(xid);
    else this.open.add(xid);
  }
}

/** By xid, the coordinator's last word on it. */
export const coordinatorsWords = (changes: readonly Change[]): ReadonlyMap<string, GlobalStatus> =>
  new Ledger().readOn(changes).words;

/** By node, what it reported last. */
export const lastAudits = (changes: readonly Change[]): ReadonlyMap<string, Audit> =>
  new Ledger().readOn(changes).audits;
