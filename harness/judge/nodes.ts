import { calleesOf } from "../scenario/calls.ts";
import { hasForeign } from "../scenario/foreign.ts";
import type { CheckPlan } from "../scenario/plan.ts";
import type { CheckContext } from "./check.ts";

/** Services whose nodes may call this one, for a check's plan; nothing where programs that aren't ours may. */
export function callersOf(service: string, { scenario }: CheckContext): Pick<CheckPlan, "callers"> {
  if (hasForeign(scenario)) return {};
  const callers = Object.entries(scenario.fleet).filter(([, spec]) => calleesOf(spec).includes(service));
  return { callers: callers.map(([name]) => name) };
}

/** Whether a node may have called the service that the check is about. */
export const mayCall = ({ callers }: CheckPlan, node: { readonly node: string }): boolean =>
  callers === undefined || callers.some((service) => isOf(service, node));

/** Whether a node is one of a service's. */
export const isOf = (service: string, { node }: { readonly node: string }): boolean => node.startsWith(`${service}/`);
