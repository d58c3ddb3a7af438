import type { FaultSpec } from "../scenario/schema.ts";
import { bandwidth } from "./bandwidth.ts";
import { blackhole } from "./blackhole.ts";
import { brownOut } from "./brown-out.ts";
import { clockDrift } from "./clock-drift.ts";
import { clockOffset } from "./clock-offset.ts";
import { clockStep } from "./clock-step.ts";
import { delayedWatch } from "./delayed-watch.ts";
import { diskFull } from "./disk-full.ts";
import { disconnect } from "./disconnect.ts";
import { divergingViews } from "./diverging-views.ts";
import { duplicatedWatch } from "./duplicated-watch.ts";
import { emptyPush } from "./empty-push.ts";
import { eventLoopBlock } from "./event-loop-block.ts";
import type { FaultKind, FaultStep } from "./fault.ts";
import { flappingRegistration } from "./flapping-registration.ts";
import { halfDead } from "./half-dead.ts";
import { halfPushedRule } from "./half-pushed-rule.ts";
import { kill } from "./kill.ts";
import { latency } from "./latency.ts";
import { loss } from "./loss.ts";
import { lostUnsynced } from "./lost-unsynced.ts";
import { malformedRule } from "./malformed-rule.ts";
import { missedWatch } from "./missed-watch.ts";
import { outOfOrderRule } from "./out-of-order-rule.ts";
import { partialPush } from "./partial-push.ts";
import { partition } from "./partition.ts";
import { pause } from "./pause.ts";
import { refuse } from "./refuse.ts";
import { reset } from "./reset.ts";
import { resurrectedEphemeral } from "./resurrected-ephemeral.ts";
import { rolledBackRule } from "./rolled-back-rule.ts";
import { sessionExpiry } from "./session-expiry.ts";
import { slowClose } from "./slow-close.ts";
import { slowDisk } from "./slow-disk.ts";
import { slowCpu } from "./slow-cpu.ts";
import { slow } from "./slow.ts";
import { staleSnapshot } from "./stale-snapshot.ts";
import { tornWrite } from "./torn-write.ts";
import { zombie } from "./zombie.ts";

/** Every fault, by the name that a scenario gives it. */
export const faults: Readonly<Record<FaultSpec["kind"], FaultKind<never>>> = {
  kill,
  pause,
  disconnect,
  slow,
  latency,
  bandwidth,
  loss,
  partition,
  blackhole,
  refuse,
  reset,
  "slow-close": slowClose,
  "session-expiry": sessionExpiry,
  "missed-watch": missedWatch,
  "delayed-watch": delayedWatch,
  "duplicated-watch": duplicatedWatch,
  "stale-snapshot": staleSnapshot,
  "empty-push": emptyPush,
  "partial-push": partialPush,
  "diverging-views": divergingViews,
  "resurrected-ephemeral": resurrectedEphemeral,
  "brown-out": brownOut,
  "flapping-registration": flappingRegistration,
  zombie,
  "half-dead": halfDead,
  "event-loop-block": eventLoopBlock,
  "slow-cpu": slowCpu,
  "clock-offset": clockOffset,
  "clock-step": clockStep,
  "clock-drift": clockDrift,
  "disk-full": diskFull,
  "slow-disk": slowDisk,
  "torn-write": tornWrite,
  "lost-unsynced": lostUnsynced,
  "malformed-rule": malformedRule,
  "rolled-back-rule": rolledBackRule,
  "half-pushed-rule": halfPushedRule,
  "out-of-order-rule": outOfOrderRule,
};

/** The kind of a step's fault; the schema has matched the two. */
export function faultKind(step: FaultStep): FaultKind {
  return faults[step.fault.kind];
}
