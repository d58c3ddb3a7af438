import { TransactionError } from "../transactions/error.ts";
import { finished, type Decision } from "../transactions/phase-two.ts";
import type { BranchStatus, BranchType } from "../transactions/status.ts";
import type { Clock } from "./clock.ts";
import type { Branch, Coordinator, ResourceManager } from "./coordinator.ts";

/** A coordinator, its clients, and what may happen to it and between them. One world serves one fact. */
export interface CoordinatorWorld {
  readonly clock: Clock;
  /** A name that nobody else uses; resources and applications begin with it. */
  readonly name: string;
  /** Opens a client with a way to the coordinator of its own. The world closes it in the end. */
  open(client: string): Promise<CoordinatorParty>;
  /** Ends the coordinator without ceremony and starts it again at the same address, with what it keeps on its disk. */
  restart(): Promise<void>;
  readonly timing: CoordinatorTiming;
  /**
   * The order in which the branches of a rollback are done. Our own is the reverse of the registration, as Seata's documents say; Seata
   * 2.0.0 with its file store was seen to go forward.
   */
  readonly rollbackOrder: "reverse" | "registration";
}

export interface CoordinatorParty {
  readonly coordinator: Coordinator;
  /** Resets every connection, and each new one: as when the client's process was killed. */
  refuse(): void;
  heal(): void;
}

/** How fast this coordinator is, in milliseconds of the world's clock. */
export interface CoordinatorTiming {
  /** What is done in the background, or tried again, is done within this time. */
  readonly retryWithinMs: number;
  /** After a restart everybody is back within this time. */
  readonly recoverWithinMs: number;
}

/** A fact about coordinators: resolves when it holds, rejects with what doesn't. */
export type CoordinatorFact = (world: CoordinatorWorld) => Promise<void>;

