import { balancerNamed, balancers } from "../../runtime/balancing/table.ts";
import { rpcCodes } from "../../runtime/call/status.ts";
import { contradictionIn } from "../../runtime/cluster/settings.ts";
import { clusters } from "../../runtime/cluster/table.ts";
import type { Distribution as WorkDistribution } from "../../services/distribution.ts";
import { didYouMean } from "../../services/nearest.ts";
import { propagationMsOf } from "../../services/offer.ts";
import { durationUs, fractionOf } from "./durations.ts";
import { callSpecsOf, calleesOf } from "./calls.ts";
import { ScenarioError } from "./error.ts";
import { planForeign } from "./foreign.ts";
import type { CoordinatorName, LoadName, NodePlan, RegistryName } from "./plan.ts";
import { asSettings, inMs } from "./protection.ts";
import { registryTimings } from "./registry.ts";
import { checkSecurity, credentialSettings, guardSettings } from "./guards.ts";
import { clusterSettingsOf } from "./retries.ts";
import type {
  CallsSpec,
  ConsumerSpec,
  Distribution,
  FleetSpec,
  ForeignSpec,
  GatewaySpec,
  OrderSpec,
  ProviderSpec,
  ReservingSpec,
  Scenario,
} from "./schema.ts";

/** The weight of an instance that states none: Dubbo's. */
const defaultWeight = 100;

/**
 * Every node of a scenario: the infrastructure first, then the fleet as it is written. Whoever makes calls is a gateway where they
 * come from outside.
 */
export function planNodes(
  scenario: Scenario,
  {
    registry,
    coordinator = "embedded",
    load = "builtin",
    directory,
  }: {
    readonly registry: RegistryName;
    readonly coordinator?: CoordinatorName | undefined;
    readonly load?: LoadName | undefined;
    /** Where the scenario's file is; see `PlanOptions`. */
    readonly directory?: string | undefined;
  },
): readonly NodePlan[] {
  checkCalls(scenario);
  const { sessionTimeout, tick } = scenario.registry ?? {};
  const timing = registryTimings[registry];
  const sessionTimeoutMs = sessionTimeout === undefined ? timing?.sessionTimeoutMs : durationUs(sessionTimeout) / 1000;
  const tickMs = tick === undefined ? timing?.tickMs : durationUs(tick) / 1000;
  const fleet = Object.entries(scenario.fleet).flatMap(([service, spec]) =>
    nodesOf(service, spec, {
      ...{ sessionTimeoutMs, registry, load, directory, recordsTasks: scenario.tasks === true, fleet: scenario.fleet },
    }),
  );
  return [
    infrastructure("registry", defined({ tickMs, mergeMs: timing?.mergeMs })),
    ...(needsConfigCenter(scenario) ? [infrastructure("config-center", {})] : []),
    ...(hasBank(scenario) ? [infrastructure("coordinator", asSettings(scenario.coordinator ?? {}))] : []),
    ...(hasBank(scenario) && coordinator === "seata" && isAimedAt("database", scenario)
      ? [infrastructure("database", {})]
      : []),
    ...fleet,
  ];
}

/** What the nodes of a service are, whoever wrote them. */
export function roleOf(spec: FleetSpec): "provider" | "consumer" {
  switch (spec.program) {
    case "foreign":
      return spec.role;
    case "provider":
    case "order":
    case "account":
    case "stock":
      return "provider";
    case "consumer":
    case "gateway":
      return "consumer";
  }
}

function infrastructure(
  program: "registry" | "config-center" | "coordinator" | "database",
  config: NodePlan["config"],
): NodePlan {
  return { id: `${program}/0`, service: program, program, config, tag: undefined, weight: defaultWeight };
}

/** There is a config centre where there are rules, or where something happens to it. */
function needsConfigCenter(scenario: Scenario): boolean {
  const isOfRules = (step: Scenario["timeline"][number]): boolean =>
    "action" in step ? step.action.kind === "publish" || step.action.kind === "rollout" : "key" in step.fault;
  return (
    Object.keys(scenario.rules ?? {}).length > 0 ||
    scenario.timeline.some(isOfRules) ||
    isAimedAt("config-center", scenario)
  );
}

