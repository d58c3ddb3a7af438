import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { DiskError, type Disk } from "../../runtime/ports/disk.ts";
import { finished, retryable } from "../../runtime/transactions/phase-two.ts";
import {
  familyOf,
  globalStatuses,
  isAllowed,
  isEnded,
  type BranchStatus,
  type GlobalStatus,
} from "../../runtime/transactions/status.ts";
import { ManualClock } from "../../runtime/testing/clock.ts";
import { SessionLog } from "./log.ts";
import { Participants } from "./participants.ts";
import { branchIdIn } from "./testing.ts";
import { limits, Transactions } from "./transactions.ts";

const second = 1_000_000;

describe("states", () => {
  test("a decision is never taken back: no way leads from one family to another", () => {
    for (const from of globalStatuses) {
      for (const to of globalStatuses) {
        const [before, after] = [familyOf(from), familyOf(to)];
        // Seata's one name for retries that were given up is in the rollback family, whoever wanted it.
        if (before === undefined || to === "RollbackRetryTimeout" || !isAllowed(from, to)) continue;
        expect(after, `${from} → ${to}`).toBe(before);
      }
    }
  });

  test("every state but an end leads to an end", () => {
    const reaches = (from: GlobalStatus, seen = new Set<GlobalStatus>()): boolean =>
      isEnded(from) ||
      globalStatuses.some((to) => isAllowed(from, to) && !seen.has(to) && reaches(to, new Set([...seen, from])));
    for (const status of globalStatuses) if (status !== "UnKnown") expect(reaches(status), status).toBe(true);
  });
});

