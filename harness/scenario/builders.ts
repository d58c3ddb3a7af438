/** Everything that a scenario file imports. */
export {
  abandonedWork,
  accessLog,
  atomicity,
  attemptsPerCall,
  callsEnd,
  conservation,
  gracefulStop,
  isolation,
  latency,
  metrics,
  rollback,
  ruleRejected,
  noDeadCalls,
  nothingLeft,
  openBreaker,
  recovery,
  share,
  sticky,
  successRate,
  delivery,
  taskFates,
  sagaSteps,
  tccFence,
  traces,
} from "./builders/checks.ts";
export { bank, consumer, foreign, gateway, provider } from "./builders/fleet.ts";
export { constant, poisson } from "./builders/load.ts";
export { scenario, type ScenarioInput } from "./builders/scenario.ts";
export { at } from "./builders/timeline.ts";
