import { describe, expect, test } from "vitest";

import { openWorld } from "../../harness/cli/worlds.ts";
import { runScenario } from "../../harness/run.ts";
import type { CheckResult } from "../../harness/report/verdict.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";
import { bankModes, type BankMode } from "../../services/bank/mode.ts";
import {
  amnesicDisk,
  denyingOrders,
  doubledReservations,
  flatteringOrders,
  forgetfulFence,
  garbledLooks,
  givenBackConfirms,
  heedlessLooks,
  leakyReservations,
  lostCommits,
  overdrafts,
  repeatedOrders,
  stuckBranches,
  together,
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
/** For how long at most, all of them together, where there are more seeds than time. Default: until all are through. */
const minutes = Number(process.env["FLYBALL_SEEDS_MINUTES"] ?? Infinity);
const timeout = Math.max(600_000, seeds * 1_000);

async function failures(
  seed: number,
  { mode, sabotage }: { readonly mode?: BankMode; readonly sabotage?: Sabotage | undefined } = {},
): Promise<readonly string[]> {
  const world = await openWorld("sim");
  const { result } = await runScenario(randomTransfers(seed, mode), { world, seed, sabotage, hasControls: false });
  expect({ seed, verdict: result.verdict, reason: result.reason }).not.toMatchObject({ verdict: "error" });
  return result.checks.filter(({ verdict }) => verdict === "fail").map(told);
}

/** Plays this mode's share of the seeds: each has one mode, so that many seeds cost as much as they are. */
async function endWell(mode: BankMode, sabotage: (seed: number) => Sabotage | undefined): Promise<void> {
  const untilMs = performance.now() + (minutes * 60_000) / (2 * bankModes.length);
  for (let seed = seedFrom; seed < seedFrom + seeds; seed++) {
    if (bankModes[seed % bankModes.length] !== mode) continue;
    expect({ seed, failures: await failures(seed, { mode, sabotage: sabotage(seed) }) }).toEqual({
      seed,
      failures: [],
    });
    if (performance.now() >= untilMs) return console.info(`${mode}: seeds ${seedFrom} to ${seed}`);
  }
}

const told = ({ name, message }: CheckResult): string => `${name}: ${message}`;

describe(`${seeds} seeds from ${seedFrom} end well`, () => {
  test.each(bankModes)("by %s", { timeout }, (mode) => endWell(mode, () => undefined));
});

describe(`${seeds} seeds from ${seedFrom} end well where the answers to commits get lost`, () => {
  test.each(bankModes)("by %s", { timeout }, (mode) =>
    endWell(mode, (seed) => lostCommits(seed, ["account", "stock"], 0.05)),
  );
});

describe("a seed that found something once ends well", () => {
  test("a rollback that nobody saw the end of is in doubt, whatever else brought its row back to the same version", async () => {
    const seed = 5989;
    expect(await failures(seed, { mode: "at", sabotage: lostCommits(seed, ["account", "stock"], 0.05) })).toEqual([]);
  });

  test("a saga isn't given up for a database that gave no answer to three of its compensations", async () => {
    const seed = 78231725;
    expect(await failures(seed, { mode: "saga", sabotage: lostCommits(seed, ["account", "stock"], 0.05) })).toEqual([]);
  });
});

describe(`one of ${findWithin} seeds finds`, () => {
  const defects: Readonly<Record<string, (seed: number) => Sabotage>> = {
    "at: an account that asks nobody who has a row": (seed) => heedlessLooks(seed, "account", 1),
    "an account that loses one of fifty reservations": (seed) => leakyReservations(seed, "account", 0.02),
    "an account that lends one of fifty times what isn't there": (seed) => overdrafts(seed, "account", 0.02),
    "a stock that gives back one of fifty things that were bought": (seed) => givenBackConfirms(seed, "stock", 0.02),
    "one of fifty branches that is never finished": (seed) => stuckBranches(seed, "account", 0.02),
    "a stock without a fence": (seed) => forgetfulFence(seed, "stock", 1),
    "an order that answers OK to one of fifty for whom it isn't done": (seed) => flatteringOrders(seed, 0.02),
    "an order that is done twice, one of fifty": (seed) => repeatedOrders(seed, 0.02),
    "an order that answers one of fifty as given up for whom it is done": (seed) => denyingOrders(seed, 0.02),
    "an order that reserves one of fifty twice": (seed) => doubledReservations(seed, "account", 0.02),
    "at: an account that shows one of ten rows as nobody has left it, where the answers to commits get lost": (seed) =>
      together(garbledLooks(seed, "account", 0.1), lostCommits(seed, ["account"], 0.05)),
    "an account that loses one of fifty reservations, where the answers to commits get lost": (seed) =>
      together(leakyReservations(seed, "account", 0.02), lostCommits(seed, ["account"], 0.05)),
    "a coordinator that decides before it is on its disk": () => amnesicDisk("coordinator"),
    "an account that confirms before it is on its disk": () => amnesicDisk("account"),
  };
  test.each(Object.entries(defects))("%s", { timeout: 600_000 }, async (name, sabotage) => {
    const mode = name.startsWith("at: ") ? "at" : "tcc";
    // What an order does is found by the check that is meant for it.
    const whose = name.startsWith("an order ") ? "order is done whole or not at all" : "";
    for (let seed = 1; seed <= findWithin; seed++) {
      const found = await failures(seed, { mode, sabotage: sabotage(seed) });
      if (found.some((failure) => failure.startsWith(whose))) return;
    }
    expect.unreachable(`${findWithin} seeds found nothing`);
  });
});
