import { formatDuration } from "../scenario/durations.ts";
import type { Plan, StepPlan } from "../scenario/plan.ts";
import type { FinishedRun } from "./reporter.ts";
import { seriesOf, type Series } from "./series.ts";
import { bar, cut, pad, sparkline, table, widthOf, wrap, type Column, type Paint } from "./text.ts";
import {
  worse,
  type AgreementResult,
  type CheckResult,
  type FaultResult,
  type Measured,
  type RunResult,
  type Verdict,
} from "./verdict.ts";

export interface BlockOptions {
  readonly paint: Paint;
  /** Columns of the terminal. */
  readonly width: number;
}

/** One scenario and seed in all the worlds that it ran in: the verdict first, then why, then what to do next. */
export function blockOf(
  runs: readonly FinishedRun[],
  agreement: AgreementResult | undefined,
  options: BlockOptions,
): readonly string[] {
  const sections = [
    headOf(runs, agreement, options),
    reasonsOf(runs, options),
    checksOf(runs, options),
    faultsOf(runs, options),
    rejectedRulesOf(runs, options),
    timesOf(runs, options),
    sharesOf(runs, options),
    worldsOf(runs, options),
    agreement === undefined ? [] : agreementOf(agreement, options),
    nextOf(runs, agreement, options),
  ];
  return sections.filter((lines) => lines.length > 0).flatMap((lines) => [...lines, ""]);
}

const indent = "  ";

/** ✓ ✗ ~: the same sign everywhere. */
export function mark(verdict: Verdict, paint: Paint): string {
  switch (verdict) {
    case "pass":
      return paint("green", "✓");
    case "fail":
      return paint("red", "✗");
    case "error":
      return paint("red", "✗");
    case "inconclusive":
      return paint("yellow", "~");
    case "unsupported":
      return paint("yellow", "-");
  }
}

const badgeColors = {
  pass: "green",
  fail: "red",
  error: "red",
  inconclusive: "yellow",
  unsupported: "yellow",
} as const satisfies Record<Verdict, string>;

/** A verdict that can be seen from the last row. */
export function badge(verdict: Verdict, paint: Paint): string {
  return paint(["inverse", "bold", badgeColors[verdict]], ` ${verdict.toUpperCase()} `);
}

function headOf(
  runs: readonly FinishedRun[],
  agreement: AgreementResult | undefined,
  { paint, width }: BlockOptions,
): readonly string[] {
  const { result, plan } = runs[0]!;
  const verdicts = [...runs.map((run) => run.result.verdict), ...(agreement === undefined ? [] : [agreement.verdict])];
  const times = runs.map(
    (run) =>
      `${run.result.world} ${paint("dim", `${seconds(run.result.durationMs)} in ${seconds(run.result.wallMs)}`)}`,
  );
  const { en, zh } = plan.scenario.title;
  return [
    `${badge(worst(verdicts), paint)} ${paint("bold", result.scenario)}  ${paint("dim", "seed")} ${result.seed}  ${times.join(paint("dim", " · "))}`,
    ...wrap(en, width - 2).map((line) => indent + line),
    ...wrap(zh, width - 2).map((line) => indent + paint("dim", line)),
  ];
}

const worst = (verdicts: readonly Verdict[]): Verdict => verdicts.reduce<Verdict>(worse, "pass");

/** Why runs have no clear verdict. */
function reasonsOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  return runs.flatMap(({ result }) =>
    result.reason === undefined
      ? []
      : hanging(`${indent}${mark(result.verdict, paint)} `, `${result.world}: ${result.reason}`, width),
  );
}

/** A text whose further lines stand under its first. */
function hanging(lead: string, text: string, width: number): readonly string[] {
  const space = " ".repeat(widthOf(lead));
  return text
    .split("\n")
    .flatMap((line) => wrap(line, width - widthOf(lead)))
    .map((line, index) => (index === 0 ? lead : space) + line);
}

