import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { LocalTransaction, Row, Table } from "../../runtime/ports/data-source.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { ManualClock } from "../../runtime/testing/clock.ts";
import { AtResource } from "../../runtime/transactions/at/at.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "../../services/coordinator/testing.ts";
import {
  anomalies,
  examplesOf,
  findingsIn,
  told,
  type Anomaly,
  type Observed,
  type Read,
  type TransactionEnd,
  type Write,
} from "./dependencies.ts";

/** "x: T1 T2" is a row and its writers in order; each write's version is its place, from 1; 0 is what was there at first. */
function observed(
  rows: Readonly<Record<string, readonly (string | { readonly by: string; readonly version: number })[]>>,
  reads: readonly (readonly [by: string, row: string, version: number])[] = [],
  ends: Readonly<Record<string, TransactionEnd>> = {},
): Observed {
  return {
    ends: new Map(Object.entries(ends)),
    rows: new Map(
      Object.entries(rows).map(([row, writes]) => [
        row,
        [
          { by: undefined, version: 0 },
          ...writes.map((write, index) => (typeof write === "string" ? { by: write, version: index + 1 } : write)),
        ],
      ]),
    ),
    reads: reads.map(([by, row, version]) => ({ by, row, version })),
  };
}

const named = (of: Observed): readonly Anomaly[] => findingsIn(of).map(({ anomaly }) => anomaly);

