import type { CheckSpec } from "../scenario/schema.ts";
import { accessLogCheck } from "./access-log.ts";
import { abandonedWork } from "./abandoned-work.ts";
import { atomicity } from "./atomicity.ts";
import { attemptsPerCall } from "./attempts-per-call.ts";
import { callsEnd } from "./calls-end.ts";
import type { CheckKind } from "./check.ts";
import { conservation } from "./conservation.ts";
import { delivery } from "./delivery.ts";
import { gracefulStop } from "./graceful-stop.ts";
import { isolation } from "./isolation.ts";
import { latency } from "./latency.ts";
import { metrics } from "./metrics.ts";
import { noDeadCalls } from "./no-dead-calls.ts";
import { nothingLeft } from "./nothing-left.ts";
import { openBreaker } from "./open-breaker.ts";
import { recovery } from "./recovery.ts";
import { rollback } from "./rollback.ts";
import { ruleRejected } from "./rule-rejected.ts";
import { share } from "./share.ts";
import { stickiness } from "./stickiness.ts";
import { successRate } from "./success-rate.ts";
import { taskFatesCheck } from "./task-fates.ts";
import { sagaSteps } from "./saga-steps.ts";
import { tccFence } from "./tcc-fence.ts";
import { traces } from "./traces.ts";

/** Every check, by the name that a scenario gives it. */
export const checks: Readonly<Record<CheckSpec["check"], CheckKind<never>>> = {
  "success-rate": successRate,
  "calls-end": callsEnd,
  delivery,
  share,
  latency,
  "attempts-per-call": attemptsPerCall,
  "no-dead-calls": noDeadCalls,
  recovery,
  stickiness,
  "graceful-stop": gracefulStop,
  "open-breaker": openBreaker,
  "abandoned-work": abandonedWork,
  "task-fates": taskFatesCheck,
  traces,
  rollback,
  "access-log": accessLogCheck,
  "rule-rejected": ruleRejected,
  metrics,
  conservation,
  atomicity,
  "nothing-left": nothingLeft,
  "tcc-fence": tccFence,
  "saga-steps": sagaSteps,
  isolation,
};
