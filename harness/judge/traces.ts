import { attribute } from "../../runtime/telemetry/span.ts";
import { isDeath } from "../scenario/deaths.ts";
import { formatShare, fractionOf, type Window } from "../scenario/durations.ts";
import { ScenarioError } from "../scenario/error.ts";
import type { CallRecord, History } from "../history/history.ts";
import type { StepRecord } from "../history/record.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { missMax, type CheckKind } from "./check.ts";
import { doubtOf, nothingToJudge, requireTrials, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf } from "./select.ts";
import { trialsToSee } from "./statistics.ts";

/** How far a child may reach over its parent where nodes are processes: they share a clock, but not the moment of reading it. */
const toleranceUs = { sim: 0, real: 1_000 };
/** What the end of a run may cut off: what a server still did for callers who had given up. */
const tailUs = 1_000_000;
/** What a node has told the harness and not yet sent to a trace store goes with it: batches leave twice a second. */
const unsentUs = 2_000_000;
/** After so long without the store a node gives up what it has for it. */
const patienceUs = 6_000_000;

/**
 * Every traced call is one connected trace: it has its span, under which lie as many client spans as the call had attempts, at
 * the same instances; each attempt that was answered well has one server span under it; the trace has one root, every other span's parent
 * is in it, and no child reaches over its parent. Where spans were read back from a trace store it is those that are judged, and
 * each that a node reported must be among them.
 */
export const traces: CheckKind<Extract<CheckSpec, { check: "traces" }>> = {
  plan: (spec, context) => {
    const name = `every call of ${spec.service} is one connected trace`;
    const { tracing } = context.scenario;
    const sample = tracing === undefined ? 0 : fractionOf(tracing.sample);
    if (sample === 0) {
      throw new ScenarioError(`"${name}": this scenario doesn't trace its calls`, {
        code: "INVALID_SCENARIO",
        hint: "add tracing: { sample: 1 }",
      });
    }
    const { expected, atLeast } = plannedCalls(context, spec.service, spec);
    // Of the calls that come, a chance of its own picks those that are recorded.
    const sampled = atLeast * sample;
    const shortfall = sample === 1 ? 0 : Math.sqrt(2 * Math.log(1 / missMax) * sampled);
    const trials = Math.max(0, Math.floor(sampled - shortfall));
    requireTrials(
      { name, context, trials, more: spec.during === undefined ? "rate or length" : "rate" },
      trialsToSee(fractionOf(spec.detects), missMax),
    );
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: Math.round(expected * sample),
      // A trace with a hole is a defect, by definition.
      falseAlarm: 0,
      detects: `${formatShare(fractionOf(spec.detects))} broken`,
      isEveryCallTraced: sample === 1,
    };
  },
  judge: (plan, history) => {
    const { service } = plan.check;
    const bound = "0 broken";
    const calls = callsOf(history, service, plan.check);
    const isTraced = ({ spanId }: CallRecord): boolean => spanId !== undefined || plan.isEveryCallTraced === true;
    const book = new TraceBook(history);
    const ended = calls.filter(
      (call) => call.code !== undefined && isTraced(call) && !book.isAtRisk(call.node, call.endUs),
    );
    if (ended.length === 0) return resultOf(plan, nothingToJudge(bound, `traced call of ${service}`));
    let broken = 0;
    let first: { readonly call: CallRecord; readonly defect: string } | undefined;
    for (const call of ended) {
      const defect = book.defectOf(call);
      if (defect === undefined) continue;
      broken++;
      first ??= { call, defect };
    }
    const unknown = calls.filter(({ code }) => code === undefined).length;
    const where = book.isReadBack ? " in the trace store" : "";
    return resultOf(plan, {
      verdict: broken > 0 ? "fail" : "pass",
      observed: `${broken} of ${ended.length}`,
      bound,
      trials: ended.length,
      message:
        first === undefined
          ? `each of ${ended.length} calls of ${service} is one connected trace${where}${doubtOf(unknown)}`
          : `${broken} of ${ended.length} traces of calls of ${service} are broken${where}${doubtOf(unknown)}; the first, of call ${first.call.call} of ${first.call.node}${first.call.traceId === undefined ? "" : ` (${first.call.traceId})`}: ${first.defect}`,
      brokenAtUs: first?.call.dueUs,
    });
  },
};

type SpanRecord = History["spans"][number];

/**
 * The spans that nodes reported and that a trace store must have in the end: all but those of nodes that died, or lost their way
 * to it, before they could send them.
 */
export function spansToReadBack(history: History): readonly SpanRecord[] {
  const losses = lossesIn(history);
  return history.spans.filter(
    ({ source, node, atUs }) => source === undefined && !losses.some((loss) => isIn(loss, node, atUs)),
  );
}

