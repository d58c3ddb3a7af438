import type { Clock } from "../../ports/clock.ts";
import type { Coordinator } from "../../ports/coordinator.ts";
import type { DataSource, LocalTransaction, Row, Table } from "../../ports/data-source.ts";
import type { TransactionChange } from "../../telemetry/events.ts";
import { TransactionError } from "../error.ts";
import type { GlobalStatus } from "../status.ts";
import { AtResource, type AtOptions } from "./at.ts";
import { undoTable } from "./undo-log.ts";

/** A database and a coordinator. One world serves one fact. */
export interface AtWorld {
  readonly clock: Clock;
  /** A text that is in the key of every row of this fact, and of no other. */
  readonly tenant: string;
  readonly resourceId: string;
  /** Another client of the coordinator, and of the same database. The world closes them in the end. */
  open(): Promise<{ readonly coordinator: Coordinator; readonly dataSource: DataSource }>;
  /** Waits for what needs time to go on. */
  ended<T>(work: Promise<T>): Promise<T>;
  /** What the coordinator does in the background, or tries again, is done within this time. */
  readonly retryWithinMs: number;
}

/** A fact about AT: resolves when it holds, rejects with what doesn't. */
export type AtFact = (world: AtWorld) => Promise<void>;

const rows: Table = {
  name: "at_rows",
  columns: { tenant: "text", id: "text", amount: "integer", note: "text", data: "bytes" },
  key: ["tenant", "id"],
};
const blobs: Table = { name: "at_blobs", columns: { id: "bytes", amount: "integer" }, key: ["id"] };

/** The tables that a database of these facts is opened with. */
export const atTables: readonly Table[] = [rows, blobs, undoTable];

