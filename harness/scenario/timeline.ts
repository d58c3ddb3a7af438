import { didYouMean } from "../../services/nearest.ts";
import { checkConflicts, checkNumbers } from "./conflicts.ts";
import { isDeath } from "./deaths.ts";
import { durationUs, formatDuration, fractionOf } from "./durations.ts";
import { inPart, ScenarioError } from "./error.ts";
import { calleesOf } from "./calls.ts";
import { isOfBank, known } from "./nodes.ts";
import type { LinkPlan, NodePlan, StepPlan } from "./plan.ts";
import type { ActionSpec, FaultSpec, Scenario, StepSpec } from "./schema.ts";

/** The steps in the order of their time, each with the nodes and links that it touches. */
export function planTimeline(
  scenario: Scenario,
  { nodes, durationUs: loadUs }: { readonly nodes: readonly NodePlan[]; readonly durationUs: number },
): readonly StepPlan[] {
  const ordered = scenario.timeline
    .map((step, position) => ({ step, position, atUs: durationUs(step.at) }))
    .toSorted((a, b) => a.atUs - b.atUs || a.position - b.position);
  const steps = ordered.map(({ step, position, atUs }, index): StepPlan => {
    const where = `timeline.${position}`;
    if (atUs >= loadUs)
      throw tooLate(`${where} is at ${formatDuration(atUs)}`, { loadUs, path: ["timeline", position, "at"] });
    return { atUs, index, what: resolve(step, { where, scenario, nodes, atUs, loadUs }) };
  });
  const pathOf = ({ index }: StepPlan): readonly PropertyKey[] => ["timeline", ordered[index]!.position];
  checkStates(steps, pathOf);
  checkConflicts(steps, pathOf);
  return steps.map((step) => withPrevious(step, steps, scenario));
}

/** A rule that is there for a while makes way for what was there before. */
function withPrevious(step: StepPlan, steps: readonly StepPlan[], { rules }: Scenario): StepPlan {
  const { what, index } = step;
  if (what.kind !== "fault" || !("key" in what.fault) || stays(what.fault)) return step;
  const { key } = what.fault;
  const last = steps.slice(0, index).findLast(({ what: earlier }) => publishes(earlier, key));
  return { ...step, what: { ...what, restores: { content: last === undefined ? rules?.[key] : contentOf(last) } } };
}

/** What stays in the config centre: other rules are there for a while only. */
function publishes(what: StepPlan["what"], key: string): boolean {
  if (what.kind === "publish" || what.kind === "rollout") return what.key === key;
  return what.kind === "fault" && stays(what.fault) && "key" in what.fault && what.fault.key === key;
}

/** What it publishes is there for good, whoever hears of it when. */
const stays = ({ kind }: FaultSpec): boolean => kind === "half-pushed-rule" || kind === "out-of-order-rule";

function contentOf({ what }: StepPlan): string | undefined {
  if (what.kind === "publish" || what.kind === "rollout") return what.content;
  return what.kind === "fault" && "key" in what.fault ? what.fault.content : undefined;
}

interface Context {
  readonly where: string;
  readonly scenario: Scenario;
  readonly nodes: readonly NodePlan[];
  readonly atUs: number;
  readonly loadUs: number;
}