/** A trace's spans, and what is wrong with them as a whole. */
interface Trace {
  readonly byId: ReadonlyMap<string, SpanRecord>;
  readonly children: ReadonlyMap<string, readonly SpanRecord[]>;
  readonly defect: string | undefined;
  /** Some of its spans may have gone with a node that died. */
  readonly isCut: boolean;
}

/** A history's spans, trace by trace. */
class TraceBook {
  /** The spans come from a trace store. */
  readonly isReadBack: boolean;
  readonly #history: History;
  readonly #toleranceUs: number;
  /** When spans may have been lost on their way into what is judged. */
  readonly #losses: readonly Loss[];
  /** Traces of calls whose end nobody knows: what was above or below them may never have been told. */
  readonly #unended: ReadonlySet<string>;
  readonly #spans = new Map<string, SpanRecord[]>();
  /** What nodes reported, where another source is judged. */
  readonly #reported = new Map<string, SpanRecord[]>();
  readonly #traces = new Map<string, Trace>();

  constructor(history: History) {
    this.#history = history;
    // A world with a trace store is judged by it, also when nothing came back.
    this.isReadBack = history.run.world === "docker" || history.spans.some(({ source }) => source === "jaeger");
    this.#toleranceUs = history.run.world === "sim" ? toleranceUs.sim : toleranceUs.real;
    this.#losses = this.isReadBack ? lossesIn(history) : deathsIn(history);
    const unended = history.calls.filter(({ code }) => code === undefined);
    this.#unended = new Set(unended.flatMap(({ traceId }) => (traceId === undefined ? [] : [traceId])));
    for (const span of history.spans) {
      const isJudged = (span.source === "jaeger") === this.isReadBack;
      const book = isJudged ? this.#spans : this.#reported;
      const known = book.get(span.traceId);
      if (known === undefined) book.set(span.traceId, [span]);
      else known.push(span);
    }
  }

  /** Whether what a node did at that moment may not have arrived in the trace store. What arrived in the history did. */
  isAtRisk(node: string, atUs: number): boolean {
    return this.isReadBack && this.#losses.some((loss) => isIn(loss, node, atUs));
  }

  /** What is wrong with a call's trace, for people; undefined when all is well. */
  defectOf(call: CallRecord): string | undefined {
    const { traceId, spanId, attempts } = call;
    if (traceId === undefined || spanId === undefined) return "it wasn't traced";
    const trace = this.#trace(traceId);
    const own = trace.byId.get(spanId);
    if (own === undefined) return "its own span is missing";
    const clients = (trace.children.get(spanId) ?? []).filter(({ kind }) => kind === "client");
    if (clients.length !== attempts.length) {
      return `it took ${counted(attempts.length, "attempt")}, and has ${counted(clients.length, "client span")}`;
    }
    const tried = attempts.map(({ instance }) => instance).sort();
    const seen = clients.map(({ attributes }) => String(attributes[attribute.instance])).sort();
    const stray = seen.findIndex((instance, index) => instance !== tried[index]);
    if (stray >= 0) return `an attempt at ${tried[stray]} has a client span that says ${seen[stray]}`;
    return trace.defect;
  }