/** What AT promises, whatever the database and the coordinator. A fact that an issue of Seata's has taught names it. */
export const atContract: Readonly<Record<string, AtFact>> = {
  "a commit keeps what was done, frees its rows at once, and its undo log goes": async (world) => {
    const bank = await open(world, { a: 10 });
    const xid = await bank.begin();
    await bank.add(xid, "a", 5);
    equal((await bank.undoLog(xid)).length, 1);
    equal(await bank.coordinator.commit(xid), "Committed");
    const next = await bank.begin();
    await bank.add(next, "a", 1);
    await world.ended(bank.coordinator.rollback(next));
    equal(await bank.amounts(), "a=15");
    await until(world, async () => (await bank.undoLog(xid)).length + (await bank.undoLog(next)).length === 0);
  },

  "a rollback restores every row as it was, whatever is in it, and takes back what was added": async (world) => {
    const bank = await open(world);
    const before = [
      { tenant: world.tenant, id: "", amount: -1, note: null, data: null },
      {
        tenant: world.tenant,
        id: "a,b;c:d_e%",
        amount: 9_007_199_254_740_991,
        note: "O'Brien\n数据",
        data: bytes(0, 255, 39),
      },
      { tenant: world.tenant, id: "gone", amount: 0, note: "", data: bytes() },
    ];
    await bank.local(async (local) => {
      for (const row of before) await local.insert(rows, row);
    });
    const xid = await bank.begin();
    await bank.branch(xid, async (local) => {
      await local.update(rows, { ...before[0]!, amount: 7, note: "new", data: bytes(1) });
      await local.update(rows, { ...before[0]!, amount: 8 });
      await local.update(rows, { ...before[1]!, note: null, data: null });
      equal(await local.remove(rows, before[2]!), true);
      equal((await local.insert(rows, { ...before[2]!, id: "added" }))?.["id"], "added");
      equal((await local.insert(rows, { ...before[2]!, amount: 5 }))?.["amount"], 5);
    });
    equal((await bank.undoLog(xid)).length, 1);
    equal(await world.ended(bank.coordinator.rollback(xid)), "Rollbacked");
    equal(JSON.stringify((await bank.rows()).map(readable)), JSON.stringify(before.map(readable)));
    equal((await bank.undoLog(xid)).length, 0);
  },

  "what changes nothing is no branch, and what a savepoint took back is neither locked nor undone": async (world) => {
    const bank = await open(world, { a: 1, b: 1 });
    const xid = await bank.begin();
    await bank.branch(xid, async (local) => {
      equal(await local.remove(rows, bank.key("nobody")), false);
      await local
        .savepoint(async () => {
          await local.update(rows, bank.row("a", 5));
          throw new Error("back");
        })
        .catch(() => undefined);
    });
    equal((await bank.undoLog(xid)).length, 0);
    const other = await bank.begin();
    await bank.add(other, "a", 1);
    equal(await bank.coordinator.commit(other), "Committed");
    equal(await bank.coordinator.commit(xid), "Committed");
    equal(await bank.amounts(), "a=2 b=1");
  },

  "who wants a row that another transaction has waits, and goes on from what that one left (R4 seata#1098)": async (
    world,
  ) => {
    const bank = await open(world, { a: 10 });
    const [holder, waiter] = [await bank.begin(), await bank.begin()];
    await bank.add(holder, "a", 5);
    let tries = 0;
    const waiting = bank.branch(waiter, async (local) => {
      // Neither asks for the global lock first: only the registration does.
      const found = await local.read(rows, bank.key("a"));
      await local.update(rows, bank.row("a", Number(found!["amount"]) + 1));
      if (++tries === 5) await bank.coordinator.commit(holder);
    });
    await world.ended(waiting);
    equal(tries, 5);
    // It undoes what the last try did, and nothing twice.
    const [log] = await bank.undoLog(waiter);
    const written = JSON.parse(new TextDecoder().decode(log!["rollback_info"] as Uint8Array)) as UndoLog;
    equal(written.sqlUndoLogs.length, 1);
    equal(await bank.amounts(), "a=16");
    equal(await world.ended(bank.coordinator.rollback(waiter)), "Rollbacked");
    equal(await bank.amounts(), "a=15");
  },

  "who waits too long is told so by name, and leaves nothing": async (world) => {
    const bank = await open(world, { a: 10 });
    const [holder, waiter] = [await bank.begin(), await bank.begin()];
    await bank.add(holder, "a", 5);
    const beganUs = world.clock.nowUs();
    equal(await failure(world.ended(bank.blindly(waiter, "a", 99))), "LockWaitTimeout");
    check(world.clock.nowUs() - beganUs >= 300_000, "30 tries, 10 ms apart");
    equal(await failure(world.ended(bank.locked(waiter, "a"))), "LockWaitTimeout");
    equal(await bank.amounts(), "a=15");
    equal((await bank.undoLog(waiter)).length, 0);
    equal(await world.ended(bank.coordinator.rollback(waiter)), "Rollbacked");
    equal(await world.ended(bank.coordinator.rollback(holder)), "Rollbacked");
    equal(await bank.amounts(), "a=10");
  },

  "who holds the local lock that a rollback needs gives up at once": async (world) => {
    const bank = await open(world, { a: 10 });
    const other = await bank.open();
    const [holder, waiter] = [await bank.begin(), await bank.begin()];
    await bank.add(holder, "a", 5);
    let rollback: Promise<unknown> | undefined;
    const waiting = other.at.transaction({ xid: waiter, onConflict: "hold" }, async (local) => {
      await local.update(rows, bank.row("a", 99));
      rollback = bank.coordinator.rollback(holder);
    });
    equal(await failure(world.ended(waiting)), "LockKeyConflictFailFast");
    equal(await world.ended(rollback!), "Rollbacked");
    equal(await bank.amounts(), "a=10");
    equal(await world.ended(bank.coordinator.rollback(waiter)), "Rollbacked");
  },

  "who keeps its local locks while it waits does its work once": async (world) => {
    const bank = await open(world, { a: 10 });
    const [holder, waiter] = [await bank.begin(), await bank.begin()];
    await bank.add(holder, "a", 5);
    let times = 0;
    const waiting = bank.at.transaction({ xid: waiter, onConflict: "hold" }, async (local) => {
      times++;
      await local.update(rows, bank.row("a", 20));
    });
    void world.clock.sleep(50_000).then(() => bank.coordinator.commit(holder));
    await world.ended(waiting);
    equal(times, 1);
    equal(await world.ended(bank.coordinator.rollback(waiter)), "Rollbacked");
    equal(await bank.amounts(), "a=15");
  },

  "a locking read never sees what may yet be taken back; a plain one does (R1 seata#1196)": async (world) => {
    const bank = await open(world, { a: 10 });
    const [writer, reader] = [await bank.begin(), await bank.begin()];
    await bank.add(writer, "a", 5);
    equal(await bank.at.transaction({ xid: reader }, (local) => bank.amount(local.read(rows, bank.key("a")))), 15);
    void world.clock.sleep(50_000).then(() => bank.coordinator.rollback(writer));
    const [locked, part] = await world.ended(
      bank.at.transaction({ xid: reader }, async (local) => [
        await bank.amount(local.lock(rows, bank.key("a"))),
        (await local.lockEach(rows, { tenant: world.tenant })).map((row) => row["amount"]).join(),
      ]),
    );
    equal(locked, 10);
    equal(part, "10");
    equal(await world.ended(bank.coordinator.rollback(reader)), "Rollbacked");
  },

  "outside of a transaction too, who requires the global lock neither reads nor writes what may be taken back": async (
    world,
  ) => {
    const bank = await open(world, { a: 10 });
    const holder = await bank.begin();
    await bank.add(holder, "a", 5);
    const scope = { requiresGlobalLock: true };
    const blind = bank.at.transaction(scope, (local) => local.update(rows, bank.row("a", 99)));
    equal(await failure(world.ended(blind)), "LockWaitTimeout");
    equal(await bank.amounts(), "a=15");
    void world.clock.sleep(50_000).then(() => bank.coordinator.rollback(holder));
    const adding = bank.at.transaction(scope, async (local) => {
      const found = await bank.amount(local.lock(rows, bank.key("a")));
      await local.update(rows, bank.row("a", found + 1));
    });
    await world.ended(adding);
    equal(await bank.amounts(), "a=11");
  },

  "what somebody else has written isn't overwritten: once looked at, it is told, and its row stays locked (R11 seata#2848, #5586, #7068)":
    async (world) => {
      const bank = await open(world, { a: 10, b: 10 });
      const xid = await bank.begin();
      await bank.branch(xid, async (local) => {
        await local.update(rows, bank.row("b", 11));
        await local.update(rows, bank.row("a", 15));
      });
      await bank.local((local) => local.update(rows, bank.row("b", 70)));
      equal(await world.ended(bank.coordinator.rollback(xid)), "RollbackFailed");
      await world.ended(world.clock.sleep(world.retryWithinMs * 1000));
      equal(bank.repairs.map(({ code }) => code).join(), "DirtyWrite");
      // Nothing of it was undone, so that a person finds it whole.
      equal(await bank.amounts(), "a=15 b=70");
      equal((await bank.undoLog(xid)).length, 1);
      const other = await bank.begin();
      equal(await failure(world.ended(bank.add(other, "a", 1))), "LockWaitTimeout");
      equal(await world.ended(bank.coordinator.rollback(other)), "Rollbacked");
    },

  "what somebody else has put to what it was between two statements isn't taken for undone as far as that": async (
    world,
  ) => {
    const bank = await open(world, { a: 10 });
    const xid = await bank.begin();
    await bank.branch(xid, async (within) => {
      await within.update(rows, bank.row("a", 15));
      await within.update(rows, bank.row("a", 25));
    });
    await bank.local((local) => local.update(rows, bank.row("a", 15)));
    equal(await world.ended(bank.coordinator.rollback(xid)), "RollbackFailed");
    equal(bank.repairs.map(({ code }) => code).join(), "DirtyWrite");
    equal(await bank.amounts(), "a=15");
  },

  "who writes while a rollback is under way is overwritten by none: it comes before or after (R15 seata PR#2918)":
    async (world) => {
      const bank = await open(world, { a: 10 });
      const xid = await bank.begin();
      await bank.add(xid, "a", 5);
      const outside = bank.local(async (local) => {
        const found = await bank.amount(local.lock(rows, bank.key("a")));
        await Promise.resolve();
        await local.update(rows, bank.row("a", found + 100));
      });
      const [status] = await world.ended(Promise.all([bank.coordinator.rollback(xid), outside]));
      const amounts = await bank.amounts();
      const isFirst = status === "RollbackFailed" && amounts === "a=115";
      check(isFirst || (status === "Rollbacked" && amounts === "a=110"), `${status}: ${amounts}`);
    },

  "a rollback that was here before its first phase keeps that from ever being committed (R2 seata#152, #489)": async (
    world,
  ) => {
    const bank = await open(world, { a: 10 });
    const late = await bank.open({
      registerBranch: async (branch) => {
        const branchId = await bank.coordinator.registerBranch(branch);
        equal(await bank.coordinator.rollback(branch.xid), "Rollbacked");
        return branchId;
      },
    });
    const xid = await bank.begin();
    const first = late.at.transaction({ xid }, (local) => local.update(rows, bank.row("a", 99)));
    equal(await failure(world.ended(first)), "Suspended");
    equal(await bank.amounts(), "a=10");
    equal((await bank.undoLog(xid)).map((row) => row["log_status"]).join(), "1");
  },

  "a branch that comes after the end is refused and leaves nothing, neither a row nor a lock (R3 seata#4969, #3220, #5404)":
    async (world) => {
      const bank = await open(world, { a: 10 });
      const xid = await bank.begin();
      equal(await world.ended(bank.coordinator.rollback(xid)), "Rollbacked");
      equal(await failure(world.ended(bank.blindly(xid, "a", 99))), "GlobalTransactionNotExist");
      equal(await bank.amounts(), "a=10");
      const next = await bank.begin();
      await bank.add(next, "a", 1);
      equal(await bank.coordinator.commit(next), "Committed");
    },

  "branches of one transaction that changed the same row are undone in reverse (R6 seata#5666, #3045, #2186)": async (
    world,
  ) => {
    const bank = await open(world, { a: 10, b: 1 });
    const xid = await bank.begin();
    for (const by of [1, 10, 100]) await bank.add(xid, "a", by);
    await bank.add(xid, "b", 1);
    equal(await bank.amounts(), "a=121 b=2");
    equal(await world.ended(bank.coordinator.rollback(xid)), "Rollbacked");
    equal(await bank.amounts(), "a=10 b=1");
    equal((await bank.undoLog(xid)).length, 0);
    equal(bank.repairs.length, 0);
  },

  "a blob in a key is locked by what is in it (R5 seata#7738)": async (world) => {
    const bank = await open(world);
    const id = new TextEncoder().encode(`${world.tenant}\0;`);
    await bank.local((local) => local.insert(blobs, { id, amount: 1 }));
    const [one, two] = [await bank.begin(), await bank.begin()];
    const set = (xid: string, of: Uint8Array): Promise<Row> =>
      bank.branch(xid, (local) => local.update(blobs, { id: of, amount: 2 }));
    await set(one, id);
    equal(await failure(world.ended(set(two, new Uint8Array(id)))), "LockWaitTimeout");
    equal(await world.ended(bank.coordinator.rollback(one)), "Rollbacked");
    await set(two, id);
    equal(await world.ended(bank.coordinator.rollback(two)), "Rollbacked");
    const found = await bank.local((local) => local.read(blobs, { id }));
    equal(found?.["amount"], 1);
  },

  "a removed row is locked, and so is an added one (R14 seata-go#1187)": async (world) => {
    const bank = await open(world, { a: 10 });
    const [one, two] = [await bank.begin(), await bank.begin()];
    await bank.branch(one, async (local) => {
      await local.remove(rows, bank.key("a"));
      await local.insert(rows, bank.row("b", 1));
    });
    const adding = bank.branch(two, (local) => local.insert(rows, bank.row("a", 5)));
    equal(await failure(world.ended(adding)), "LockWaitTimeout");
    equal(await failure(world.ended(bank.blindly(two, "b", 5))), "LockWaitTimeout");
    equal(await world.ended(bank.coordinator.rollback(one)), "Rollbacked");
    equal(await world.ended(bank.coordinator.rollback(two)), "Rollbacked");
    equal(await bank.amounts(), "a=10");
  },

  "columns of a key that read alike together are other rows": async (world) => {
    const bank = await open(world);
    const [one, two] = [
      { tenant: `${world.tenant}_x`, id: "y" },
      { tenant: world.tenant, id: "x_y" },
    ];
    await bank.local(async (local) => {
      for (const key of [one, two]) await local.insert(rows, { ...bank.row("", 1), ...key });
    });
    const [first, second] = [await bank.begin(), await bank.begin()];
    await bank.branch(first, (local) => local.update(rows, { ...bank.row("", 2), ...one }));
    await bank.branch(second, (local) => local.update(rows, { ...bank.row("", 2), ...two }));
    equal(await world.ended(bank.coordinator.rollback(first)), "Rollbacked");
    equal(await world.ended(bank.coordinator.rollback(second)), "Rollbacked");
  },

  "increments that read with the lock are all there; those that read without it are not (R16 seata#984, #1715)": async (
    world,
  ) => {
    const bank = await open(world, { locked: 0, plain: 0 });
    const increment = async (id: string, how: "lock" | "read"): Promise<void> => {
      const xid = await bank.begin();
      // One branch reads and another writes, as two calls of a service do.
      if (how === "lock") await bank.add(xid, id, 1);
      else {
        const found = await bank.at.transaction({ xid }, (local) => bank.amount(local.read(rows, bank.key(id))));
        await bank.blindly(xid, id, found + 1);
      }
      await bank.coordinator.commit(xid);
    };
    for (const how of ["lock", "read"] as const) {
      const id = how === "lock" ? "locked" : "plain";
      await world.ended(Promise.all([1, 2, 3].map(() => increment(id, how))));
    }
    const [locked, plain] = (await bank.rows()).map(({ amount }) => Number(amount));
    equal(locked, 3);
    check(plain! < 3, `${plain} of 3 plain increments are there`);
  },

  "an undo log that was cut off or tampered with is never used, and told": async (world) => {
    const bank = await open(world, { a: 10, b: 10, c: 10, d: 10 });
    for (const [id, damage] of [
      ["a", cutOff],
      ["b", forged],
      ["c", anothers],
      ["d", () => ({ log_status: "7" })],
    ] as const) {
      const xid = await bank.begin();
      await bank.add(xid, id, 5);
      const [log] = await bank.undoLog(xid);
      await bank.local((local) => local.update(undoTable, { ...log!, ...damage(log!) }));
      equal(await world.ended(bank.coordinator.rollback(xid)), "RollbackFailed");
    }
    equal(bank.repairs.map(({ code }) => code).join(), Array(4).fill("DamagedUndoLog").join());
    equal(await bank.amounts(), "a=15 b=15 c=15 d=15");
  },

  "a database that is away in phase two is asked again: nothing is lost, and the rows are freed": async (world) => {
    let isAway = false;
    const bank = await open(
      world,
      { a: 10 },
      {
        transaction: (work, healthy) => (isAway ? Promise.reject(new Error("away")) : healthy.transaction(work)),
      },
    );
    const [committed, rolledBack] = [await bank.begin(), await bank.begin()];
    await bank.add(committed, "a", 5);
    equal(await bank.coordinator.commit(committed), "Committed");
    await bank.add(rolledBack, "a", 100);
    isAway = true;
    const status = await world.ended(bank.coordinator.rollback(rolledBack));
    check(status === "RollbackRetrying", status);
    await world.ended(world.clock.sleep(1_500_000));
    isAway = false;
    await until(world, async () => (await bank.undoLog(committed)).length === 0);
    await until(world, async () => (await bank.undoLog(rolledBack)).length === 0);
    await until(world, async () => (await bank.coordinator.status(rolledBack)) === "Finished");
    equal(await bank.amounts(), "a=15");
    const next = await bank.begin();
    await bank.add(next, "a", 1);
    equal(await world.ended(bank.coordinator.rollback(next)), "Rollbacked");
  },

  "what a crash left of commits that were answered is removed by who comes next": async (world) => {
    const bank = await open(world, { a: 10 }, { removeEveryMs: 3_600_000 });
    const [committed, open_] = [await bank.begin(), await bank.begin()];
    await bank.add(committed, "a", 5);
    equal(await bank.coordinator.commit(committed), "Committed");
    await until(world, async () => (await bank.coordinator.status(committed)) === "Finished");
    await bank.add(open_, "a", 100);
    equal((await bank.undoLog(committed)).length, 1);
    await bank.open();
    await until(world, async () => (await bank.undoLog(committed)).length === 0);
    // What isn't decided yet can still be undone.
    equal(await world.ended(bank.coordinator.rollback(open_)), "Rollbacked");
    equal(await bank.amounts(), "a=15");
  },

  "what a crash left is removed where the coordinator can't be asked at first, or waits for another branch": async (
    world,
  ) => {
    const bank = await open(world, { a: 10 }, { removeEveryMs: 3_600_000 });
    const xid = await bank.begin();
    await bank.add(xid, "a", 5);
    equal(await bank.coordinator.commit(xid), "Committed");
    await until(world, async () => (await bank.coordinator.status(xid)) === "Finished");
    equal((await bank.undoLog(xid)).length, 1);
    let asked = 0;
    const status = async (of: string): Promise<GlobalStatus> => {
      if (of !== xid) return bank.coordinator.status(of);
      asked++;
      if (asked === 1) throw new TransactionError("nobody answers", { code: "ConnectionLost" });
      return asked === 2 ? "AsyncCommitting" : bank.coordinator.status(of);
    };
    await bank.open({ status }, { removeEveryMs: 50 });
    await until(world, async () => (await bank.undoLog(xid)).length === 0);
    equal(asked, 3);
    equal(await bank.amounts(), "a=15");
  },

  "an end that comes twice has its effect once": async (world) => {
    const managers: Parameters<Coordinator["registerResource"]>[1][] = [];
    const bank = await open(world, { a: 10 });
    await bank.open({
      registerResource: (_, manager) => {
        managers.push(manager);
        return Promise.resolve();
      },
    });
    const xid = await bank.begin();
    await bank.add(xid, "a", 5);
    const branchId = String((await bank.undoLog(xid))[0]!["branch_id"]);
    const branch = { xid, branchId, branchType: "AT", resourceId: world.resourceId, applicationData: "" } as const;
    equal(await managers[0]!.rollback(branch), "PhaseTwo_Rollbacked");
    await bank.local((local) => local.update(rows, bank.row("a", 33)));
    equal(await managers[0]!.rollback(branch), "PhaseTwo_Rollbacked");
    equal(await managers[0]!.commit(branch), "PhaseTwo_Committed");
    equal(await managers[0]!.commit(branch), "PhaseTwo_Committed");
    equal(await world.ended(bank.coordinator.rollback(xid)), "Rollbacked");
    equal(await bank.amounts(), "a=33");
  },
};