/** Each check once, with what each world showed. */
function checksOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  const judged = runs.filter(({ result }) => result.checks.length > 0);
  if (judged.length === 0) return [];
  const lines: string[] = [];
  const names = [
    ...new Map(judged.flatMap(({ result }) => result.checks).map((check) => [check.name, check])).values(),
  ];
  const heading = (phase: CheckResult["phase"]): string =>
    paint("dim", phase === "safety" ? "while it lasts" : "and afterwards");
  const rows: { readonly cells: readonly string[]; readonly notes: readonly Note[] }[] = [];
  for (const phase of ["safety", "recovery"] as const) {
    const checks = names.filter((check) => check.phase === phase);
    if (checks.length === 0) continue;
    const titles =
      rows.length > 0 ? [] : ["bound", ...judged.map(({ result }) => result.world), "detects", "trials", "false alarm"];
    rows.push({ cells: ["", heading(phase), ...titles.map((title) => paint("dim", title))], notes: [] });
    for (const check of checks) {
      const found = judged.map(({ result }) => result.checks.find(({ name }) => name === check.name));
      const verdict = worst(found.map((one) => one?.verdict ?? "pass"));
      rows.push({
        cells: [
          mark(verdict, paint),
          nameOf(check),
          check.bound,
          ...found.map((one) => (one === undefined ? "" : observed(one, paint))),
          paint("dim", check.detects),
          paint("dim", each(found.map((one) => (one === undefined ? "" : String(one.trials))))),
          paint("dim", each(found.map((one) => (one === undefined ? "" : falseAlarm(one.falseAlarm))))),
        ],
        notes: judged.flatMap(({ result }, index) => notesOf(found[index], result, paint)),
      });
    }
  }
  const columns = [
    ...[{}, {}, { spare: 1 }, ...judged.map(() => ({}))],
    ...[{ spare: 2 }, { align: "right", spare: 3 } as const, { spare: 4 }],
  ];
  const laidOut = table(
    columns,
    rows.map(({ cells }) => cells),
    width - 2,
  );
  for (const [index, { notes }] of rows.entries()) {
    lines.push(indent + laidOut[index]!);
    for (const note of notes) lines.push(...hanging(`${indent}   `, note.text, width).map(note.paint));
  }
  return lines;
}

/** The bound has a column of its own. */
const nameOf = ({ name, bound }: CheckResult): string =>
  name.endsWith(` ${bound}`) ? name.slice(0, -bound.length - 1) : name;

function observed(check: CheckResult, paint: Paint): string {
  if (check.verdict === "pass") return paint("bold", check.observed);
  return `${paint(["bold", badgeColors[check.verdict]], check.observed)} ${mark(check.verdict, paint)}`;
}

/** What a check saw that didn't pass; where the run as a whole is in doubt, its reason has said it. */
function notesOf(check: CheckResult | undefined, { world, reason }: RunResult, paint: Paint): readonly Note[] {
  if (check === undefined || check.verdict === "pass") return [];
  if (check.verdict === "inconclusive" && reason !== undefined) return [];
  const when = check.brokenAtMs === undefined ? "" : ` (first broken at ${seconds(check.brokenAtMs)})`;
  return [{ text: `${world}: ${check.message}${when}`, paint: (line) => paint(badgeColors[check.verdict], line) }];
}

interface Note {
  readonly text: string;
  readonly paint: (line: string) => string;
}

/** One text when all are the same. */
function each(texts: readonly string[]): string {
  const distinct = [...new Set(texts.filter((text) => text !== ""))];
  return distinct.length === 1 ? distinct[0]! : texts.join(" · ");
}

/** A probability, or that there is none to state. */
export function falseAlarm(probability: number | null): string {
  if (probability === null) return "timing";
  return probability === 0 ? "0" : `≤ ${probability.toExponential(0)}`;
}

/** Each fault with what proves it. */
function faultsOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  const count = Math.max(0, ...runs.map(({ result }) => result.faults.length));
  const lines: string[] = [];
  for (let index = 0; index < count; index++) {
    const found = runs.flatMap(({ result }) => {
      const fault = result.faults[index];
      return fault === undefined ? [] : [{ world: result.world, fault }];
    });
    const [first] = found;
    if (first === undefined) continue;
    lines.push(
      `${indent}${paint("magenta", "▲")} ${paint("bold", first.fault.kind)} ${cut(first.fault.target, width - 40)}  ${paint("dim", span(first.fault))}`,
    );
    for (const { world, fault } of found) {
      lines.push(
        ...hanging(`${indent}  ${effect(fault, paint)} ${pad(world, longestName(runs))}  `, fault.evidence, width),
      );
    }
  }
  return lines;
}

