import { stripVTControlCharacters } from "node:util";

import type { Progress } from "../run-options.ts";
import { badge, blockOf, mark } from "./block.ts";
import { LiveRegion } from "./live.ts";
import type { FinishedRun, Invocation, Reporter, RunId } from "./reporter.ts";
import { columnsFor, cut, pad, paintFor, widthOf, type Paint } from "./text.ts";
import type { AgreementResult, InvocationResult, RunResult, Verdict } from "./verdict.ts";

/** Where it is written, and for how wide a window. */
export interface TerminalOptions {
  readonly stream: NodeJS.WriteStream;
}

/** For people: a live region and colours on a terminal, lines that are only ever added in a pipe. */
export function terminalReporter({ stream }: TerminalOptions): Reporter & { close(): void } {
  return stream.isTTY ? new LiveReporter(stream) : new LineReporter(stream);
}

/** In a pipe: a line as each run begins and ends, then the scenario's report. */
class LineReporter implements Reporter {
  protected readonly stream: NodeJS.WriteStream;
  protected readonly paint: Paint;
  #isBrief = false;
  #nameWidth = 0;
  #startedMs = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
    this.paint = paintFor(stream);
  }

  onStart(invocation: Invocation): void {
    this.#startedMs = performance.now();
    // Many seeds of one scenario are a list, not a report each: only what didn't pass is told in full.
    this.#isBrief = new Set(invocation.runs.map(({ seed }) => seed)).size > 1;
    this.#nameWidth = Math.max(20, ...invocation.runs.map(({ scenario }) => scenario.name.length));
    this.print([...greeting(invocation, this.paint), ""]);
  }

  onProgress(_run: RunId, _progress: Progress): void {
    // A pipe is read afterwards: what is past by then isn't worth a line.
  }

  onNotice(text: string): void {
    this.print([`${this.paint("yellow", "!")} ${text}`]);
  }

  onRun({ result }: FinishedRun): void {
    this.print([runLine(result, this.#nameWidth, { paint: this.paint, width: this.width })]);
  }

  onScenario(runs: readonly FinishedRun[], agreement: AgreementResult | undefined): void {
    const verdicts = [
      ...runs.map(({ result }) => result.verdict),
      ...(agreement === undefined ? [] : [agreement.verdict]),
    ];
    if (this.#isBrief && verdicts.every((verdict) => verdict === "pass")) return;
    this.print(["", ...blockOf(runs, agreement, { paint: this.paint, width: this.width })]);
  }

  onEnd(result: InvocationResult): void {
    if (this.#isBrief) this.print([""]);
    this.print(summaryOf(result, { paint: this.paint, wallMs: performance.now() - this.#startedMs }));
  }

  close(): void {
    // Nothing is held.
  }

  protected get width(): number {
    return columnsFor(this.stream);
  }

  protected print(lines: readonly string[]): void {
    this.stream.write(lines.map((line) => `${line}\n`).join(""));
  }
}

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameMs = 100;

/** On a terminal: the same lines, and below them what is going on now. */
class LiveReporter extends LineReporter {
  readonly #region: LiveRegion;
  /** By scenario and seed: a round's runs go side by side. */
  readonly #current = new Map<string, { readonly run: RunId; readonly progress: Progress }>();
  #done = 0;
  #troubled = 0;
  #total = 0;
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: NodeJS.WriteStream) {
    super(stream);
    this.#region = new LiveRegion(stream);
  }

  override onStart(invocation: Invocation): void {
    super.onStart(invocation);
    this.#total = invocation.runs.length;
    this.#timer = setInterval(() => {
      this.#frame++;
      this.#draw();
    }, frameMs);
    this.#timer.unref();
  }

  override onProgress(run: RunId, progress: Progress): void {
    this.#current.set(keyOf(run.scenario.name, run.seed), { run, progress });
    this.#draw();
  }

  override onRun(run: FinishedRun): void {
    this.#current.delete(keyOf(run.result.scenario, run.result.seed));
    this.#done++;
    if (run.result.verdict !== "pass") this.#troubled++;
    super.onRun(run);
  }

  override onEnd(result: InvocationResult): void {
    this.close();
    super.onEnd(result);
  }

  override close(): void {
    clearInterval(this.#timer);
    this.#current.clear();
    this.#region.clear();
  }

  protected override print(lines: readonly string[]): void {
    this.#region.print(lines);
  }

  #draw(): void {
    if (this.#current.size === 0) return;
    const options = {
      paint: this.paint,
      width: Math.min(this.width, this.stream.columns) - 1,
      spinner: spinner[this.#frame % spinner.length]!,
    };
    const counter = `${this.#done} of ${this.#total} runs done${this.#troubled > 0 ? `, ${this.#troubled} not passed` : ""}`;
    const runs = [...this.#current.values()];
    this.#region.show(
      runs.flatMap(({ run, progress }, index) =>
        liveLines(run, progress, { ...options, counter: index === runs.length - 1 ? counter : undefined }),
      ),
    );
  }
}

const keyOf = (scenario: string, seed: number): string => `${scenario} ${seed}`;

/** The live region of one moment. */
export function liveLines(
  { scenario, world, seed }: RunId,
  { phase, fraction, message, calls, failed, fault }: Progress,
  options: {
    readonly paint: Paint;
    readonly width: number;
    readonly spinner: string;
    /** How far the invocation is; undefined where the run below says it. */
    readonly counter: string | undefined;
  },
): readonly string[] {
  const { paint, width } = options;
  const length = Math.max(10, Math.min(40, width - 50));
  const filled = Math.round((fraction ?? 0) * length);
  const progressBar =
    fraction === undefined ? "" : `${paint("cyan", "━".repeat(filled))}${paint("dim", "━".repeat(length - filled))}  `;
  const counts = [
    ...(calls === undefined ? [] : [`${calls} calls`]),
    ...(failed === undefined || failed === 0 ? [] : [paint("red", `${failed} failed`)]),
  ];
  const shownFault = fault && `${paint(["magenta", "bold"], "▲")} ${cut(fault, width - 6)}`;
  const last = shownFault ?? (options.counter && paint("dim", options.counter));
  const lines = [
    "",
    `${paint("cyan", options.spinner)} ${paint("bold", scenario.name)}  ${world}  ${paint("dim", `seed ${seed}`)}`,
    `  ${progressBar}${paint("dim", cut(message === phase ? phase : `${phase}: ${message}`, Math.max(20, width - length - 30)))}${counts.length > 0 ? `  ${counts.join("  ")}` : ""}`,
    ...(last === undefined ? [] : [`  ${last}`]),
  ];
  // A line that the terminal breaks in two couldn't be taken back.
  return lines.map((line) => (widthOf(line) > width ? cut(stripVTControlCharacters(line), width) : line));
}

function greeting({ runs, out }: Invocation, paint: Paint): readonly string[] {
  const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];
  const names = unique(runs.map(({ scenario }) => scenario.name));
  const worlds = unique(runs.map(({ world }) => world));
  const seeds = unique(runs.map(({ seed }) => seed));
  const many = seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds[0]} to ${seeds.at(-1)}`;
  return [
    `${paint("bold", "flyball")}  ${names.length === 1 ? names[0]! : `${names.length} scenarios`} in ${worlds.join(" and ")}, ${many}${out === "" ? "" : paint("dim", `  → ${out}`)}`,
  ];
}

/** Of the numbers as many as the width has room for. */
function runLine(
  result: RunResult,
  nameWidth: number,
  { paint, width }: { readonly paint: Paint; readonly width: number },
): string {
  const { calls, latencyMs } = result;
  const p99 = latencyMs.p99.toFixed(latencyMs.p99 < 10 ? 1 : 0);
  const parts = calls.total === 0 ? [] : [`${calls.total} calls`, `${calls.failed} failed`, `p99 ${p99} ms`];
  const seed = `seed ${pad(String(result.seed), 4)}`;
  const head = `${mark(result.verdict, paint)} ${pad(result.scenario, nameWidth)} ${pad(result.world, 6)} ${paint("dim", seed)} ${pad(result.verdict, 12)} `;
  const left = width - widthOf(head);
  while (parts.length > 0 && widthOf(parts.join(", ")) > left) parts.pop();
  return `${head}${paint("dim", parts.join(", "))}`.trimEnd();
}

/** How the whole invocation ended. */
function summaryOf(
  { verdict, runs, agreements, falseAlarm }: InvocationResult,
  { paint, wallMs }: { readonly paint: Paint; readonly wallMs: number },
): readonly string[] {
  const count = (wanted: Verdict): number => runs.filter((run) => run.verdict === wanted).length;
  const counts = (["pass", "fail", "error", "inconclusive", "unsupported"] as const)
    .filter((wanted) => count(wanted) > 0)
    .map((wanted) => `${count(wanted)} ${wanted === "pass" ? "passed" : wanted === "fail" ? "failed" : wanted}`);
  const drifted = agreements.filter((agreement) => agreement.verdict === "fail");
  const doubtful = agreements.filter((agreement) => agreement.verdict === "inconclusive");
  const predictions = predictionsOf(agreements);
  const trouble = runs.filter((run) => run.verdict !== "pass");
  const lines = [
    `${badge(verdict, paint)} ${counts.join(", ") || "nothing ran"}${predictions}${paint("dim", `  ${(wallMs / 1000).toFixed(1)} s`)}`,
  ];
  if (trouble.length > 0 && runs.length > 1) {
    for (const run of trouble) lines.push(`  ${mark(run.verdict, paint)} ${run.replay}`);
  }
  for (const { scenario, seed, reference, worlds } of drifted) {
    const what = `${[reference, ...worlds].join(" and ")} differ by more than the tolerance`;
    lines.push(`  ${mark("fail", paint)} ${scenario} seed ${seed}: ${what}`);
  }
  for (const { scenario, seed, reference, worlds, rows } of doubtful) {
    const doubt = rows.flatMap(({ measured }) => measured).find((one) => one.doubt !== undefined)?.doubt;
    const why = doubt ?? "a run didn't get far enough";
    const what = `whether ${reference} predicts ${worlds.join(" and ")} stays open: ${why}`;
    lines.push(`  ${mark("inconclusive", paint)} ${scenario} seed ${seed}: ${what}`);
  }
  if (falseAlarm > 0) {
    lines.push(
      paint("dim", `  a healthy system fails any of this with a probability of at most ${falseAlarm.toExponential(1)}`),
    );
  }
  return lines;
}

/** "; sim predicts local and docker in 4 of 5" */
function predictionsOf(agreements: InvocationResult["agreements"]): string {
  const [first] = agreements;
  if (first === undefined) return "";
  const kept = agreements.filter(({ verdict }) => verdict === "pass").length;
  const worlds = [...new Set(agreements.flatMap((agreement) => agreement.worlds))];
  return `; ${first.reference} predicts ${worlds.join(" and ")} in ${kept} of ${agreements.length}`;
}