describe("the disk", () => {
  test("a decision is on the disk before any branch hears of it", async () => {
    const world = await open();
    const xid = await world.begin();
    await world.register(xid);
    world.disk.isHeld = true;
    const committing = world.transactions.commit(xid);
    await world.clock.advance(10_000);
    expect(world.asked).toEqual([]);
    world.disk.release();
    expect(await committing).toBe("Committed");
    expect(world.asked).toEqual(["commit"]);
  });

  test("nobody is told what isn't on the disk, not even by who asks for the state", async () => {
    const world = await open();
    const xid = await world.begin();
    world.disk.isHeld = true;
    let told: string | undefined;
    void world.transactions.rollback(xid).then((status) => (told = status));
    const asked: string[] = [];
    void world.transactions.status(xid).then((status) => asked.push(status));
    await world.clock.advance(10_000);
    expect([told, asked]).toEqual([undefined, []]);
    world.disk.release();
    await world.clock.advance(10_000);
    expect([told, asked.length]).toEqual(["Rollbacked", 1]);
  });

  test("a full disk is refused by name, nothing is decided, and all goes on when there is room", async () => {
    const world = await open();
    const xid = await world.begin();
    await world.register(xid);
    world.disk.isFull = true;
    await expect(world.transactions.commit(xid)).rejects.toMatchObject({ code: "FailedStore" });
    await expect(world.begin()).rejects.toMatchObject({ code: "FailedStore" });
    expect(world.asked).toEqual([]);
    await world.clock.advance(2 * second);
    expect(world.asked).toEqual([]);
    world.disk.isFull = false;
    await world.clock.advance(second);
    expect(world.asked).toEqual(["commit"]);
    expect(await world.transactions.status(xid)).toBe("Finished");
    const again = await open({ disk: world.disk });
    expect(await again.transactions.status(xid)).toBe("Finished");
  });

  test("those who wait together are written together", async () => {
    const world = await open();
    const before = world.disk.syncs;
    await Promise.all(Array.from({ length: 100 }, () => world.begin()));
    expect(world.disk.syncs - before).toBeLessThan(10);
  });

  test("a gap in the log is damage, and refused; a torn end is a crash", async () => {
    const world = await open();
    const xids = [await world.begin(), await world.begin(), await world.begin()];
    const whole = world.disk.text("coordinator-log.ndjson");
    world.disk.set("coordinator-log.ndjson", whole.slice(0, -20));
    const torn = await open({ disk: world.disk });
    expect(await Promise.all(xids.map((xid) => torn.transactions.status(xid)))).toEqual(["Begin", "Begin", "Finished"]);

    const other = await open();
    for (let count = 0; count < 3; count++) await other.begin();
    const lines = other.disk
      .text("coordinator-log.ndjson")
      .split("\n")
      .filter((line) => line !== "");
    lines[1] = lines[1]!.replace("buy", "bux");
    other.disk.set("coordinator-log.ndjson", lines.join("\n"));
    await expect(open({ disk: other.disk })).rejects.toThrow(
      "coordinator-log.ndjson is damaged: record 2 can't be read",
    );
  });

  test("a snapshot that lacks a session is damage", async () => {
    const world = await open();
    await world.begin();
    await open({ disk: world.disk });
    const lines = world.disk.text("coordinator-snapshot.ndjson").split("\n");
    const first = lines.findIndex((line) => line !== "");
    world.disk.set("coordinator-snapshot.ndjson", lines.slice(first + 1).join("\n"));
    await expect(open({ disk: world.disk })).rejects.toThrow("coordinator-snapshot.ndjson is damaged");
  });

  test("what a branch costs doesn't grow with those before it, and each comes back where it was", async () => {
    const world = await open();
    const xid = await world.begin();
    const sizes: number[] = [];
    const ids: string[] = [];
    for (let count = 0; count < 200; count++) {
      ids.push(await world.register(xid));
      sizes.push(world.disk.text("coordinator-log.ndjson").length);
    }
    const costs = sizes.slice(1).map((size, index) => size - sizes[index]!);
    expect(Math.max(...costs)).toBeLessThan(2 * Math.min(...costs));
    await world.transactions.reportBranch({ xid, branchId: ids[7]!, status: "PhaseOne_Done", applicationData: "7" });
    for (let start = 0; start < 2; start++) {
      const [session] = (await SessionLog.open(world.disk)).sessions;
      expect(session!.branches.map(({ branchId }) => branchId)).toEqual(ids);
      expect(session!.branches[7]).toMatchObject({ status: "PhaseOne_Done", applicationData: "7" });
    }
    const again = await open({ disk: world.disk });
    expect(await again.transactions.rollback(xid)).toBe("Rollbacked");
    expect(again.asked.length).toBe(200);
    const { sessions } = await SessionLog.open(world.disk);
    expect(sessions).toEqual([]);
  });

  test("a branch whose session is missing is damage", async () => {
    const world = await open();
    await world.register(await world.begin());
    await open({ disk: world.disk });
    const lines = world.disk.text("coordinator-snapshot.ndjson").split("\n");
    const session = lines.findIndex((line) => line.includes('"timeoutMs"'));
    // Another entry in its place, so that none is missing.
    lines[session] = lines.find((line) => line.includes("last id"))!;
    world.disk.set("coordinator-snapshot.ndjson", lines.join("\n"));
    await expect(open({ disk: world.disk })).rejects.toThrow("is damaged");
  });

  test("whichever line is the last that a crash has left, every transaction comes to its end, and none stays", async () => {
    const world = await open();
    for (const branchType of ["TCC", "AT"] as const) {
      for (const decision of ["commit", "rollback"] as const) {
        const xid = await world.begin();
        for (const lockKey of ["account:1", "stock:1"]) await world.register(xid, { branchType, lockKey });
        await world.transactions[decision](xid);
        await world.clock.advance(2 * second);
      }
    }
    expect(world.transactions.counts).toEqual({ sessions: 0, locks: 0 });
    const lines = world.disk.text("coordinator-log.ndjson").split("\n");
    for (let count = 0; count <= lines.length; count++) {
      const disk = world.disk.crashed();
      disk.set("coordinator-log.ndjson", lines.slice(0, count).join("\n"));
      const { transactions, clock } = await open({ disk });
      await clock.advance(70 * second);
      expect([count, transactions.counts]).toEqual([count, { sessions: 0, locks: 0 }]);
    }
  });

  test("ids are never given twice, across restarts and a clock that was set back", async () => {
    let { disk } = await open();
    const seen = new Set<string>();
    for (let start = 0; start < 3; start++) {
      const world = await open({ disk, setBackMs: start * 60_000 });
      for (let count = 0; count < 5; count++) {
        const xid = await world.begin();
        seen.add(xid).add(await world.register(xid));
        await world.transactions.rollback(xid);
      }
      disk = world.disk;
    }
    expect(seen.size).toBe(3 * 5 * 2);
  });
});

