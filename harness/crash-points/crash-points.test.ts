import { describe, expect, test } from "vitest";

import type { DataSource, LocalTransaction } from "../../runtime/ports/data-source.ts";
import type { Disk } from "../../runtime/ports/disk.ts";
import { alteredLocal } from "../../runtime/transactions/altered-local.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { fenceTable } from "../../runtime/transactions/tcc/fence.ts";
import { openWorld } from "../cli/worlds.ts";
import { attempt } from "./attempt.ts";
import { cases } from "./cases.ts";
import type { Sabotage } from "../worlds/world.ts";
import { nameOf, pointsOf, type Point } from "./point.ts";

/** FLYBALL_CRASH_POINTS: "all", a case and a point by their names, or so many of each case, spread over all; default 12. */
const asked = process.env["FLYBALL_CRASH_POINTS"] ?? "12";
const world = await openWorld("sim");

describe.each(cases)("$name", (each) => {
  test("where nothing happens it ends as it should", async () => {
    expect((await attempt(world, each)).end).toBe(each.ends);
  });

  test("at every point it ends whole, or in a state that is named for a person", { timeout: 300_000 }, async () => {
    const points = pointsOf((await attempt(world, each)).steps);
    const wanted = points.filter((point, index) => isAsked(each.name, nameOf(point), index, points.length));
    const failures: string[] = [];
    for (const point of wanted) {
      const { end } = await attempt(world, each, point);
      if (typeof end === "string" && (end !== "manual" || each.ends === "manual")) continue;
      const name = `${each.name} ${nameOf(point)}`;
      const why = typeof end === "string" ? "it needs a person" : end.wrong;
      failures.push(
        `${name} (${point.step.what}): ${why}\n  again: FLYBALL_CRASH_POINTS='${name}' npx vitest run harness/crash-points`,
      );
    }
    expect(failures.join("\n")).toBe("");
  });
});

if (asked !== "all" && !Number.isInteger(Number(asked))) {
  test(`there is a point "${asked}"`, async () => {
    const each = cases.find(({ name }) => asked.startsWith(`${name} `));
    const points = each === undefined ? [] : pointsOf((await attempt(world, each)).steps);
    expect(points.map((point) => `${each!.name} ${nameOf(point)}`)).toContain(asked);
  });
}

/** What a case ends as with this defect, at the points of this kind. */
async function endsOf(name: string, fault: string, defect: Sabotage): Promise<ReadonlySet<string>> {
  const each = cases.find((one) => one.name === name)!;
  const points = pointsOf((await attempt(world, each)).steps).filter((point) => point.fault.kind === fault);
  const ends = new Set<string>();
  for (const point of points) {
    const { end } = await attempt(world, each, point, defect);
    ends.add(typeof end === "string" ? end : end.wrong);
  }
  return ends;
}

describe("a defect is found", () => {
  test("a fence that knows no branch", async () => {
    const defect = rowsOf("account/0", (local) => ({
      insert: async (table, row) =>
        (await local.insert(table, row)) ?? (table.name === fenceTable.name ? row : undefined),
    }));
    expect([...(await endsOf("saga/commit", "duplicated", defect))].sort()).toEqual([
      "20 was paid for 1 pieces",
      "done",
    ]);
  });

  test("a database that tells before it is on the disk", async () => {
    const defect: Sabotage = {
      ports: (node, context) =>
        node === "stock/0" ? { ...context, disk: { ...bound(context.disk), sync: () => Promise.resolve() } } : context,
    };
    const each = cases.find(({ name }) => name === "tcc/commit")!;
    const { steps } = await attempt(world, each);
    const point: Point = {
      step: steps.filter(({ machine, kind }) => machine === "account/0" && kind === "write").at(-1)!,
      fault: { kind: "restart", machine: "stock/0", moment: "after" },
    };
    expect((await attempt(world, each, point, defect)).end).not.toBe("done");
  });
});

const bound = (disk: Disk): Disk => ({
  read: (name) => disk.read(name),
  append: (name, bytes) => disk.append(name, bytes),
  sync: (name) => disk.sync(name),
  rename: (from, to) => disk.rename(from, to),
  remove: (name) => disk.remove(name),
});

/** Rows of a machine that do something else than they are told. */
const rowsOf = (machine: string, alter: (local: LocalTransaction) => Partial<LocalTransaction>): Sabotage => ({
  ports: (node, context) => {
    if (node !== machine) return context;
    const openRows = async (disk: Disk): Promise<DataSource> => {
      const healthy = await openRowStore(disk);
      return {
        transaction: (work) => healthy.transaction((local) => work(alteredLocal(local, alter(local)))),
        rows: (table, filter) => healthy.rows(table, filter),
        close: () => healthy.close(),
      };
    };
    return { ...context, openRows };
  },
});

function isAsked(name: string, point: string, index: number, count: number): boolean {
  if (asked === "all") return true;
  const some = Number(asked);
  if (!Number.isInteger(some)) return asked === `${name} ${point}`;
  // Evenly spread, the first and the last among them.
  return Math.floor((index * some) / count) !== Math.floor(((index - 1) * some) / count);
}
