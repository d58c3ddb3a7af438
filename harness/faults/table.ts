import type { FaultSpec } from "../scenario/schema.ts";
import { bandwidth } from "./bandwidth.ts";
import { blackhole } from "./blackhole.ts";
import { disconnect } from "./disconnect.ts";
import type { FaultKind, FaultStep } from "./fault.ts";
import { kill } from "./kill.ts";
import { latency } from "./latency.ts";
import { loss } from "./loss.ts";
import { partition } from "./partition.ts";
import { pause } from "./pause.ts";
import { refuse } from "./refuse.ts";
import { reset } from "./reset.ts";
import { slowClose } from "./slow-close.ts";
import { slow } from "./slow.ts";

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
};

/** The kind of a step's fault; the schema has matched the two. */
export function faultKind(step: FaultStep): FaultKind {
  return faults[step.fault.kind];
}