/** What every coordinator promises, embedded or Seata's: the same sequences get the same answers. As `registryContract`. */
export const coordinatorContract: Readonly<Record<string, CoordinatorFact>> = {
  "a commit confirms every branch once, in the order of registration, with what was registered": async (world) => {
    const { coordinator, log } = await participant(world, ["a", "b", "c"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    equal(await coordinator.status(xid), "Begin");
    const ids = [];
    for (const name of ["a", "b", "c"])
      ids.push(await coordinator.registerBranch(tcc(world, xid, name, `{"for":"${name}"}`)));
    equal(new Set(ids).size, 3);
    check(
      ids.every((id) => /^\d{1,19}$/.test(id)),
      `branch ids ${ids.join()}`,
    );
    equal(await coordinator.commit(xid), "Committed");
    equal(log.join(), 'commit a {"for":"a"},commit b {"for":"b"},commit c {"for":"c"}');
    equal(await coordinator.status(xid), "Finished");
    equal(await coordinator.commit(xid), "Finished");
    equal(await coordinator.rollback(xid), "Finished");
    equal(log.length, 3);
  },

  "a rollback cancels every branch once, in its order": async (world) => {
    const { coordinator, log } = await participant(world, ["a", "b", "c"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    for (const name of ["a", "b", "c"]) await coordinator.registerBranch(tcc(world, xid, name));
    equal(await coordinator.rollback(xid), "Rollbacked");
    const order = world.rollbackOrder === "reverse" ? ["c", "b", "a"] : ["a", "b", "c"];
    equal(log.join(), order.map((name) => `rollback ${name} {}`).join());
    equal(await coordinator.status(xid), "Finished");
  },

  "branches of several services are finished by the services that registered them": async (world) => {
    const [manager, first, second] = [
      await world.open(`${world.name}-manager/0`),
      await participant(world, ["a"], "first"),
      await participant(world, ["b"], "second"),
    ];
    const xid = await manager.coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await first.coordinator.registerBranch(tcc(world, xid, "a"));
    await second.coordinator.registerBranch(tcc(world, xid, "b"));
    equal(await manager.coordinator.commit(xid), "Committed");
    equal(`${first.log.join()}|${second.log.join()}`, "commit a {}|commit b {}");
  },

  "a transaction without branches commits and rolls back": async (world) => {
    const { coordinator } = await world.open(`${world.name}/0`);
    const committed = await coordinator.begin({ name: "nothing", timeoutMs: 60_000 });
    equal(await coordinator.commit(committed), "Committed");
    const rolledBack = await coordinator.begin({ name: "nothing", timeoutMs: 60_000 });
    check(committed !== rolledBack, "two transactions share an xid");
    equal(await coordinator.rollback(rolledBack), "Rollbacked");
  },

  "a commit of AT branches is answered at once, frees the locks, and is done in the background": async (world) => {
    const { coordinator, log } = await participant(world, ["db"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(at(world, xid, "db", "stock:1"));
    equal(await coordinator.commit(xid), "Committed");
    const next = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(at(world, next, "db", "stock:1"));
    await soon(world, () => log.length === 1);
    equal(log.join(), "commit db {}");
    await until(world, async () => (await coordinator.status(xid)) === "Finished");
    equal(await coordinator.rollback(next), "Rollbacked");
  },

  "a row belongs to one transaction until it is rolled back; its own may take it again": async (world) => {
    const { coordinator } = await participant(world, ["db"]);
    const holder = await coordinator.begin({ name: "holder", timeoutMs: 60_000 });
    const other = await coordinator.begin({ name: "other", timeoutMs: 60_000 });
    await coordinator.registerBranch(at(world, holder, "db", "stock:1,2;account:7"));
    await coordinator.registerBranch(at(world, holder, "db", "stock:2"));
    equal(await failure(coordinator.registerBranch(at(world, other, "db", "stock:3,2"))), "LockKeyConflict");
    // None of the rows was taken by the one that failed.
    equal(await coordinator.lockQuery(at(world, holder, "db", "stock:3")), true);
    equal(await coordinator.lockQuery(at(world, holder, "db", "stock:1")), true);
    equal(await coordinator.lockQuery(at(world, other, "db", "account:7")), false);
    equal(await coordinator.lockQuery(at(world, other, "db", "account:8")), true);
    equal(await coordinator.rollback(holder), "Rollbacked");
    await coordinator.registerBranch(at(world, other, "db", "stock:3,2"));
    equal(await coordinator.rollback(other), "Rollbacked");
  },

  "rows of other resources and tables are other rows; without a colon nothing is locked; TCC locks nothing": async (
    world,
  ) => {
    const { coordinator } = await participant(world, ["db", "db2"]);
    const one = await coordinator.begin({ name: "one", timeoutMs: 60_000 });
    const two = await coordinator.begin({ name: "two", timeoutMs: 60_000 });
    await coordinator.registerBranch(at(world, one, "db", "stock:1"));
    await coordinator.registerBranch(at(world, two, "db2", "stock:1"));
    await coordinator.registerBranch(at(world, two, "db", "account:1"));
    await coordinator.registerBranch(at(world, one, "db", "nothing"));
    await coordinator.registerBranch(at(world, two, "db", "nothing"));
    await coordinator.registerBranch({ ...tcc(world, two, "db"), lockKey: "stock:1" });
    equal(await coordinator.rollback(one), "Rollbacked");
    equal(await coordinator.rollback(two), "Rollbacked");
  },

  "an unknown transaction is Finished, and takes no branches": async (world) => {
    const { coordinator, log } = await participant(world, ["a"]);
    const known = await coordinator.begin({ name: "known", timeoutMs: 60_000 });
    const xid = `${known.slice(0, known.lastIndexOf(":"))}:1`;
    equal(await coordinator.status(xid), "Finished");
    equal(await coordinator.commit(xid), "Finished");
    equal(await coordinator.rollback(xid), "Finished");
    equal(await failure(coordinator.registerBranch(tcc(world, xid, "a"))), "GlobalTransactionNotExist");
    equal(await coordinator.rollback(known), "Rollbacked");
    equal(log.length, 0);
  },

  "once it is decided, a transaction takes no branches": async (world) => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { coordinator } = await participant(world, ["a"], "app", async (_, decision) => {
      await held;
      return finished[decision];
    });
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(tcc(world, xid, "a"));
    const committing = coordinator.commit(xid);
    await until(world, async () => (await coordinator.status(xid)) === "Committing");
    equal(await failure(coordinator.registerBranch(tcc(world, xid, "a"))), "GlobalTransactionNotActive");
    release();
    equal(await committing, "Committed");
  },

  "a transaction that times out is rolled back by itself, and a commit comes too late": async (world) => {
    const { coordinator, log } = await participant(world, ["a"]);
    const xid = await coordinator.begin({ name: "slow", timeoutMs: 1_000 });
    await coordinator.registerBranch(tcc(world, xid, "a"));
    await soon(world, () => log.length > 0, 1_000 + 2 * world.timing.retryWithinMs);
    await until(world, async () => (await coordinator.status(xid)) === "Finished");
    equal(log.join(), "rollback a {}");
    equal(await coordinator.commit(xid), "Finished");
  },

  "a branch that can't be finished now is tried again, and so are those after it": async (world) => {
    let failures = 2;
    const { coordinator, log } = await participant(world, ["a", "b"], "app", async (branch, decision) =>
      branch.resourceId.endsWith("a") && failures-- > 0 ? "PhaseTwo_CommitFailed_Retryable" : finished[decision],
    );
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    for (const name of ["a", "b"]) await coordinator.registerBranch(tcc(world, xid, name));
    equal(await coordinator.commit(xid), "CommitRetrying");
    await soon(world, () => log.length >= 4, 3 * world.timing.retryWithinMs);
    await until(world, async () => (await coordinator.status(xid)) === "Finished");
    equal(log.join(), "commit a {},commit a {},commit a {},commit b {}");
  },

  "a branch whose manager throws is tried again": async (world) => {
    let failures = 1;
    const { coordinator, log } = await participant(world, ["a"], "app", async (_, decision) => {
      if (failures-- > 0) throw new Error("the database is away");
      return finished[decision];
    });
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(tcc(world, xid, "a"));
    equal(await coordinator.rollback(xid), "RollbackRetrying");
    await soon(world, () => log.length >= 2, 2 * world.timing.retryWithinMs);
    await until(world, async () => (await coordinator.status(xid)) === "Finished");
  },

  "a branch that never can be finished ends the transaction for good, and is not tried again": async (world) => {
    const { coordinator, log } = await participant(world, ["a"], "app", async (_, decision) =>
      decision === "commit" ? "PhaseTwo_CommitFailed_Unretryable" : "PhaseTwo_RollbackFailed_Unretryable",
    );
    const committed = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(tcc(world, committed, "a"));
    equal(await coordinator.commit(committed), "CommitFailed");
    const rolledBack = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(tcc(world, rolledBack, "a"));
    equal(await coordinator.rollback(rolledBack), "RollbackFailed");
    await world.clock.sleep(world.timing.retryWithinMs * 1000);
    equal(await coordinator.status(committed), "CommitFailed");
    equal(await coordinator.status(rolledBack), "RollbackFailed");
    equal(log.join(), "commit a {},rollback a {}");
  },

  "the branch of a client that went away is finished by another of its application": async (world) => {
    const manager = await world.open(`${world.name}-manager/0`);
    const gone = await participant(world, ["a"], "app", undefined, 0);
    const xid = await manager.coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await gone.coordinator.registerBranch(tcc(world, xid, "a"));
    await gone.coordinator.close();
    await until(world, async () => (await manager.coordinator.status(xid)) === "Begin");
    await world.clock.sleep(200_000);
    equal(await manager.coordinator.commit(xid), "CommitRetrying");
    const other = await participant(world, ["a"], "app", undefined, 1);
    await soon(world, () => other.log.length > 0, 2 * world.timing.retryWithinMs);
    await until(world, async () => (await manager.coordinator.status(xid)) === "Finished");
    equal(other.log.join(), "commit a {}");
    equal(gone.log.length, 0);
  },

  "a report replaces what was registered": async (world) => {
    const { coordinator, log } = await participant(world, ["a", "b"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    const report = async (name: string, applicationData: string): Promise<void> => {
      const branch = tcc(world, xid, name, "registered");
      const branchId = await coordinator.registerBranch(branch);
      await coordinator.reportBranch({ ...branch, branchId, status: "PhaseOne_Done", applicationData });
    };
    await report("a", "reported");
    await report("b", "");
    equal(await coordinator.commit(xid), "Committed");
    equal(log.join(), "commit a reported,commit b ");
  },

  "a branch that reported its first phase as failed has nothing to finish": async (world) => {
    const { coordinator, log } = await participant(world, ["a", "b"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    const failed = tcc(world, xid, "a");
    const branchId = await coordinator.registerBranch(failed);
    await coordinator.registerBranch(tcc(world, xid, "b"));
    await coordinator.reportBranch({ ...failed, branchId, status: "PhaseOne_Failed" });
    equal(await coordinator.rollback(xid), "Rollbacked");
    equal(log.join(), "rollback b {}");
  },

  "a report about a branch that isn't there is refused": async (world) => {
    const { coordinator } = await world.open(`${world.name}/0`);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    const report = { ...tcc(world, xid, "a"), branchId: "1", status: "PhaseOne_Done" } as const;
    equal(await failure(coordinator.reportBranch(report)), "BranchTransactionNotExist");
    equal(await coordinator.rollback(xid), "Rollbacked");
  },

  "a transaction, its branches and its locks survive the coordinator's death": async (world) => {
    const { coordinator, log } = await participant(world, ["db"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(at(world, xid, "db", "stock:1"));
    await world.restart();
    const recovered = async (): Promise<boolean> =>
      coordinator.status(xid).then(
        (status) => status === "Begin",
        () => false,
      );
    await until(world, recovered, world.timing.recoverWithinMs);
    const other = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    equal(await failure(coordinator.registerBranch(at(world, other, "db", "stock:1"))), "LockKeyConflict");
    // Its resource manager comes back by itself.
    let status = await coordinator.rollback(xid);
    await until(
      world,
      async () => {
        if (status !== "Finished" && status !== "Rollbacked") status = await coordinator.status(xid);
        return status === "Finished" || status === "Rollbacked";
      },
      world.timing.recoverWithinMs,
    );
    equal(log.join(), "rollback db {}");
    await coordinator.registerBranch(at(world, other, "db", "stock:1"));
    equal(await coordinator.rollback(other), "Rollbacked");
  },

  "a client that can't reach it says so, and comes back by itself": async (world) => {
    const { coordinator, log, party } = await participant(world, ["a"]);
    const xid = await coordinator.begin({ name: "buy", timeoutMs: 60_000 });
    await coordinator.registerBranch(tcc(world, xid, "a"));
    party.refuse();
    equal(await failure(coordinator.status(xid)), "ConnectionLost");
    party.heal();
    await until(
      world,
      async () =>
        coordinator.commit(xid).then(
          (status) => status === "Committed" || status === "Finished",
          () => false,
        ),
      world.timing.recoverWithinMs,
    );
    equal(log.join(), "commit a {}");
  },

  "who has closed gets no answer and no work": async (world) => {
    const { coordinator } = await participant(world, ["a"]);
    await coordinator.close();
    equal(await failure(coordinator.begin({ name: "buy", timeoutMs: 60_000 })), "Closed");
    equal(await failure(coordinator.registerResource(`${world.name}-a`, nobody)), "Closed");
  },
};

const nobody: ResourceManager = {
  commit: () => Promise.reject(new Error()),
  rollback: () => Promise.reject(new Error()),
};

type Finish = (branch: Branch, decision: Decision) => Promise<BranchStatus>;

/** A client that answers for resources, and a log of what it was asked: `commit a {}`. */
async function participant(
  world: CoordinatorWorld,
  names: readonly string[],
  application = "app",
  finish: Finish = (_, decision) => Promise.resolve(finished[decision]),
  index = 0,
): Promise<{ readonly coordinator: Coordinator; readonly party: CoordinatorParty; readonly log: string[] }> {
  const log: string[] = [];
  const party = await world.open(`${world.name}-${application}/${index}`);
  const asked = (decision: Decision) => (branch: Branch) => {
    log.push(`${decision} ${branch.resourceId.slice(world.name.length + 1)} ${branch.applicationData}`);
    return finish(branch, decision);
  };
  for (const name of names) {
    await party.coordinator.registerResource(`${world.name}-${name}`, {
      commit: asked("commit"),
      rollback: asked("rollback"),
    });
  }
  return { coordinator: party.coordinator, party, log };
}

const tcc = (world: CoordinatorWorld, xid: string, name: string, applicationData = "{}") =>
  branchOf(world, "TCC", { xid, name, lockKey: "", applicationData });

const at = (world: CoordinatorWorld, xid: string, name: string, lockKey: string) =>
  branchOf(world, "AT", { xid, name, lockKey, applicationData: "{}" });

function branchOf(
  { name: prefix }: CoordinatorWorld,
  branchType: BranchType,
  { xid, name, lockKey, applicationData }: Readonly<Record<"xid" | "name" | "lockKey" | "applicationData", string>>,
) {
  return { xid, branchType, resourceId: `${prefix}-${name}`, lockKey, applicationData };
}

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    const value = await work;
    throw new Error(`it succeeded: ${JSON.stringify(value)}`);
  } catch (error) {
    if (error instanceof TransactionError) return error.code;
    throw error;
  }
}

function soon(world: CoordinatorWorld, isSo: () => boolean, withinMs = world.timing.retryWithinMs): Promise<void> {
  return until(world, () => Promise.resolve(isSo()), withinMs);
}

async function until(
  { clock, timing }: CoordinatorWorld,
  isSo: () => Promise<boolean>,
  withinMs = timing.retryWithinMs,
): Promise<void> {
  const lateUs = clock.nowUs() + withinMs * 1000;
  for (;;) {
    // Asked once more at the end: a look may have taken long.
    const isLate = clock.nowUs() > lateUs;
    if (await isSo()) return;
    check(!isLate, `it didn't happen within ${withinMs} ms: ${isSo.toString()}`);
    await clock.sleep(20_000);
  }
}

function equal(actual: unknown, expected: unknown): void {
  check(actual === expected, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

function check(isSo: boolean, message: string): void {
  if (!isSo) throw new Error(message);
}
