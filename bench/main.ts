// npm run bench [-- [--rounds N] [NAME…]]: measures this machine, side by side with peers. It asserts nothing.
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";

import { balancing } from "./balancing.ts";
import type { Bench } from "./bench.ts";
import { cli } from "./cli.ts";
import { coordinator } from "./coordinator.ts";
import { pipeline } from "./pipeline.ts";
import { preflight } from "./preflight.ts";
import { sim } from "./sim.ts";
import { start } from "./start.ts";
import { table } from "./table.ts";
import { transactions } from "./transactions.ts";
import { transfers } from "./transfers.ts";
import { wire } from "./wire.ts";

const benches: readonly Bench[] = [
  sim,
  cli,
  preflight,
  balancing,
  pipeline,
  transactions,
  transfers,
  coordinator,
  start,
  wire,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "5" } },
});
const rounds = Number(values.rounds);
const unknown = positionals.find((name) => !benches.some((bench) => bench.name === name));
if (unknown !== undefined || !(Number.isInteger(rounds) && rounds >= 1)) {
  const problem =
    unknown === undefined ? `--rounds ${values.rounds}: a whole number from 1 on` : `there is no bench ${unknown}`;
  process.stderr.write(
    `error: ${problem}\n\n${benches.map(({ name, about }) => `  ${name.padEnd(14)}${about}`).join("\n")}\n`,
  );
  process.exit(2);
}

const progress = (message: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}`);
};
process.stdout.write(
  `Node.js ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}, load ${loadavg()[0]!.toFixed(1)}, median of ${rounds} (min – max)\n`,
);
for (const bench of benches) {
  if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
  const figures = await bench.run(rounds, progress);
  progress("");
  process.stdout.write(`\n${bench.name}: ${bench.about}\n\n${table(figures)}\n`);
}