describe("a history", () => {
  test("of transactions one after the other has no anomaly, a rollback in it neither", () => {
    const undone = { by: "T2", version: 1 };
    const of = observed({ x: ["T1", "T2", undone, "T3"], y: ["T1", "T3"] }, [["T3", "x", 1]], { T2: "aborted" });
    expect(findingsIn(of)).toEqual([]);
  });

  test("in which two wrote over each other is G0, and so is a rollback that overwrote somebody", () => {
    const [found] = findingsIn(observed({ x: ["T1", "T2"], y: ["T2", "T1"] }));
    expect(found!.anomaly).toBe("G0");
    expect([...found!.by].sort()).toEqual(["T1", "T2"]);
    expect(told(found!)).toBe("G0: T2 wrote after T1 in x; T1 wrote after T2 in y");
    const undone = { by: "T1", version: 0 };
    expect(named(observed({ x: ["T1", "T2", undone] }, [], { T1: "aborted" }))).toEqual(["dirty-write", "G0"]);
  });

  test("names who wrote over, and who read, what was taken back", () => {
    const undone = { by: "T1", version: 0 };
    const read = observed({ x: ["T1", undone] }, [["T2", "x", 1]], { T1: "aborted" });
    expect(findingsIn(read).map(told)).toEqual(["G1a: T2 read what T1 had written in x, which was taken back"]);
    const stuck = observed({ x: ["T1", "T2"] }, [], { T1: "aborted" });
    expect(findingsIn(stuck).map(told)).toEqual(["dirty-write: T2 wrote after T1 in x, which was taken back"]);
    expect(named(observed({ x: ["T1", "T2"] }, [["T2", "x", 1]]))).toEqual([]);
  });

  test("keeps in mind what isn't taken back, whoever has written on top of it", () => {
    const stuck = observed({ x: ["T1", "clerk", "T2"] }, [], { T1: "aborted", clerk: "committed" });
    expect(findingsIn(stuck).map(told)).toEqual([
      "dirty-write: clerk wrote after T1 in x, which was taken back",
      "dirty-write: T2 wrote after T1 in x, which was taken back",
    ]);
    const twice = observed({ x: ["T1", "T1", { by: "T1", version: 0 }, "T2"] }, [], { T1: "aborted" });
    expect(named(twice)).toEqual([]);
    const once = observed({ x: ["T1", "T1", { by: "T1", version: 1 }, "T2"] }, [], { T1: "aborted" });
    expect(named(once)).toEqual(["dirty-write"]);
    const unknown = observed({ x: ["T1", { by: undefined as never, version: 7 }, "T2"] }, [], { T1: "aborted" });
    expect(named(unknown)).toEqual([]);
  });

  test("in which a value was read that its writer wrote over itself is G1b; its own nobody reads too early", () => {
    const of = (by: string): Observed => observed({ x: ["T1", "T1"] }, [[by, "x", 1]]);
    expect(named(of("T2"))).toContain("G1b");
    expect(named(of("T1"))).toEqual([]);
  });

  test("in which two went by each other's writes is G1c", () => {
    const of = observed({ x: ["T1"], y: ["T2"] }, [
      ["T2", "x", 1],
      ["T1", "y", 1],
    ]);
    expect(named(of)).toEqual(["G1c"]);
  });

  test("of increments that read the same value has lost one; of a transfer seen by halves is G-single", () => {
    const increments = observed({ x: ["T1", "T2"] }, [
      ["T1", "x", 0],
      ["T2", "x", 0],
    ]);
    expect(findingsIn(increments).map(told)).toEqual([
      "lost-update: T1 wrote after what T2 had read in x; T2 wrote after T1 in x",
    ]);
    const halves = observed({ x: ["T1"], y: ["T1"] }, [
      ["T2", "x", 0],
      ["T2", "y", 1],
    ]);
    expect(named(halves)).toEqual(["G-single"]);
  });

  test("of two who each went by what the other then changed is G2-item, write skew", () => {
    const of = observed({ x: ["T1"], y: ["T2"] }, [
      ["T1", "y", 0],
      ["T2", "x", 0],
    ]);
    expect(named(of)).toEqual(["G2-item"]);
  });

  test("shows each kind of cycle by itself, also where graver ones entangle the same transactions", () => {
    const skew = observed({ x: ["T1"], y: ["T2"] }, [
      ["T1", "y", 0],
      ["T2", "x", 0],
      ["T2", "x", 1],
    ]);
    expect(named(skew)).toEqual(["G-single"]);
    expect(examplesOf("G2-item", skew).map(told)).toEqual([
      "G2-item: T2 wrote after what T1 had read in y; T1 wrote after what T2 had read in x",
    ]);
    const halves = observed({ x: ["T1"] }, [
      ["T2", "x", 0],
      ["T2", "x", 1],
    ]);
    expect(examplesOf("G-single", halves).map(told)).toEqual([
      "G-single: T1 wrote after what T2 had read in x; T2 read what T1 had written in x",
    ]);
    for (const other of ["G1c", "lost-update", "G2-item"] as const) expect(examplesOf(other, halves)).toEqual([]);
  });

  test("shows a lost update in one row, and a circle of those alone who read each other's writes", () => {
    const increments = observed({ x: ["T1", "T2"], y: ["T2", "T3"] }, [
      ["T1", "x", 0],
      ["T2", "x", 0],
      ["T3", "x", 0],
    ]);
    expect(examplesOf("lost-update", increments).map(told)).toEqual([
      "lost-update: T1 wrote after what T2 had read in x; T2 wrote after T1 in x",
    ]);
    const circle = observed({ x: ["T1"], y: ["T2"] }, [
      ["T2", "x", 1],
      ["T1", "y", 1],
    ]);
    expect(examplesOf("G1c", circle)).toHaveLength(1);
    expect(examplesOf("lost-update", circle)).toEqual([]);
  });

  test("says nothing across what nobody can tell", () => {
    const hole = { by: undefined, version: 9 } as unknown as string;
    expect(named(observed({ x: ["T1", hole, "T2"], y: ["T2", "T1"] }))).toEqual([]);
    const uncertain = { by: "T2", row: "x", version: 77, isUncertain: true };
    expect(named({ ...observed({ x: ["T1"] }), reads: [uncertain] })).toEqual([]);
  });

  test("in which somebody read what nobody has written is a garbage read", () => {
    const [found, ...others] = findingsIn(observed({ x: ["T1"] }, [["T2", "x", 77]]));
    expect(others).toEqual([]);
    expect(told(found!)).toBe("garbage-read: T2 read what nobody (version 77) had written in x");
    expect(named(observed({ x: ["T1"] }, [["T2", "y", 0]]))).toEqual(["garbage-read"]);
  });

  test("that is long is looked through all the same", () => {
    const writers = Array.from({ length: 20_000 }, (_, index) => `T${index}`);
    const of = observed({ x: writers, y: [...writers.slice(0, -1), "T5", "T19999"] });
    expect(named(of)).toEqual(["G0"]);
  });
});