  #trace(traceId: string): Trace {
    let trace = this.#traces.get(traceId);
    if (trace === undefined) this.#traces.set(traceId, (trace = this.#read(traceId)));
    return trace;
  }

  #read(traceId: string): Trace {
    const spans = this.#spans.get(traceId) ?? [];
    const byId = new Map(spans.map((span) => [span.spanId, span]));
    const children = new Map<string, SpanRecord[]>();
    for (const span of spans) {
      if (span.parentId === undefined) continue;
      const siblings = children.get(span.parentId);
      if (siblings === undefined) children.set(span.parentId, [span]);
      else siblings.push(span);
    }
    const isCut = this.#isCut(traceId, spans);
    const reported = this.#reported.get(traceId) ?? [];
    const lost = reported.filter(({ spanId, node, atUs }) => !byId.has(spanId) && !this.isAtRisk(node, atUs)).length;
    const defect =
      byId.size < spans.length
        ? "two spans have one id"
        : lost > 0
          ? `${counted(lost, "span")} that nodes reported never arrived there`
          : (defectOfTree(spans, byId, isCut) ??
            this.#reachingOver(spans, byId) ??
            (isCut ? undefined : unserved(spans, children)));
    return { byId, children, defect, isCut };
  }

  /** Whether a node died, or the run ended, while the trace was being made: its open spans are nobody's fault. */
  #isCut(traceId: string, spans: readonly SpanRecord[]): boolean {
    if (this.#unended.has(traceId)) return true;
    const fromUs = Math.min(...spans.map(({ beginUs }) => beginUs));
    const toUs = Math.max(...spans.map(({ atUs }) => atUs));
    if (this.#losses.some((loss) => loss.fromUs <= toUs && loss.toUs >= fromUs)) return true;
    const endUs = this.#history.end?.atUs ?? Infinity;
    return toUs >= endUs - tailUs && spans.some(({ kind, status }) => kind === "client" && status === "error");
  }

  #reachingOver(spans: readonly SpanRecord[], byId: Trace["byId"]): string | undefined {
    for (const span of spans) {
      const parent = span.parentId === undefined ? undefined : byId.get(span.parentId);
      if (parent === undefined) continue;
      const earlyUs = parent.beginUs - span.beginUs;
      // Who gave up doesn't know how long the others go on.
      const lateUs = isAnswered(parent) ? span.atUs - parent.atUs : 0;
      if (earlyUs > this.#toleranceUs) return `${titleOf(span)} begins ${earlyUs} µs before its parent`;
      if (lateUs > this.#toleranceUs) return `${titleOf(span)} ends ${lateUs} µs after its parent`;
    }
    return undefined;
  }
}

function defectOfTree(spans: readonly SpanRecord[], byId: Trace["byId"], isCut: boolean): string | undefined {
  const roots = spans.filter(({ parentId }) => parentId === undefined);
  if (roots.length > 1) return `it has ${roots.length} roots`;
  const orphan = spans.find(({ parentId }) => parentId !== undefined && !byId.has(parentId));
  if (isCut) return undefined;
  if (orphan !== undefined) return `the parent of ${titleOf(orphan)} is missing`;
  // Every span has a parent: then some are their own ancestors.
  return roots.length === 0 ? "it has no root" : undefined;
}

/** An attempt that was answered well was served by somebody, who is in the trace. */
function unserved(spans: readonly SpanRecord[], children: Trace["children"]): string | undefined {
  for (const span of spans) {
    if (span.kind !== "client" || !isAnswered(span)) continue;
    const served = (children.get(span.spanId) ?? []).filter(({ kind }) => kind === "server").length;
    if (served !== 1) return `${titleOf(span)} was answered, and has ${counted(served, "server span")} under it`;
  }
  return undefined;
}

function isAnswered({ status, attributes }: SpanRecord): boolean {
  const code = attributes[attribute.statusCode];
  return status !== "error" && attributes[attribute.isUnanswered] !== true && (code === undefined || code === "OK");
}

/** A stretch of time in which a node may have lost spans. */
interface Loss extends Window {
  readonly node: string;
}

const isIn = (loss: Loss, node: string, atUs: number): boolean =>
  loss.node === node && atUs >= loss.fromUs && atUs <= loss.toUs;

/** When nodes died with the spans that were open on them, and when records of theirs were lost. */
function deathsIn(history: History): readonly Loss[] {
  const deaths = faultsIn(history).flatMap(({ kind, nodes, fromUs, appliedUs, liftedUs }) => {
    if (isDeath(kind)) return nodes.map((node) => ({ node, fromUs, toUs: appliedUs }));
    // A node that wakes up when the run is over has no time left to end what it was at.
    const isFrozen = kind === "pause" && !(liftedUs < history.run.durationUs);
    return isFrozen ? nodes.map((node) => ({ node, fromUs, toUs: Infinity })) : [];
  });
  const exits = history.processes.map(({ node, atUs }) => ({ node, fromUs: atUs, toUs: atUs }));
  return [...deaths, ...exits, ...history.gaps];
}

/** The same for what nodes send to a trace store: less often than their records, and over a network that can be taken away. */
function lossesIn(history: History): readonly Loss[] {
  const unplugged = faultsIn(history).flatMap(({ kind, nodes, fromUs, liftedUs }) =>
    kind === "disconnect" ? nodes.map((node) => ({ node, fromUs, toUs: liftedUs + patienceUs })) : [],
  );
  return [...deathsIn(history), ...unplugged].map((loss) => ({ ...loss, fromUs: loss.fromUs - unsentUs }));
}

/** Infinity for what didn't happen. */
function faultsIn(history: History) {
  return history.steps.flatMap(({ index, what, phase, atUs }) => {
    if (phase !== "apply" || what.kind !== "fault") return [];
    const when = (other: StepRecord["phase"]): number =>
      history.steps.find((step) => step.index === index && step.phase === other)?.atUs ?? Infinity;
    const times = { fromUs: atUs, appliedUs: when("applied"), liftedUs: when("lifted") };
    return [{ kind: what.fault.kind, nodes: what.nodes, ...times }];
  });
}

/** "the client span of storefront/0 (attempt 2 at orders/1)" */
function titleOf({ kind, node, attributes, name }: SpanRecord): string {
  const attempt = attributes[attribute.attempt];
  const which = attempt === undefined ? name : `attempt ${attempt} at ${String(attributes[attribute.instance])}`;
  return `the ${kind} span of ${node} (${which})`;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