interface UndoLog {
  readonly sqlUndoLogs: readonly unknown[];
}

const cutOff = (log: Row): Row => ({ rollback_info: (log["rollback_info"] as Uint8Array).slice(0, -1) });
const forged = (log: Row): Row => {
  const text = new TextDecoder().decode(log["rollback_info"] as Uint8Array).replace('"value":10', '"value":99');
  return { rollback_info: new TextEncoder().encode(text) };
};
const anothers = (): Row => ({ context: "serializer=kryo&compressorType=ZIP" });

interface Changes extends Partial<Pick<AtOptions<LocalTransaction>, "removeEveryMs">> {
  readonly transaction?: <T>(work: (local: LocalTransaction) => Promise<T>, healthy: DataSource) => Promise<T>;
}

/** Rows with amounts, and what is done with them in global transactions. */
async function open(world: AtWorld, amounts: Readonly<Record<string, number>> = {}, changes: Changes = {}) {
  const { clock, tenant, resourceId } = world;
  const repairs: Extract<TransactionChange, { readonly what: "repair" }>[] = [];
  const telemetry = {
    emit: (event: { readonly type: string }): void => {
      const change = event as TransactionChange;
      if (change.type === "transaction" && change.what === "repair") repairs.push(change);
    },
  };
  const another = async (replaced: Partial<Coordinator> = {}, { transaction, ...options }: Changes = {}) => {
    const { coordinator, dataSource: healthy } = await world.open();
    const dataSource: DataSource = {
      transaction: (work) => (transaction === undefined ? healthy.transaction(work) : transaction(work, healthy)),
      rows: (table, filter) => healthy.rows(table, filter),
      close: () => healthy.close(),
    };
    const used = replacing(coordinator, replaced);
    const at = new AtResource({ clock, telemetry, coordinator: used, dataSource, resourceId, ...options });
    await at.register();
    return { at, coordinator, dataSource: healthy };
  };
  const { at, coordinator, dataSource } = await another({}, changes);
  const key = (id: string): Row => ({ tenant, id });
  const row = (id: string, amount: number): Row => ({ tenant, id, amount, note: null, data: null });
  const local = <T>(work: (local: LocalTransaction) => Promise<T>): Promise<T> => dataSource.transaction(work);
  const branch = <T>(xid: string, work: (local: LocalTransaction) => Promise<T>): Promise<T> =>
    at.transaction({ xid }, work);
  const amount = async (found: Promise<Row | undefined>): Promise<number> => Number((await found)!["amount"]);
  const own = async (): Promise<readonly Row[]> =>
    (await dataSource.rows(rows))
      .filter((found) => found["tenant"] === tenant)
      .sort((one, other) => (String(one["id"]) < String(other["id"]) ? -1 : 1));
  await local(async (seeding) => {
    for (const [id, initial] of Object.entries(amounts)) await seeding.insert(rows, row(id, initial));
  });
  return {
    ...{ at, coordinator, repairs, open: another, key, row, local, branch, amount, rows: own },
    begin: () => coordinator.begin({ name: "buy", timeoutMs: 60_000 }),
    /** Reads with the global lock, and writes. */
    add: (xid: string, id: string, by: number): Promise<Row> =>
      branch(xid, async (within) => within.update(rows, row(id, (await amount(within.lock(rows, key(id)))) + by))),
    blindly: (xid: string, id: string, to: number): Promise<Row> =>
      branch(xid, (within) => within.update(rows, row(id, to))),
    locked: (xid: string, id: string): Promise<number> => branch(xid, (within) => amount(within.lock(rows, key(id)))),
    undoLog: async (xid: string): Promise<readonly Row[]> =>
      (await dataSource.rows(undoTable)).filter((found) => found["xid"] === xid),
    amounts: async (): Promise<string> =>
      (await own()).map((found) => `${String(found["id"])}=${String(found["amount"])}`).join(" "),
  };
}

