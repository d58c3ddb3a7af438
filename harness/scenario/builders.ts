/** Everything that a scenario file imports. */
export {
  abandonedWork,
  accessLog,
  attemptsPerCall,
  callsEnd,
  gracefulStop,
  latency,
  metrics,
  rollback,
  ruleRejected,
  noDeadCalls,
  openBreaker,
  recovery,
  share,
  sticky,
  successRate,
  delivery,
  taskFates,
  traces,
} from "./builders/checks.ts";
export { consumer, foreign, gateway, provider } from "./builders/fleet.ts";
export { constant, poisson } from "./builders/load.ts";
export { scenario, type ScenarioInput } from "./builders/scenario.ts";
export { at } from "./builders/timeline.ts";
