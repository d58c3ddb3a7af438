import { contractTable } from "./data-source.contract.ts";
import { DataSourceError, type DataSource, type LocalTransaction, type Row } from "./data-source.ts";

/** One statement, or the end, of one of several transactions that are under way at the same time. */
export interface Step {
  readonly of: number;
  readonly what: "lock" | "read" | "insert" | "update" | "remove" | "savepoint" | "back" | "commit" | "rollback";
  readonly id: number;
  readonly amount: number;
}

/** What a step may be, those more often that make transactions meet. */
export const whats: readonly Step["what"][] = [
  ...(["lock", "read", "insert", "update", "remove", "lock", "update"] as const),
  ...(["savepoint", "back", "commit", "rollback"] as const),
];

/**
 * Does the steps in their order and tells what each of them answered at once, when those answered that had to wait, and what was there in
 * the end. Left out is what databases may answer differently: to those who wait for a row that its transaction removes and adds again,
 * PostgreSQL says that it is gone, and the row store hands out the new one; and of two who wait for one row, PostgreSQL lets chance say
 * who comes first, where one of them would add it or it has been changed (each looks for its new version by itself). `settled` resolves
 * when everything that can go on by itself has done so: so many transactions, as `busy` tells, may wait for others.
 */
export async function told(
  dataSource: DataSource,
  {
    tenant,
    steps,
    settled,
  }: {
    readonly tenant: string;
    readonly steps: readonly Step[];
    readonly settled: (busy: () => number) => Promise<void>;
  },
): Promise<readonly string[]> {
  for (const id of [0, 1]) {
    const row = { tenant, id, amount: id, note: null, data: null, at: null };
    await dataSource.transaction((local) => local.insert(contractTable, row));
  }
  const lines: string[] = [];
  // Those that one step lets go on are told together: who of them hears first is chance.
  const heard: string[] = [];
  const note = (): void => void lines.push(...heard.splice(0).sort());
  const players = [0, 1, 2].map(
    (index) => new Player(dataSource, { tenant, tell: (line) => heard.push(`${index}: ${line}`) }),
  );
  const busy = (): number => players.filter(({ isBusy }) => isBusy).length;
  for (const step of steps) {
    const player = players[step.of]!;
    if (player.isBusy || player.addsAgain(step) || isRace(players, step)) continue;
    lines.push(`${step.of}? ${step.what} ${step.id}`);
    player.take(step);
    await settled(busy);
    note();
  }
  // Whoever waits, waits for one who doesn't.
  for (let round = 0; round < players.length; round++) {
    for (const player of players) if (!player.isBusy) player.take({ of: 0, what: "commit", id: 0, amount: 0 });
    await settled(busy);
    note();
  }
  await Promise.all(players.map((player) => player.over()));
  note();
  const rows = (await dataSource.rows(contractTable)).filter((row) => row["tenant"] === tenant);
  return [...lines, ...rows.map(({ id, amount }) => `${String(id)}=${String(amount)}`).sort()];
}

/** Whether another waits for the row of this step, and chance would say which of them comes first. */
function isRace(players: readonly Player[], { what, id }: Step): boolean {
  const waiting = players.map((player) => player.waitsTo(id)).filter((one) => one !== undefined);
  if (waiting.length === 0 || !locks.has(what)) return false;
  if (what === "insert") return waiting.some((one) => one !== "lock");
  if (what !== "lock" && waiting.includes("insert")) return true;
  const inTurn = waiting.filter((one) => one !== "insert").length;
  if (what !== "lock" && inTurn > 1) return true;
  return inTurn > 0 && players.some((player) => player.hasChanged(id));
}

/** How a transaction, or what came after a savepoint, is to end. */
type End = "commit" | "rollback" | "back";

/** A transaction that does what it is told, one step after the other, and begins again when it has ended. */
class Player {
  readonly #dataSource: DataSource;
  readonly #tenant: string;
  readonly #tell: (line: string) => void;
  /** Whom the next step goes to; undefined: no transaction is under way. */
  #next: ((step: Step) => void) | undefined;
  #transaction: Promise<void> | undefined;
  #taken: Step | undefined;
  /** Rows that its transaction has removed. */
  readonly #removed = new Set<number>();
  /** Rows that its transaction has changed, and those whose change it has undone. */
  readonly #changed = new Set<number>();
  isBusy = false;

