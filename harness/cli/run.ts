import { randomBytes } from "node:crypto";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { faults } from "../faults/table.ts";
import { makeDirectory } from "../history/directory.ts";
import { agree } from "../judge/agreement.ts";
import { settled } from "../parallel.ts";
import { agreementMarkdown } from "../report/agreement.ts";
import { githubAnnotations } from "../report/github.ts";
import { htmlReporter } from "../report/html.ts";
import { jsonReporter } from "../report/json.ts";
import { junitXml } from "../report/junit.ts";
import { markdownReport } from "../report/markdown.ts";
import { planText } from "../report/plan-text.ts";
import type { FinishedRun, Reporter, RunId } from "../report/reporter.ts";
import { terminalReporter } from "../report/terminal.ts";
import { columnsFor, paintFor } from "../report/text.ts";
import { worse, type AgreementResult, type InvocationResult, type RunResult, type Verdict } from "../report/verdict.ts";
import { replayCommand } from "../replay.ts";
import { runScenario } from "../run.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { Plan, WorldName } from "../scenario/plan.ts";
import { planScenario } from "../scenario/planner.ts";
import type { FaultSpec, Scenario } from "../scenario/schema.ts";
import { turnsOf, type Turn } from "../turn.ts";
import type { World } from "../worlds/world.ts";
import type { Listed } from "./catalog.ts";
import { runTwice } from "./determinism.ts";
import { CliError, exitCodeOf, exitCodes, explain, type ExitCode } from "./errors.ts";
import { systemLanguage } from "./language.ts";
import { lastRunFile, rememberFailed } from "./last-run.ts";
import { listJson, listText } from "./list.ts";
import { roundsOf } from "./rounds.ts";
import { chosen, isUnchosen, reportersOf, select, worldsOf } from "./selection.ts";
import type { ReporterName, RunCommandOptions, Selection } from "./selection.ts";
import { interruptible } from "./signals.ts";
import { openWorld } from "./worlds.ts";

/** `flyball run`: answers the exit code. Everything that can be wrong with what was asked is found before anything starts. */
export async function runCommand(asked: readonly string[], options: RunCommandOptions): Promise<ExitCode> {
  try {
    if (options.list === true) return await list(asked, options);
    const selection = await select(asked, options);
    if (options.dryRun === true) return dryRun(selection, options);
    return await new Run(selection, options).execute();
  } catch (error) {
    throw explain(error);
  }
}

async function list(asked: readonly string[], options: RunCommandOptions): Promise<ExitCode> {
  const names = worldsOf(options);
  const listed = await chosen(asked, { ...options, all: options.all ?? isUnchosen(asked, options) });
  const worlds = new Map<WorldName, World>();
  for (const name of names) worlds.set(name, await openWorld(name));
  const entries = listed.map(({ scenario, directory }) => ({
    scenario,
    worlds: [...worlds.values()].filter((world) => isPlannable(scenario, directory, world)).map(({ name }) => name),
  }));
  process.stdout.write(options.json === true ? listJson(entries) : listText(entries, paintFor(process.stdout)));
  return exitCodes.passed;
}

/** A scenario that is being written may be wrong: the others are listed all the same. */
function isPlannable(scenario: Scenario, directory: string, { name, primitives }: World): boolean {
  try {
    planScenario(scenario, { world: name, seed: 1, primitives, directory });
    return true;
  } catch (error) {
    if (error instanceof ScenarioError) return false;
    throw error;
  }
}

function dryRun({ plans, worlds }: Selection, options: RunCommandOptions): ExitCode {
  const all = [...plans.values()].flatMap((byWorld) => [...byWorld]);
  if (options.json === true) {
    const documents = all.flatMap(([, plan]) => (plan instanceof ScenarioError ? [] : [plan]));
    process.stdout.write(`${JSON.stringify({ version: 1, plans: documents }, null, 2)}\n`);
    return exitCodes.passed;
  }
  const stream = process.stdout;
  const layout = { paint: paintFor(stream), width: columnsFor(stream) };
  for (const [world, plan] of all) {
    const limits = limitsOf(worlds.get(world)!);
    const lines =
      plan instanceof ScenarioError ? [`${world}: ${plan.message}`, ""] : planText(plan, { ...layout, limits });
    stream.write(lines.map((line) => `${line}\n`).join(""));
  }
  return exitCodes.passed;
}