/** Whether something happens to this part of the infrastructure, or on the way to it. */
function isAimedAt(name: string, { timeline }: Scenario): boolean {
  const isIt = (target: string | undefined): boolean => target?.split("/")[0] === name;
  return timeline.some((step) => {
    if ("action" in step) return "target" in step.action && isIt(step.action.target);
    return "link" in step.fault ? isIt(step.fault.link.to) : "target" in step.fault && isIt(step.fault.target);
  });
}

function nodesOf(
  service: string,
  spec: FleetSpec,
  {
    sessionTimeoutMs,
    registry,
    load,
    directory,
    recordsTasks,
    fleet,
  }: {
    readonly directory: string | undefined;
    readonly sessionTimeoutMs: number | undefined;
    readonly registry: RegistryName;
    readonly load: LoadName;
    readonly recordsTasks: boolean;
    readonly fleet: Scenario["fleet"];
  },
): readonly NodePlan[] {
  const propagationMs = registry === "embedded" ? undefined : propagationMsOf(registry);
  switch (spec.program) {
    case "provider":
      return providers(service, spec, { sessionTimeoutMs, propagationMs, recordsTasks, directory });
    case "consumer":
    case "gateway":
      return consumers(service, spec, { sessionTimeoutMs, program: load === "k6" ? "gateway" : spec.program });
    case "foreign":
      return foreigners(service, spec);
    case "order":
      return orders(service, spec, { sessionTimeoutMs, propagationMs });
    case "account":
    case "stock":
      return [reservingNode(service, spec, { sessionTimeoutMs, propagationMs, fleet })];
  }
}

function providers(
  service: string,
  spec: ProviderSpec,
  {
    sessionTimeoutMs,
    propagationMs,
    recordsTasks,
    directory,
  }: OfferTimes & { readonly recordsTasks: boolean; readonly directory: string | undefined },
): readonly NodePlan[] {
  const { instances, groups = [{ instances: instances ?? 1 }], ...common } = spec;
  const each = groups.flatMap(({ instances: count, ...own }) => Array.from({ length: count }, () => own));
  if (instances !== undefined && instances !== each.length) {
    throw new ScenarioError(`fleet.${service}: ${instances} instances, but its groups have ${each.length}`, {
      code: "INVALID_SCENARIO",
      hint: "leave out `instances` where there are groups",
    });
  }
  return each.map(({ foreign, ...own }, index): NodePlan => {
    const id = `${service}/${index}`;
    const module = { ...common, ...own }.own;
    if (foreign !== undefined) {
      if (module !== undefined) {
        throw new ScenarioError(`fleet.${service}: ${id} is a foreign program and a module of your own at once`, {
          code: "INVALID_SCENARIO",
          hint: "give `own` to the other groups",
        });
      }
      if (own.labels !== undefined) {
        throw new ScenarioError(
          `fleet.${service}.groups: ${id} isn't a program of Flyball's, and can't be told labels`,
          {
            code: "INVALID_SCENARIO",
            hint: "tell it in its own way, through its environment",
          },
        );
      }
      if (common.guard ?? own.guard) {
        throw new ScenarioError(
          `fleet.${service}: ${id} isn't a program of Flyball's, and can't be told whom to let in`,
          {
            code: "INVALID_SCENARIO",
            hint: "give the guard to the groups that are Flyball's own",
          },
        );
      }
      const { tag, weight = defaultWeight } = { ...common, ...own };
      const plan = planForeign(`fleet.${service}.groups: the foreign program of ${id}`, foreign, "provider");
      return { id, service, program: "provider", config: {}, tag, weight, foreign: plan };
    }
    const {
      tag,
      weight = defaultWeight,
      serviceTime,
      contention,
      errorRate,
      capacity,
      queueMax,
      calls,
    } = { ...common, ...own };
    const { admission, queue, warmup, protocol, pushback, servesAbandoned, reportsLoad, guard } = { ...common, ...own };
    const labels = { ...common.labels, ...own.labels };
    if (module === undefined && common.alsoCalls !== undefined) {
      throw new ScenarioError(`fleet.${service}: ${id} has no module of your own that could call several services`, {
        code: "INVALID_SCENARIO",
        hint: "name the one that it calls in `calls`",
      });
    }
    if (module !== undefined && (serviceTime !== undefined || contention !== undefined)) {
      throw new ScenarioError(`fleet.${service}: the work of ${id} takes as long as ${module.file} takes`, {
        code: "INVALID_SCENARIO",
        hint: `leave out \`${serviceTime === undefined ? "contention" : "serviceTime"}\`, and let it await work(us)`,
      });
    }
    const config = defined({
      service,
      application: service,
      protocol,
      weight,
      warmUpMs: warmup === undefined ? undefined : durationUs(warmup) / 1000,
      metadata: tag === undefined ? labels : { ...labels, "dubbo.tag": tag },
      serviceTime: serviceTime === undefined ? undefined : workDistribution(serviceTime),
      contention: contention === undefined ? undefined : fractionOf(contention),
      errorRate: errorRate === undefined ? undefined : fractionOf(errorRate),
      capacity,
      queueMax,
      queue: queue && asSettings(queue),
      pushbackMs: pushback === undefined ? undefined : pushback === "never" ? -1 : durationUs(pushback) / 1000,
      servesAbandoned,
      reportsLoad,
      admission: admission && asSettings(admission),
      guard: guard && guardSettings(service, guard),
      own: module && defined({ ...module, file: pathOf(module.file, directory) }),
      recordsTasks: recordsTasks ? true : undefined,
      calls: calls === undefined ? undefined : callSettings(service, calls),
      alsoCalls: common.alsoCalls?.map((each) => callSettings(service, each)),
      sessionTimeoutMs,
      propagationMs,
    });
    return { id, service, program: "provider", config, tag, weight };
  });
}

