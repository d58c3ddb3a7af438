import { describe, expect, test } from "vitest";

import type { OutsideWriter } from "../../runtime/telemetry/events.ts";
import type { GlobalStatus } from "../../runtime/transactions/status.ts";
import type { GapRecord } from "../history/record.ts";
import { at, isolation, type bank, type ScenarioInput } from "../scenario/builders.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { judgeCheck } from "./fixtures.ts";

const of: Parameters<typeof bank>[0] = {
  ...{ mode: "at" as const, items: 1, abortRate: "50%", instalments: 2, looks: { locking: "50%", partner: true } },
  account: { clerk: { every: "50ms", locking: "50%" } },
  stock: { serviceTime: "100ms" },
};
const plan = bankPlan(
  [
    isolation("order").detects("20%"),
    isolation("order").shows("dirty-read").detects("20%"),
    isolation("order").shows("dirty-write").detects("20%"),
    isolation("order").shows("G1b").detects("20%"),
    isolation("order").shows("lost-update", "G2-item").detects("20%"),
  ],
  { of },
);
const ms = 1_000;
const resource = "account.reserve";

/** A bank whose account changes rows, versions and all; rows are "u0", "u1", … of account/0, and there is always time between two steps. */
class Rows {
  readonly #own = new Books(plan);
  readonly #versions = new Map<string, number[]>();
  readonly #gaps: GapRecord[] = [];
  #atUs = 0;
  #isStanding = false;
  #version = 1000;

  write(
    xid: string,
    item: string,
    { outside, version = ++this.#version }: { readonly outside?: OutsideWriter; readonly version?: number } = {},
  ): void {
    this.#set(xid, item, version, outside);
    this.#versions.set(item, [...(this.#versions.get(item) ?? [0]), version]);
  }

  /** An older version comes back, whatever was there before. */
  restore(xid: string, item: string, version: number): void {
    this.#set(xid, item, version);
  }

  /** What was there before the last write comes back. */
  undo(xid: string, item: string): void {
    const versions = this.#versions.get(item)!;
    versions.pop();
    this.#set(xid, item, versions.at(-1)!);
  }

  look(
    xid: string,
    item: string,
    { isLocking = true, isKept = false, version = this.#versions.get(item)?.at(-1) ?? 0 } = {},
  ): void {
    const kept = isKept ? { isKept: true as const } : {};
    this.#own.report("account/0", this.#next(), { what: "look", xid, resource, item, version, isLocking, ...kept });
  }

  wait(xid: string, item: string): void {
    const lockKey = `account_holdings:${item}`;
    this.#own.report("account/0", this.#next(), { what: "conflict", xid, resource, lockKey });
  }

  end(xid: string, status: GlobalStatus): void {
    this.#own.report("coordinator/0", this.#next(), { what: "status", xid, status });
  }

  /** A row that its holder took back while another waited for it. */
  waited(item: string, access = (other: string): void => this.look(other, item), other = `${item} other`): this {
    const holder = `${item} holder`;
    this.write(holder, item);
    this.wait(other, item);
    this.end(holder, "Rollbacking");
    this.undo(holder, item);
    this.end(holder, "Rollbacked");
    access(other);
    return this;
  }

  many(): this {
    for (let index = 0; index < 32; index++) this.waited(`row ${index}`);
    return this;
  }

  /** A node that is killed finds another version than the last one that it told of. */
  restart(item: string, version: number): void {
    const holdings = [{ item, free: 1, frozen: 0, used: 0, version }];
    this.#own.report("account/0", this.#next(), {
      what: "audit",
      xid: "",
      isFirst: true,
      resource,
      holdings,
      left: [],
    });
  }

  /** A node is killed now, and what it did in its last tenth of a second may not have been heard of. */
  kill(): void {
    const toUs = this.#next();
    this.#gaps.push({ type: "gap", node: "account/0", fromUs: toUs - 100 * ms, toUs });
  }

