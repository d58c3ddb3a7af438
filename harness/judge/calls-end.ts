import type { CheckSpec } from "../scenario/schema.ts";
import type { CheckKind } from "./check.ts";
import { judgeEndings, planEndings } from "./endings.ts";
import { whoseName } from "./select.ts";

/** Of all logical calls of a service, or of these callers, at least so many end with one status code: who may not, is told so. */
export const callsEnd: CheckKind<Extract<CheckSpec, { check: "calls-end" }>> = {
  plan: (spec, context) => planEndings(`${spec.service} answers ${spec.code}${whoseName(spec)}`, spec, context),
  judge: (plan, history) =>
    judgeEndings(plan, history, {
      isWrong: ({ code }) => code !== plan.check.code,
      wrongly: "ended otherwise",
    }),
};
