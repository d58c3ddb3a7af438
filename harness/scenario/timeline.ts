import { didYouMean } from "../../services/nearest.ts";
import { durationUs, formatDuration, fractionOf } from "./durations.ts";
import { ScenarioError } from "./error.ts";
import { calleesOf, isOfBank, known } from "./nodes.ts";
import type { LinkPlan, NodePlan, StepPlan } from "./plan.ts";
import type { ActionSpec, FaultSpec, Scenario, StepSpec } from "./schema.ts";

/** The steps in the order of their time, each with the nodes and links that it touches. */
export function planTimeline(
  scenario: Scenario,
  { nodes, durationUs: loadUs }: { readonly nodes: readonly NodePlan[]; readonly durationUs: number },
): readonly StepPlan[] {
  const steps = scenario.timeline
    .map((step, position) => ({ step, position, atUs: durationUs(step.at) }))
    .toSorted((a, b) => a.atUs - b.atUs || a.position - b.position)
    .map(({ step, position, atUs }, index): StepPlan => {
      const where = `timeline.${position}`;
      if (atUs >= loadUs) throw tooLate(`${where} is at ${formatDuration(atUs)}`, loadUs);
      return { atUs, index, what: resolve(step, { where, scenario, nodes, atUs, loadUs }) };
    });
  checkStates(steps);
  return steps;
}

interface Context {
  readonly where: string;
  readonly scenario: Scenario;
  readonly nodes: readonly NodePlan[];
  readonly atUs: number;
  readonly loadUs: number;
}

function resolve(step: StepSpec, context: Context): StepPlan["what"] {
  const { where, atUs, loadUs } = context;
  if ("action" in step) {
    const { action } = step;
    if (action.kind === "publish") return { kind: "publish", key: action.key, content: action.content };
    if (action.kind === "rollout") return rolloutOf(action, context);
    return { kind: action.kind, nodes: nodesOf(action.target, context) };
  }
  const { fault } = step;
  const forUs = "for" in fault && fault.for !== undefined ? durationUs(fault.for) : undefined;
  if (forUs === 0) {
    throw new ScenarioError(`${where} lasts for no time`, { code: "INVALID_SCENARIO" });
  }
  if (forUs !== undefined && atUs + forUs > loadUs) {
    throw tooLate(`${where} lasts until ${formatDuration(atUs + forUs)}`, loadUs);
  }
  const nodes = "target" in fault ? nodesOf(fault.target, context) : [];
  const links = "link" in fault ? linksOf(fault.link, context) : [];
  if (fault.kind !== "disconnect") return { kind: "fault", fault, forUs, nodes, links };
  return { kind: "fault", fault, forUs, nodes, links, cables: cablesOf(nodes, context) };
}

function rolloutOf(
  { service, tag, key, content, percents, every, ...test }: Extract<ActionSpec, { kind: "rollout" }>,
  { where, nodes }: Context,
): StepPlan["what"] {
  const tags = nodes.flatMap((node) => (node.service === service && node.tag !== undefined ? [node.tag] : []));
  known(`${where}.action.service`, service, [...new Set(nodes.map((node) => node.service))], "service of the fleet");
  known(`${where}.action.tag`, tag, [...new Set(tags)], `tag of ${service}`);
  const [acceptable, unacceptable] = [fractionOf(test.acceptable), fractionOf(test.unacceptable)];
  if (!(acceptable > 0 && acceptable < unacceptable && unacceptable < 1)) {
    throw new ScenarioError(
      `${where}: between an acceptable and an unacceptable error rate there must be a difference`,
      {
        code: "INVALID_SCENARIO",
        hint: 'for example acceptable: "1%", unacceptable: "10%"',
      },
    );
  }
  const everyUs = durationUs(every);
  if (everyUs === 0) throw new ScenarioError(`${where}: its steps last for no time`, { code: "INVALID_SCENARIO" });
  const { alpha = 1e-7, beta = 1e-3 } = test;
  return {
    kind: "rollout",
    service,
    tag,
    key,
    content,
    percents,
    everyUs,
    acceptable,
    unacceptable,
    alpha,
    beta,
    nodes: [],
  };
}

function tooLate(what: string, loadUs: number): ScenarioError {
  return new ScenarioError(`${what}, but the load ends after ${formatDuration(loadUs)}`, {
    code: "INVALID_SCENARIO",
    hint: "make the load longer; a fault without `for` lasts until its end",
  });
}

/** "orders" is every instance of it; "orders/1" and "registry" are one node. */
function nodesOf(target: string, { where, nodes }: Context): readonly string[] {
  const found = nodes.filter(({ id, service }) => id === target || service === target).map(({ id }) => id);
  if (found.length > 0) return found;
  const [service] = target.split("/");
  const services = [...new Set(nodes.map((node) => node.service))];
  const ids = nodes.filter((node) => node.service === service).map(({ id }) => id);
  throw new ScenarioError(
    `${where}: there is no node ${target}; ${ids.length > 0 ? `${service} has ${ids.join(", ")}` : `there is ${services.join(", ")}`}`,
    {
      code: "UNKNOWN_NAME",
      hint: ids.length > 0 ? undefined : didYouMean(target, [...services, ...nodes.map(({ id }) => id)]),
    },
  );
}