/** Rule documents that nobody could read: the fleet went on with the last good ones, and a reader should know. */
function rejectedRulesOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  return runs.flatMap(({ result, history }) => {
    const rejected = (history?.rules ?? []).filter(({ outcome }) => outcome === "rejected");
    const documents = new Map(rejected.map((rule) => [`${rule.key} version ${rule.version}`, rule.reason ?? ""]));
    return [...documents].flatMap(([name, reason]) => {
      const text = `${result.world}: ${name} was rejected, the last good rule stayed: ${reason}`;
      return hanging(`${indent}${mark("inconclusive", paint)} `, text, width);
    });
  });
}

function effect(fault: FaultResult, paint: Paint): string {
  switch (fault.effect) {
    case "confirmed":
      return paint("green", "took effect in");
    case "none":
      return paint("red", "had no effect in");
    case "inconclusive":
      return paint("yellow", "can't be seen in");
  }
}

function span({ atMs, forMs }: FaultResult): string {
  return forMs === null ? `from ${seconds(atMs)} on` : `${seconds(atMs)} to ${seconds(atMs + forMs)}`;
}

/** Of the worlds' names: what stands behind them is in line. */
const longestName = (runs: readonly FinishedRun[]): number =>
  Math.max("local".length, ...runs.map(({ result }) => result.world.length));

/** Columns behind the sparklines. */
const noteWidth = 18;

/** How the run went over time: what was done to it above, what came of it below. */
function timesOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  const worldWidth = longestName(runs) + 1;
  const label = worldWidth + 10;
  const buckets = Math.max(20, Math.min(64, width - label - noteWidth));
  const seen = runs.flatMap((run) =>
    run.history === undefined || run.history.calls.length === 0
      ? []
      : [{ world: run.result.world, plan: run.plan, series: seriesOf(run.history, buckets) }],
  );
  const [first] = seen;
  if (first === undefined) return [];
  const lines = axisOf(first.plan, { label, buckets, paint });
  const most = (pick: (series: Series) => readonly number[]): number =>
    Math.max(...seen.flatMap(({ series }) => pick(series)));
  const callsMost = most(({ calls }) => calls);
  const slowest = most(({ p95Ms }) => p95Ms);
  const secondsEach = first.plan.durationUs / 1e6 / buckets;
  for (const { world, series } of seen) {
    const row = (name: string, line: string, note: string): void => {
      lines.push(`${indent}${pad(name, label - 2)}${line}  ${paint("dim", note)}`.trimEnd());
    };
    row(
      `${paint("bold", pad(world, worldWidth))}${paint("dim", "calls")}`,
      paint("cyan", sparkline(series.calls, 1.2 * callsMost)),
      `to ${Math.round(callsMost / secondsEach)}/s`,
    );
    const indented = (name: string): string => " ".repeat(worldWidth) + paint("dim", name);
    const retries = sum(series.retries);
    if (retries > 0) row(indented("retries"), paint("yellow", sparkline(series.retries, callsMost)), `${retries}`);
    const failed = sum(series.failed);
    if (failed > 0) row(indented("failed"), paint("red", sparkline(series.failed, callsMost)), `${failed}`);
    row(
      indented("p95"),
      paint("blue", sparkline(series.p95Ms, slowest)),
      `to ${formatDuration(Math.max(...series.p95Ms) * 1000)}`,
    );
  }
  return lines;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

interface Axis {
  readonly label: number;
  readonly buckets: number;
  readonly paint: Paint;
}

