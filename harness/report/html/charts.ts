import type { History } from "../../history/history.ts";
import type { StepRecord } from "../../history/record.ts";
import type { CheckResult } from "../verdict.ts";
import { both, markup, type Markup } from "./markup.ts";
import { timelineOf, type Timeline } from "./timeline.ts";
import { words, type Text } from "./words.ts";

/** Stretches of a run: as many as a narrow screen still shows apart. */
const bucketCount = 80;

/** The charts' own coordinates; a page stretches them to whatever width there is. */
const width = 1000;
const height = 100;

/** Something that was done to the fleet: a band for a fault, a line for everything else. */
export interface Mark {
  readonly name: string;
  readonly fromUs: number;
  /** Undefined: a moment. */
  readonly toUs: number | undefined;
}

/** Everything over time, one above the other on the same axis; what was done to the fleet lies over each of them. */
export function charts(history: History, checks: readonly CheckResult[], run: string): Markup {
  const timeline = timelineOf(history, bucketCount);
  const marks = marksOf(history);
  const frame: Frame = { timeline, marks, broken: checks.flatMap((check, index) => brokenMark(check, index, run)) };
  const { buckets, shares } = timeline;
  return markup`<div class="charts">
${lanes(frame)}
${lineChart(frame, {
  title: words.rate,
  unit: "/s",
  lines: [{ name: words.calls, color: 0, values: buckets.map(({ perSecond }) => perSecond) }],
})}
${lineChart(frame, {
  title: words.errors,
  unit: "/s",
  lines: [{ name: words.failed, color: "bad", values: buckets.map(({ failedPerSecond }) => failedPerSecond) }],
})}
${lineChart(frame, {
  title: words.latency,
  unit: " ms",
  lines: (["p50", "p90", "p99"] as const).map((name, index) => ({
    name: { en: name, zh: name },
    color: [0, 3, 1][index]!,
    values: buckets.map(({ latencyMs }) => latencyMs?.[name]),
  })),
})}
${lineChart(frame, {
  title: words.attempts,
  unit: "",
  lines: [{ name: words.attemptsPerCall, color: 2, values: buckets.map(({ attemptsPerCall }) => attemptsPerCall) }],
})}
${shares.map(({ service, instances, buckets: parts }) =>
  stackedChart(frame, {
    title: { en: `${words.shareOf.en} ${service}`, zh: `${service} ${words.shareOf.zh}` },
    names: instances.map((name) => (name === undefined ? words.others : { en: name, zh: name })),
    parts,
  }),
)}
</div>`;
}

/** From the records of what was done, not from the plan: when it really was. */
export function marksOf({ steps, run, end }: History): readonly Mark[] {
  return steps.flatMap((step): readonly Mark[] => {
    const { index, what, phase, atUs } = step;
    if (what.kind !== "fault")
      return phase === "applied" ? [{ name: nameOf(step), fromUs: atUs, toUs: undefined }] : [];
    if (phase !== "apply" && phase !== "applied") return [];
    // The moment when it was there; where it never was, the moment when it was tried.
    const isThere = steps.some((other) => other.index === index && other.phase === "applied");
    if (phase === "apply" && isThere) return [];
    const over = steps.find((other) => other.index === index && other.phase === "lifted");
    return [{ name: nameOf(step), fromUs: atUs, toUs: over?.atUs ?? Math.max(run.durationUs, end?.atUs ?? 0) }];
  });
}

function nameOf({ what }: StepRecord): string {
  switch (what.kind) {
    case "fault": {
      const links = what.links.map(({ from, to }) => `${from} → ${to}`);
      const targets = [...new Set([...what.nodes, ...links])];
      const more = targets.length > 3 ? ` + ${targets.length - 3}` : "";
      return `${what.fault.kind} ${targets.slice(0, 3).join(", ")}${more}`;
    }
    case "stop":
    case "restart":
      return `${what.kind} ${what.nodes.join(", ")}`;
    case "publish":
      return `publish ${what.key}`;
    case "rollout":
      return `rollout ${what.service} ${what.tag}`;
  }
}

interface Frame {
  readonly timeline: Timeline;
  readonly marks: readonly Mark[];
  readonly broken: readonly Broken[];
}

interface Broken {
  readonly id: string;
  readonly name: string;
  readonly atUs: number;
}

/** Where the charts show the moment at which a check broke. */
export const brokenId = (run: string, index: number): string => `${run}-broke-${index}`;

function brokenMark({ name, brokenAtMs }: CheckResult, index: number, run: string): readonly Broken[] {
  return brokenAtMs === undefined ? [] : [{ id: brokenId(run, index), name, atUs: brokenAtMs * 1000 }];
}

/** What was done and what broke, with their names, above the charts. */
function lanes({ timeline, marks, broken }: Frame): Markup {
  const { durationUs } = timeline;
  const lane = (kind: string, one: Mark, id?: string): Markup => {
    const left = percent(one.fromUs, durationUs);
    const right = percent(one.toUs ?? one.fromUs, durationUs);
    const ends = one.toUs === undefined ? seconds(one.fromUs) : `${seconds(one.fromUs)} – ${seconds(one.toUs)}`;
    // A name that begins late in the run ends where its mark does, and none is longer than the room beside it.
    const place =
      right > 100 - left ? `right:${100 - right}%;max-width:${right}%` : `left:${left}%;max-width:${100 - left}%`;
    const own = id === undefined ? undefined : markup` id="${id}"`;
    return markup`<div class="lane ${kind}"${own}><i style="left:${left}%;width:${right - left}%"></i><span style="${place}">${one.name} <small>${ends}</small></span></div>`;
  };
  return markup`<div class="lanes">${marks.map((one) => lane(one.toUs === undefined ? "moment" : "fault", one))}${broken.map(
    ({ id, name, atUs }) => lane("broke", { name: `✗ ${name}`, fromUs: atUs, toUs: undefined }, id),
  )}</div>`;
}

