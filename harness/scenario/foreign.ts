import { didYouMean } from "../../services/nearest.ts";
import { faults } from "../faults/table.ts";
import { durationUs } from "./durations.ts";
import { ScenarioError } from "./error.ts";
import type { ForeignPlan, LoadName, NodePlan, RegistryName, StepPlan, WorldName } from "./plan.ts";
import type { FaultSpec, FleetSpec, ForeignProgram, ForeignSpec, Scenario } from "./schema.ts";

/**
 * What `${name}` stands for in the command and environment of a foreign program; a world fills it in. A collector or a config
 * centre that isn't there is an empty text.
 */
export const placeholders = {
  registry: 'the registry\'s URL: "zookeeper://10.1.2.3:2181", "nacos://10.1.2.3:8848?namespace=run-1"',
  registryAddress: 'the same as "host:port"',
  configCenter: "the config centre's URL",
  otlp: 'where traces go, OTLP over HTTP: "host:port"',
  ip: "the address to listen at and to register",
  port: "the port to listen at and to register",
  node: 'its name: "orders/0"',
  service: 'the service that it provides, or whose instance it is: "orders"',
  index: "its number in the service, from 0 on",
  calls: "the service that it calls",
  providers:
    'the instances of the service that it calls, with their addresses: "orders/0=10.1.2.3:9000,orders/1=10.1.2.4:9000"',
  tag: "its tag",
  weight: "its weight",
} as const;

export type Placeholder = keyof typeof placeholders;

const defaultReadyWithinUs = 60_000_000;
const defaultStopWithinUs = 15_000_000;

/** A foreign program as the plan has it. Throws UNKNOWN_NAME for a placeholder that no world fills in. */
export function planForeign(
  where: string,
  { image, command, environment = {}, ready, stopWithin }: ForeignProgram,
  role: ForeignSpec["role"],
): ForeignPlan {
  if (image === undefined && command === undefined) {
    throw new ScenarioError(`${where}: neither an image nor a command says what to run`, {
      code: "INVALID_SCENARIO",
      hint: `foreign({ image: "registry.example/shop:1", … }), or command: ["bin/shop"] for a file of this project`,
    });
  }
  for (const [index, text] of (command ?? []).entries()) checkPlaceholders(`${where}.command.${index}`, text);
  for (const [name, text] of Object.entries(environment)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new ScenarioError(`${where}.environment: "${name}" is no variable's name`, {
        code: "INVALID_SCENARIO",
        hint: "letters, digits and _, no digit first",
      });
    }
    checkPlaceholders(`${where}.environment.${name}`, text);
  }
  return {
    image,
    command,
    environment,
    readyLine: ready?.line ?? (role === "consumer" ? "ready" : undefined),
    readyWithinUs: ready?.within === undefined ? defaultReadyWithinUs : durationUs(ready.within),
    stopWithinUs: stopWithin === undefined ? defaultStopWithinUs : durationUs(stopWithin),
  };
}

/** The text with every placeholder filled in. */
export function filledIn(text: string, values: Readonly<Record<Placeholder, string>>): string {
  return text.replaceAll(placeholder, (_, name: Placeholder) => values[name]);
}

const placeholder = /\$\{([^}]*)\}/g;

function checkPlaceholders(where: string, text: string): void {
  const names = Object.keys(placeholders);
  for (const [, name = ""] of text.matchAll(placeholder)) {
    if (names.includes(name)) continue;
    throw new ScenarioError(`${where}: there is no placeholder \${${name}}; there is ${names.join(", ")}`, {
      code: "UNKNOWN_NAME",
      hint: didYouMean(name, names),
    });
  }
}

/** What serves as registry where nobody says: foreign programs can't speak the embedded one's protocol. */
export function registryOf(scenario: Scenario, world: WorldName, asked: RegistryName | undefined): RegistryName {
  const named = asked ?? scenario.registry?.like;
  if (named !== undefined) return named;
  return world === "docker" && hasForeign(scenario) ? "zookeeper" : "embedded";
}

/** Throws UNSUPPORTED for what can't be done with the foreign nodes of a plan. */
export function checkForeign(
  nodes: readonly NodePlan[],
  {
    world,
    registry,
    load,
    timeline,
  }: {
    readonly world: WorldName;
    readonly registry: RegistryName;
    readonly load: LoadName;
    readonly timeline: readonly StepPlan[];
  },
): void {
  const ids = new Set(nodes.filter(({ foreign }) => foreign !== undefined).map(({ id }) => id));
  const [first] = ids;
  if (first === undefined) return;
  if (world !== "docker") {
    throw unsupported(`world ${world} can't run ${first}: it isn't a program of Flyball's`, "--world docker runs it");
  }
  if (registry === "embedded") {
    throw unsupported(
      `${first} isn't a program of Flyball's, and can't join the embedded registry`,
      "--registry zookeeper or --registry nacos",
    );
  }
  const caller = nodes.find(({ id, program }) => ids.has(id) && program === "consumer");
  if (load !== "builtin" && caller !== undefined) {
    throw unsupported(`"--load ${load}" can't drive ${caller.id}: it isn't a program of Flyball's`, "--load builtin");
  }
  for (const { what } of timeline) {
    if (what.kind !== "fault") continue;
    const { kind } = what.fault;
    const told = needsToldNodes(kind) ? what.nodes.find((node) => ids.has(node)) : undefined;
    if (told !== undefined) {
      throw unsupported(
        `"${kind}" can't be done to ${told}: it isn't a program of Flyball's, and can't be told`,
        'pause it, or touch its links instead: at("2s").latency(…)',
      );
    }
    const link = what.links.find(({ from, to }) => ids.has(from) && !(to === "registry/0" && registry === "zookeeper"));
    if (link !== undefined) {
      throw unsupported(
        `"${kind}" can't be done to ${link.from} → ${link.to}: ${link.from} isn't a program of Flyball's, and can't be told whom to dial`,
        `of such a node only the link to ZooKeeper can be touched, and those of Flyball's own nodes to it`,
      );
    }
  }
}

/** Faults that a node does to itself. */
const needsToldNodes = (kind: FaultSpec["kind"]): boolean =>
  ["slow", "session-expiry", "zombie", "flapping-registration", "half-dead", "event-loop-block", "slow-cpu"].includes(
    kind,
  ) || faults[kind].shows !== undefined;

/** Whether programs that aren't ours are in its fleet. */
export const hasForeign = ({ fleet }: Scenario): boolean => Object.values(fleet).some(isForeign);

/** Whether a service is such a program, or a group of it is. */
export const isForeign = (spec: FleetSpec): boolean =>
  spec.program === "foreign" ||
  (spec.program === "provider" && spec.groups?.some(({ foreign }) => foreign !== undefined) === true);

const unsupported = (message: string, hint: string): ScenarioError =>
  new ScenarioError(message, { code: "UNSUPPORTED", hint });
