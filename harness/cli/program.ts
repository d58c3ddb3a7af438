import { Command, CommanderError, InvalidArgumentError } from "commander";

import { flyballVersion } from "../version.ts";
import { exitCodes, explain, type ExitCode } from "./errors.ts";
import type { CompareOptions } from "./compare.ts";
import type { DoctorOptions } from "./doctor.ts";
import type { PreflightOptions } from "./preflight.ts";
import type { ExplainOptions } from "./explain.ts";
import type { ConformanceCommandOptions } from "./conformance.ts";
import type { RunCommandOptions, Shard } from "./selection.ts";

/**
 * The command line. Parsing and help load nothing but the parser; what a command needs is imported when it runs, so that
 * `--help` answers at once. `end` is told how a command has ended; what can't be done rejects `parseAsync`.
 */
export function commandLine(end: (code: ExitCode) => Promise<void>): Command {
  const program = new Command("flyball")
    .description("Finds out whether your service governance holds: a scenario, its worlds, one judge.")
    .version(flyballVersion())
    .showHelpAfterError("(--help shows what there is)")
    .exitOverride()
    .configureOutput({ writeErr: (text) => process.stderr.write(text) });

  program
    .command("run")
    .description("run scenarios and say whether what they expect holds")
    .argument("[scenario...]", "names, or files such as ./my-scenario.yaml", undefined)
    .option("--world <names>", "where to run, one after the other: sim, local, docker (default: sim,local)", list)
    .option("--load <name>", "who makes the calls: builtin, or k6 from outside over HTTP (default: builtin)")
    .option("--seed <n>", "what the run's chances are drawn from (default: 1)", naturalNumber)
    .option("--seeds <n>", "run the seeds 1 to n", positiveNumber)
    .option("--registry <name>", "embedded, zookeeper, nacos or consul: a real one in docker, its manner elsewhere")
    .option(
      "--coordinator <name>",
      "of transactions: embedded, or in docker seata, with PostgreSQL (default: embedded)",
    )
    .option(
      "--pack <n>",
      "nodes of world local that share a process, at most (default: each has its own)",
      positiveNumber,
    )
    .option(
      "--set <path=value>",
      "change a value of the scenario, e.g. fleet.orders.retries=0; again for more",
      collect,
    )
    .option("--out <dir>", "where reports and histories are written (default: .flyball/<time>-<id>)", directory)
    .option("--json", "print one JSON document to stdout, and people's text to stderr")
    .option("--reporter <names>", "terminal, json, junit, markdown, html, github (default: terminal)", list)
    .option("--all", "run every scenario that there is")
    .option("--tag <name>", "run the scenarios with this tag")
    .option("--grep <regexp>", "run the scenarios whose name or title it finds")
    .option("--shard <i/n>", "of the scenarios, run every n-th one, beginning with the i-th", shard)
    .option("--last-failed", "run what didn't pass in the last run here")
    .option("--bail", "stop after the first scenario that fails")
    .option("--no-overlap", "one run after the other, also where they wouldn't disturb each other")
    .option("--list", "show the scenarios and run nothing")
    .option("--dry-run", "show the plan and run nothing")
    .option("--check-determinism", "run each seed twice in sim and name the first event that differs")
    .addHelpText(
      "after",
      `
Without a scenario the tour runs: a few short ones that show what Flyball does.

Exit codes: 0 passed · 1 an expectation failed · 2 usage or an invalid scenario · 3 the environment lacks something
            4 a replay diverged · 5 inconclusive · 70 a bug of ours · 130 interrupted`,
    )
    .action(async (scenarios: readonly string[], options: RunCommandOptions) => {
      const { runCommand } = await import("./run.ts");
      await end(await runCommand(scenarios, options));
    });

  program
    .command("explain")
    .description("what a scenario shows, what a check, a fault or a policy does, what a concept is")
    .argument("[name...]", "without one: what there is", undefined)
    .option("--lang <name>", "en or zh (default: the system's, else en)")
    .action(async (words: readonly string[], options: ExplainOptions) => {
      const { explainCommand } = await import("./explain.ts");
      await end(await explainCommand(words.length === 0 ? undefined : words.join(" "), options));
    });

  program
    .command("new")
    .description("write a commented scenario file to begin with")
    .argument("[file]", "a YAML file that doesn't exist yet", "mine.yaml")
    .action(async (file: string) => {
      const { newCommand } = await import("./new.ts");
      await end(await newCommand(file));
    });

  program
    .command("schema")
    .description("print the JSON Schema of scenario files, for editors")
    .action(async () => {
      const { schemaCommand } = await import("./schema.ts");
      await end(schemaCommand());
    });

  program
    .command("compare")
    .description("hold two runs side by side, and say which differences are more than chance")
    .argument("<a>", "a run's directory")
    .argument("<b>", "another one's")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nExit codes: 0 nothing differs by more than chance · 1 something does · 2 no such runs · 5 one of them says too little",
    )
    .action(async (a: string, b: string, options: CompareOptions) => {
      const { compareCommand } = await import("./compare.ts");
      await end(await compareCommand(a, b, options));
    });

  program
    .command("doctor")
    .description("say what this machine has for each world, and how to get what it lacks")
    .option("--world <names>", "look at these worlds only: sim, local, docker", list)
    .option("--clean", "remove what dead runs left behind: processes, directories, containers, networks")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExit codes: 0 every world is ready · 3 something is missing")
    .action(async (options: DoctorOptions) => {
      const { doctorCommand } = await import("./doctor.ts");
      await end(await doctorCommand(options));
    });

  program
    .command("preflight")
    .description("say what rules would do to a fleet before they are published: nothing is called")
    .argument("[rules...]", "rule documents, or directories of them; a file is named as its key", undefined)
    .option(
      "--instances <from>",
      "a file of instances, or a registry: zookeeper://HOST:2181, nacos://HOST:8848, consul://HOST:8500",
    )
    .option("--service <names>", "look these up in the registry as well", list)
    .option("--strict", "let warnings count as findings")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nExit codes: 0 nothing found · 1 findings · 2 rules or instances that can't be read · 3 the registry doesn't answer",
    )
    .action(async (rules: readonly string[], options: PreflightOptions) => {
      const { preflightCommand } = await import("./preflight.ts");
      await end(await preflightCommand(rules, options));
    });

  program
    .command("conformance")
    .description(
      "measure what the real dubbo-go keeps of what governance promises (Docker, and Go for npm run foreign)",
    )
    .argument("[property...]", "names (default: all)", undefined)
    .option("--list", "show the properties and measure nothing")
    .option("--json", "print one JSON document to stdout, and people's text to stderr")
    .option(
      "--docs <dir>",
      "write what was measured into the scorecard's pages, in English and Chinese, in this directory",
      directory,
    )
    .option("--check <dir>", "fail where the pages in this directory have another verdict than is measured", directory)
    .option("--within <minutes>", "begin no further property after that, and say which are left", positiveNumber)
    .option("--jobs <n>", "measure that many side by side: they wait most of the time (default: 1)", positiveNumber)
    .option("--out <dir>", "where the histories are written (default: .flyball/conformance-<id>)", directory)
    .action(async (properties: readonly string[], options: ConformanceCommandOptions) => {
      const { conformanceCommand } = await import("./conformance.ts");
      await end(await conformanceCommand(properties, options));
    });

  return program;
}

/** Says what went wrong; the answer is the exit code. */
export function report(error: unknown): ExitCode {
  // The parser has said it already: an unknown option with the nearest one, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.passed : exitCodes.usage;
  const { message, hint, exitCode } = explain(error);
  process.stderr.write(`error: ${message}\n`);
  if (hint !== undefined) process.stderr.write(`hint: ${hint}\n`);
  return exitCode;
}

function list(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes("")) throw new InvalidArgumentError("a name is missing.");
  return names;
}

function directory(text: string): string {
  if (text === "") throw new InvalidArgumentError("a name is missing.");
  return text;
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

function naturalNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) >= 2 ** 32)
    throw new InvalidArgumentError("a seed is a whole number from 0 to 4294967295.");
  return Number(text);
}

function shard(text: string): Shard {
  const [, index, count] = (/^([1-9]\d{0,4})\/([1-9]\d{0,4})$/.exec(text) ?? []).map(Number);
  if (index === undefined || count === undefined || index > count)
    throw new InvalidArgumentError("it is a part and the number of parts: 1/3, 2/3 and 3/3.");
  return { index, count };
}

function positiveNumber(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError("it is a whole number from 1 on.");
  return Number(text);
}
