import { durationUs, formatDuration, signedUs } from "./durations.ts";
import { inPart, ScenarioError } from "./error.ts";
import type { StepPlan } from "./plan.ts";
import type { FaultSpec } from "./schema.ts";

/** What a fault takes hold of, of which there is one at each place: two faults can't have it at the same time. */
type Aspect = "registration" | "work" | "event loop" | "pushes" | "list" | "registry" | "disk" | "document";

const aspects: Readonly<Partial<Record<FaultSpec["kind"], Aspect>>> = {
  zombie: "registration",
  "flapping-registration": "registration",
  "half-dead": "work",
  "event-loop-block": "event loop",
  "slow-cpu": "event loop",
  // A process that stands still isn't stopped now and then as well.
  pause: "event loop",
  "missed-watch": "pushes",
  "delayed-watch": "pushes",
  "duplicated-watch": "pushes",
  "stale-snapshot": "pushes",
  "empty-push": "pushes",
  "partial-push": "pushes",
  "diverging-views": "pushes",
  "resurrected-ephemeral": "list",
  "brown-out": "registry",
  "disk-full": "disk",
  "slow-disk": "disk",
  "torn-write": "disk",
  "lost-unsynced": "disk",
  "malformed-rule": "document",
  "rolled-back-rule": "document",
  "half-pushed-rule": "document",
  "out-of-order-rule": "document",
};

interface Holder {
  readonly kind: string;
  readonly fromUs: number;
  readonly untilUs: number;
}

/** Throws INVALID_SCENARIO for two faults that want the same thing of the same place at the same time. */
export function checkConflicts(steps: readonly StepPlan[], pathOf: (step: StepPlan) => readonly PropertyKey[]): void {
  const held = new Map<string, Holder>();
  for (const step of steps) inPart(pathOf(step), () => takeHold(step, held));
}

function takeHold({ atUs, what }: StepPlan, held: Map<string, Holder>): void {
  const kind = what.kind === "fault" ? what.fault.kind : what.kind;
  for (const place of placesOf(what)) {
    const holder = held.get(place.key);
    if (holder !== undefined && holder.untilUs > atUs) throw conflict(`${kind} ${place.name}`, atUs, holder);
    // What comes at one moment holds nothing afterwards.
    const isMoment = what.kind !== "fault" || what.fault.kind === "out-of-order-rule";
    const untilUs = isMoment ? atUs : what.forUs === undefined ? Infinity : atUs + what.forUs;
    held.set(place.key, { kind, fromUs: atUs, untilUs });
  }
}

function placesOf(what: StepPlan["what"]): readonly { readonly key: string; readonly name: string }[] {
  // Whoever publishes a document takes it from the fault that has it.
  if (what.kind === "publish" || what.kind === "rollout") return [{ key: `document ${what.key}`, name: what.key }];
  if (what.kind !== "fault") return [];
  const { fault } = what;
  const aspect = aspects[fault.kind];
  if (aspect === undefined) return [];
  if ("key" in fault) return [{ key: `${aspect} ${fault.key}`, name: fault.key }];
  const service = "service" in fault ? ` about ${fault.service}` : "";
  return what.nodes.map((node) => ({ key: `${aspect} ${node}${service}`, name: `${node}${service}` }));
}

function conflict(what: string, atUs: number, { kind, fromUs, untilUs }: Holder): ScenarioError {
  const until = untilUs === Infinity ? "until the end" : `until ${formatDuration(untilUs)}`;
  return new ScenarioError(
    `${what} at ${formatDuration(atUs)}: "${kind}" has hold of it then, from ${formatDuration(fromUs)} ${until}`,
    {
      code: "INVALID_SCENARIO",
      hint:
        untilUs === Infinity ? "give the first one a `for`" : "move one of the two, or let them touch different nodes",
    },
  );
}

/** What a clock must be wrong by for nodes' readings to show it. */
const clockUsMin = 100_000;

/** Throws INVALID_SCENARIO for a fault whose own numbers make no sense. */
export function checkNumbers(
  fault: FaultSpec,
  {
    where,
    forUs,
    leftUs,
    sessionTimeoutUs,
  }: {
    readonly where: string;
    readonly forUs: number | undefined;
    /** Of the load, when it begins. */
    readonly leftUs: number;
    readonly sessionTimeoutUs: number;
  },
): void {
  const wrong = (message: string, hint: string): ScenarioError =>
    new ScenarioError(`${where}: ${message}`, { code: "INVALID_SCENARIO", hint });
  if (fault.kind === "delayed-watch") {
    const byUs = durationUs(fault.by);
    if (byUs === 0) throw wrong("changes that come no time later aren't delayed", 'for example by: "500ms"');
    // A watch that is silent for longer counts as broken, and is opened again.
    if (byUs >= sessionTimeoutUs)
      throw wrong(
        `changes ${formatDuration(byUs)} late, but a client gives its watch up after ${formatDuration(sessionTimeoutUs)} of silence`,
        "make `by` shorter, or registry.sessionTimeout longer",
      );
  }
  if (fault.kind === "brown-out" && durationUs(fault.delay) === 0)
    throw wrong("a delay of no time", 'for example delay: "300ms"');
  if ((fault.kind === "clock-offset" || fault.kind === "clock-step") && Math.abs(signedUs(fault.by)) < clockUsMin)
    throw wrong(`a clock that is wrong by ${fault.by}`, "at least 100ms: less can't be told from chance");
  if (fault.kind === "clock-drift" && Math.abs(fault.rate) * (forUs ?? leftUs) < clockUsMin)
    throw wrong(
      `at a rate of ${fault.rate} a clock is wrong by ${formatDuration(Math.abs(fault.rate) * (forUs ?? leftUs))} in the end`,
      "raise `rate` or make `for` longer, until it comes to 100ms",
    );
  if (fault.kind === "latency" && durationUs(fault.add) === 0 && durationUs(fault.jitter ?? "0s") === 0)
    throw wrong("a delay of no time", 'for example add: "200ms"');
  if (fault.kind === "slow-close" && durationUs(fault.delay) === 0)
    throw wrong("a delay of no time", 'for example delay: "200ms"');
  if (fault.kind === "slow-disk" && durationUs(fault.delay) === 0)
    throw wrong("a delay of no time", 'for example delay: "200ms"');
  if (fault.kind === "flapping-registration") {
    const everyUs = durationUs(fault.every);
    if (everyUs < 10_000) throw wrong(`registers once in ${fault.every}`, "at least 10ms");
    if (forUs !== undefined && forUs < 2 * everyUs)
      throw wrong(`it lasts for less than two rounds of ${fault.every}`, "make `for` longer or `every` shorter");
  }
  if (fault.kind === "event-loop-block") {
    const [blockUs, everyUs] = [durationUs(fault.block), durationUs(fault.every ?? "1s")];
    if (blockUs === 0) throw wrong("blocks for no time", 'for example block: "300ms"');
    if (blockUs >= everyUs)
      throw wrong(
        `blocks for ${fault.block} once in ${formatDuration(everyUs)}: it never runs`,
        "use pause for that, or make `every` longer",
      );
  }
}
