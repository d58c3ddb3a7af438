import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Branch, BranchRegistration, Coordinator, ResourceManager } from "../../ports/coordinator.ts";
import type { DataSource, Table } from "../../ports/data-source.ts";
import { ManualClock } from "../../testing/clock.ts";
import { openRowStore } from "../row-store.ts";
import { MemoryDisk } from "../testing.ts";
import { fenceStatus, fenceTable } from "./fence.ts";
import { TccResource, type TccAction } from "./tcc.ts";

const table: Table = { name: "effects", columns: { step: "text", times: "integer" }, key: ["step"] };
const xid = "tc:8091:1";

describe("the fence", () => {
  test("try, confirm: each has its effect once, however often it comes", async () => {
    const { attempt, finish, effects, fence } = await open();
    await attempt();
    await attempt();
    expect([await finish("commit"), await finish("commit")]).toEqual(["PhaseTwo_Committed", "PhaseTwo_Committed"]);
    await attempt();
    expect(await effects()).toEqual({ try: 1, confirm: 1 });
    expect(await fence()).toBe(fenceStatus.committed);
  });

  test("a cancel without a try succeeds, does nothing, and no later try ever gets in (R8 seata-go#685, R9a)", async () => {
    const { attempt, finish, effects, fence } = await open();
    expect(await finish("rollback")).toBe("PhaseTwo_Rollbacked");
    await expect(attempt()).rejects.toMatchObject({ code: "Suspended" });
    await expect(attempt()).rejects.toMatchObject({ code: "Suspended" });
    expect(await finish("rollback")).toBe("PhaseTwo_Rollbacked");
    expect(await effects()).toEqual({});
    expect(await fence()).toBe(fenceStatus.suspended);
  });

  test("a duplicated try leaves the first one's fence alone: the confirm is effective, once (R9b)", async () => {
    const { attempt, finish, effects } = await open();
    await Promise.all([attempt(), attempt()]);
    expect(await finish("commit")).toBe("PhaseTwo_Committed");
    expect(await effects()).toEqual({ try: 1, confirm: 1 });
  });

  test("cancels at the same time without a try both succeed, and one row stays (R7 seata#6679)", async () => {
    const { finish, effects, fence } = await open();
    expect(await Promise.all([finish("rollback"), finish("rollback")])).toEqual([
      "PhaseTwo_Rollbacked",
      "PhaseTwo_Rollbacked",
    ]);
    expect(await effects()).toEqual({});
    expect(await fence()).toBe(fenceStatus.suspended);
  });

  test("a try that says no leaves nothing, so its cancel is an empty one (R10 seata#6374)", async () => {
    const { attempt, finish, effects } = await open({ failing: "try" });
    await expect(attempt()).rejects.toThrow("try fails");
    expect(await finish("rollback")).toBe("PhaseTwo_Rollbacked");
    expect(await effects()).toEqual({});
  });

  test("an action that wants no fence is cancelled also where its try said no, and as often as it is asked (R10 seata#6374)", async () => {
    const { attempt, finish, effects, fence } = await open({ failing: "try", isFenced: false });
    await expect(attempt()).rejects.toThrow("try fails");
    for (let time = 0; time < 2; time++) expect(await finish("rollback")).toBe("PhaseTwo_Rollbacked");
    expect(await finish("commit")).toBe("PhaseTwo_Committed");
    expect(await effects()).toEqual({ cancel: 2, confirm: 1 });
    expect(await fence()).toBeUndefined();
  });

  test("a confirm without a try is tried again; after a cancel it can never be, and the reverse", async () => {
    const first = await open();
    expect(await first.finish("commit")).toBe("PhaseTwo_CommitFailed_Retryable");
    await first.finish("rollback");
    expect(await first.finish("commit")).toBe("PhaseTwo_CommitFailed_Unretryable");
    const second = await open();
    await second.attempt();
    await second.finish("commit");
    expect(await second.finish("rollback")).toBe("PhaseTwo_RollbackFailed_Unretryable");
    expect(await second.effects()).toEqual({ try: 1, confirm: 1 });
  });

  test("a confirm whose work fails leaves the fence as it was, for another try", async () => {
    const options: { failing: string | undefined } = { failing: "confirm" };
    const { attempt, finish, effects, fence } = await open(options);
    await attempt();
    await expect(finish("commit")).rejects.toThrow("confirm fails");
    expect(await fence()).toBe(fenceStatus.tried);
    options.failing = undefined;
    expect(await finish("commit")).toBe("PhaseTwo_Committed");
    expect(await effects()).toEqual({ try: 1, confirm: 1 });
  });

  test.each(["", "{", "null", "{}", "[]"])("what was registered came back as %j: nobody guesses", async (data) => {
    const { attempt, finish, effects } = await open();
    await attempt();
    expect(await finish("rollback", data)).toBe("PhaseTwo_RollbackFailed_Unretryable");
    expect(await effects()).toEqual({ try: 1 });
  });

  test("tries, confirms and cancels in any order and number: never both ends, never an end without its try, each once", async () => {
    const steps = fc.array(fc.constantFrom("try", "commit", "rollback"), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), async (given, isConcurrent) => {
        const { attempt, finish, effects } = await open();
        const run = (step: string): Promise<unknown> =>
          (step === "try" ? attempt() : finish(step as "commit" | "rollback")).catch(() => undefined);
        if (isConcurrent) await Promise.all(given.map(run));
        else for (const step of given) await run(step);
        const seen = await effects();
        const ends = (seen["confirm"] ?? 0) + (seen["cancel"] ?? 0);
        expect(seen["try"] ?? 0).toBeLessThanOrEqual(1);
        expect(ends).toBeLessThanOrEqual(seen["try"] ?? 0);
      }),
    );
  });
});

