import { itemIn } from "../../services/bank/holdings.ts";
import { meanUs } from "../../services/distribution.ts";
import { familyOf, isEnded, needsRepair } from "../../runtime/transactions/status.ts";
import { parseLockKey } from "../../runtime/transactions/lock-key.ts";
import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { workDistribution } from "../scenario/nodes.ts";
import { ScenarioError } from "../scenario/error.ts";
import { durationUs, fractionOf } from "../scenario/durations.ts";
import type { CheckSpec, PermittedAnomaly, Scenario } from "../scenario/schema.ts";
import { neededFor, openDoubts, planOfBank, type Change, type ChangeOf } from "./bank.ts";
import type { CheckContext, CheckKind } from "./check.ts";
import {
  examplesOf,
  findingsIn,
  told,
  type Finding,
  type Observed,
  type Read,
  type TransactionEnd,
} from "./dependencies.ts";
import { isOf } from "./nodes.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";

type Spec = Extract<CheckSpec, { check: "isolation" }>;

/**
 * What AT promises to those who keep to it: nobody writes over what another transaction may yet take back, and no rollback writes over
 * somebody else (`dirty-write`, `G0`); who looks with the lock sees nothing of the kind either (`G1a`, `G1b`, `G1c`), and who keeps it
 * until the row is written loses nothing that others wrote (`lost-update`). Everybody is held to the isolation that they asked for (Adya's
 * mixing): who reads plainly, or writes past all locks, is promised no more than that what they read was written by somebody
 * (`garbage-read`). What is permitted then, and what the lock doesn't exclude either, the run can be asked to show.
 *
 * A trial is an access under the lock that had to wait for what was then taken back: there it matters. False alarms: none. What was lost
 * with a killed node's last records is taken for unknown, and so is a write whose commit got no answer, until somebody has found out.
 */