/** The pairs whose connections a link means: those that are really made. */
function linksOf(link: Extract<FaultSpec, { link: unknown }>["link"], context: Context): readonly LinkPlan[] {
  const to = nodesOf(link.to, context);
  const from = link.from === undefined ? context.nodes.map(({ id }) => id) : nodesOf(link.from, context);
  const links = from.flatMap((caller) =>
    to.filter((callee) => connects(caller, callee, context)).map((callee) => ({ from: caller, to: callee })),
  );
  if (links.length > 0) return links;
  const isReversed =
    link.from !== undefined && to.some((caller) => from.some((callee) => connects(caller, callee, context)));
  throw new ScenarioError(
    `${context.where}: ${link.from ?? "nobody"} ${link.from === undefined ? "calls" : "never calls"} ${link.to}`,
    {
      code: "INVALID_SCENARIO",
      hint: isReversed ? `a link goes from the caller: from "${link.to}" to "${link.from}"` : undefined,
    },
  );
}

/** Every pair that connects to or from these nodes. */
function cablesOf(ends: readonly string[], context: Context): readonly LinkPlan[] {
  const ids = context.nodes.map(({ id }) => id);
  return ids.flatMap((from) =>
    ids
      .filter((to) => (ends.includes(from) || ends.includes(to)) && connects(from, to, context))
      .map((to) => ({ from, to })),
  );
}

/** Everybody of the fleet talks to the registry, every caller to the config centre, the bank to the coordinator, and services as the scenario says. */
function connects(from: string, to: string, { scenario }: Context): boolean {
  const caller = scenario.fleet[serviceOf(from)];
  if (caller === undefined) return false;
  const callee = serviceOf(to);
  if (callee === "registry") return true;
  if (callee === "config-center") return calleesOf(caller).length > 0;
  if (callee === "coordinator") return isOfBank(caller);
  return calleesOf(caller).includes(callee);
}

const serviceOf = (node: string): string => node.slice(0, node.indexOf("/"));

/** What a node is in between two steps of the timeline. */
interface State {
  readonly is: "killed" | "paused" | "stopped" | "disconnected";
  readonly sinceUs: number;
  readonly untilUs: number;
}

/** A step must find its nodes as it needs them: nobody can pause a node that is dead. */
function checkStates(steps: readonly StepPlan[]): void {
  const states = new Map<string, State>();
  const slowUntil = new Map<string, number>();
  for (const { atUs, what } of steps) {
    if (what.kind === "publish" || what.kind === "rollout") continue;
    for (const node of what.nodes) {
      const state = states.get(node);
      const current = state !== undefined && state.untilUs > atUs ? state : undefined;
      const kind = what.kind === "fault" ? what.fault.kind : what.kind;
      const untilUs = what.kind === "fault" && what.forUs !== undefined ? atUs + what.forUs : Infinity;
      if (kind === "restart") {
        if (
          current?.is === "paused" ||
          current?.is === "disconnected" ||
          (current !== undefined && current.untilUs !== Infinity)
        ) {
          throw contradiction(`restart ${node} at ${formatDuration(atUs)}`, current);
        }
        states.delete(node);
        continue;
      }
      if (current !== undefined) throw contradiction(`${kind} ${node} at ${formatDuration(atUs)}`, current);
      if (kind === "slow") {
        if ((slowUntil.get(node) ?? 0) > atUs) {
          throw new ScenarioError(`slow ${node} at ${formatDuration(atUs)}: it is slow then already`, {
            code: "INVALID_SCENARIO",
          });
        }
        slowUntil.set(node, untilUs);
        continue;
      }
      if (kind === "kill") states.set(node, { is: "killed", sinceUs: atUs, untilUs });
      if (kind === "pause") states.set(node, { is: "paused", sinceUs: atUs, untilUs });
      if (kind === "disconnect") states.set(node, { is: "disconnected", sinceUs: atUs, untilUs });
      if (kind === "stop") states.set(node, { is: "stopped", sinceUs: atUs, untilUs });
    }
  }
}

function contradiction(step: string, { is, sinceUs, untilUs }: State): ScenarioError {
  const until = untilUs === Infinity ? "until the end" : `until ${formatDuration(untilUs)}`;
  return new ScenarioError(`${step}: it is ${is} then, from ${formatDuration(sinceUs)} ${until}`, {
    code: "INVALID_SCENARIO",
    hint: untilUs === Infinity ? "restart it before" : "move one of the two steps",
  });
}

/** A check must be about a service of the fleet that somebody calls. */
export function checkService(where: string, service: string, { fleet }: Scenario): void {
  const called = [...new Set(Object.values(fleet).flatMap(calleesOf))];
  known(where, service, called, "service that is called");
}