test("increments of AT: who reads with the lock loses none, who reads without it and writes later does (R16 seata#984, #1715)", async () => {
  const clock = new ManualClock();
  const dataSource = await openRowStore(new MemoryDisk());
  const { open, stop } = await coordinatorInProcess({ clock, disk: new MemoryDisk() });
  const coordinator = open();
  const at = new AtResource({ clock, telemetry: silent, coordinator, dataSource, resourceId: "rows://counters" });
  await at.register();
  const table: Table = {
    name: "counters",
    columns: { id: "text", amount: "integer", version: "integer" },
    key: ["id"],
  };
  const [rows, reads] = [new Map<string, Write[]>(), [] as Read[]];
  let version = 0;
  for (const id of ["locked", "plain"]) {
    await dataSource.transaction((local) => local.insert(table, { id, amount: 0, version }));
    rows.set(id, [{ by: undefined, version }]);
  }
  const seen = (by: string, row: string, found: Row | undefined): number => {
    reads.push({ by, row, version: Number(found!["version"]) });
    return Number(found!["amount"]);
  };
  const write = async (local: LocalTransaction, id: string, amount: number): Promise<number> => {
    const own = ++version;
    await local.update(table, { id, amount, version: own });
    return own;
  };
  const increment = async (id: string): Promise<void> => {
    const xid = await coordinator.begin({ name: "increment", timeoutMs: 60_000 });
    let last: number;
    if (id === "locked") {
      last = await at.transaction({ xid }, async (local) => {
        const found = await local.lock(table, { id });
        return write(local, id, seen(xid, id, found) + 1);
      });
    } else {
      const amount = await at.transaction({ xid }, async (local) => seen(xid, id, await local.read(table, { id })));
      last = await at.transaction({ xid }, (local) => write(local, id, amount + 1));
    }
    // Only now it is committed: an attempt that found the row locked was none.
    rows.get(id)!.push({ by: xid, version: last });
    await coordinator.commit(xid);
  };
  for (const id of ["locked", "plain"]) {
    const all = Promise.all([1, 2, 3].map(() => increment(id)));
    for (let left = 400; left > 0; left--) await clock.advance(1_000);
    await all;
  }
  const found = findingsIn({ ends: new Map(), rows, reads });
  expect(found.map(({ anomaly, steps: [step] }) => `${anomaly} in ${step!.row}`)).toEqual(["lost-update in plain"]);
  expect((await dataSource.rows(table)).map(({ amount }) => amount)).toEqual([3, expect.toSatisfy((n) => n < 3)]);
  await stop();
});

/** What transactions did in a world of a few rows, one step at a time, under a rule of isolation. */
interface Step {
  readonly by: number;
  readonly row: number;
  readonly kind: "read" | "write" | "end";
}

const steps = fc.array(
  fc.record({
    by: fc.nat(3),
    row: fc.nat(2),
    kind: fc.constantFrom<Step["kind"][]>("read", "read", "write", "write", "end"),
  }),
  { maxLength: 40 },
);

interface Rule {
  /** Who writes a row keeps it until it ends. */
  readonly hasWriteLocks: boolean;
  /** Nobody reads a row that another one keeps. */
  readonly hasReadLocks: boolean;
  /** Who reads a row keeps it until it ends, too. */
  readonly keepsReadLocks: boolean;
}

/** Whoever can't have a row is passed over. Each of the four ends where it says so, every third time by a rollback that undoes. */
function play(script: readonly Step[], rule: Rule): Observed {
  const rows = [0, 1, 2].map(() => [{ by: undefined as string | undefined, version: 0 }]);
  const holders = [0, 1, 2].map(() => new Set<string>());
  const lives = [0, 0, 0, 0];
  const ends = new Map<string, TransactionEnd>();
  const reads: Observed["reads"][number][] = [];
  const before = new Map<string, { row: number; version: number }[]>();
  let version = 0;
  for (const { by, row, kind } of script) {
    const name = `T${by}.${lives[by]!}`;
    const others = [...holders[row]!].some((holder) => holder !== name);
    if (kind === "read") {
      if (rule.hasReadLocks && others) continue;
      if (rule.keepsReadLocks) holders[row]!.add(name);
      reads.push({ by: name, row: `r${row}`, version: rows[row]!.at(-1)!.version });
    } else if (kind === "write") {
      if (rule.hasWriteLocks && others) continue;
      holders[row]!.add(name);
      before.set(name, [...(before.get(name) ?? []), { row, version: rows[row]!.at(-1)!.version }]);
      rows[row]!.push({ by: name, version: ++version });
    } else {
      const isAborted = (lives[by]! + by) % 3 === 0;
      ends.set(name, isAborted ? "aborted" : "committed");
      for (const write of isAborted ? (before.get(name) ?? []).reverse() : [])
        rows[write.row]!.push({ by: name, version: write.version });
      for (const holder of holders) holder.delete(name);
      lives[by]!++;
    }
  }
  return { ends, rows: new Map(rows.map((writes, index) => [`r${index}`, writes])), reads };
}

const property = (check: (script: readonly Step[]) => void): void =>
  fc.assert(fc.property(steps, check), { numRuns: 500 });
const seen = (rule: Rule): ReadonlySet<Anomaly> => {
  const found = new Set<Anomaly>();
  for (const script of fc.sample(steps, { numRuns: 3000, seed: 1 }))
    for (const name of named(play(script, rule))) found.add(name);
  return found;
};