/** The faults that a world can't do. */
function limitsOf({ primitives }: World): readonly string[] {
  const kinds = Object.keys(faults) as FaultSpec["kind"][];
  return kinds.filter((kind) => !faults[kind].primitives.every((primitive) => primitives.has(primitive)));
}

/** A scenario with a seed, in every world. */
interface Job {
  readonly listed: Listed;
  readonly seed: number;
}

/** One invocation: every scenario with every seed in every world. */
class Run {
  readonly #selection: Selection;
  readonly #options: RunCommandOptions;
  readonly #out: string;
  readonly #reporters: readonly Reporter[];
  readonly #files: ReadonlySet<ReporterName>;
  readonly #html: ReturnType<typeof htmlReporter> | undefined;
  readonly #terminal: (Reporter & { close(): void }) | undefined;
  readonly #interruption;
  /** The exit code of the first thing that went wrong beside the verdicts. */
  #trouble: ExitCode | undefined;

  constructor(selection: Selection, options: RunCommandOptions) {
    this.#selection = selection;
    this.#options = options;
    this.#out =
      options.out ??
      join(
        ".flyball",
        `${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}-${randomBytes(2).toString("hex")}`,
      );
    const names = reportersOf(options);
    const stream = names.has("json") ? process.stderr : process.stdout;
    this.#terminal = names.has("terminal") ? terminalReporter({ stream }) : undefined;
    this.#html = names.has("html") ? htmlReporter() : undefined;
    this.#reporters = [
      ...(this.#terminal === undefined ? [] : [this.#terminal]),
      ...(this.#html === undefined ? [] : [this.#html]),
      ...(names.has("json") ? [jsonReporter({ write: (text) => process.stdout.write(text) })] : []),
    ];
    this.#files = names;
    this.#interruption = interruptible(
      () => this.#notice("stopping: faults are healed and the fleet is stopped (once more to end at once)"),
      () => this.#terminal?.close(),
    );
  }

  async execute(): Promise<ExitCode> {
    try {
      await this.#checkWorlds();
      await this.#checkLoad();
      await makeDirectory(this.#out);
      const result = await this.#runAll();
      await this.#write(result);
      this.#tell((reporter) => reporter.onEnd?.(result));
      return this.#interruption.exitCode ?? this.#trouble ?? exitCodeOf(result.verdict);
    } finally {
      await this.#closeWorlds();
      this.#terminal?.close();
      this.#interruption.stop();
    }
  }

  /** What runs shared goes with the last one; a world that can't let go says so, and takes nobody's verdict away. */
  async #closeWorlds(): Promise<void> {
    for (const world of this.#selection.worlds.values()) {
      try {
        await world.close?.();
      } catch (error) {
        const { message, exitCode } = explain(error);
        this.#trouble ??= exitCode;
        this.#notice(`world ${world.name}: ${message}`);
      }
    }
  }

