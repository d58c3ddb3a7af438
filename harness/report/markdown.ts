import { formatDuration } from "../scenario/durations.ts";
import { agreementMarkdown } from "./agreement.ts";
import { markdownTable } from "./markdown-table.ts";
import type { InvocationResult, RunResult, Verdict } from "./verdict.ts";

const marks: Readonly<Record<Verdict, string>> = {
  pass: "✅ pass",
  fail: "❌ fail",
  error: "💥 error",
  inconclusive: "❔ inconclusive",
  unsupported: "➖ unsupported",
};

/** An invocation as one Markdown page: every run in a table, what didn't pass in full, prediction beside measurement. */
export function markdownReport({ verdict, runs, agreements, falseAlarm }: InvocationResult): string {
  const passed = runs.filter((run) => run.verdict === "pass").length;
  return [
    `## Flyball: ${marks[verdict]}, ${passed} of ${runs.length} runs passed`,
    "",
    markdownTable(
      ["scenario", "world", "seed", "verdict", "calls", "failed", "p50", "p99", "checks"],
      runs.map((run) => [
        run.scenario,
        run.world,
        String(run.seed),
        marks[run.verdict],
        String(run.calls.total),
        String(run.calls.failed),
        `${run.latencyMs.p50} ms`,
        formatDuration(run.latencyMs.p99 * 1000),
        `${run.checks.filter((check) => check.verdict === "pass").length} of ${run.checks.length}`,
      ]),
    ),
    ...runs.filter((run) => run.verdict !== "pass").flatMap(inFull),
    ...(agreements.length === 0 ? [] : ["### Does the prediction hold?", "", agreementMarkdown(agreements)]),
    `A healthy system fails any of this with a probability of at most ${falseAlarm.toExponential(1)}.`,
    "",
  ].join("\n");
}

function inFull(run: RunResult): readonly string[] {
  const { scenario, world, seed, verdict, reason, checks, faults, replay } = run;
  return [
    `### ${marks[verdict]}: ${scenario} in ${world}, seed ${seed}`,
    "",
    ...(reason === undefined ? [] : [reason, ""]),
    markdownTable(
      ["check", "verdict", "observed", "bound", ""],
      checks.map((check) => [check.name, marks[check.verdict], check.observed, check.bound, check.message]),
    ),
    markdownTable(
      ["fault", "on", "effect", ""],
      faults.map(({ kind, target, effect, evidence }) => [kind, target, effect, evidence]),
    ),
    "```",
    replay,
    "```",
    "",
  ];
}