describe("whatever is done", () => {
  /** A store that works shows what was written. */
  const possible = anomalies.filter((name) => name !== "garbage-read");
  const none = { hasWriteLocks: false, hasReadLocks: false, keepsReadLocks: false };
  const writing = { ...none, hasWriteLocks: true };
  const reading = { ...writing, hasReadLocks: true };
  const strict = { ...reading, keepsReadLocks: true };

  test("under locks for writing nobody overwrites what is under way (AT's default), and everything else can be", () => {
    property((script) => {
      expect(findingsIn(play(script, writing), ["dirty-write", "G0"])).toEqual([]);
    });
    expect([...seen(writing)].sort()).toEqual(
      possible.filter((name) => name !== "dirty-write" && name !== "G0").sort(),
    );
  });

  test("where reads wait for them (FOR UPDATE), nobody sees what is under way; updates can be lost", () => {
    property((script) => {
      expect(findingsIn(play(script, reading), ["dirty-write", "G0", "G1a", "G1b", "G1c"])).toEqual([]);
    });
    expect([...seen(reading)].sort()).toEqual(["G-single", "G2-item", "lost-update"]);
  });

  test("where reads keep them too (strict two-phase locking), there is no anomaly at all", () => {
    property((script) => {
      expect(findingsIn(play(script, strict))).toEqual([]);
    });
  });

  test("without any lock all of them are found", () => {
    expect([...seen(none)].sort()).toEqual([...possible].sort());
  });

  test("each read that is turned into one of something that was never there is found, and nothing else is said of it", () => {
    fc.assert(
      fc.property(steps, fc.nat(), (script, which) => {
        const of = play(script, none);
        fc.pre(of.reads.length > 0);
        const turned = which % of.reads.length;
        const { by, row } = of.reads[turned]!;
        const found = findingsIn({ ...of, reads: of.reads.with(turned, { by, row, version: -1 }) });
        expect(found.filter(({ anomaly }) => anomaly === "garbage-read")).toEqual([
          { anomaly: "garbage-read", by: [by], steps: [{ from: "nobody (version -1)", to: by, kind: "wr", row }] },
        ]);
        const rest = findingsIn({ ...of, reads: of.reads.toSpliced(turned, 1) });
        expect(found.filter(({ anomaly }) => anomaly !== "garbage-read")).toEqual(rest);
      }),
      { numRuns: 500 },
    );
  });

  test("nothing is found exactly where the kept ones could have been done one after the other", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const of = play(script.slice(0, 16), none);
        fc.pre(of.ends.size <= 5);
        const kept = keptOnly(of);
        expect(findingsIn(kept).length === 0).toBe(isSerial(kept));
      }),
      { numRuns: 500 },
    );
  });

  test("a cycle is one: each step begins where the last one ended, nobody is in it twice, and none is shorter", () => {
    fc.assert(
      fc.property(steps, (script) => {
        for (const { anomaly, by, steps: way } of findingsIn(play(script, none), [
          "G0",
          "G1c",
          "G-single",
          "G2-item",
        ])) {
          expect(way.map(({ to }) => to)).toEqual([...way.slice(1), way[0]!].map(({ from }) => from));
          expect(new Set(by).size).toBe(by.length);
          const antis = way.filter(({ kind }) => kind === "rw").length;
          if (anomaly === "G-single") expect(antis).toBe(1);
          else if (anomaly === "G2-item") expect(antis).toBeGreaterThan(1);
          else expect(antis).toBe(0);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** The same without those that were taken back, and without reads of what they had written. */
function keptOnly({ ends, rows, reads }: Observed): Observed {
  const isKept = (by: string | undefined): boolean => by === undefined || ends.get(by) !== "aborted";
  const kept = new Map([...rows].map(([row, writes]) => [row, writes.filter(({ by }) => isKept(by))]));
  const versions = (row: string): ReadonlySet<number> => new Set(kept.get(row)!.map(({ version }) => version));
  return {
    ends: new Map(),
    rows: kept,
    reads: reads.filter(({ by, row, version }) => isKept(by) && versions(row).has(version)),
  };
}

/** By trying every order: each transaction at once, its reads see what is there or its own, and every row's writes come in their order. */
function isSerial(of: Observed): boolean {
  const all = [
    ...new Set([...[...of.rows.values()].flat().map(({ by }) => by), ...of.reads.map(({ by }) => by)]),
  ].filter((by) => by !== undefined);
  return permutations(all).some((order) => {
    const at = new Map([...of.rows.keys()].map((row) => [row, 1]));
    return order.every((by) => {
      const first = new Map(at);
      for (const [row, writes] of of.rows) {
        let next = at.get(row)!;
        while (writes[next]?.by === by) next++;
        if (writes.slice(next).some((write) => write.by === by)) return false;
        at.set(row, next);
      }
      return of.reads
        .filter((read) => read.by === by)
        .every(({ row, version }) => {
          const writes = of.rows.get(row)!;
          const own = writes.some((write) => write.by === by && write.version === version);
          return own || writes[first.get(row)! - 1]!.version === version;
        });
    });
  });
}

function permutations(all: readonly string[]): readonly (readonly string[])[] {
  if (all.length === 0) return [[]];
  return all.flatMap((one) => permutations(all.filter((other) => other !== one)).map((rest) => [one, ...rest]));
}