  constructor(
    dataSource: DataSource,
    { tenant, tell }: { readonly tenant: string; readonly tell: (line: string) => void },
  ) {
    this.#dataSource = dataSource;
    this.#tenant = tenant;
    this.#tell = tell;
  }

  /** What it waits to do with this row; undefined: nothing. */
  waitsTo(id: number): Step["what"] | undefined {
    return this.isBusy && this.#taken?.id === id ? this.#taken.what : undefined;
  }

  hasChanged(id: number): boolean {
    return this.#changed.has(id);
  }

  take(step: Step): void {
    this.#taken = step;
    if (this.#next === undefined) {
      if (ends.has(step.what)) return;
      const first = this.#step();
      this.#transaction = this.#run(first);
    }
    this.isBusy = true;
    this.#next!(step);
  }

  addsAgain({ what, id }: Step): boolean {
    return what === "insert" && this.#removed.has(id);
  }

  async over(): Promise<void> {
    await this.#transaction;
  }

  async #run(first: Promise<Step>): Promise<void> {
    try {
      await this.#dataSource.transaction(async (local) => {
        let end = await this.#play(local, first);
        // There is no savepoint to go back to.
        while (end === "back") end = await this.#play(local, this.#answered("stays"));
        if (end === "rollback") throw new Stop(end);
      });
      this.#tell("committed");
    } catch (error) {
      this.#tell(error instanceof Stop ? "rolled back" : nameOf(error));
    }
    this.#next = undefined;
    this.#removed.clear();
    this.#changed.clear();
    this.isBusy = false;
  }

  async #play(local: LocalTransaction, first: Promise<Step>): Promise<End> {
    for (let next = first; ;) {
      const step = await next;
      if (ends.has(step.what)) return step.what as End;
      if (step.what === "savepoint") {
        const end = await this.#save(local);
        if (end === "commit" || end === "rollback") return end;
        next = this.#answered(end);
      } else {
        next = this.#answered(await this.#do(local, step).catch(nameOf));
      }
    }
  }

  /** A savepoint, and what comes after it: how all is to end, or else what became of the savepoint. */
  async #save(local: LocalTransaction): Promise<string> {
    try {
      return await local.savepoint(async () => {
        const end = await this.#play(local, this.#answered("saved"));
        if (end !== "commit") throw new Stop(end);
        return end;
      });
    } catch (error) {
      return error instanceof Stop ? error.end : nameOf(error);
    }
  }

  async #do(local: LocalTransaction, { what, id, amount }: Step): Promise<string> {
    const key = { tenant: this.#tenant, id };
    const rowOf = (row: Row | undefined): string => `${what} ${row === undefined ? "none" : String(row["amount"])}`;
    if (what === "lock") return rowOf(await local.lock(contractTable, key));
    if (what === "read") return rowOf(await local.read(contractTable, key));
    if (what === "remove") this.#removed.add(id);
    if (what === "remove") return `removed ${await local.remove(contractTable, key)}`;
    if (what === "insert") {
      const added = await local.insert(contractTable, { ...key, amount, note: null, data: null, at: null });
      return `inserted ${added !== undefined}`;
    }
    this.#changed.add(id);
    await local.update(contractTable, { ...key, amount });
    return "updated";
  }

  /** Tells what came of a step, and waits for the next. */
  #answered(line: string): Promise<Step> {
    this.#tell(line);
    this.isBusy = false;
    return this.#step();
  }

  #step(): Promise<Step> {
    return new Promise((resolve) => (this.#next = resolve));
  }
}

const locks: ReadonlySet<Step["what"]> = new Set<Step["what"]>(["lock", "insert", "update", "remove"]);
const ends: ReadonlySet<string> = new Set<End>(["commit", "rollback", "back"]);

class Stop extends Error {
  readonly end: End;

  constructor(end: End) {
    super(end);
    this.end = end;
  }
}

const nameOf = (error: unknown): string => (error instanceof DataSourceError ? error.code : String(error));
