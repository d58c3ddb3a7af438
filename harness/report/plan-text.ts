import { formatDuration } from "../scenario/durations.ts";
import type { Plan, StepPlan } from "../scenario/plan.ts";
import { falseAlarm as falseAlarmText, stepName } from "./block.ts";
import { sparkline, table, wrap, type Paint } from "./text.ts";

const indent = "  ";

export interface PlanLayout {
  readonly paint: Paint;
  readonly width: number;
  /** The faults that the plan's world can't do. */
  readonly limits: readonly string[];
}

/** What a plan is going to do, and what its checks can tell: nothing of it runs. */
export function planText(plan: Plan, { paint, width, limits }: PlanLayout): readonly string[] {
  const { scenario, world, seed, scenarioHash } = plan;
  const section = (title: string, lines: readonly string[]): readonly string[] =>
    lines.length === 0 ? [] : ["", paint("bold", title), ...lines.map((line) => indent + line)];
  return [
    `${paint(["inverse", "bold"], " PLAN ")} ${paint("bold", scenario.name)} in ${world}, seed ${seed}  ${paint("dim", scenarioHash)}`,
    ...[scenario.title.en, scenario.title.zh].map((title) => indent + title),
    ...[scenario.explanation.en, scenario.explanation.zh].flatMap((text) =>
      wrap(text, width - 2).map((line) => indent + paint("dim", line)),
    ),
    ...section("fleet", fleetLines(plan, paint)),
    ...section("processes", processLines(plan, paint)),
    ...section(
      "rules",
      plan.rules.map(({ key }) => key),
    ),
    ...section("load", loadLines(plan, { paint, width })),
    ...section("timeline", timelineLines(plan, paint)),
    ...section("checks", checkLines(plan, paint)),
    ...section("limits", [
      limits.length === 0 ? `${world} can do every fault` : `${world} can't do ${limits.join(", ")}`,
    ]),
    "",
  ];
}

/** Nodes that are alike are one row. */
function fleetLines({ nodes }: Plan, paint: Paint): readonly string[] {
  const alike = new Map<string, { first: string; last: string; count: number; settings: string; program: string }>();
  for (const { id, program, service, config } of nodes) {
    const { service: _service, application: _application, ...rest } = config as Record<string, unknown>;
    const settings = settingsText(rest);
    const key = `${service} ${program} ${settings}`;
    const row = alike.get(key);
    if (row === undefined) alike.set(key, { first: id, last: id, count: 1, settings, program });
    else Object.assign(row, { last: id, count: row.count + 1 });
  }
  return table(
    [{}, { align: "right" }, {}, {}],
    [...alike.values()].map(({ first, last, count, settings, program }) => [
      first === last ? first : `${first} to ${last.slice(last.indexOf("/") + 1)}`,
      `${count} ×`,
      program,
      paint("dim", settings),
    ]),
  );
}

/** Who shares a process, and who doesn't for what reason; nothing where each node has its own. */
function processLines({ processes, nodes }: Plan, paint: Paint): readonly string[] {
  if (processes === undefined) return [];
  const most = Math.max(...processes.map((process) => process.nodes.length));
  const alone = table(
    [{}, {}],
    processes.flatMap(({ nodes: [node], alone: why }) => (why === undefined ? [] : [[node!, paint("dim", why)]])),
  );
  return [`${processes.length} for ${nodes.length} nodes, at most ${most} in each; of their own have`, ...alone];
}

/** {"calls":{"service":"orders"}} as "calls.service=orders" */
function settingsText(config: Readonly<Record<string, unknown>>, prefix = ""): string {
  return Object.entries(config)
    .map(([key, value]) => {
      if (typeof value !== "object" || value === null) return `${prefix}${key}=${String(value)}`;
      if (Array.isArray(value)) return `${prefix}${key}=${value.join(",")}`;
      if ("kind" in value) return `${prefix}${key}=${distributionText(value)}`;
      return settingsText(value as Record<string, unknown>, `${prefix}${key}.`);
    })
    .filter((text) => text !== "")
    .join(" ");
}

/** {"kind":"exponential","meanUs":5000} as "exponential(mean 5 ms)" */
function distributionText({ kind, ...parameters }: object & { readonly kind?: unknown }): string {
  const texts = Object.entries(parameters).map(([name, value]) => {
    if (!name.toLowerCase().endsWith("us")) return `${name} ${String(value)}`;
    return `${name.slice(0, -2)} ${formatDuration(Number(value))}`.trimStart();
  });
  return `${String(kind)}(${texts.join(", ")})`;
}

function loadLines(plan: Plan, { paint, width }: { readonly paint: Paint; readonly width: number }): readonly string[] {
  const { scenario, drives, durationUs } = plan;
  const buckets = Math.min(48, width - 20);
  const counts = Array.from({ length: buckets }, () => 0);
  let total = 0;
  for (const { dueUs } of drives) {
    total += dueUs.length;
    for (const due of dueUs) counts[Math.floor((due / durationUs) * buckets)]!++;
  }
  const legs = scenario.load.map(({ on, arrivals, legs: parts }) => {
    const rates = parts.map(
      ({ rate, to, for: length }) => `${rate}${to === undefined ? "" : ` → ${to}`} for ${length}`,
    );
    return `${on}: ${arrivals} ${rates.join(", then ")}`;
  });
  return [
    ...legs,
    `${paint("cyan", sparkline(counts, 1.2 * Math.max(...counts)))}  ${paint("dim", `${total} calls in ${formatDuration(durationUs)}`)}`,
  ];
}

function timelineLines({ timeline }: Plan, paint: Paint): readonly string[] {
  return table(
    [{ align: "right" }, {}, {}, {}],
    timeline.map(({ atUs, what }) => [
      formatDuration(atUs),
      `${paint("magenta", "▲")} ${stepName(what)}`,
      settingsOf(what),
      paint("dim", reachOf(what)),
    ]),
  );
}

function settingsOf(what: StepPlan["what"]): string {
  if (what.kind !== "fault") return "";
  const { kind: _kind, for: _for, ...rest } = what.fault as Record<string, unknown>;
  const settings = Object.entries(rest).filter(([key]) => key !== "target" && key !== "link");
  const length =
    what.fault.kind === "reset"
      ? []
      : [what.forUs === undefined ? "until the end" : `for ${formatDuration(what.forUs)}`];
  return [...settings.map(([key, value]) => `${key} ${String(value)}`), ...length].join(", ");
}

/** How many nodes or connections a step means, when that isn't plain. */
function reachOf(what: StepPlan["what"]): string {
  if (what.kind === "publish") return `${what.content?.split("\n").length ?? 0} lines`;
  if (what.kind === "rollout") return `${what.percents.join(", ")} %`;
  if (what.kind !== "fault") return what.nodes.length > 1 ? `${what.nodes.length} nodes` : "";
  if (what.links.length > 0) return `${what.links.length} ${what.links.length === 1 ? "link" : "links"}`;
  return what.nodes.length > 1 ? `${what.nodes.length} nodes` : "";
}

function checkLines({ checks }: Plan, paint: Paint): readonly string[] {
  const titles = ["", "detects", "trials", "false alarm"].map((title) => paint("dim", title));
  return table(
    [{}, {}, { align: "right" }, {}],
    [
      titles,
      ...checks.map(({ name, detects, expectedTrials, falseAlarm, phase }) => [
        `${name}${phase === "recovery" ? paint("dim", " (recovery)") : ""}`,
        detects,
        String(Math.round(expectedTrials)),
        falseAlarmText(falseAlarm),
      ]),
    ],
  );
}