/** A file that is named from where the scenario's own is. */
function pathOf(file: string, directory: string | undefined): string {
  const isWhole = file.startsWith("/") || /^[A-Za-z]:/.test(file);
  return isWhole || directory === undefined ? file : `${directory}/${file.replace(/^(\.\/)+/, "")}`;
}

function consumers(
  service: string,
  spec: ConsumerSpec | GatewaySpec,
  {
    sessionTimeoutMs,
    program,
  }: { readonly sessionTimeoutMs: number | undefined; readonly program: NodePlan["program"] },
): readonly NodePlan[] {
  const { instances, calls, key, tag, patience, labels, metadata } = spec;
  const config = defined({
    application: service,
    calls: callSettings(service, calls),
    key,
    tag,
    patience: patience === undefined ? undefined : workDistribution(patience),
    labels,
    metadata,
    sessionTimeoutMs,
  });
  return Array.from({ length: instances }, (_, index) => ({
    id: `${service}/${index}`,
    service,
    program,
    config,
    tag: undefined,
    weight: defaultWeight,
  }));
}

function foreigners(service: string, spec: ForeignSpec): readonly NodePlan[] {
  const { role, instances = 1, tag, weight = defaultWeight, calls } = spec;
  if (role === "consumer" && calls === undefined) {
    throw new ScenarioError(`fleet.${service}: a consumer calls a service`, {
      code: "INVALID_SCENARIO",
      hint: `calls: { service: "orders" }`,
    });
  }
  const foreign = planForeign(`fleet.${service}`, spec, role);
  const config = calls === undefined ? {} : { calls: callSettings(service, calls) };
  return Array.from({ length: instances }, (_, index) => ({
    id: `${service}/${index}`,
    service,
    program: role,
    config,
    tag,
    weight,
    foreign,
  }));
}

/** What a piece costs where the scenario doesn't say. */
const defaultPrice = 10;

interface OfferTimes {
  readonly sessionTimeoutMs: number | undefined;
  readonly propagationMs: number | undefined;
}

function orders(service: string, spec: OrderSpec, times: OfferTimes): readonly NodePlan[] {
  const { program, instances = 1, account, stock, mode, items, price, timeout, abortRate, looks, instalments } = spec;
  if (looks !== undefined && (mode !== "saga" || looks.partner === true || fractionOf(looks.locking ?? 0) > 0)) {
    requireAt(service, "looks", mode);
  }
  if (instalments !== undefined) requireAt(service, "instalments", mode);
  if ((instalments ?? 1) > (price ?? defaultPrice)) {
    throw new ScenarioError(
      `fleet.${service}.instalments: a price of ${price ?? defaultPrice} can't be paid in ${instalments} parts`,
      { code: "INVALID_SCENARIO", hint: `raise fleet.${service}.price` },
    );
  }
  const config = defined({
    service,
    application: service,
    mode,
    account: callSettings(service, account),
    stock: callSettings(service, stock),
    timeoutMs: timeout === undefined ? undefined : durationUs(timeout) / 1000,
    items,
    price,
    abortRate: abortRate === undefined ? undefined : fractionOf(abortRate),
    looks: looks && defined({ lockingRate: fractionOf(looks.locking ?? 0), partner: looks.partner }),
    instalments,
    ...times,
  });
  return Array.from({ length: instances }, (_, index) => ({
    id: `${service}/${index}`,
    service,
    program,
    config,
    tag: undefined,
    weight: defaultWeight,
  }));
}

