import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { metadata } from "../../call/metadata.ts";
import { RpcError } from "../../call/status.ts";
import type { BranchRegistration, Coordinator, ResourceManager } from "../../ports/coordinator.ts";
import { DataSourceError, type DataSource } from "../../ports/data-source.ts";
import { silent } from "../../ports/telemetry.ts";
import { ManualClock, settled } from "../../testing/clock.ts";
import { finishBranch, finished, unretryable, type Decision } from "../phase-two.ts";
import { openRowStore } from "../row-store.ts";
import type { GlobalStatus } from "../status.ts";
import { MemoryDisk } from "../testing.ts";
import { xidOf } from "../xid.ts";
import { saga, type Saga } from "./definition.ts";
import { compensateOnce, doOnce } from "./participant.ts";
import { Sagas } from "./saga.ts";

const refused = () => new RpcError("no", { code: "FAILED_PRECONDITION" });
const broken = () => new RpcError("a defect", { code: "INTERNAL" });
const lost = () => new RpcError("nobody answered", { code: "DEADLINE_EXCEEDED" });

describe("a saga", () => {
  test("that succeeds keeps each step's effect, once, in order, and hands on what each step answered", async () => {
    const world = await open();
    const seen: unknown[] = [];
    const buy = saga<{ readonly amount: number }>("buy")
      .step("pay", { action: ({ input }) => Promise.resolve(input.amount * 2) })
      .step("ship", {
        action: ({ outputs, xid, metadata: bound }) => {
          seen.push(outputs.pay, xidOf(bound) === xid);
          return Promise.resolve("parcel");
        },
      });
    const { sagas } = await world.start([buy]);
    expect(await world.until(sagas.run(buy, { amount: 5 }))).toEqual({ pay: 10, ship: "parcel" });
    expect(seen).toEqual([10, true]);
    expect(await sagas.unfinished()).toEqual([]);
    expect(world.status()).toBe("Committed");
  });

  test("whose step is refused takes back those before it in reverse order, and nothing of the step itself", async () => {
    const world = await open();
    const buy = world.steps({ failing: { c: refused } });
    const { sagas } = await world.start([buy]);
    await expect(world.until(sagas.run(buy, null))).rejects.toThrow("no");
    expect(world.effects).toEqual(["a", "b", "-b", "-a"]);
    expect(world.asked).toEqual(["a", "b", "c", "-b", "-a"]);
    expect(world.status()).toBe("Rollbacked");
  });

  test("whose step's answer is lost tries it again, and takes it back with the others when none comes", async () => {
    const world = await open();
    const buy = world.steps({ failing: { b: lost }, times: 2 });
    const { sagas } = await world.start([buy]);
    await world.until(sagas.run(buy, null));
    expect(world.asked).toEqual(["a", "b", "b", "b", "c"]);
    expect(world.effects).toEqual(["a", "b", "c"]);

    const other = await open();
    const never = other.steps({ failing: { b: lost } });
    const second = await other.start([never]);
    await expect(other.until(second.sagas.run(never, null))).rejects.toThrow("nobody answered");
    expect(other.effects).toEqual(["a", "b", "-b", "-a"]);
    expect(other.asked).toEqual(["a", "b", "b", "b", "-b", "-a"]);
  });

  test("refused after an attempt that nobody answered: the earlier one may have been done, so it is taken back", async () => {
    const world = await open();
    let attempts = 0;
    const second = world.step("b");
    const buy = saga<null>("buy")
      .step("a", world.step("a"))
      .step("b", {
        ...second,
        action: async (call) => {
          if (++attempts > 1) throw refused();
          await second.action(call);
          throw lost();
        },
      });
    const { sagas } = await world.start([buy]);
    await expect(world.until(sagas.run(buy, null))).rejects.toThrow("no");
    expect(world.effects).toEqual(["a", "b", "-b", "-a"]);
  });

  test("whose compensation fails as often as it may needs a person: it stops there, and RollbackFailed says so", async () => {
    const world = await open();
    const buy = world.steps({ failing: { c: refused, "-b": broken } });
    const { sagas } = await world.start([buy]);
    await expect(world.until(sagas.run(buy, null))).rejects.toThrow("no");
    expect(world.asked).toEqual(["a", "b", "c", "-b", "-b", "-b"]);
    expect(world.status()).toBe("RollbackFailed");
    expect(await sagas.unfinished()).toMatchObject([
      {
        phase: "failed",
        steps: [{ status: "SU" }, { status: "SU", compensation: "FA", failures: 3 }, { status: "FA" }],
      },
    ]);
    // Who asks again hears the same, and nothing more happens.
    expect(await world.finish("rollback")).toBe(unretryable.rollback);
    expect(world.asked).toHaveLength(6);
  });

  test.each([
    ["no participant", lost],
    ["no database", (): Error => new DataSourceError("no answer came", { code: "UNAVAILABLE" })],
  ])("whose compensation %s answers is asked for again by the coordinator, until it is done", async (_, unanswered) => {
    const world = await open();
    const buy = world.steps({ failing: { c: refused, "-b": unanswered }, times: 20 });
    const { sagas } = await world.start([buy]);
    await expect(world.until(sagas.run(buy, null))).rejects.toThrow("no");
    expect(world.status()).toBe("RollbackRetrying");
    await world.clock.advance(30_000_000);
    expect(world.status()).toBe("Rollbacked");
    expect(world.effects).toEqual(["a", "b", "-b", "-a"]);
  });

  test("behind its pivot goes forward until each step is done, however long that takes", async () => {
    const world = await open();
    const buy = world.steps({ failing: { b: lost }, times: 20, pivotAfter: "a" });
    const { sagas } = await world.start([buy]);
    await world.until(sagas.run(buy, null));
    expect(world.status()).toBe("CommitRetrying");
    await world.clock.advance(30_000_000);
    expect(world.status()).toBe("Committed");
    expect(world.effects).toEqual(["a", "b", "c"]);
  });

  test("that is refused behind its pivot needs a person: CommitFailed", async () => {
    const world = await open();
    const buy = world.steps({ failing: { c: refused }, pivotAfter: "a" });
    const { sagas } = await world.start([buy]);
    await expect(world.until(sagas.run(buy, null))).rejects.toMatchObject({ code: "CommitHeuristic" });
    expect(world.status()).toBe("CommitFailed");
    expect(world.effects).toEqual(["a", "b"]);
  });

  test("inside of a transaction is a branch of it: what ends that one ends the saga, and nobody else does", async () => {
    const world = await open();
    const buy = world.steps({});
    const { sagas } = await world.start([buy]);
    const xid = await world.coordinator.begin({ name: "outer", timeoutMs: 60_000 });
    await world.until(sagas.run(buy, null, { metadata: metadata({ tx_xid: xid }) }));
    expect(world.status()).toBe("Begin");
    await world.until(world.coordinator.rollback(xid));
    expect(world.effects).toEqual(["a", "b", "c", "-c", "-b", "-a"]);
  });

  test("whose time is over ends with the step that it is at, and is taken back", async () => {
    const world = await open();
    const buy = saga("slow")
      .step("a", world.step("a"))
      .step("b", {
        ...world.step("b"),
        action: async () => {
          world.asked.push("b");
          await world.clock.sleep(3_000_000);
        },
      })
      .step("c", world.step("c"));
    const { sagas } = await world.start([buy]);
    const running = sagas.run(buy, null, { timeoutMs: 2_000 }).catch((error: unknown) => error);
    await world.clock.advance(20_000_000);
    expect(await running).toMatchObject({ code: "Suspended" });
    expect(world.asked).toEqual(["a", "b", "-b", "-a"]);
    expect(world.status()).toBe("TimeoutRollbacked");
  });

  test("that is rolled back before it began never begins", async () => {
    const world = await open();
    const buy = world.steps({});
    const { sagas } = await world.start([buy]);
    world.beforeBegin = () => world.finish("rollback");
    await expect(world.until(sagas.run(buy, null))).rejects.toMatchObject({ code: "Suspended" });
    expect(world.asked).toEqual([]);
  });

  test("is a defect when it is written down wrongly", () => {
    expect(() => saga("")).toThrow("without a name");
    const step = { action: () => Promise.resolve() };
    expect(() => saga("x").step("a", step).step("a", step)).toThrow('"a" is none');
    expect(() => saga("x").pivot().pivot()).toThrow("a pivot already");
  });
});

