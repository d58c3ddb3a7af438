import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";

import { openWorld } from "../cli/worlds.ts";
import { quantile } from "../judge/statistics.ts";
import { runScenario } from "../run.ts";
import { at, constant, consumer, provider, scenario, successRate } from "../scenario/builders.ts";

/**
 * Measures what a bare call costs between real processes (no work, no queue, no fault on its way) and how long a node takes to
 * start, and writes the simulator's parameters from that alone: `npm run calibrate`. The scenarios that are compared between the
 * worlds are never looked at.
 */
const bare = scenario({
  name: "calibration",
  title: { en: "Bare calls", zh: "裸调用" },
  explanation: { en: "What a call costs when nothing happens.", zh: "什么都不发生时一次调用的代价。" },
  tags: [],
  fleet: {
    caller: consumer({ instances: 1, calls: "echo", timeout: "1s", retries: 0 }),
    echo: provider({ instances: 3 }),
    // Restarted, and never called: tells how long a start takes.
    spare: provider({ instances: 1 }),
  },
  load: constant("120/s").on("caller").for("12s"),
  timeline: [at("2s").kill("spare/0", { for: "500ms" }), at("6s").kill("spare/0", { for: "500ms" })],
  expect: [successRate("echo").atLeast("99%").detects("90%")],
});

const { history, result } = await runScenario(bare, {
  world: await openWorld("local"),
  seed: 1,
  onProgress: ({ message }) => process.stderr.write(`\r${message}      `),
});
process.stderr.write("\n");
const times = history.calls
  .filter(({ service, dueUs, code }) => service === "echo" && dueUs >= 0 && code === "OK")
  .flatMap(({ attempts }) => attempts.map(({ beginUs, endUs }) => endUs - beginUs))
  .sort((a, b) => a - b);
if (result.calls.failed > 0 || times.length < 1000) {
  process.stderr.write(
    `this machine is too busy to calibrate on: ${result.reason ?? `${result.calls.failed} calls failed`}\n`,
  );
  process.exit(5);
}

const restarts = [0, 1].map((index) => {
  const step = (phase: string): number =>
    history.steps.find((record) => record.index === index && record.phase === phase)?.atUs ?? NaN;
  return step("lifted") - step("lift");
});

// The fastest calls show the constant part; what most take longer is waiting for a processor, which has no memory.
const leastUs = quantile(times, 0.05);
const meanUs = times.reduce((sum, us) => sum + us, 0) / times.length;
const parameters = {
  link: { kind: "constant", us: Math.round(leastUs / 4) },
  clientOverheadUs: { kind: "exponential", meanUs: Math.round((meanUs - leastUs) / 2 + leastUs / 4) },
  serverOverheadUs: { kind: "exponential", meanUs: Math.round((meanUs - leastUs) / 2 + leastUs / 4) },
  startUs: { kind: "constant", us: Math.round(Math.min(...restarts) / 1000) * 1000 },
};
const measured = {
  calls: times.length,
  medianUs: quantile(times, 0.5),
  p99Us: quantile(times, 0.99),
  meanUs: Math.round(meanUs),
  processors: cpus().length,
};
const path = new URL("calibration.json", import.meta.url);
await writeFile(path, `${JSON.stringify({ measured, parameters }, null, 2)}\n`);
process.stdout.write(`${JSON.stringify({ measured, parameters }, null, 2)}\n`);