/** What concerns the whole bank is said once, of the order that it serves. */
function reservingNode(
  service: string,
  { program, guard, initial, keys, serviceTime, commitTime, counts, outside, kept, clerk }: ReservingSpec,
  { fleet, ...times }: OfferTimes & { readonly fleet: Scenario["fleet"] },
): NodePlan {
  const { mode, items } = orderOf(service, fleet);
  if (clerk !== undefined) requireAt(service, "clerk", mode);
  if (keys !== undefined) requireAt(service, "keys", mode);
  if (outside !== undefined && (mode ?? "tcc") !== "tcc") {
    throw new ScenarioError(`fleet.${service}: outside is for mode "tcc", and the bank has ${mode}`, {
      code: "INVALID_SCENARIO",
      hint: `leave fleet.${service}.outside out`,
    });
  }
  if (counts !== undefined) requireAt(service, "counts", mode);
  if (counts !== undefined && keys === "edition") {
    throw new ScenarioError(`fleet.${service}: who counts first writes into a row, and not a new edition of it`, {
      code: "INVALID_SCENARIO",
      hint: `leave out fleet.${service}.counts or fleet.${service}.keys`,
    });
  }
  if (commitTime !== undefined) requireAt(service, "commitTime", mode);
  const config = defined({
    service,
    application: service,
    guard: guard && guardSettings(service, guard),
    mode,
    items,
    initial,
    keys,
    serviceTime: serviceTime === undefined ? undefined : workDistribution(serviceTime),
    commitTime: commitTime === undefined ? undefined : workDistribution(commitTime),
    outside: outside && { refusalRate: fractionOf(outside.refuses ?? 0) },
    counts: counts && { lockingRate: fractionOf(counts.locking ?? 0) },
    keptRate: kept === undefined ? undefined : fractionOf(kept),
    clerk:
      clerk &&
      defined({
        everyMs: durationUs(clerk.every) / 1000,
        lockingRate: fractionOf(clerk.locking ?? 1),
        among: clerk.among,
      }),
    ...times,
  });
  return { id: `${service}/0`, service, program, config, tag: undefined, weight: defaultWeight };
}

/** Global locks, and what gets past them, are AT's. */
function requireAt(service: string, key: string, mode: OrderSpec["mode"]): void {
  if (mode === "at") return;
  throw new ScenarioError(`fleet.${service}: ${key} is for mode "at", and the bank has ${mode ?? "tcc"}`, {
    code: "INVALID_SCENARIO",
    hint: `bank({ mode: "at", … }), or leave ${key} out`,
  });
}

function orderOf(service: string, fleet: Scenario["fleet"]): OrderSpec {
  const all = Object.values(fleet).filter(
    (spec): spec is OrderSpec => spec.program === "order" && calleesOf(spec).includes(service),
  );
  if (all.length === 1) return all[0]!;
  throw new ScenarioError(
    `fleet.${service}: ${all.length === 0 ? "no order service reserves" : "two order services reserve"} there`,
    {
      code: "INVALID_SCENARIO",
      hint: 'a bank has one order, one account and one stock: fleet: { buyer: consumer({ calls: "order" }), ...bank() }',
    },
  );
}

/** Whether it takes part in distributed transactions. */
export const isOfBank = ({ program }: { readonly program: string }): boolean =>
  program === "order" || program === "account" || program === "stock";

const hasBank = ({ fleet }: Pick<Scenario, "fleet">): boolean => Object.values(fleet).some(isOfBank);

