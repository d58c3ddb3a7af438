import { describe, expect, test } from "vitest";

import { openWorld } from "../../harness/cli/worlds.ts";
import { runScenario } from "../../harness/run.ts";
import type { CheckResult } from "../../harness/report/verdict.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";
import { bankModes, type BankMode } from "../../services/bank/mode.ts";
import {
  amnesicDisk,
  doubledReservations,
  forgetfulFence,
  givenBackConfirms,
  heedlessLooks,
  leakyReservations,
  stuckBranches,
} from "./kit.ts";
import { randomTransfers } from "./random-transfers.ts";

/**
 * Random transfers under random faults end with the money conserved, every transaction whole and nothing left, whatever the seed; and
 * whatever is broken on purpose is found by one of the first seeds.
 */
const seeds = Number(process.env["FLYBALL_SEEDS"] ?? 5);
/** Where they begin, for those who share many out. */
const seedFrom = Number(process.env["FLYBALL_SEED_FROM"] ?? 1);
const findWithin = 200;

async function failures(
  seed: number,
  { mode, sabotage }: { readonly mode?: BankMode; readonly sabotage?: Sabotage } = {},
): Promise<readonly string[]> {
  const world = await openWorld("sim");
  const { result } = await runScenario(randomTransfers(seed, mode), { world, seed, sabotage, hasControls: false });
  expect({ seed, verdict: result.verdict, reason: result.reason }).not.toMatchObject({ verdict: "error" });
  return result.checks.filter(({ verdict }) => verdict === "fail").map(told);
}

const told = ({ name, message }: CheckResult): string => `${name}: ${message}`;

describe(`${seeds} seeds from ${seedFrom} end well`, () => {
  test.each(bankModes)("by %s", { timeout: 600_000 }, async (mode) => {
    for (let seed = seedFrom; seed < seedFrom + seeds; seed++) {
      // Each seed has one mode, so that many seeds cost as much as they are.
      if (bankModes[seed % bankModes.length] !== mode) continue;
      expect({ seed, failures: await failures(seed, { mode }) }).toEqual({ seed, failures: [] });
    }
  });
});

describe(`one of ${findWithin} seeds finds`, () => {
  const defects: Readonly<Record<string, (seed: number) => Sabotage>> = {
    "at: an account that asks nobody who has a row": (seed) => heedlessLooks(seed, "account", 1),
    "an account that loses one of fifty reservations": (seed) => leakyReservations(seed, "account", 0.02),
    "a stock that gives back one of fifty things that were bought": (seed) => givenBackConfirms(seed, "stock", 0.02),
    "one of fifty branches that is never finished": (seed) => stuckBranches(seed, "account", 0.02),
    "a stock without a fence": (seed) => forgetfulFence(seed, "stock", 1),
    "an order that reserves one of fifty twice": (seed) => doubledReservations(seed, "account", 0.02),
    "a coordinator that decides before it is on its disk": () => amnesicDisk("coordinator"),
    "an account that confirms before it is on its disk": () => amnesicDisk("account"),
  };
  test.each(Object.entries(defects))("%s", { timeout: 600_000 }, async (name, sabotage) => {
    const mode = name.startsWith("at: ") ? "at" : "tcc";
    for (let seed = 1; seed <= findWithin; seed++) {
      if ((await failures(seed, { mode, sabotage: sabotage(seed) })).length > 0) return;
    }
    expect.unreachable(`${findWithin} seeds found nothing`);
  });
});