/** The timeline's steps as bands over the sparklines. */
function axisOf(plan: Plan, { label, buckets, paint }: Axis): string[] {
  const column = (us: number): number => Math.min(buckets - 1, Math.floor((us / plan.durationUs) * buckets));
  return plan.timeline.map(({ atUs, what }) => {
    const from = column(atUs);
    const name = stepName(what);
    if (what.kind !== "fault" || what.fault.kind === "reset") {
      return `${" ".repeat(label + from)}${paint("magenta", "▼")} ${paint("dim", name)}`;
    }
    const to = what.forUs === undefined ? buckets : Math.max(from + 1, column(atUs + what.forUs));
    const space = " ".repeat(label + from);
    const length = to - from;
    const band = (columns: number): string => paint("magenta", "━".repeat(columns));
    const around = length - widthOf(name) - 2;
    // Inside the band, else behind it, else before it.
    if (around >= 2) return `${space}${band(Math.floor(around / 2))} ${name} ${band(Math.ceil(around / 2))}`;
    const isRoomBehind = to + 1 + widthOf(name) <= buckets + noteWidth;
    if (isRoomBehind || widthOf(name) >= from) return `${space}${band(length)} ${paint("dim", name)}`;
    return `${pad(paint("dim", name), label + from - 1, "right")} ${band(length)}`;
  });
}

/** "kill orders/1", "publish orders.tag-router" */
export function stepName(what: StepPlan["what"]): string {
  if (what.kind === "publish") return `${what.content === undefined ? "remove" : "publish"} ${what.key}`;
  if (what.kind === "rollout") return `rollout ${what.tag} of ${what.service}`;
  if (what.kind !== "fault") return `${what.kind} ${what.nodes.join(", ")}`;
  const { fault } = what;
  if ("key" in fault) return `${fault.kind} ${fault.key}`;
  if ("target" in fault) return `${fault.kind} ${fault.target}`;
  return `${fault.kind} ${fault.link.from === undefined ? "" : `${fault.link.from} → `}${fault.link.to}`;
}

/** Rows of one table; what is more is counted. */
const instancesMax = 12;

/** How the work was divided. */
function sharesOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  const seen = runs.filter(({ result }) => Object.keys(result.instances).length > 0);
  if (seen.length === 0) return [];
  const ids = [...new Set(seen.flatMap(({ result }) => Object.keys(result.instances)))];
  const barWidth = Math.max(6, Math.min(24, Math.floor((width - 20) / seen.length) - 22));
  const shown = ids.slice(0, instancesMax);
  const shares = new Map(seen.map(({ result }) => [result, sharesIn(result)]));
  const largest = [...shares.values()].flatMap((byId) => [...byId.values()]).reduce((a, b) => Math.max(a, b), 0);
  const rows = shown.map((id) => [
    id,
    ...seen.flatMap(({ result }) => {
      const { calls = 0, failed = 0 } = result.instances[id] ?? {};
      const share = shares.get(result)!.get(id) ?? 0;
      return [
        pad(paint("cyan", bar(largest === 0 ? 0 : share / largest, barWidth)), barWidth),
        `${(share * 100).toFixed(1)}%`,
        paint("dim", String(calls)),
        failed > 0 ? paint("red", `${failed} failed`) : "",
      ];
    }),
  ]);
  const titles = ["", ...seen.flatMap(({ result }) => [paint("dim", `attempts in ${result.world}`), "", "", ""])];
  const columns = [
    {},
    ...seen.flatMap(() => [{}, { align: "right" }, { align: "right", spare: 2 }, { spare: 1 }] as const),
  ];
  const lines = table(columns, [titles, ...rows], width - 2).map((line) => indent + line);
  if (ids.length > shown.length)
    lines.push(`${indent}${paint("dim", `and ${ids.length - shown.length} more instances`)}`);
  return lines;
}

/** Each instance's part of the attempts at its service. */
function sharesIn({ instances }: RunResult): ReadonlyMap<string, number> {
  const serviceOf = (id: string): string => id.slice(0, id.indexOf("/"));
  const totals = new Map<string, number>();
  for (const [id, { calls }] of Object.entries(instances)) {
    totals.set(serviceOf(id), (totals.get(serviceOf(id)) ?? 0) + calls);
  }
  return new Map(
    Object.entries(instances).map(([id, { calls }]) => [id, calls / Math.max(1, totals.get(serviceOf(id))!)]),
  );
}