function callSettings(caller: string, calls: CallsSpec): Readonly<Record<string, unknown>> {
  const { methodTimeouts, credentials, ...rest } = calls;
  return defined({
    ...asSettings(rest),
    methodTimeoutsMs: inMs(methodTimeouts),
    credentials: credentials && credentialSettings(caller, credentials),
  });
}

/** A distribution as programs take it. */
export function workDistribution(spec: Distribution): WorkDistribution {
  if (typeof spec === "string") return { kind: "constant", us: durationUs(spec) };
  if ("constant" in spec) return { kind: "constant", us: durationUs(spec.constant) };
  if ("uniform" in spec) {
    return { kind: "uniform", fromUs: durationUs(spec.uniform.from), toUs: durationUs(spec.uniform.to) };
  }
  if ("normal" in spec) {
    return { kind: "normal", meanUs: durationUs(spec.normal.mean), sdUs: durationUs(spec.normal.sd) };
  }
  if ("exponential" in spec) return { kind: "exponential", meanUs: durationUs(spec.exponential.mean) };
  return { kind: "pareto", minUs: durationUs(spec.pareto.min), shape: spec.pareto.shape };
}

/** Whom the fleet calls, and how, must exist; and calls must come to an end. */
function checkCalls(scenario: Scenario): void {
  const { fleet } = scenario;
  const namesOf = (isMeant: (spec: FleetSpec) => boolean): readonly string[] =>
    Object.keys(fleet).filter((name) => isMeant(fleet[name]!));
  const workers = namesOf(
    (spec) => roleOf(spec) === "provider" && spec.program !== "account" && spec.program !== "stock",
  );
  for (const [name, spec] of Object.entries(fleet)) {
    if (isInfrastructureName(name)) {
      throw new ScenarioError(`fleet.${name}: the infrastructure has this name`, { code: "INVALID_SCENARIO" });
    }
    if (spec.program === "order") {
      for (const part of ["account", "stock"] as const) {
        const names = namesOf(({ program }) => program === part);
        known(`fleet.${name}.${part}.service`, spec[part].service, names, `${part} of the fleet`);
        checkSettings(`fleet.${name}.${part}`, spec[part]);
      }
      continue;
    }
    for (const calls of callSpecsOf(spec)) {
      known(`fleet.${name}.calls.service`, calls.service, workers, "provider of the fleet");
      checkSettings(`fleet.${name}.calls`, calls);
    }
  }
  for (const name of Object.keys(fleet)) checkChain(name, fleet);
  checkSecurity(scenario);
}

const isInfrastructureName = (name: string): boolean =>
  name === "registry" || name === "config-center" || name === "coordinator" || name === "database";

function checkSettings(where: string, calls: CallsSpec): void {
  const { balancer, cluster, retryOn = [] } = calls;
  if (balancer !== undefined) known(`${where}.balancer`, balancerNamed(balancer), Object.keys(balancers), "balancer");
  if (cluster !== undefined) known(`${where}.cluster`, cluster, Object.keys(clusters), "cluster strategy");
  const contradiction = contradictionIn(clusterSettingsOf(callSettings(where, calls)));
  if (contradiction !== undefined) {
    const { message, hint } = contradiction;
    throw new ScenarioError(`${where}: ${message}`, { code: "INVALID_SCENARIO", hint });
  }
  for (const code of retryOn) known(`${where}.retryOn`, code, rpcCodes, "status code");
}

function checkChain(from: string, fleet: Scenario["fleet"], chain: readonly string[] = [from]): void {
  for (const next of calleesOf(fleet[chain.at(-1)!]!)) {
    if (chain.includes(next)) {
      throw new ScenarioError(`calls go round in circles: ${[...chain, next].join(" → ")}`, {
        code: "INVALID_SCENARIO",
        hint: "leave out one of them: a call that comes back to its own service never ends",
        path: ["fleet", from, "calls"],
      });
    }
    checkChain(from, fleet, [...chain, next]);
  }
}

/** Throws UNKNOWN_NAME with the nearest name when `name` is none of `names`. */
export function known(where: string, name: string, names: readonly string[], what: string): void {
  if (names.includes(name)) return;
  throw new ScenarioError(`${where}: "${name}" is no ${what}; there is ${names.join(", ") || "none"}`, {
    code: "UNKNOWN_NAME",
    hint: didYouMean(name, names),
  });
}

/** Without the keys that have no value: a configuration is sent as JSON. */
function defined(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}
