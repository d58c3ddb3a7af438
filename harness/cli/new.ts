import { writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";

import { CliError, exitCodes, usageError, type ExitCode } from "./errors.ts";

/** `flyball new FILE`: a commented scenario to begin with, in YAML. Nothing that exists is overwritten. */
export async function newCommand(file: string): Promise<ExitCode> {
  const extension = extname(file);
  if (extension !== ".yaml" && extension !== ".yml")
    throw usageError(`${file}: a starter is a YAML file`, `flyball new ${basename(file, extension)}.yaml`);
  const name = basename(file, extension);
  if (!/^[a-z][a-z0-9-]{0,99}$/.test(name))
    throw usageError(
      `"${name}" is no name for a scenario`,
      "at most 100 lower-case letters, digits and dashes, a letter first: my-scenario.yaml",
    );
  try {
    await writeFile(file, starter(name), { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST")
      throw usageError(`${file} exists already`, "take another name", error);
    throw new CliError(`${file} can't be written: ${(error as Error).message}`, {
      exitCode: exitCodes.environment,
      hint: "name a file in a directory that is there and can be written",
      cause: error,
    });
  }
  process.stdout.write(`${file} is there. Run it: npm run scenario -- ${shellPath(file)}\n`);
  return exitCodes.passed;
}

/** A file is told from a scenario's name by its slash. */
const shellPath = (file: string): string => (file.includes("/") ? file : `./${file}`);

const starter = (name: string): string => `# A scenario: a fleet, a load, what happens to it, and what must hold.
# npm run flyball -- schema > scenario.schema.json makes an editor complete the keys (with the YAML extension):
# yaml-language-server: $schema=scenario.schema.json
version: 1
name: ${name}
title:
  en: A paused provider
  zh: 一个被暂停的提供者
explanation: # what a reader should learn from it
  en: Attempts time out after 100 ms and go elsewhere.
  zh: 单次尝试 100 毫秒超时，换一个实例再试。

fleet:
  shop: # makes the calls
    program: consumer
    instances: 1
    calls:
      service: stock
      timeout: 1s # for a call with all its attempts
      attemptTimeout: 100ms
      retries: 2
      balancer: p2c
  stock: # answers them
    program: provider
    instances: 3
    serviceTime: 5ms # or { exponential: { mean: 5ms } }

load:
  - on: shop
    arrivals: poisson # people come as they like; constant: at even distances
    legs: [{ rate: 100/s, for: 8s }]

timeline: # moments count from the start of the load
  - at: 2s
    fault: { kind: pause, target: stock/0, for: 3s }

# Each check says what it detects: the smallest deviation that it finds in 999 of 1000 runs. Where the load is too small for
# that, the plan is refused and says what would do. npm run flyball -- explain checks
expect:
  - { check: success-rate, service: stock, atLeast: 99%, detects: 92% }
  - { check: recovery, service: stock, after: 5s, within: 500ms, percentile: 99, atMost: 300ms, detects: 1s }

# How far the simulator's prediction may be from the measurement on real processes.
agreement: { success: 0.03, p99: 0.25 }
`;