/** The worlds side by side in numbers. */
function worldsOf(runs: readonly FinishedRun[], { paint, width }: BlockOptions): readonly string[] {
  const seen = runs.filter(({ result }) => result.calls.total > 0);
  if (seen.length === 0) return [];
  const titles = ["", "calls", "ok", "failed", "attempts", "offered", "p50", "p90", "p99", "max", "digest"];
  const rows = seen.map(({ result }) => {
    const { calls, latencyMs, offeredPerSecond, digest } = result;
    return [
      paint("bold", result.world),
      String(calls.total),
      String(calls.ok),
      calls.failed > 0 ? paint("red", String(calls.failed)) : "0",
      String(calls.attempts),
      `${offeredPerSecond.toFixed(0)}/s`,
      ...[latencyMs.p50, latencyMs.p90, latencyMs.p99, latencyMs.max].map((ms) => formatDuration(ms * 1000)),
      paint("dim", digest ?? ""),
    ];
  });
  const spares: Readonly<Record<string, number>> = { digest: 4, p90: 3, offered: 2, ok: 1 };
  const columns = titles.map((title): Column => {
    const align = title === "" || title === "digest" ? "left" : "right";
    return title in spares ? { align, spare: spares[title]! } : { align };
  });
  return [
    ...table(columns, [titles.map((title) => paint("dim", title)), ...rows], width - 2),
    ...harnessOf(seen, paint),
  ].map((line) => indent + line);
}

/** What the harness itself took of the machine, where that isn't all there is. */
function harnessOf(runs: readonly FinishedRun[], paint: Paint): readonly string[] {
  const shares = runs.flatMap(({ result: { world, harnessCpu } }) =>
    harnessCpu === undefined ? [] : [`${Math.round(harnessCpu * 100)}% of the processors in ${world}`],
  );
  return shares.length === 0 ? [] : [paint("dim", `the harness itself took ${shares.join(", ")}`)];
}

/** Prediction beside measurement. */
function agreementOf(agreement: AgreementResult, { paint }: BlockOptions): readonly string[] {
  const { reference, worlds } = agreement;
  const rows = agreement.rows.map(({ quantity, expected, tolerance, measured }) => [
    mark(measured.map(markOf).reduce<Verdict>(worse, "pass"), paint),
    quantity,
    expected,
    ...worlds.map((world) => {
      const cell = measured.find((one) => one.world === world);
      if (cell === undefined) return "";
      return cell.agrees ? cell.value : paint("red", cell.value);
    }),
    paint("dim", tolerance),
  ]);
  const titles = [
    "",
    paint("dim", `does ${reference} predict ${worlds.join(" and ")}?`),
    ...[reference, ...worlds, "tolerance"].map((title) => paint("dim", title)),
  ];
  const numbers = [reference, ...worlds].map((): Column => ({ align: "right" }));
  return table([{}, {}, ...numbers, {}], [titles, ...rows]).map((line) => indent + line);
}

const markOf = ({ agrees, doubt }: Measured): Verdict =>
  agrees ? "pass" : doubt === undefined ? "fail" : "inconclusive";

/** What does a run that didn't pass again, and where its records are. */
function nextOf(
  runs: readonly FinishedRun[],
  agreement: AgreementResult | undefined,
  { paint }: BlockOptions,
): readonly string[] {
  const replay = (command: string): string => `${indent}${paint("dim", "replay")}   ${command}`;
  const trouble = runs.filter(({ result }) => result.verdict !== "pass" && result.verdict !== "unsupported");
  const lines = trouble.flatMap(({ result }) => [
    replay(result.replay),
    ...(result.out === "" ? [] : [`${indent}${paint("dim", "records")}  ${result.out}`]),
  ]);
  // Only both worlds together can disagree.
  if (lines.length > 0 || agreement === undefined || agreement.verdict === "pass") return lines;
  return [replay(runs[0]!.result.replay.replace(/ --world \S+/, ""))];
}

/** "8.0 s" */
function seconds(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
