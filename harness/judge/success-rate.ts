import { fractionOf } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { CheckKind } from "./check.ts";
import { judgeEndings, planEndings } from "./endings.ts";
import { exactShare } from "./outcome.ts";
import { whoseName } from "./select.ts";

/** Of all logical calls of a service at least so many end OK. */
export const successRate: CheckKind<Extract<CheckSpec, { check: "success-rate" }>> = {
  plan: (spec, context) =>
    planEndings(`${spec.service} success ≥ ${exactShare(fractionOf(spec.atLeast))}${whoseName(spec)}`, spec, context),
  judge: (plan, history) => judgeEndings(plan, history, { isWrong: ({ code }) => code !== "OK", wrongly: "failed" }),
};