  async #write(result: InvocationResult): Promise<void> {
    await this.#writeFile("verdict.json", `${JSON.stringify(result, null, 2)}\n`);
    if (result.agreements.length > 0) await this.#writeFile("agreement.md", agreementMarkdown(result.agreements));
    if (this.#files.has("junit")) await this.#writeReport("junit", "junit.xml", junitXml(result));
    if (this.#files.has("markdown")) await this.#writeReport("markdown", "report.md", markdownReport(result));
    if (this.#html !== undefined)
      await this.#writeReport("html", "report.html", this.#html.page(result, systemLanguage()));
    if (this.#files.has("github")) await this.#tellGitHub(result);
    await this.#guarded(lastRunFile, () => rememberFailed(result, this.#selection.scenarios));
  }

  /** A file that was asked for, and where it is: nobody else says so where the terminal isn't told. */
  async #writeReport(reporter: ReporterName, name: string, text: string): Promise<void> {
    if (await this.#writeFile(name, text)) this.#notice(`${reporter}: ${join(this.#out, name)}`);
  }

  async #tellGitHub(result: InvocationResult): Promise<void> {
    // GitHub reads both streams; a document on stdout stays alone there.
    (this.#files.has("json") ? process.stderr : process.stdout).write(githubAnnotations(result));
    const summary = process.env["GITHUB_STEP_SUMMARY"];
    if (summary !== undefined) await this.#guarded(summary, () => appendFile(summary, markdownReport(result)));
  }

  async #writeFile(name: string, text: string): Promise<boolean> {
    const path = join(this.#out, name);
    return this.#guarded(path, () => writeFile(path, text));
  }

  /** A disk that is full by now takes nobody's verdict away. Whether it was written. */
  async #guarded(path: string, write: () => Promise<void>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      const { message, hint, exitCode } = explain(error);
      this.#trouble ??= exitCode;
      this.#notice(`${path} can't be written: ${message}${hint === undefined ? "" : ` (${hint})`}`);
      return false;
    }
  }

  async #checkWorlds(): Promise<void> {
    for (const world of this.#selection.worlds.values()) {
      const missing = await world.missing();
      if (missing === undefined) continue;
      throw new CliError(`world ${world.name}: ${missing.message}`, {
        exitCode: exitCodes.environment,
        hint: missing.hint,
      });
    }
  }