/** One branch of an action that counts its steps, and a coordinator that only registers. */
async function open(options: { readonly failing?: string | undefined; readonly isFenced?: boolean } = {}) {
  const dataSource = await openRowStore(new MemoryDisk());
  let manager: ResourceManager | undefined;
  let registered: BranchRegistration | undefined;
  const coordinator = {
    registerBranch: (branch: BranchRegistration) => {
      registered = branch;
      return Promise.resolve("7");
    },
    registerResource: (_: string, given: ResourceManager) => {
      manager = given;
      return Promise.resolve();
    },
  } as unknown as Coordinator;
  const counting = (step: string): TccAction<{ amount: number }>["try"] => {
    return async (local, { amount }) => {
      expect(amount).toBe(5);
      const row = await local.lock(table, { step });
      if (row === undefined) await local.insert(table, { step, times: 1 });
      else await local.update(table, { step, times: Number(row["times"]) + 1 });
      if (options.failing === step) throw new Error(`${step} fails`);
    };
  };
  const steps = { try: counting("try"), confirm: counting("confirm"), cancel: counting("cancel") };
  const action = { name: "debit", isFenced: options.isFenced, ...steps };
  const resource = new TccResource({ clock: new ManualClock(), coordinator, dataSource, action });
  await resource.register();
  const branchId = await resource.begin(xid, { amount: 5 });
  const branch: Branch = { ...registered!, branchId };
  return {
    attempt: () => resource.try({ xid, branchId }, { amount: 5 }),
    finish: (decision: "commit" | "rollback", applicationData = branch.applicationData) =>
      manager![decision]({ ...branch, applicationData }),
    effects: () => effectsIn(dataSource),
    fence: async () => (await dataSource.rows(fenceTable))[0]?.["status"],
  };
}

async function effectsIn(dataSource: DataSource): Promise<Readonly<Record<string, number>>> {
  const rows = await dataSource.rows(table);
  return Object.fromEntries(rows.map(({ step, times }) => [String(step), Number(times)]));
}
