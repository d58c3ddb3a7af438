import type { FaultSpec } from "../scenario/schema.ts";
import type { FaultKind } from "./fault.ts";
import { publishForAWhile, rulesCame } from "./rules.ts";

/** A rule document is published, and rolled back when it is lifted: an older text comes as a newer version. */
export const rolledBackRule: FaultKind<Extract<FaultSpec, { kind: "rolled-back-rule" }>> = {
  primitives: ["config.publish"],
  apply: publishForAWhile,
  effect: ({ fault: { key } }, seen) => rulesCame(seen, key, "applied"),
};