  async #checkLoad(): Promise<void> {
    const { load } = this.#selection;
    const missing = await load?.missing();
    if (missing === undefined) return;
    throw new CliError(missing.message, { exitCode: exitCodes.environment, hint: missing.hint });
  }

  async #runAll(): Promise<InvocationResult> {
    const { scenarios, worlds, seeds } = this.#selection;
    const ids = seeds.flatMap((seed) =>
      scenarios.flatMap(({ scenario }) => [...worlds.keys()].map((world): RunId => ({ scenario, world, seed }))),
    );
    this.#tell((reporter) => reporter.onStart?.({ runs: ids, out: this.#out }));
    const results: RunResult[] = [];
    const agreements: AgreementResult[] = [];
    let isOver = false;
    const jobs = seeds.flatMap((seed) => scenarios.map((listed): Job => ({ listed, seed })));
    for (const round of this.#rounds(jobs)) {
      if (isOver || this.#interruption.signal.aborted) break;
      const ran = await this.#runInWorlds(round);
      for (const [index, job] of round.entries()) {
        // Interrupted before its turn came.
        if (ran[index]!.length === 0) continue;
        const { runs, agreement } = await this.#compared(job, ran[index]!);
        results.push(...runs.map(({ result }) => result));
        if (agreement !== undefined) agreements.push(agreement);
        this.#tell((reporter) => reporter.onScenario?.(runs, agreement));
        isOver = this.#options.bail === true && isBroken([...runs.map(({ result }) => result), agreement]);
      }
      if (isOver) this.#notice("--bail: what would come after this isn't run");
    }
    const verdicts = [...results, ...agreements].map(({ verdict }) => verdict);
    // What was not run can't have passed.
    if (this.#interruption.signal.aborted) verdicts.push("inconclusive");
    return {
      version: 1,
      verdict: verdicts.length === 0 ? "inconclusive" : verdicts.reduce<Verdict>(worse, "pass"),
      runs: results,
      agreements,
      falseAlarm: results.flatMap(({ checks }) => checks).reduce((sum, { falseAlarm }) => sum + (falseAlarm ?? 0), 0),
    };
  }

  /** What runs side by side. To stop at the first failure is to know which is the first. */
  #rounds(jobs: readonly Job[]): readonly (readonly Job[])[] {
    const { overlap = true, bail = false } = this.#options;
    if (!overlap || bail) return jobs.map((job) => [job]);
    const inLocal = (job: Job): Plan | undefined => this.#planOf(job, "local");
    // By what the last world has room for, where runs take longest; who is missing in one mustn't leave others alone there.
    return roundsOf(
      jobs,
      (job) => this.#planOf(job, "docker") ?? inLocal(job),
      (job) => inLocal(job) === undefined,
    );
  }

  /** Undefined where that world isn't asked for, or can't do it. */
  #planOf({ listed }: Job, world: WorldName): Plan | undefined {
    const plan = this.#selection.plans.get(listed)!.get(world);
    return plan instanceof ScenarioError ? undefined : plan;
  }

  /** What a scenario's worlds say of each other; a measurement that the machine spoiled is repeated once. */
  async #compared(
    { listed, seed }: Job,
    ran: readonly FinishedRun[],
  ): Promise<{ readonly runs: readonly FinishedRun[]; readonly agreement: AgreementResult | undefined }> {
    let runs = ran;
    const first = this.#agreement(listed, runs);
    if (first?.verdict !== "inconclusive") return { runs, agreement: first };
    for (const [index, { result }] of runs.entries()) {
      if (this.#interruption.signal.aborted) break;
      const doubt = first.rows
        .flatMap(({ measured }) => measured)
        .find((one) => one.world === result.world && one.doubt !== undefined)?.doubt;
      const world = [...this.#selection.worlds.values()].find(({ name }) => name === result.world);
      if (doubt === undefined || world === undefined || result.out.endsWith("-again")) continue;
      const names = `${first.reference} and ${world.name}`;
      this.#notice(`${listed.scenario.name}, seed ${seed}: ${names} differ, but ${doubt}: ${world.name} once more`);
      const again = await this.#run(listed, { world, seed }, `${result.out}-again`);
      this.#tell((reporter) => reporter.onRun?.(again));
      runs = runs.with(index, again);
    }
    return { runs, agreement: this.#agreement(listed, runs) };
  }

  /** A round in its worlds, one world after the other: the runs of each of its jobs. */
  async #runInWorlds(round: readonly Job[]): Promise<readonly (readonly FinishedRun[])[]> {
    const runs = new Map(round.map((job): [Job, FinishedRun[]] => [job, []]));
    for (const world of this.#selection.worlds.values()) {
      // Who goes together in one world may have to go alone in another.
      for (const together of roundsOf(round, (job) => this.#planOf(job, world.name))) {
        if (this.#interruption.signal.aborted) break;
        const turns = together.length > 1 ? turnsOf(together.length) : [];
        const running = together.map((job, index) =>
          this.#runFirst(job, world, turns[index]).finally(() => turns[index]?.leave()),
        );
        // None goes on behind the back of another's failure.
        await settled(running);
        for (const [index, first] of (await Promise.all(running)).entries()) {
          const job = together[index]!;
          const run = await this.#settled(job, world, first);
          runs.get(job)!.push(run);
          this.#tell((reporter) => reporter.onRun?.(run));
        }
      }
    }
    return [...runs.values()];
  }

  async #runFirst({ listed, seed }: Job, world: World, turn: Turn | undefined): Promise<FinishedRun> {
    const planned = this.#selection.plans.get(listed)!.get(world.name)!;
    if (planned instanceof ScenarioError) return this.#unsupported(listed, { world, seed }, planned);
    return this.#run(listed, { world, seed, turn }, this.#directoryOf({ listed, seed }, world));
  }

  /** An inconclusive run in real time is repeated once, by itself, for its machine may have been busy. */
  async #settled(job: Job, world: World, first: FinishedRun): Promise<FinishedRun> {
    const { listed, seed } = job;
    if (first.result.verdict !== "inconclusive" || world.name === "sim" || this.#interruption.signal.aborted)
      return first;
    const { name } = listed.scenario;
    this.#notice(`${name} in ${world.name}, seed ${seed}, is inconclusive${because(first.result)}: once more`);
    return this.#run(listed, { world, seed }, `${this.#directoryOf(job, world)}-again`);
  }

  #directoryOf({ listed, seed }: Job, { name }: World): string {
    return join(this.#out, `${listed.scenario.name}-${name}-${seed}`);
  }

  async #run(
    listed: Listed,
    where: { readonly world: World; readonly seed: number; readonly turn?: Turn | undefined },
    out: string,
  ): Promise<FinishedRun> {
    const { scenario, reference, directory } = listed;
    const { seed, turn } = where;
    const id: RunId = { scenario, world: where.world.name, seed };
    const runIn = async (world: World, into: string | undefined): Promise<FinishedRun> => {
      const { brokenBy, unwritten, ...run } = await runScenario(scenario, {
        world,
        load: this.#selection.load,
        seed,
        registry: this.#selection.registry,
        coordinator: this.#selection.coordinator,
        out: into,
        directory,
        pack: this.#options.pack,
        signal: this.#interruption.signal,
        onProgress: (progress) => this.#tell((reporter) => reporter.onProgress?.(id, progress)),
        sets: this.#options.set,
        reference,
        turn,
      });
      for (const error of [brokenBy, unwritten]) {
        if (error !== undefined) this.#trouble ??= explain(error).exitCode;
      }
      return run;
    };
    try {
      if (this.#options.checkDeterminism !== true) return await runIn(where.world, out);
      const { outcome, repetition } = await runTwice((world, isFirst) => runIn(world, isFirst ? out : undefined));
      if (repetition.difference === undefined) {
        this.#notice(`${scenario.name} seed ${seed}: two runs are the same in all ${repetition.events} events`);
      } else {
        this.#trouble ??= exitCodes.diverged;
        this.#notice(`${scenario.name} seed ${seed} diverged: ${repetition.difference}`);
      }
      return outcome;
    } catch (error) {
      const problem = explain(error);
      // The same mistake would meet every other run.
      if (problem.exitCode === exitCodes.usage) throw error;
      this.#trouble ??= problem.exitCode;
      return this.#withoutRun(listed, where, {
        verdict: "error",
        reason: problem.hint === undefined ? problem.message : `${problem.message}\n${problem.hint}`,
        out,
      });
    }
  }

  #unsupported(
    listed: Listed,
    where: { readonly world: World; readonly seed: number },
    error: ScenarioError,
  ): FinishedRun {
    const reason = error.hint === undefined ? error.message : `${error.message}\n${error.hint}`;
    return this.#withoutRun(listed, where, { verdict: "unsupported", reason, out: "" });
  }

  /** What is said of a run that never had a fleet. */
  #withoutRun(
    { scenario, reference, directory }: Listed,
    { world, seed }: { readonly world: World; readonly seed: number },
    { verdict, reason, out }: { readonly verdict: Verdict; readonly reason: string; readonly out: string },
  ): FinishedRun {
    // Without its checks, and as world docker would: what this world can't do may be one of them, or a node.
    const { registry, coordinator } = this.#selection;
    const plan: Plan = {
      ...planScenario({ ...scenario, expect: [] }, { world: "docker", seed, registry, coordinator, directory }),
      world: world.name,
    };
    return {
      plan,
      history: undefined,
      result: {
        scenario: scenario.name,
        world: world.name,
        seed,
        verdict,
        durationMs: 0,
        wallMs: 0,
        calls: { total: 0, ok: 0, failed: 0, attempts: 0 },
        offeredPerSecond: 0,
        latencyMs: { p50: 0, p90: 0, p99: 0, max: 0 },
        instances: {},
        faults: [],
        checks: [],
        reason,
        out,
        replay: replayCommand(plan, {
          registry: this.#selection.registry,
          coordinator: this.#selection.coordinator,
          pack: this.#options.pack,
          sets: this.#options.set,
          reference,
        }),
      },
    };
  }

  /** Prediction beside measurement, of all worlds in which it ran to its end. */
  #agreement({ scenario }: Listed, runs: readonly FinishedRun[]): AgreementResult | undefined {
    const complete = runs.filter(({ history }) => history?.end?.outcome === "complete");
    const reference = complete.find(({ result }) => result.world === "sim") ?? complete[0];
    const others = complete.filter((run) => run !== reference);
    if (scenario.agreement === undefined || reference === undefined || others.length === 0) return undefined;
    return agree(scenario, reference, others);
  }

  #notice(text: string): void {
    if (this.#terminal === undefined) process.stderr.write(`! ${text}\n`);
    this.#tell((reporter) => reporter.onNotice?.(text));
  }

  #tell(what: (reporter: Reporter) => void): void {
    for (const reporter of this.#reporters) what(reporter);
  }
}

const isBroken = (all: readonly ({ readonly verdict: Verdict } | undefined)[]): boolean =>
  all.some((one) => one?.verdict === "fail" || one?.verdict === "error");

const because = ({ reason }: RunResult): string => (reason === undefined ? "" : ` (${reason})`);