export const isolation: CheckKind<Spec> = {
  plan: (spec, context) => {
    const plan = planOfBank(spec, context, {
      name: `${spec.service}'s transactions are isolated as they asked for`,
      detects: "get what may be taken back",
    });
    requireAccesses(plan.name, spec, plan.bank!, context.scenario);
    requireWaits(plan.name, spec, plan.bank!, context);
    return plan;
  },
  judge: (plan, history) => {
    const bank = plan.bank!;
    const bound = "0 get what may be taken back";
    const tale = new Tale(history, bank);
    const wrong = tale.broken();
    const shown = shownBy(plan.check).map((anomaly) => ({ anomaly, found: tale.shown(anomaly) }));
    const missing = shown.find(({ found }) => found.length === 0);
    if (wrong.length === 0 && missing !== undefined) {
      return resultOf(plan, nothingToJudge(bound, shownAs[missing.anomaly]));
    }
    const trials = wrong.length + tale.waits();
    if (trials === 0)
      return resultOf(plan, nothingToJudge(bound, "lock that was waited for and whose rows were taken back"));
    const isEnough = trials >= neededFor(plan.check);
    const [first] = wrong;
    const seen = shown.map(({ anomaly, found }) => `; ${toldOf(anomaly, found)}`).join("");
    return resultOf(plan, {
      verdict: first !== undefined ? "fail" : isEnough ? "pass" : "inconclusive",
      observed: `${wrong.length} of ${trials}`,
      bound,
      trials,
      message:
        first !== undefined
          ? `${told(first)}${wrong.length > 1 ? ` (and ${wrong.length - 1} more)` : ""}`
          : `${trials} that locked had to wait for what was taken back, and got none of it${seen}${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: first === undefined ? undefined : tale.atUs(first),
    });
  },
};

const shownBy = ({ shows = [] }: Spec): readonly PermittedAnomaly[] => (typeof shows === "string" ? [shows] : shows);

const shownAs: Readonly<Record<PermittedAnomaly, string>> = {
  "dirty-read": "look without the lock that saw what was taken back",
  "dirty-write": "write past the locks over what was to be taken back",
  G1b: "look without the lock that saw what its writer then wrote over itself (G1b)",
  G1c: "pair of orders that saw each other's writes (G1c)",
  "lost-update": "order that wrote over what it hadn't seen yet when it looked (lost-update)",
  "G-single": "order that saw one row before another's write, and one after it (G-single)",
  "G2-item": "pair of orders neither of which saw what the other one wrote (G2-item)",
};

/** How often, and of what isn't told by its number alone, one. */
function toldOf(anomaly: PermittedAnomaly, found: readonly Finding[]): string {
  if (anomaly === "dirty-read" || anomaly === "dirty-write") return `${found.length} that didn't lock did (${anomaly})`;
  return told(found[0]!);
}

/** Refuses a scenario in which nobody does what is to be judged. */
function requireAccesses(name: string, spec: Spec, bank: BankPlan, { fleet }: Scenario): void {
  const shows = shownBy(spec);
  const refuse = (what: string, hint: string): never => {
    throw new ScenarioError(`"${name}": ${what}`, { code: "INVALID_SCENARIO", hint });
  };
  if (bank.mode !== "at") refuse("there are no global locks", 'a bank has them in mode "at": bank({ mode: "at" })');
  const order = fleet[bank.order];
  const { looks, instalments = 1 } = order?.program === "order" ? order : {};
  const clerks = [fleet[bank.account], fleet[bank.stock]].flatMap((spec) =>
    (spec?.program === "account" || spec?.program === "stock") && spec.clerk !== undefined ? [spec.clerk] : [],
  );
  const counting = [fleet[bank.account], fleet[bank.stock]].flatMap((spec) =>
    (spec?.program === "account" || spec?.program === "stock") && spec.counts !== undefined ? [spec.counts] : [],
  );
  const locking = {
    counts: counting.some((counts) => fractionOf(counts.locking ?? 0) > 0),
    looks: fractionOf(looks?.locking ?? 0),
    clerks: clerks.map((clerk) => fractionOf(clerk.locking ?? 1)),
  };
  if (shows.some((one) => seenPlainly.has(one)) && (looks === undefined || locking.looks === 1)) {
    refuse("nobody looks without the lock", 'bank({ looks: { locking: "50%" } })');
  }
  if (shows.includes("dirty-write") && locking.clerks.every((share) => share === 1)) {
    refuse("nobody writes past the locks", 'bank({ account: { clerk: { every: "50ms", locking: "50%" } } })');
  }
  if (
    shows.includes("lost-update") &&
    looks === undefined &&
    counting.every(({ locking = 0 }) => fractionOf(locking) === 1)
  ) {
    refuse("nobody writes what it has counted on without a lock", 'bank({ account: { counts: { locking: "50%" } } })');
  }
  if (shows.includes("G1b") && instalments === 1) {
    refuse("nobody writes a row twice", "bank({ instalments: 2 })");
  }
  if (shows.some((one) => seenAtPartners.has(one)) && looks?.partner !== true) {
    refuse("nobody looks at what isn't its own", "bank({ looks: { partner: true } })");
  }
  if (locking.looks === 0 && !locking.counts && locking.clerks.every((share) => share === 0)) {
    refuse("nobody looks or writes with the lock", 'bank({ looks: { locking: "50%" } })');
  }
}

/** Under the lock there is none of these. */
const seenPlainly: ReadonlySet<PermittedAnomaly> = new Set(["dirty-read", "G1b", "G1c"]);
/** An order whose rows are all its own has none of these. */
const seenAtPartners: ReadonlySet<PermittedAnomaly> = new Set(["G1c", "G-single", "G2-item"]);

/**
 * Refuses a load that can't be expected to give enough trials. An account's row is held globally for as long as stock takes; whoever looks
 * with the lock meets it so, and given up afterwards, with this probability; a clerk, which goes where something has just been changed, as
 * far as it comes in time. Where the timeline has faults, any order may be taken back, and hold its rows until its timeout: that is more
 * than it will be, and what the run didn't have is found out afterwards.
 */
function requireWaits(name: string, spec: Spec, bank: BankPlan, context: CheckContext): void {
  const { scenario, timeline, durationUs: loadUs } = context;
  const order = scenario.fleet[bank.order];
  const [account, stock] = [scenario.fleet[bank.account], scenario.fleet[bank.stock]];
  if (order?.program !== "order" || account?.program !== "account" || stock?.program !== "stock") return;
  const { expected: orders } = plannedCalls(context, spec.service);
  const isDisturbed = timeline.some(({ what }) => what.kind === "fault");
  const takenBack = isDisturbed ? 1 : fractionOf(order.abortRate ?? 0);
  const workUs = stock.serviceTime === undefined ? 0 : meanUs(workDistribution(stock.serviceTime));
  const heldUs = isDisturbed ? durationUs(order.timeout ?? "60s") : workUs;
  const isMet = Math.min(1, ((orders / loadUs) * heldUs * takenBack) / (order.items ?? defaultItems));
  // At its own account, and twice at its partner's.
  const looksEach = order.looks?.partner === true ? 3 : 1;
  const looks = orders * looksEach * fractionOf(order.looks?.locking ?? 0) * isMet;
  const writes = [account.clerk, stock.clerk].map((clerk) => {
    if (clerk === undefined) return 0;
    const everyUs = durationUs(clerk.every);
    const inTime = Math.min(1, (2 * heldUs) / everyUs);
    return Math.min(loadUs / everyUs, orders) * fractionOf(clerk.locking ?? 1) * takenBack * inTime;
  });
  const counted = orders * fractionOf(account.counts?.locking ?? 0) * isMet;
  const expected = Math.floor(looks + counted + writes[0]! + writes[1]!);
  const needed = neededFor(spec);
  if (expected >= needed) return;
  throw new ScenarioError(
    `"${name}" can expect ${expected} waits for what is taken back, and needs ${needed} to find what it says it detects`,
    {
      code: "TOO_FEW_TRIALS",
      hint: "let fewer items be wanted by more orders, more of them be given up (abortRate), stock take longer, or more look with the lock",
    },
  );
}

/** Accounts and goods where the scenario doesn't say (services/bank/order.ts). */
const defaultItems = 100;

/** Who waits is told of a conflict at each try: after so long without one it isn't waiting any more. */
const waitUs = 1_000_000;

/** A commit is seen by others a moment before its node has told of it: by so much at most. */
const reportUs = 1_000_000;

/** A row as it came to be. */
interface RowChange {
  readonly atUs: number;
  readonly by: string | undefined;
  readonly version: number;
}

/** Who did what with which version of which row, from what nodes reported. */
class Tale {
  readonly observed: Observed;
  readonly #bank: BankPlan;
  readonly #gaps: History["gaps"];
  /** Versions that somebody may have left in a row. */
  readonly #doubted: ReadonlySet<string>;
  readonly #rows = new Map<string, RowChange[]>();
  readonly #ends = new Map<string, TransactionEnd>();
  /** Those whose rollback is over and done. */
  readonly #undone = new Set<string>();
  /** Those of which a person was told. */
  readonly #stuck = new Set<string>();
  readonly #bypassing = new Set<string>();
  readonly #plain: (Read & { readonly atUs: number })[] = [];
  readonly #locking: (Read & { readonly atUs: number })[] = [];
  /** Of these, those that kept the lock until they had written. */
  readonly #kept: Read[] = [];
  /** Rows that somebody wanted, and who had written there last. */
  readonly #conflicts: { readonly of: ChangeOf<"conflict">; readonly row: string; readonly holder: string }[] = [];
  /** Under the lock, by whoever did it: the last part of a wait. */
  readonly #accesses: (Omit<Read, "version"> & { readonly atUs: number; readonly isOutside: boolean })[] = [];

  constructor(history: History, bank: BankPlan) {
    this.#bank = bank;
    this.#gaps = history.gaps;
    const doubts = [bank.account, bank.stock].flatMap((service) => openDoubts(history, service));
    this.#doubted = new Set(doubts.map(({ item, node, version }) => `${version} in ${item} of ${node}`));
    for (const change of history.transactions) this.#hear(change);
    this.observed = { ends: this.#ends, rows: this.#rows, reads: this.#locking };
  }

  /** What was promised not to be. */
  broken(): readonly Finding[] {
    const locked = findingsIn(this.observed, ["garbage-read", "dirty-write", "G0", "G1a", "G1b", "G1c"]);
    const plain = findingsIn({ ...this.observed, reads: this.#plain }, ["garbage-read"]);
    const lost = examplesOf("lost-update", { ...this.observed, reads: this.#kept });
    return [...locked.filter((found) => this.#isPromised(found)), ...lost, ...plain];
  }

  #isPromised({ anomaly, by, steps }: Finding): boolean {
    const [step] = steps;
    if (anomaly !== "dirty-write" || !this.#bypassing.has(by[0]!)) return true;
    // Nobody keeps off who looks for no locks; but then the rollback must say that it can't be.
    return this.#undone.has(step!.from);
  }

  shown(anomaly: PermittedAnomaly): readonly Finding[] {
    const plainly = { ...this.observed, reads: this.#plain };
    if (anomaly === "dirty-read") return findingsIn(plainly, ["G1a"]);
    if (anomaly === "G1b") return findingsIn(plainly, ["G1b"]);
    if (anomaly === "dirty-write") {
      return findingsIn(this.observed, ["dirty-write"]).filter(
        ({ by, steps }) => this.#bypassing.has(by[0]!) && this.#stuck.has(steps[0]!.from),
      );
    }
    return examplesOf(anomaly, { ...this.observed, reads: [...this.#locking, ...this.#plain] });
  }

  /** Accesses under the lock that had to wait for a row with a version that was taken back later. */
  waits(): number {
    const waited = new Set<string>();
    for (const { of, row, holder } of this.#conflicts) {
      if (holder === of.xid || this.#ends.get(holder) !== "aborted") continue;
      // Whose transaction this one was, nobody asks of those who have none.
      const access = this.#accesses.find(
        (one) =>
          one.row === row &&
          one.atUs >= of.atUs &&
          one.atUs <= of.atUs + waitUs &&
          (of.xid === "" ? one.isOutside : one.by === of.xid),
      );
      if (access !== undefined) waited.add(`${row} ${access.by}`);
    }
    return waited.size;
  }

  atUs({ steps }: Finding): number | undefined {
    const { row, kind, to } = steps[0]!;
    const seen =
      kind === "wr" ? [...this.#locking, ...this.#plain] : this.#rows.get(row)?.map((write) => ({ ...write, row }));
    return seen?.find((one) => one.row === row && one.by === to)?.atUs;
  }

  #hear(change: Change): void {
    if (change.what === "status" || change.what === "end" || change.what === "found") return this.#hearEnd(change);
    if (!isOf(this.#bank.account, change) && !isOf(this.#bank.stock, change)) return;
    if (change.what === "conflict") this.#hearConflict(change);
    else if (change.what === "look") this.#hearLook(change);
    else if (change.what === "holding") this.#hearWrite(change);
    else if (change.what === "audit" && change.isFirst === true) this.#hearStart(change);
  }

  /** Which way it was decided; a decision is one, however long it takes. */
  #hearEnd({ xid, status }: ChangeOf<"status" | "end" | "found">): void {
    const family = familyOf(status);
    if (family === undefined) return;
    this.#ends.set(xid, family === "commit" ? "committed" : "aborted");
    if (needsRepair(status)) this.#stuck.add(xid);
    else if (family !== "commit" && isEnded(status)) this.#undone.add(xid);
  }

  /** A node tells in order what it did, also of what it did at the same moment. */
  #hearConflict(of: ChangeOf<"conflict">): void {
    const keys = isOf(this.#bank.account, of) ? this.#bank.keys?.account : this.#bank.keys?.stock;
    for (const { table, pk } of parseLockKey(of.lockKey)) {
      if (!table.endsWith("_holdings")) continue;
      const row = `${itemIn(pk, keys)} of ${of.node}`;
      const holder = this.#rows.get(row)?.at(-1)?.by;
      if (holder !== undefined) this.#conflicts.push({ of, row, holder });
    }
  }

  #hearLook({ xid, node, item, version, isLocking, isKept, atUs }: ChangeOf<"look">): void {
    const row = `${item} of ${node}`;
    const isUncertain =
      this.#doubted.has(`${version} in ${row}`) ||
      this.#gaps.some((gap) => gap.node === node && gap.fromUs - reportUs <= atUs && atUs <= gap.toUs);
    (isLocking ? this.#locking : this.#plain).push({ by: xid, row, version, atUs, isUncertain });
    if (isKept === true) this.#kept.push({ by: xid, row, version, isUncertain });
    if (isLocking) this.#accesses.push({ by: xid, row, atUs, isOutside: false });
  }

  #hearWrite({ xid, node, item, version, outside, atUs }: ChangeOf<"holding">): void {
    const row = `${item} of ${node}`;
    const by = outside === undefined ? xid : `a ${outside} writer (${version})`;
    if (outside !== undefined) this.#ends.set(by, "committed");
    if (outside === "bypassing") this.#bypassing.add(by);
    else if (outside === "locking") this.#accesses.push({ by, row, atUs, isOutside: true });
    this.#push(row, { atUs, by: by === "" || this.#isUnheardUndo(row, version) ? undefined : by, version });
  }

  /**
   * Who undoes what a node left before it was killed may bring back what it left before that, and nobody heard of either. A node's versions
   * only grow: what is older than what is there, and new to us, is no write.
   */
  #isUnheardUndo(row: string, version: number): boolean {
    const last = this.#rows.get(row)?.at(-1);
    return last !== undefined && last.by === undefined && version < last.version;
  }

  /** What a node finds when it begins a life may have come from a write of which its last life couldn't tell. */
  #hearStart({ node, holdings, atUs }: ChangeOf<"audit">): void {
    for (const { item, version } of holdings) {
      const row = `${item} of ${node}`;
      if (this.#rows.get(row)?.at(-1)?.version !== version) this.#push(row, { atUs, by: undefined, version });
    }
  }

  #push(row: string, change: RowChange): void {
    const own = this.#rows.get(row);
    if (own === undefined) this.#rows.set(row, [change]);
    else own.push(change);
  }
}