interface Line {
  readonly name: Text;
  /** A place in the palette; "bad": the colour of failures. */
  readonly color: number | "bad";
  readonly values: readonly (number | undefined)[];
}

function lineChart(
  frame: Frame,
  { title, unit, lines }: { readonly title: Text; readonly unit: string; readonly lines: readonly Line[] },
): Markup {
  const most = Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const top = roundUp(most);
  const paths = lines.map(({ color, values }) => markup`<path class="line c-${color}" d="${pathOf(values, top)}"/>`);
  const texts = frame.timeline.buckets.map((_, at) =>
    lines
      .flatMap(({ name, values }) => (values[at] === undefined ? [] : [`${name.en} ${short(values[at])}${unit}`]))
      .join(" · "),
  );
  return chart(frame, {
    title,
    top: `${short(top)}${unit}`,
    legend: lines.length > 1 ? lines : [],
    most: `${words.upTo.en} ${short(most)}${unit}`,
    drawing: paths,
    texts,
  });
}

function stackedChart(
  frame: Frame,
  {
    title,
    names,
    parts,
  }: {
    readonly title: Text;
    readonly names: readonly Text[];
    readonly parts: readonly (readonly number[] | undefined)[];
  },
): Markup {
  const step = width / parts.length;
  const areas = names.map((_, index) => {
    const columns = parts.map((own, at) => {
      if (own === undefined || own[index] === 0) return "";
      const below = own.slice(0, index).reduce((sum, one) => sum + one, 0);
      const y = round(height * (1 - below - own[index]!));
      return `M${round(at * step)} ${y}h${round(step)}v${round(height * own[index]!)}h${-round(step)}z`;
    });
    return markup`<path class="area c-${index}" d="${columns.join("")}"/>`;
  });
  const texts = parts.map((own) =>
    (own ?? []).map((part, index) => `${names[index]!.en} ${Math.round(part * 100)}%`).join(" · "),
  );
  return chart(frame, {
    title,
    top: "100%",
    legend: names.map((name, color) => ({ name, color })),
    most: "",
    drawing: areas,
    texts,
  });
}

interface Chart {
  readonly title: Text;
  /** The label at the upper end of the axis; the lower end is 0. */
  readonly top: string;
  readonly legend: readonly Pick<Line, "name" | "color">[];
  /** What a reader who can't see it should know. */
  readonly most: string;
  readonly drawing: readonly Markup[];
  /** What is said of each stretch when it is pointed at. */
  readonly texts: readonly string[];
}

function chart({ timeline, marks, broken }: Frame, { title, top, legend, most, drawing, texts }: Chart): Markup {
  const { durationUs, buckets } = timeline;
  const x = (atUs: number): number => round((width * percent(atUs, durationUs)) / 100);
  const step = width / buckets.length;
  const bands = marks.map(({ fromUs, toUs }) =>
    toUs === undefined
      ? markup`<path class="moment" d="M${x(fromUs)} 0V${height}"/>`
      : markup`<rect class="band" x="${x(fromUs)}" width="${Math.max(2, round(x(toUs) - x(fromUs)))}" height="${height}"/>`,
  );
  const breaks = broken.map(({ atUs }) => markup`<path class="broke" d="M${x(atUs)} 0V${height}"/>`);
  const hits = texts.map((text, at) =>
    text === ""
      ? undefined
      : markup`<rect class="hit" x="${round(at * step)}" width="${round(step)}" height="${height}"><title>${seconds(buckets[at]!.fromUs)}: ${text}</title></rect>`,
  );
  const keys = legend.map(
    ({ name, color }) => markup`<span class="key"><i class="c-${color}"></i>${both(name)}</span>`,
  );
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (part) => markup`<span style="left:${part * 100}%">${seconds(part * durationUs)}</span>`,
  );
  return markup`<figure><figcaption><b>${both(title)}</b>${keys}</figcaption>
<div class="plot"><span class="top">${top}</span><span class="zero">0</span>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${title.en}${most === "" ? "" : `, ${most}`}">${drawing}${bands}${breaks}${hits}</svg>
<div class="ticks">${ticks}</div></div></figure>
`;
}

/** A step at each stretch: no slope is drawn that nobody measured. */
function pathOf(values: readonly (number | undefined)[], top: number): string {
  const step = width / values.length;
  let path = "";
  let isOpen = false;
  for (const [at, value] of values.entries()) {
    if (value === undefined) {
      isOpen = false;
      continue;
    }
    const y = round(height * (1 - value / top));
    path += isOpen ? `V${y}` : `M${round(at * step)} ${y}`;
    path += `H${round((at + 1) * step)}`;
    isOpen = true;
  }
  return path;
}

/** The next 1, 2 or 5 times a power of ten. */
export function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= value * (1 - 1e-9))!;
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Where a moment is on the axis, in percent; what lies outside is at its end. */
const percent = (atUs: number, durationUs: number): number =>
  Math.round(Math.min(1, Math.max(0, atUs / durationUs)) * 10_000) / 100;

export const seconds = (us: number): string =>
  us === 0 ? "0 s" : `${(us / 1e6).toFixed(Math.abs(us) < 100_000 ? 2 : 1)} s`;

/** Three digits that count. */
export const short = (value: number): string =>
  value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
