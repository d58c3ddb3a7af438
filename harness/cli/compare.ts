import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { z } from "zod";

import { HistoryError } from "../history/error.ts";
import { readHistory } from "../history/reader.ts";
import { compareRuns, type Comparison, type StoredRun } from "../judge/compare.ts";
import { mark } from "../report/block.ts";
import { paintFor, table, type Paint } from "../report/text.ts";
import type { RunResult } from "../report/verdict.ts";
import { exitCodes, usageError, type ExitCode } from "./errors.ts";

/** The options of `compare`, as the parser gives them. */
export interface CompareOptions {
  readonly json?: boolean;
}

/** `flyball compare A B`: two run directories side by side, and which differences are more than chance. */
export async function compareCommand(a: string, b: string, { json = false }: CompareOptions): Promise<ExitCode> {
  const [first, second] = [await readRun(a), await readRun(b)];
  const comparison = compareRuns(first, second);
  const paths = [first.path, second.path] as const;
  process.stdout.write(
    json
      ? `${JSON.stringify({ version: 1, runs: paths, ...comparison }, null, 2)}\n`
      : comparisonText(paths, comparison, paintFor(process.stdout)),
  );
  const codes = { same: exitCodes.passed, differs: exitCodes.failed, inconclusive: exitCodes.inconclusive };
  return codes[comparison.outcome];
}

/** What of a verdict is compared; the rest is for other readers. */
const verdict = z.enum(["pass", "fail", "inconclusive", "unsupported", "error"]);
const stored = z.looseObject({
  scenario: z.string(),
  verdict,
  checks: z.array(z.looseObject({ name: z.string(), verdict, observed: z.string() })),
});

async function readRun(path: string): Promise<StoredRun & { readonly path: string }> {
  const directory = await runDirectory(path);
  try {
    const history = await readHistory(join(directory, "history.ndjson"));
    return { path: directory, history, result: await readVerdict(directory) };
  } catch (error) {
    if (error instanceof HistoryError) throw usageError(error.message, error.hint, error);
    throw error;
  }
}

/** The directory itself, or the one run in an invocation's directory. */
async function runDirectory(path: string): Promise<string> {
  if (await exists(join(path, "history.ndjson"))) return path;
  const names = await namesIn(path);
  const runs: string[] = [];
  for (const name of names) if (await exists(join(path, name, "history.ndjson"))) runs.push(join(path, name));
  if (runs.length === 1) return runs[0]!;
  if (runs.length === 0) {
    throw usageError(
      `${path} is no run's directory: it has no history.ndjson`,
      "name a directory that a run left, such as .flyball/<time>-<id>/<scenario>-<world>-<seed>",
    );
  }
  const some = runs.slice(0, 5).join(", ");
  throw usageError(`${path} has ${runs.length} runs`, `name one of them: ${some}${runs.length > 5 ? ", …" : ""}`);
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such directory" : code === "ENOTDIR" ? "it is a file" : message;
    throw usageError(`${path} can't be read: ${why}`, "a run's directory is meant; a run prints its own", error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

async function readVerdict(directory: string): Promise<RunResult> {
  const path = join(directory, "verdict.json");
  const hint = "the run was cut off before it was judged, or another version of Flyball wrote it: run it again";
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw usageError(`${path} can't be read: ${(error as Error).message}`, hint, error);
  }
  const { success, error } = stored.safeParse(value);
  if (success) return value as RunResult;
  const [issue] = error.issues;
  throw usageError(`${path} is no run's verdict: ${issue!.path.join(".")}: ${issue!.message}`, hint);
}

function comparisonText(
  [a, b]: readonly [string, string],
  { outcome, notes, verdicts, checks, rows, falseAlarm }: Comparison,
  paint: Paint,
): string {
  const said = {
    same: paint("green", "nothing differs by more than chance"),
    differs: paint("red", "they differ"),
    inconclusive: paint("yellow", "nothing differs, but one of them says too little"),
  };
  const sign = (isDifferent: boolean): string => (isDifferent ? paint("red", "differs") : "");
  const titles = (name: string): readonly string[] => ["", name, "A", "B", ""].map((title) => paint("dim", title));
  const lines = [
    `${paint("bold", said[outcome])}`,
    `  A  ${mark(verdicts[0], paint)} ${verdicts[0]}  ${a}`,
    `  B  ${mark(verdicts[1], paint)} ${verdicts[1]}  ${b}`,
    ...notes.map((note) => `  ${paint("yellow", "!")}  ${note}`),
    "",
    ...table(
      [{}, {}, {}, {}, {}],
      [
        titles("expectation"),
        ...checks.map(({ name, verdicts: own, observed, isDifferent }) => [
          "",
          name,
          ...own.map((one, index) => (one === undefined ? "(not there)" : `${mark(one, paint)} ${observed[index]}`)),
          sign(isDifferent),
        ]),
      ],
    ),
    "",
    ...table(
      [{}, {}, { align: "right" }, { align: "right" }, {}],
      [
        titles("quantity"),
        ...rows.map(({ quantity, values, isDifferent }) => ["", quantity, ...values, sign(isDifferent)]),
      ],
    ),
    "",
    paint(
      "dim",
      `two runs of one system differ in any of these ${rows.length} quantities with a probability of at most ${falseAlarm.toExponential(0)}, each call being a draw`,
    ),
  ];
  return `${lines.join("\n")}\n`;
}
