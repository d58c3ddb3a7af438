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

const usage = `npm run bench -- [--rounds N] [NAME…]

${benches.map(({ name, about }) => `  ${name.padEnd(14)}${about}`).join("\n")}
`;

const { values, positionals } = optionsOf(process.argv.slice(2));
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const rounds = Number(values.rounds);
if (!(Number.isInteger(rounds) && rounds >= 1)) refuse(`--rounds ${values.rounds}: a whole number from 1 on`);
const unknown = positionals.find((name) => !benches.some((bench) => bench.name === name));
if (unknown !== undefined) refuse(`there is no bench ${unknown}`);

function optionsOf(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { rounds: { type: "string", default: "5" }, help: { type: "boolean", short: "h", default: false } },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function refuse(problem: string): never {
  process.stderr.write(`error: ${problem}\n\n${usage}`);
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