describe("recovery", () => {
  test("of a saga whose definition is gone is refused by name, and left for one who has it", async () => {
    const world = await open();
    const buy = world.steps({});
    const { sagas, die } = await world.start([buy], { commitsLeft: 3 });
    void sagas.run(buy, null).catch(() => undefined);
    await world.clock.advance(1_000_000);
    await die();
    await world.start([]);
    await world.clock.advance(5_000_000);
    expect(world.status()).toBe("RollbackRetrying");
    await world.start([buy]);
    await world.clock.advance(5_000_000);
    expect(world.status()).toBe("Rollbacked");
    expect(new Set(world.effects)).toEqual(new Set(["a", "-a"]));
  });

  test("after a crash at any persisted step: each step that was done is kept or taken back, once, in order (R12 seata#5077, #5173, #2824)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(14), { minLength: 1, maxLength: 3 }),
        fc.constantFrom<Record<string, () => Error>>({}, { c: refused }, { b: lost }, { c: lost, "-b": lost }),
        fc.nat(2),
        fc.constantFrom(undefined, "a", "b"),
        async (crashes, failing, times, pivotAfter) => {
          const world = await open();
          const buy = world.steps({ failing, times, pivotAfter });
          let first = true;
          for (const commitsLeft of crashes) {
            const { sagas, die } = await world.start([buy], { commitsLeft });
            if (first) void sagas.run(buy, null).catch(() => undefined);
            first = false;
            await world.clock.advance(10_000_000);
            await die();
          }
          const { sagas } = await world.start([buy]);
          await world.clock.advance(200_000_000);
          expect(["Committed", "Rollbacked", "TimeoutRollbacked", "CommitFailed", "none"]).toContain(world.status());
          const [done, compensated] = [
            world.effects.filter((effect) => !effect.startsWith("-")),
            world.effects.filter((effect) => effect.startsWith("-")),
          ];
          expect(done).toEqual(["a", "b", "c"].slice(0, done.length));
          const isKept = world.status() === "Committed" || world.status() === "CommitFailed";
          expect(compensated).toEqual(isKept ? [] : [...done].reverse().map((name) => `-${name}`));
          if (world.status() === "Committed") expect(done).toHaveLength(3);
          if (world.status() === "CommitFailed") expect(await sagas.unfinished()).toMatchObject([{ phase: "failed" }]);
          else expect(await sagas.unfinished()).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

interface Failures {
  /** By a step's name, "-b" for its compensation: what it rejects with, once it has done its work. */
  readonly failing?: Readonly<Record<string, () => Error>>;
  /** So many times only. */
  readonly times?: number | undefined;
  readonly pivotAfter?: string | undefined;
}

/** A coordinator that keeps what it decided, participants that fence, and an engine that can die after any write. */
async function open() {
  const clock = new ManualClock();
  const disk = new MemoryDisk();
  const participants = await openRowStore(new MemoryDisk());
  const asked: string[] = [];
  const effects: string[] = [];
  let manager: ResourceManager | undefined;
  let branch: (BranchRegistration & { readonly branchId: string }) | undefined;
  let status: GlobalStatus | "none" = "none";
  let deadlineUs = Infinity;

  const ask = (decision: Decision) => finishBranch(manager, decision, { ...branch!, branchType: "SAGA" });
  const ends: Readonly<Record<string, readonly [Decision, GlobalStatus, GlobalStatus, GlobalStatus]>> = {
    Committing: ["commit", "Committed", "CommitRetrying", "CommitFailed"],
    CommitRetrying: ["commit", "Committed", "CommitRetrying", "CommitFailed"],
    Rollbacking: ["rollback", "Rollbacked", "RollbackRetrying", "RollbackFailed"],
    RollbackRetrying: ["rollback", "Rollbacked", "RollbackRetrying", "RollbackFailed"],
    TimeoutRollbacking: ["rollback", "TimeoutRollbacked", "TimeoutRollbackRetrying", "TimeoutRollbackFailed"],
    TimeoutRollbackRetrying: ["rollback", "TimeoutRollbacked", "TimeoutRollbackRetrying", "TimeoutRollbackFailed"],
  };
  let isWorking = false;
  const work = async (): Promise<void> => {
    const end = ends[status];
    if (end === undefined || isWorking) return;
    const [decision, done, later, never] = end;
    isWorking = true;
    // A participant that died answers nothing: the coordinator gives up waiting.
    const answer =
      branch === undefined ? finished[decision] : await Promise.race([ask(decision), clock.sleep(15_000_000)]);
    isWorking = false;
    status = answer === finished[decision] ? done : answer === unretryable[decision] ? never : later;
  };
  const decide = (from: GlobalStatus) => async (): Promise<GlobalStatus> => {
    if (status === "Begin") status = from;
    await work();
    return status as GlobalStatus;
  };
  const look = (): void => {
    if (status === "Begin" && clock.nowUs() > deadlineUs) status = "TimeoutRollbacking";
    void work();
    clock.after(1_000_000, look);
  };
  look();

  const world = {
    ...{ clock, asked, effects },
    beforeBegin: (): unknown => undefined,
    status: () => status,
    finish: ask,
    coordinator: {
      begin: ({ timeoutMs }: { readonly timeoutMs: number }) => {
        status = "Begin";
        deadlineUs = clock.nowUs() + timeoutMs * 1000;
        return Promise.resolve("tc:8091:1");
      },
      registerBranch: async (given: BranchRegistration) => {
        branch = { ...given, branchId: "7" };
        await world.beforeBegin();
        return "7";
      },
      registerResource: (_: string, given: ResourceManager) => {
        manager = given;
        return Promise.resolve();
      },
      commit: decide("Committing"),
      rollback: decide("Rollbacking"),
    } as unknown as Coordinator,
    /** A step that notes when it is asked, and its effect when it really happens. */
    step: (name: string, fail: (name: string) => void = () => undefined) => {
      const fenced = (xid: string, stepId: string) => ({ xid, stepId, action: name, nowMs: 0 });
      return {
        action: async ({ xid, stepId }: { readonly xid: string; readonly stepId: string }): Promise<void> => {
          asked.push(name);
          // Refused: nothing is done. Lost: it is, but nobody hears of it.
          fail(`before ${name}`);
          const tell = () => void effects.push(name);
          await doOnce(participants, fenced(xid, stepId), () => Promise.resolve(tell()));
          fail(name);
        },
        compensation: async ({ xid, stepId }: { readonly xid: string; readonly stepId: string }): Promise<void> => {
          asked.push(`-${name}`);
          const tell = () => void effects.push(`-${name}`);
          await compensateOnce(participants, fenced(xid, stepId), () => Promise.resolve(tell()));
          fail(`-${name}`);
        },
      };
    },
    steps: ({ failing = {}, times = Infinity, pivotAfter }: Failures) => {
      const left = new Map<string, number>();
      const fail = (point: string): void => {
        const name = point.replace("before ", "");
        const error = failing[name]?.();
        const isBefore = point !== name;
        if (error === undefined || (error instanceof RpcError && error.code === "FAILED_PRECONDITION") !== isBefore)
          return;
        const count = left.get(name) ?? (isBefore ? Infinity : times);
        left.set(name, count - 1);
        if (count > 0) throw error;
      };
      let buy: Saga<null, object> = saga<null>("buy");
      for (const name of ["a", "b", "c"]) {
        buy = buy.step(name, world.step(name, fail));
        if (name === pivotAfter) buy = buy.pivot();
      }
      return buy;
    },
    /** A life of the engine: after so many more commits its disk takes nothing, and it hears nothing. */
    start: async (sagas: readonly Saga<never, never>[], { commitsLeft = Infinity } = {}) => {
      const store = await openRowStore(disk);
      let left = commitsLeft;
      let isDead = false;
      const forever = new Promise<never>(() => undefined);
      const dataSource: DataSource = {
        transaction: async (run) => {
          if (isDead) return forever;
          if (left-- <= 0) isDead = true;
          else {
            const result = await store.transaction(run);
            if (!isDead) return result;
          }
          return forever;
        },
        rows: (table, filter) => store.rows(table, filter),
        close: () => store.close(),
      };
      const engine = new Sagas({
        ...{ clock, telemetry: silent, dataSource, sagas, resourceId: "order#saga", owner: "order/0" },
        coordinator: {
          ...world.coordinator,
          commit: (xid) => (isDead ? forever : world.coordinator.commit(xid)),
          rollback: (xid) => (isDead ? forever : world.coordinator.rollback(xid)),
        },
      });
      await engine.register();
      const die = async (): Promise<void> => {
        isDead = true;
        // What is on its way to the disk arrives there before the next life reads it.
        for (let count = 0; count < 5; count++) await settled();
      };
      return { sagas: engine, die };
    },
    /** Lets time pass until it is over. */
    until: async <T>(running: Promise<T>): Promise<T> => {
      let isOver = false;
      running.then(
        () => (isOver = true),
        () => (isOver = true),
      );
      for (let count = 0; count < 100 && !isOver; count++) await clock.advance(500_000);
      return running;
    },
  };
  return world;
}