describe("recovery", () => {
  test("at any moment of a crash: a told outcome stands, a decision is carried out, and no lock is left", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.nat(40),
        fc.constantFrom("TCC", "AT"),
        async (isCommit, crashAfter, branchType) => {
          const world = await open();
          const decision = isCommit ? "commit" : "rollback";
          // The crash: from some write on, nothing reaches the disk any more.
          world.disk.writesLeft = crashAfter;
          const told: string[] = [];
          void (async () => {
            const xid = await world.begin();
            told.push(xid);
            for (let count = 0; count < 2; count++)
              await world.register(xid, { branchType, lockKey: `stock:${count}` });
            told.push("registered");
            told.push(await world.transactions[decision](xid));
          })().catch(() => undefined);
          await world.clock.advance(3 * second);
          const again = await open({ disk: world.disk.crashed() });
          const [xid, , outcome] = told;
          if (xid === undefined) return;
          const status = await again.transactions.status(xid);
          if (outcome !== undefined && outcome.endsWith("ed")) {
            expect(familyOf(status) ?? "Finished").toBe(status === "Finished" ? "Finished" : decision);
          }
          // A branch that was told its end gets no other one.
          await again.clock.advance(70 * second);
          expect(await again.transactions.status(xid)).toBe("Finished");
          const ends = new Set([...world.asked, ...again.asked]);
          expect(ends.size, [...ends].join()).toBeLessThanOrEqual(1);
          expect(again.transactions.counts).toEqual({ sessions: 0, locks: 0 });
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a commit that came too late was too late, also after a crash, and by a clock that was set back", async () => {
    const world = await open();
    const xid = await world.begin({ timeoutMs: 10 });
    await world.register(xid);
    await world.clock.advance(20_000);
    expect(await world.transactions.commit(xid)).toBe("TimeoutRollbacking");
    const again = await open({ disk: world.disk.crashed() });
    expect(await again.transactions.commit(xid)).toBe("TimeoutRollbacking");
    await again.clock.advance(2 * second);
    expect(again.asked).toEqual(["rollback"]);
    expect(await again.transactions.status(xid)).toBe("Finished");
  });

  test("locks of what isn't committed are taken again, and timeouts go on from where they were", async () => {
    const world = await open();
    const xid = await world.begin({ timeoutMs: 10_000 });
    await world.register(xid, { branchType: "AT", lockKey: "stock:1" });
    await world.clock.advance(6 * second);
    const again = await open({ disk: world.disk, clock: world.clock });
    const other = await again.begin();
    await expect(again.register(other, { branchType: "AT", lockKey: "stock:1" })).rejects.toMatchObject({
      code: "LockKeyConflict",
    });
    await world.clock.advance(5 * second);
    expect(await again.transactions.status(xid)).toBe("Finished");
    expect(again.asked).toEqual(["rollback"]);
    await again.register(other, { branchType: "AT", lockKey: "stock:1" });
  });
});

describe("giving up", () => {
  test("after its retry time a commit, or a rollback, waits for a person, with its rows locked", async () => {
    const world = await open({ maxRetryMs: 5_000, answer: (decision) => retryable[decision] });
    const committed = await world.begin();
    await world.register(committed);
    expect(await world.transactions.commit(committed)).toBe("CommitRetrying");
    const rolledBack = await world.begin();
    await world.register(rolledBack, { branchType: "AT", lockKey: "stock:1" });
    expect(await world.transactions.rollback(rolledBack)).toBe("RollbackRetrying");
    await world.clock.advance(7 * second);
    expect(await world.transactions.status(committed)).toBe("CommitRetryTimeout");
    expect(await world.transactions.status(rolledBack)).toBe("RollbackRetryTimeout");
    const asked = world.asked.length;
    await world.clock.advance(10 * second);
    expect(world.asked.length).toBe(asked);
    expect(world.transactions.counts.locks).toBe(1);
  });

  test("what a person has put right is settled: its rows are free, also after a restart, and what ends by itself is refused (R11 seata#2848)", async () => {
    const world = await open({ maxRetryMs: 5_000, answer: (decision) => retryable[decision] });
    const branch = { branchType: "AT", lockKey: "stock:1" } as const;
    const stuck = await world.begin();
    await world.register(stuck, branch);
    await world.transactions.rollback(stuck);
    expect(world.transactions.failed()).toEqual([]);
    await expect(world.transactions.settle(stuck)).rejects.toMatchObject({ code: "GlobalTransactionStatusInvalid" });
    await world.clock.advance(7 * second);
    const running = await world.begin();
    await expect(world.register(running, branch)).rejects.toMatchObject({ code: "LockKeyConflict" });
    await expect(world.transactions.settle(running)).rejects.toMatchObject({ code: "GlobalTransactionStatusInvalid" });
    expect(world.transactions.failed()).toMatchObject([
      { xid: stuck, status: "RollbackRetryTimeout", branches: [{ lockKey: "stock:1" }] },
    ]);
    expect(await world.transactions.settle(stuck)).toBe("Finished");
    expect(world.transactions.failed()).toEqual([]);
    const again = await open({ disk: world.disk, clock: world.clock });
    expect([await again.transactions.status(stuck), again.transactions.counts.locks]).toEqual(["Finished", 0]);
    await again.register(running, branch);
    expect(await again.transactions.settle("tc:8091:1")).toBe("Finished");
  });

  test("who holds a local lock that a rollback needs is told to give up at once", async () => {
    const world = await open({ answer: (decision) => retryable[decision] });
    const holder = await world.begin();
    await world.register(holder, { branchType: "AT", lockKey: "stock:1" });
    const other = await world.begin();
    const wanted = { branchType: "AT", lockKey: "stock:1" } as const;
    const held = { ...wanted, applicationData: '{"autoCommit":false}' } as const;
    await expect(world.register(other, held)).rejects.toMatchObject({ code: "LockKeyConflict" });
    await world.transactions.rollback(holder);
    await expect(world.register(other, held)).rejects.toMatchObject({ code: "LockKeyConflictFailFast" });
    await expect(world.register(other, wanted)).rejects.toMatchObject({ code: "LockKeyConflict" });
  });
});

