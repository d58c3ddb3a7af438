import type { FaultSpec } from "../scenario/schema.ts";
import type { FaultKind } from "./fault.ts";
import { publishForAWhile, rulesCame } from "./rules.ts";

/** A rule document is published that nobody can read; lifted, what was there before is published again. */
export const malformedRule: FaultKind<Extract<FaultSpec, { kind: "malformed-rule" }>> = {
  primitives: ["config.publish"],
  apply: publishForAWhile,
  effect: ({ fault: { key } }, seen) => rulesCame(seen, key, "rejected"),
};
