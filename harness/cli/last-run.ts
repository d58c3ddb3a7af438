import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import type { InvocationResult } from "../report/verdict.ts";
import type { Listed } from "./catalog.ts";
import { usageError } from "./errors.ts";

/** Where the last invocation in this directory left what didn't pass, for `--last-failed`. */
export const lastRunFile = ".flyball/last-failed.json";

interface LastRun {
  readonly version: 1;
  /** As the scenarios were named, in their order. */
  readonly failed: readonly string[];
}

/** Writes down the scenarios that didn't pass, each as it was named. */
export async function rememberFailed(
  { runs, agreements }: InvocationResult,
  scenarios: readonly Listed[],
): Promise<void> {
  const unhappy = new Set(
    [...runs, ...agreements]
      .filter(({ verdict }) => verdict !== "pass" && verdict !== "unsupported")
      .map(({ scenario }) => scenario),
  );
  const failed = scenarios.filter(({ scenario }) => unhappy.has(scenario.name)).map(({ reference }) => reference);
  const last: LastRun = { version: 1, failed };
  await mkdir(dirname(lastRunFile), { recursive: true });
  await writeFile(lastRunFile, `${JSON.stringify(last)}\n`);
}

/** What didn't pass last time; a usage error where nothing ran yet, or nothing failed. */
export async function lastFailed(): Promise<readonly string[]> {
  let last: Partial<LastRun>;
  try {
    last = JSON.parse(await readFile(lastRunFile, "utf8")) as Partial<LastRun>;
  } catch (error) {
    throw usageError(
      `${lastRunFile} can't be read: nothing has run here yet`,
      "run without --last-failed first",
      error,
    );
  }
  const { failed } = last;
  if (failed === undefined) throw usageError(`${lastRunFile} isn't what a run left`, "delete it");
  if (failed.length === 0) throw usageError("everything passed in the last run", "run without --last-failed");
  return failed;
}