function resolve(step: StepSpec, context: Context): StepPlan["what"] {
  const { where, scenario, atUs, loadUs } = context;
  if ("action" in step) {
    const { action } = step;
    if (action.kind === "publish") return { kind: "publish", key: action.key, content: action.content };
    if (action.kind === "rollout") return rolloutOf(action, context);
    return { kind: action.kind, nodes: nodesOf(action.target, { ...context, where: `${where}.action.target` }) };
  }
  const { fault } = step;
  const forUs = "for" in fault && fault.for !== undefined ? durationUs(fault.for) : undefined;
  if (forUs === 0) {
    throw new ScenarioError(`${where} lasts for no time`, {
      code: "INVALID_SCENARIO",
      hint: "a fault without `for` lasts until the load ends",
      path: [...where.split("."), "fault", "for"],
    });
  }
  if (forUs !== undefined && atUs + forUs > loadUs) {
    throw tooLate(`${where} lasts until ${formatDuration(atUs + forUs)}`, {
      loadUs,
      path: [...where.split("."), "fault", "for"],
    });
  }
  const sessionTimeoutUs = durationUs(scenario.registry?.sessionTimeout ?? "6s");
  checkNumbers(fault, { where, forUs, leftUs: loadUs - atUs, sessionTimeoutUs });
  const atTarget = { ...context, where: `${where}.fault.target` };
  const nodes = "target" in fault ? nodesOf(fault.target, atTarget) : [];
  checkTarget(fault, nodes, context);
  const links = "link" in fault ? linksOf(fault.link, context) : othersOf(fault, nodes, context);
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

function tooLate(
  what: string,
  { loadUs, path }: { readonly loadUs: number; readonly path: readonly PropertyKey[] },
): ScenarioError {
  return new ScenarioError(`${what}, but the load ends after ${formatDuration(loadUs)}`, {
    code: "INVALID_SCENARIO",
    hint: "make the load longer; a fault without `for` lasts until its end",
    path,
  });
}

/**
 * "orders" is every instance of it; "orders/1" and "registry" are one node. "database" is PostgreSQL where the bank's rows are there, and
 * else those who have them on their own disks: the row store lives and dies with its node.
 */
function nodesOf(target: string, { where, nodes }: Context): readonly string[] {
  const found = nodes.filter(({ id, service }) => id === target || service === target).map(({ id }) => id);
  if (found.length > 0) return found;
  const stores = nodes.filter(({ program }) => program === "account" || program === "stock").map(({ id }) => id);
  if (target === "database" && stores.length > 0) return stores;
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
  const where = `${context.where}.fault.link`;
  if (link.to === "database" && !context.nodes.some(({ program }) => program === "database")) {
    throw new ScenarioError(`${where}.to: nobody has a link to a database, rows are on the nodes' own disks`, {
      code: "UNSUPPORTED",
      hint: "--world docker --coordinator seata has a PostgreSQL",
    });
  }
  const endOf = (target: string, end: "from" | "to"): readonly string[] =>
    nodesOf(target, { ...context, where: `${where}.${end}` });
  const to = endOf(link.to, "to");
  const from = link.from === undefined ? context.nodes.map(({ id }) => id) : endOf(link.from, "from");
  const links = from.flatMap((caller) =>
    to.filter((callee) => connects(caller, callee, context)).map((callee) => ({ from: caller, to: callee })),
  );
  if (links.length > 0) return links;
  const isReversed =
    link.from !== undefined && to.some((caller) => from.some((callee) => connects(caller, callee, context)));
  throw new ScenarioError(
    `${where}: ${link.from ?? "nobody"} ${link.from === undefined ? "calls" : "never calls"} ${link.to}`,
    {
      code: "INVALID_SCENARIO",
      hint: isReversed ? `a link goes from the caller: from "${link.to}" to "${link.from}"` : undefined,
    },
  );
}

/** Whom a fault that is about a service, or about a registration, can be aimed at. */
function checkTarget(fault: FaultSpec, targets: readonly string[], { where, scenario, nodes }: Context): void {
  const wrong = (message: string, hint: string): ScenarioError =>
    new ScenarioError(`${where}.fault.target: ${message}`, { code: "INVALID_SCENARIO", hint });
  const programOf = (id: string): string | undefined => nodes.find((node) => node.id === id)?.program;
  if ("service" in fault) {
    const callers = Object.keys(scenario.fleet).filter((name) =>
      calleesOf(scenario.fleet[name]!).includes(fault.service),
    );
    known(`${where}.fault.service`, fault.service, Object.keys(scenario.fleet), "service of the fleet");
    const stranger = targets.find((id) => !callers.includes(serviceOf(id)));
    if (stranger !== undefined)
      throw wrong(
        `${stranger} doesn't call ${fault.service}, and isn't told of it`,
        `${fault.service} is called by ${callers.join(", ")}`,
      );
    if (fault.kind === "diverging-views" && targets.length < 2)
      throw wrong("a single client's view differs from nobody's", "aim at a service with two instances or more");
  }
  if (fault.kind === "session-expiry") {
    const stranger = targets.find((id) => programOf(id) === "registry" || programOf(id) === "config-center");
    if (stranger !== undefined) throw wrong(`${stranger} has no session`, "aim at those who register or look up");
  }
  if (
    fault.kind === "zombie" ||
    fault.kind === "flapping-registration" ||
    fault.kind === "half-dead" ||
    fault.kind === "resurrected-ephemeral"
  ) {
    const stranger = targets.find((id) => programOf(id) !== "provider");
    if (stranger !== undefined)
      throw wrong(`"${fault.kind}" is for providers, and ${stranger} is none`, "aim at the instances of a service");
  }
}

/** `half-pushed-rule`: the ways to the config centre of those whom it must not reach. */
function othersOf(fault: FaultSpec, targets: readonly string[], context: Context): readonly LinkPlan[] {
  if (fault.kind !== "half-pushed-rule") return [];
  const callers = context.nodes.map(({ id }) => id).filter((id) => connects(id, configCenter, context));
  const others = callers.filter((id) => !targets.includes(id));
  const deaf = targets.find((id) => !callers.includes(id));
  if (deaf === undefined && others.length > 0) return others.map((from) => ({ from, to: configCenter }));
  throw new ScenarioError(
    deaf === undefined
      ? `${context.where}.fault.target: it reaches all of ${callers.join(", ")}, and so nobody is left out`
      : `${context.where}.fault.target: ${deaf} calls nobody, and hears of no rule`,
    { code: "INVALID_SCENARIO", hint: `aim at some of ${callers.join(", ")}` },
  );
}

const configCenter = "config-center/0";

/** Every pair that connects to or from these nodes. */
function cablesOf(ends: readonly string[], context: Context): readonly LinkPlan[] {
  const ids = context.nodes.map(({ id }) => id);
  return ids.flatMap((from) =>
    ids
      .filter((to) => (ends.includes(from) || ends.includes(to)) && connects(from, to, context))
      .map((to) => ({ from, to })),
  );
}

/**
 * Everybody of the fleet talks to the registry, every caller to the config centre, the bank to the coordinator, and services as the
 * scenario says.
 */
function connects(from: string, to: string, { scenario }: Context): boolean {
  const caller = scenario.fleet[serviceOf(from)];
  if (caller === undefined) return false;
  const callee = serviceOf(to);
  if (callee === "registry") return true;
  if (callee === "config-center") return calleesOf(caller).length > 0;
  if (callee === "coordinator") return isOfBank(caller);
  if (callee === "database") return caller.program === "account" || caller.program === "stock";
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
function checkStates(steps: readonly StepPlan[], pathOf: (step: StepPlan) => readonly PropertyKey[]): void {
  const known: States = { states: new Map(), slowUntil: new Map() };
  for (const step of steps) inPart(pathOf(step), () => checkState(step, known));
}

interface States {
  readonly states: Map<string, State>;
  readonly slowUntil: Map<string, number>;
}

function checkState({ atUs, what }: StepPlan, { states, slowUntil }: States): void {
  if (what.kind === "publish" || what.kind === "rollout") return;
  const teller = what.kind === "fault" ? tellerOf(what.fault) : undefined;
  const told = teller === undefined ? undefined : states.get(teller);
  if (told !== undefined && told.untilUs > atUs && what.kind === "fault") {
    throw contradiction(`${what.fault.kind} at ${formatDuration(atUs)} needs ${teller}`, told);
  }
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
    if (kind === "resurrected-ephemeral") {
      if (current?.is === "killed" || current?.is === "stopped") continue;
      throw new ScenarioError(`${kind} ${node} at ${formatDuration(atUs)}: it is alive then`, {
        code: "INVALID_SCENARIO",
        hint: "kill or stop it before: only who has gone can come back from the dead",
      });
    }
    if (current !== undefined) throw contradiction(`${kind} ${node} at ${formatDuration(atUs)}`, current);
    if (kind === "slow") {
      if ((slowUntil.get(node) ?? 0) > atUs) {
        throw new ScenarioError(`slow ${node} at ${formatDuration(atUs)}: it is slow then already`, {
          code: "INVALID_SCENARIO",
          hint: "move one of the two steps",
        });
      }
      slowUntil.set(node, untilUs);
      continue;
    }
    if (what.kind === "fault" && isDeath(what.fault.kind)) states.set(node, { is: "killed", sinceUs: atUs, untilUs });
    if (kind === "pause") states.set(node, { is: "paused", sinceUs: atUs, untilUs });
    if (kind === "disconnect") states.set(node, { is: "disconnected", sinceUs: atUs, untilUs });
    if (kind === "stop") states.set(node, { is: "stopped", sinceUs: atUs, untilUs });
  }
}

/** Who has to be there for a fault that is about what others are told. */
function tellerOf(fault: FaultSpec): string | undefined {
  if ("key" in fault) return configCenter;
  const isOfRegistry = "service" in fault || fault.kind === "session-expiry" || fault.kind === "resurrected-ephemeral";
  return isOfRegistry ? "registry/0" : undefined;
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
