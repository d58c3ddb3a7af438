import { describe, expect, test } from "vitest";

import { openWorld } from "../cli/worlds.ts";
import { attempt } from "./attempt.ts";
import { cases } from "./cases.ts";
import { nameOf, pointsOf } from "./point.ts";

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

function isAsked(name: string, point: string, index: number, count: number): boolean {
  if (asked === "all") return true;
  const some = Number(asked);
  if (!Number.isInteger(some)) return asked === `${name} ${point}`;
  // Evenly spread, the first and the last among them.
  return Math.floor((index * some) / count) !== Math.floor(((index - 1) * some) / count);
}