const replacing = (coordinator: Coordinator, replaced: Partial<Coordinator>): Coordinator => ({
  begin: (options) => coordinator.begin(options),
  commit: (xid) => coordinator.commit(xid),
  rollback: (xid) => coordinator.rollback(xid),
  status: (xid) => coordinator.status(xid),
  registerBranch: (branch) => coordinator.registerBranch(branch),
  reportBranch: (report) => coordinator.reportBranch(report),
  lockQuery: (query) => coordinator.lockQuery(query),
  registerResource: (resourceId, manager) => coordinator.registerResource(resourceId, manager),
  close: () => coordinator.close(),
  ...replaced,
});

const bytes = (...given: readonly number[]): Uint8Array => new Uint8Array(given);

const readable = (row: Row): unknown =>
  Object.keys(rows.columns).map((column) => {
    const value = row[column];
    return value instanceof Uint8Array ? [...value] : value;
  });

async function until(world: AtWorld, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineUs = world.clock.nowUs() + (world.retryWithinMs + 2_500) * 1000;
  while (!(await isSo())) {
    if (world.clock.nowUs() > deadlineUs) throw new Error(`not so in time: ${isSo.toString()}`);
    await world.ended(world.clock.sleep(50_000));
  }
}

const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "nothing failed",
    (error: unknown) => (error instanceof TransactionError ? error.code : String(error)),
  );

function equal(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

function check(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(what);
}
