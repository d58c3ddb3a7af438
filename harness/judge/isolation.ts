import { familyOf, isEnded, needsRepair } from "../../runtime/transactions/status.ts";
import { parseLockKey } from "../../runtime/transactions/lock-key.ts";
import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { ScenarioError } from "../scenario/error.ts";
import { fractionOf } from "../scenario/durations.ts";
import type { CheckSpec, Scenario } from "../scenario/schema.ts";
import { isOf, neededFor, planOfBank, type Change, type ChangeOf } from "./bank.ts";
import type { CheckKind } from "./check.ts";
import { findingsIn, told, type Finding, type Observed, type Read, type TransactionEnd } from "./dependencies.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";

type Spec = Extract<CheckSpec, { check: "isolation" }>;

/**
 * What AT promises to those who keep to it: nobody writes over what another transaction may yet take back, and no rollback writes over
 * somebody else (`dirty-write`, `G0`); who looks with the lock sees nothing of the kind either (`G1a`, `G1b`, `G1c`). Everybody is held to the
 * isolation that they asked for (Adya's mixing): who reads plainly, or writes past all locks, is promised no more than that what they
 * read was written by somebody (`garbage-read`), and shows what happens then.
 *
 * A trial is an access under the lock that had to wait for what was then taken back: there it matters. False alarms: none, as long as who commits hears of it. What was lost
 * with a killed node's last records is taken for unknown.
 */