  /** The commit of this version got no answer; or what came of it is found out. */
  doubt(xid: string, item: string, version: number, state: "open" | "done" | "undone"): void {
    this.#own.report("account/0", this.#next(), { what: "doubt", xid, resource, item, version, state });
  }

  /** All of it at the same moment. */
  atOnce(steps: () => void): void {
    this.#isStanding = true;
    steps();
    this.#isStanding = false;
  }

  wait10s(): void {
    this.#atUs += 10_000 * ms;
  }

  judged(index = 0) {
    return judgeCheck(plan, { ...this.#own.history(), gaps: this.#gaps }, index);
  }

  #set(xid: string, item: string, version: number, outside?: OutsideWriter): void {
    if (!this.#versions.has(item)) this.restart(item, 0);
    const branch = outside === undefined ? { branchId: `${xid} 1` } : { outside };
    const holding = { resource, item, free: 1, frozen: 0, used: 0, version };
    this.#own.report("account/0", this.#next(), { what: "holding", xid, ...branch, ...holding });
  }

  #next(): number {
    return (this.#atUs += this.#isStanding ? 0 : ms);
  }
}

test("those who waited for what was taken back, and got none of it, are the trials", () => {
  const rows = new Rows().many();
  rows.waited("u7", () => rows.write("", "u7", { outside: "locking" }), "");
  expect(rows.judged()).toMatchObject({ verdict: "pass", observed: "0 of 33", falseAlarm: 0 });
});

test("a wait for what was committed is no trial, and neither is one that was given up", () => {
  const rows = new Rows().many();
  // A job that belongs to no order gave up; an order that comes later hasn't waited.
  rows.waited("left", () => rows.look("T9", "left"), "");
  rows.waited("given up", () => undefined);
  rows.write("kept", "u7");
  rows.wait("other", "u7");
  rows.end("kept", "Committed");
  rows.look("other", "u7");
  expect(rows.judged().observed).toBe("0 of 32");
});

test("who is waited for is who had written there when it was told, also where another writes at the same moment", () => {
  const rows = new Rows().many();
  rows.write("kept", "u7");
  rows.atOnce(() => {
    rows.wait("other", "u7");
    rows.end("kept", "Committed");
    rows.write("aborted", "u7");
  });
  rows.end("aborted", "Rollbacking");
  rows.undo("aborted", "u7");
  rows.end("aborted", "Rollbacked");
  rows.look("other", "u7");
  expect(rows.judged().observed).toBe("0 of 32");
});

describe("it finds", () => {
  test("a look with the lock at what was taken back", () => {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    rows.look("T2", "u7");
    rows.end("T1", "TimeoutRollbacking");
    rows.undo("T1", "u7");
    expect(rows.judged()).toMatchObject({
      verdict: "fail",
      observed: "1 of 33",
      message: "G1a: T2 read what T1 had written in u7 of account/0, which was taken back",
    });
  });

  test("a branch, and a locking writer, that write over what was to be taken back", () => {
    for (const outside of [undefined, "locking"] as const) {
      const rows = new Rows().many();
      rows.write("T1", "u7");
      rows.write(outside === undefined ? "T2" : "", "u7", { ...(outside !== undefined && { outside }) });
      rows.end("T1", "RollbackFailed");
      expect(rows.judged()).toMatchObject({ verdict: "fail", observed: "1 of 33" });
      expect(rows.judged().message).toMatch(
        /^dirty-write: .* wrote after T1 in u7 of account\/0, which was taken back/,
      );
    }
  });

  test("a rollback that writes over somebody, even one who asked for no lock", () => {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    rows.write("", "u7", { outside: "bypassing" });
    rows.end("T1", "Rollbacking");
    rows.undo("T1", "u7");
    rows.undo("T1", "u7");
    rows.end("T1", "Rollbacked");
    expect(rows.judged().verdict).toBe("fail");
  });

  test("a rollback that is said to be done over a dirty write, though it did nothing", () => {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    rows.write("", "u7", { outside: "bypassing" });
    rows.end("T1", "Rollbacked");
    expect(rows.judged()).toMatchObject({ verdict: "fail", observed: "1 of 33" });
  });

  test("two transactions that wrote over each other", () => {
    const rows = new Rows().many();
    for (const [xid, item] of [
      ["T1", "u7"],
      ["T2", "u7"],
      ["T2", "u8"],
      ["T1", "u8"],
    ] as const)
      rows.write(xid, item);
    expect(rows.judged()).toMatchObject({
      verdict: "fail",
      message: "G0: T2 wrote after T1 in u7 of account/0; T1 wrote after T2 in u8 of account/0",
    });
  });
});

test("what nobody has written is read by nobody, with the lock or without it", () => {
  for (const isLocking of [true, false]) {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    rows.look("T2", "u7", { isLocking, version: 77 });
    expect(rows.judged()).toMatchObject({
      verdict: "fail",
      observed: "1 of 33",
      message: "garbage-read: T2 read what nobody (version 77) had written in u7 of account/0",
    });
  }
});

test("what a node that was killed had written and couldn't tell of is no garbage; long before that it is", () => {
  const rows = new Rows().many();
  rows.write("T1", "u7");
  rows.wait10s();
  rows.look("T2", "u7", { version: 77 });
  rows.kill();
  rows.restart("u7", 0);
  expect(rows.judged()).toMatchObject({ verdict: "pass", observed: "0 of 32" });
  rows.look("T3", "u7", { version: 78 });
  rows.wait10s();
  rows.kill();
  expect(rows.judged()).toMatchObject({ verdict: "fail", observed: "1 of 33" });
});

test("a rollback may bring back what a node that was killed couldn't tell of: it is an undo, and no write over which others write", () => {
  const rows = new Rows().many();
  rows.write("T1", "u7");
  // T2 has left 2000 and ended, T3 has left 2001 on top of that, and nobody heard of either.
  rows.kill();
  rows.restart("u7", 2001);
  rows.end("T3", "Rollbacking");
  rows.restore("T3", "u7", 2000);
  rows.look("T4", "u7", { version: 2000 });
  rows.write("T4", "u7", { version: 3000 });
  rows.end("T4", "Rollbacking");
  rows.restore("T4", "u7", 2000);
  rows.look("T5", "u7", { version: 2000 });
  rows.write("T5", "u7", { version: 3001 });
  expect(rows.judged()).toMatchObject({ verdict: "pass", observed: "0 of 32" });
  // Where everything was heard of, nothing else can come back.
  rows.write("T6", "u8");
  rows.end("T6", "Rollbacking");
  rows.restore("T6", "u8", 500);
  rows.write("T7", "u8");
  expect(rows.judged()).toMatchObject({ verdict: "fail", observed: "1 of 33" });
});

test("a write whose commit got no answer may be seen, until somebody has found out that it wasn't done", () => {
  for (const state of ["open", "undone"] as const) {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    // It may be seen before the answer is known to be lost.
    rows.look("T3", "u7", { version: 77 });
    rows.doubt("T2", "u7", 77, "open");
    rows.look("T4", "u7", { version: 77, isLocking: false });
    if (state === "undone") rows.doubt("T2", "u7", 77, state);
    expect(rows.judged()).toMatchObject(
      state === "open"
        ? { verdict: "pass", observed: "0 of 32" }
        : { verdict: "fail", message: expect.stringMatching(/^garbage-read: T3 .* \(and 1 more\)$/) as string },
    );
  }
});

test("a doubt is about one write to one row: what else nobody has written is garbage all the same", () => {
  for (const [item, version] of [
    ["u7", 78],
    ["u8", 77],
  ] as const) {
    const rows = new Rows().many();
    rows.write("T1", item);
    rows.doubt("T2", "u7", 77, "open");
    rows.look("T3", item, { version });
    expect(rows.judged()).toMatchObject({ verdict: "fail", observed: "1 of 33" });
  }
});

describe("who doesn't lock is promised no more, and", () => {
  test("shows a dirty read: without one there is nothing to judge", () => {
    const rows = new Rows().many();
    expect(rows.judged(1).verdict).toBe("inconclusive");
    rows.waited("u6", (other) => rows.look(other, "u6", { isLocking: false }));
    expect(rows.judged(1).verdict).toBe("inconclusive");
    rows.write("T1", "u7");
    rows.look("T2", "u7", { isLocking: false });
    rows.undo("T1", "u7");
    rows.end("T1", "Rollbacked");
    expect(rows.judged(1)).toMatchObject({ verdict: "pass", observed: "0 of 32" });
    expect(rows.judged(1).message).toContain("1 that didn't lock did (dirty-read)");
  });

  test("shows a dirty write, which is told to a person", () => {
    const rows = new Rows().many();
    expect(rows.judged(2).verdict).toBe("inconclusive");
    rows.write("T1", "u7");
    rows.write("", "u7", { outside: "bypassing" });
    rows.end("T1", "RollbackFailed");
    expect(rows.judged(2)).toMatchObject({ verdict: "pass", observed: "0 of 32" });
    expect(rows.judged(2).message).toContain("1 that didn't lock did (dirty-write)");
  });

  test("shows what its writer wrote over itself, where the others looked plainly", () => {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    expect(rows.judged(3).verdict).toBe("inconclusive");
    rows.look("T2", "u7", { isLocking: false });
    rows.write("T1", "u7");
    expect(rows.judged(3).verdict).toBe("pass");
    expect(rows.judged(3).message).toContain("; G1b: T2 read what T1 had written in u7 of account/0");
  });

  test("shows every kind that it is asked for, with the lock or without it, and says which one it lacks", () => {
    const rows = new Rows().many();
    rows.look("T1", "u7");
    rows.look("T2", "u7");
    rows.write("T1", "u7");
    rows.write("T2", "u7");
    expect(rows.judged(4)).toMatchObject({ verdict: "inconclusive" });
    expect(rows.judged(4).message).toContain("(G2-item)");
    for (const [xid, item] of [
      ["T3", "u9"],
      ["T4", "u8"],
    ] as const)
      rows.look(xid, item, { isLocking: xid === "T3" });
    rows.write("T3", "u8");
    rows.write("T4", "u9");
    expect(rows.judged(4).verdict).toBe("pass");
    expect(rows.judged(4).message).toMatch(/; lost-update: T1 wrote after what T2 .*; G2-item: .* had read in u[89]/);
  });

  test("shows none of which nobody is told: a rollback that is tried for ever", () => {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    rows.write("", "u7", { outside: "bypassing" });
    rows.end("T1", "RollbackRetrying");
    expect(rows.judged(2).verdict).toBe("inconclusive");
  });

  test("and a branch that gets a row whose rollback failed is a dirty write, whoever wrote last", () => {
    const rows = new Rows().many();
    rows.write("T1", "u7");
    rows.write("", "u7", { outside: "bypassing" });
    rows.end("T1", "RollbackFailed");
    rows.write("T2", "u7");
    expect(rows.judged(2)).toMatchObject({ verdict: "fail", observed: "1 of 33" });
  });
});

describe("who keeps the lock until the row is written", () => {
  const counted = (how: { readonly isLocking?: boolean; readonly isKept?: boolean }) => {
    const rows = new Rows().many();
    rows.look("T1", "u7", how);
    rows.write("T2", "u7");
    rows.write("T1", "u7");
    return rows.judged(0);
  };

  test("loses nothing that others wrote meanwhile", () => {
    expect(counted({ isKept: true })).toMatchObject({
      verdict: "fail",
      message: expect.stringMatching(/^lost-update: T2 wrote after what T1 had read in u7 of account/) as string,
    });
  });

  test("and is promised more than others are", () => {
    for (const how of [{}, { isLocking: false }]) expect(counted(how).verdict).toBe("pass");
  });
});

test("what a killed node couldn't tell is no anomaly", () => {
  const rows = new Rows().many();
  rows.write("T1", "u7");
  // Its undo was done, and the record of it lost.
  rows.restart("u7", 0);
  rows.write("T2", "u7");
  rows.end("T1", "Rollbacked");
  expect(rows.judged()).toMatchObject({ verdict: "pass", observed: "0 of 32" });
});

test("with too few waits it can't be told", () => {
  expect(new Rows().waited("one").judged()).toMatchObject({ verdict: "inconclusive", observed: "0 of 1" });
  expect(new Rows().judged()).toMatchObject({ verdict: "inconclusive", observed: "nothing" });
});

test.each([
  [isolation("order"), {}, /there are no global locks/],
  [isolation("order"), { mode: "at" }, /nobody looks or writes with the lock/],
  [isolation("order").shows("dirty-read"), { mode: "at" }, /nobody looks without the lock/],
  [isolation("order").shows("dirty-read"), { mode: "at", looks: { locking: 1 } }, /nobody looks without the lock/],
  [isolation("order").shows("dirty-write"), { mode: "at", looks: {} }, /nobody writes past the locks/],
  [isolation("order").shows("G1b"), { mode: "at", looks: {} }, /nobody writes a row twice/],
  [isolation("order").shows("lost-update", "G1c"), { mode: "at", looks: {} }, /nobody looks at what isn't its own/],
  [isolation("order").shows("lost-update"), { mode: "at", account: { counts: { locking: 1 } } }, /nobody writes what/],
  [isolation("order"), { mode: "at", account: { counts: {}, keys: "edition" } }, /not a new edition/],
  [isolation("order"), { account: { counts: {} } }, /counts is for mode "at"/],
  [isolation("order"), { stock: { keys: "blob" } }, /keys is for mode "at"/],
  [isolation("order"), { stock: { commitTime: "1ms" } }, /commitTime is for mode "at"/],
  [isolation("order"), { instalments: 2 }, /instalments is for mode "at"/],
  [isolation("order"), { looks: {} }, /looks is for mode "at"/],
  [isolation("order"), { account: { clerk: { every: "50ms" } } }, /clerk is for mode "at", and the bank has tcc/],
] as const)("the planner refuses what nobody would do: %#", (check, input, message) => {
  expect(() => bankPlan([check.detects("20%")], { of: input })).toThrow(message);
});

describe("the planner refuses a load that can't be expected to give enough waits for what is taken back:", () => {
  const enough = {
    mode: "at",
    items: 1,
    abortRate: "80%",
    looks: { locking: "100%" },
    stock: { serviceTime: "100ms" },
  } as const;
  const planned = (input: Parameters<typeof bank>[0], timeline: ScenarioInput["timeline"] = []) =>
    bankPlan([isolation("order").detects("20%")], { of: { ...enough, ...input }, timeline });

  test.each<[string, Parameters<typeof bank>[0]]>([
    ["nobody gives an order up", { abortRate: 0 }],
    ["rows are held for no time", { stock: {} }],
    ["nobody else wants the same row", { items: 1000 }],
    ["few look with the lock", { looks: { locking: "1%" } }],
  ])("%s", (_, input) => {
    expect(() => planned({})).not.toThrow();
    expect(() => planned(input)).toThrow(expect.objectContaining({ code: "TOO_FEW_TRIALS" }));
  });

  test("but under a fault any order may be taken back, and hold its rows until its timeout", () => {
    expect(() =>
      planned({ abortRate: 0, stock: {}, timeout: "2s" }, [at("1s").kill("coordinator", { for: "1s" })]),
    ).not.toThrow();
  });
});