test("a registration that comes twice under one name is one branch, each resource's by itself, also after a restart", async () => {
  const world = await open();
  const xid = await world.begin();
  const twice = await Promise.all([world.register(xid, { key: "a" }), world.register(xid, { key: "a" })]);
  expect(new Set(twice).size).toBe(1);
  const others = await Promise.all([
    world.register(xid, { key: "b" }),
    world.register(xid, { key: "a", resourceId: "other" }),
    world.register(xid),
    world.register(xid),
  ]);
  expect(new Set([...twice, ...others]).size).toBe(5);
  const again = await open({ disk: world.disk, clock: world.clock });
  expect(await again.register(xid, { key: "a" })).toBe(twice[0]);
});

test("what is too much or makes no sense is refused by name", async () => {
  const world = await open();
  const { transactions } = world;
  await expect(transactions.begin({ name: "x", timeoutMs: 0, application: "" })).rejects.toMatchObject({
    code: "InvalidArgument",
  });
  await expect(transactions.begin({ name: "x".repeat(600), timeoutMs: 1, application: "" })).rejects.toThrow(
    "too long",
  );
  const xid = await world.begin();
  await expect(world.register(xid, { applicationData: "x".repeat(limits.branchBytes + 1) })).rejects.toMatchObject({
    code: "FailedToAddBranch",
  });
  const rows = Array.from({ length: 4_000 }, (_, index) => 100_000 + index);
  await expect(world.register(xid, { lockKey: `account:${rows.join()}` })).rejects.toMatchObject({
    code: "FailedToAddBranch",
    message: expect.stringContaining("a branch of 4000 rows") as string,
    hint: expect.stringContaining("change fewer rows") as string,
  });
  // It has no lock of them.
  const other = await world.begin();
  await world.register(other, { lockKey: "account:100000" });
  await expect(world.register(xid, { resourceId: "" })).rejects.toMatchObject({ code: "InvalidArgument" });
  await expect(world.register(xid, { resourceId: "x".repeat(600) })).rejects.toThrow("too long");
});

test("a report with too much is refused by name, and its branch is finished with what it had before", async () => {
  const world = await open();
  const xid = await world.begin();
  const branchId = await world.register(xid, { branchType: "AT", lockKey: "account:1", applicationData: "small" });
  const report = { xid, branchId, status: "PhaseOne_Done" } as const;
  const applicationData = "x".repeat(limits.branchBytes);
  await expect(world.transactions.reportBranch({ ...report, applicationData })).rejects.toMatchObject({
    code: "BranchReportFailed",
    hint: expect.stringContaining("at most 16384") as string,
  });
  const [session] = (await SessionLog.open(world.disk)).sessions;
  expect(session?.branches).toMatchObject([{ status: "Registered", applicationData: "small" }]);
  await world.transactions.reportBranch({ ...report, applicationData: applicationData.slice("account:1".length) });
  expect(await world.transactions.rollback(xid)).toBe("Rollbacked");
});

test("locks: at most one transaction has a row, and none is left when all have ended", async () => {
  const step = fc.record({ transaction: fc.nat(3), rows: fc.uniqueArray(fc.nat(4), { minLength: 1 }), end: fc.nat(5) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const world = await open();
      const xids = await Promise.all([0, 1, 2, 3].map(() => world.begin()));
      const owners = new Map<number, number>();
      const ended = new Set<number>();
      for (const { transaction, rows, end } of steps) {
        if (ended.has(transaction)) continue;
        const xid = xids[transaction]!;
        if (end < 2) {
          await world.transactions[end === 0 ? "commit" : "rollback"](xid);
          ended.add(transaction);
          for (const [row, owner] of owners) if (owner === transaction) owners.delete(row);
          continue;
        }
        const isFree = rows.every((row) => (owners.get(row) ?? transaction) === transaction);
        const registered = world.register(xid, { branchType: "AT", lockKey: `t:${rows.join()}` });
        if (!isFree) await expect(registered).rejects.toMatchObject({ code: "LockKeyConflict" });
        else {
          await registered;
          for (const row of rows) owners.set(row, transaction);
        }
      }
      expect(world.transactions.counts.locks).toBe(owners.size);
      for (const xid of xids) await world.transactions.rollback(xid);
      await world.clock.advance(2 * second);
      expect(world.transactions.counts).toEqual({ sessions: 0, locks: 0 });
    }),
    { numRuns: 50 },
  );
});