export const isolation: CheckKind<Spec> = {
  plan: (spec, context) => {
    const plan = planOfBank(spec, context, {
      name: `${spec.service}'s transactions are isolated as they asked for`,
      detects: "get what may be taken back",
    });
    requireAccesses(plan.name, spec, plan.bank!, context.scenario);
    return plan;
  },
  judge: (plan, history) => {
    const { shows } = plan.check;
    const bank = plan.bank!;
    const bound = "0 get what may be taken back";
    const tale = new Tale(history, bank);
    const wrong = tale.broken();
    const shown = shows === undefined ? 0 : tale.shown(shows);
    if (wrong.length === 0 && shows !== undefined && shown === 0) {
      return resultOf(plan, nothingToJudge(bound, shownAs[shows]));
    }
    const trials = wrong.length + tale.waits();
    if (trials === 0)
      return resultOf(plan, nothingToJudge(bound, "lock that was waited for and whose rows were taken back"));
    const isEnough = trials >= neededFor(plan.check);
    const [first] = wrong;
    const seen = shows === undefined ? "" : `; ${shown} that didn't lock did (${shows})`;
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

const shownAs: Readonly<Record<NonNullable<Spec["shows"]>, string>> = {
  "dirty-read": "look without the lock that saw what was taken back",
  "dirty-write": "write past the locks over what was to be taken back",
};

/** Refuses a scenario in which nobody does what is to be judged. */
function requireAccesses(name: string, { shows }: Spec, bank: BankPlan, { fleet }: Scenario): void {
  const refuse = (what: string, hint: string): never => {
    throw new ScenarioError(`"${name}": ${what}`, { code: "INVALID_SCENARIO", hint });
  };
  if (bank.mode !== "at") refuse("there are no global locks", 'a bank has them in mode "at": bank({ mode: "at" })');
  const order = fleet[bank.order];
  const looks = order?.program === "order" ? order.looks : undefined;
  const clerks = [fleet[bank.account], fleet[bank.stock]].flatMap((spec) =>
    (spec?.program === "account" || spec?.program === "stock") && spec.clerk !== undefined ? [spec.clerk] : [],
  );
  const locking = {
    looks: fractionOf(looks?.locking ?? 0),
    clerks: clerks.map((clerk) => fractionOf(clerk.locking ?? 1)),
  };
  if (shows === "dirty-read" && (looks === undefined || locking.looks === 1)) {
    refuse("nobody looks without the lock", 'bank({ looks: { locking: "50%" } })');
  }
  if (shows === "dirty-write" && locking.clerks.every((share) => share === 1)) {
    refuse("nobody writes past the locks", 'bank({ account: { clerk: { every: "50ms", locking: "50%" } } })');
  }
  if (locking.looks === 0 && locking.clerks.every((share) => share === 0)) {
    refuse("nobody looks or writes with the lock", 'bank({ looks: { locking: "50%" } })');
  }
}

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
  readonly #rows = new Map<string, RowChange[]>();
  readonly #ends = new Map<string, TransactionEnd>();
  /** Those whose rollback is over and done. */
  readonly #undone = new Set<string>();
  /** Those of which a person was told. */
  readonly #stuck = new Set<string>();
  readonly #bypassing = new Set<string>();
  readonly #plain: (Read & { readonly atUs: number })[] = [];
  readonly #locking: (Read & { readonly atUs: number })[] = [];
  /** Rows that somebody had to wait for, by who wanted them. */
  readonly #conflicts: ChangeOf<"conflict">[] = [];
  /** Under the lock, by whoever did it: the last part of a wait. */
  readonly #accesses: (Omit<Read, "version"> & { readonly atUs: number; readonly isOutside: boolean })[] = [];

  constructor(history: History, bank: BankPlan) {
    this.#bank = bank;
    this.#gaps = history.gaps;
    for (const change of history.transactions) this.#hear(change);
    this.observed = { ends: this.#ends, rows: this.#rows, reads: this.#locking };
  }

  /** What was promised not to be. */
  broken(): readonly Finding[] {
    const locked = findingsIn(this.observed, ["garbage-read", "dirty-write", "G0", "G1a", "G1b", "G1c"]);
    const plain = findingsIn({ ...this.observed, reads: this.#plain }, ["garbage-read"]);
    return [...locked.filter((found) => this.#isPromised(found)), ...plain];
  }

  #isPromised({ anomaly, by, steps }: Finding): boolean {
    const [step] = steps;
    if (anomaly !== "dirty-write" || !this.#bypassing.has(by[0]!)) return true;
    // Nobody keeps off who looks for no locks; but then the rollback must say that it can't be.
    return this.#undone.has(step!.from);
  }

  shown(shows: NonNullable<Spec["shows"]>): number {
    if (shows === "dirty-read") return findingsIn({ ...this.observed, reads: this.#plain }, ["G1a"]).length;
    return findingsIn(this.observed, ["dirty-write"]).filter(
      ({ by, steps }) => this.#bypassing.has(by[0]!) && this.#stuck.has(steps[0]!.from),
    ).length;
  }

  /** Accesses under the lock that had to wait for a row with a version that was taken back later. */
  waits(): number {
    const waited = new Set<string>();
    for (const conflict of this.#conflicts) {
      for (const { pk } of parseLockKey(conflict.lockKey)) {
        const row = `${pk} of ${conflict.node}`;
        const before = this.#rows.get(row)?.findLast(({ atUs }) => atUs <= conflict.atUs)?.by;
        if (before === undefined || before === conflict.xid || this.#ends.get(before) !== "aborted") continue;
        // Whose transaction this one was, nobody asks of those who have none.
        const access = this.#accesses.find(
          (one) =>
            one.row === row &&
            one.atUs >= conflict.atUs &&
            one.atUs <= conflict.atUs + waitUs &&
            (conflict.xid === "" ? one.isOutside : one.by === conflict.xid),
        );
        if (access !== undefined) waited.add(`${row} ${access.by}`);
      }
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
    if (change.what === "conflict") this.#conflicts.push(change);
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

  #hearLook({ xid, node, item, version, isLocking, atUs }: ChangeOf<"look">): void {
    const row = `${item} of ${node}`;
    const isUncertain = this.#gaps.some(
      (gap) => gap.node === node && gap.fromUs - reportUs <= atUs && atUs <= gap.toUs,
    );
    (isLocking ? this.#locking : this.#plain).push({ by: xid, row, version, atUs, isUncertain });
    if (isLocking) this.#accesses.push({ by: xid, row, atUs, isOutside: false });
  }

  #hearWrite({ xid, node, item, version, outside, atUs }: ChangeOf<"holding">): void {
    const row = `${item} of ${node}`;
    const by = outside === undefined ? xid : `a ${outside} writer (${version})`;
    if (outside !== undefined) this.#ends.set(by, "committed");
    if (outside === "bypassing") this.#bypassing.add(by);
    else if (outside === "locking") this.#accesses.push({ by, row, atUs, isOutside: true });
    this.#push(row, { atUs, by: by === "" ? undefined : by, version });
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