interface OpenOptions {
  readonly disk?: TestDisk;
  readonly clock?: ManualClock;
  readonly setBackMs?: number;
  readonly maxRetryMs?: number;
  readonly answer?: (decision: "commit" | "rollback") => BranchStatus;
}

/** A coordinator's core with a disk, and one resource manager that answers at once. */
async function open(options: OpenOptions = {}) {
  const { disk = new TestDisk(), setBackMs = 0, maxRetryMs = -1, answer = (decision) => finished[decision] } = options;
  const clock = options.clock ?? new ManualClock();
  const wallMs = clock.wallMs.bind(clock);
  if (options.clock === undefined) clock.wallMs = () => wallMs() + 1_600_000_000_000 - setBackMs;
  const participants = new Participants({ clock, timeoutMs: 15_000 });
  const transactions = new Transactions({
    ...(await SessionLog.open(disk)),
    ...{ clock, participants, onStatus: () => undefined },
    timing: { retryMs: 1000, maxCommitRetryMs: maxRetryMs, maxRollbackRetryMs: maxRetryMs },
  });
  transactions.start("coordinator:8091");
  const asked: string[] = [];
  const seat = participants.join({ application: "app", client: "app/0", resourceId: "db" });
  void (async () => {
    while (await seat.bell.rung()) {
      for (const { branch, decision } of seat.take()) {
        asked.push(decision);
        participants.answer(branch.branchId, decision, answer(decision));
      }
    }
  })();
  const registration = { branchType: "TCC", resourceId: "db", lockKey: "", applicationData: "" } as const;
  return {
    ...{ clock, disk, transactions, asked },
    begin: ({ timeoutMs = 60_000 } = {}) => transactions.begin({ name: "buy", timeoutMs, application: "app" }),
    register: async (
      xid: string,
      more: Partial<Record<"resourceId" | "lockKey" | "applicationData" | "key", string>> & {
        branchType?: "AT" | "TCC";
      } = {},
    ) => {
      const branch = { xid, ...registration, application: "app", client: "app/0", ...more };
      return branchIdIn(await transactions.registerBranch(branch));
    },
  };
}

/** Files in memory, which can be held up, be full, or stop keeping what is written. */
class TestDisk implements Disk {
  readonly #files = new Map<string, Uint8Array>();
  isHeld = false;
  isFull = false;
  syncs = 0;
  writesLeft = Infinity;
  #release: (() => void)[] = [];

  release(): void {
    this.isHeld = false;
    for (const go of this.#release.splice(0)) go();
  }

  /** The same disk, in another machine. */
  crashed(): TestDisk {
    const disk = new TestDisk();
    for (const [name, bytes] of this.#files) disk.#files.set(name, bytes);
    return disk;
  }

  text(name: string): string {
    return new TextDecoder().decode(this.#files.get(name));
  }

  set(name: string, text: string): void {
    this.#files.set(name, new TextEncoder().encode(text));
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#files.get(name));
  }

  async append(name: string, bytes: Uint8Array): Promise<void> {
    if (this.isFull) throw new DiskError(`${name}: no space left`, { code: "FULL" });
    await this.#write(() => {
      const before = this.#files.get(name) ?? new Uint8Array();
      this.#files.set(name, new Uint8Array([...before, ...bytes]));
    });
  }

  async sync(): Promise<void> {
    this.syncs++;
    if (this.isHeld) await new Promise<void>((resolve) => this.#release.push(resolve));
    await this.#write(() => undefined);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#write(() => {
      this.#files.set(to, this.#files.get(from)!);
      this.#files.delete(from);
    });
  }

  remove(name: string): Promise<void> {
    return this.#write(() => void this.#files.delete(name));
  }

  /** After the crash nothing happens, and nobody is answered. */
  async #write(act: () => void): Promise<void> {
    if (this.writesLeft <= 0) return new Promise(() => undefined);
    this.writesLeft--;
    act();
  }
}
