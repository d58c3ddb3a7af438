import { parse as parseYaml } from "yaml";
import { z } from "zod";

import { isHostAndPort } from "../../runtime/discovery/dubbo.ts";
import { endpointOf, type Endpoint } from "../../runtime/discovery/endpoint.ts";
import type { Instance } from "../../runtime/ports/registry.ts";
import { PreflightError } from "./error.ts";

/** Who is there: what rules are held against. */
export interface Fleet {
  readonly services: readonly FleetService[];
  /** Those that call; undefined: nobody said, and any caller is possible. */
  readonly callers: readonly Caller[] | undefined;
}

export interface FleetService {
  /** "orders": its name, and its providers' application. */
  readonly name: string;
  readonly interfaceName: string;
  readonly version: string;
  readonly group: string;
  readonly endpoints: readonly Endpoint[];
}

export interface Caller {
  readonly application: string;
  readonly host?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** The interface in whose name Flyball's services are registered. */
export const flyballInterface = "flyball.worker.v1.Worker";

const labels = z.record(z.string(), z.coerce.string());
const instance = z.strictObject({
  id: z.string().min(1).optional(),
  address: z.string().refine(isHostAndPort, { error: 'an address such as "10.0.0.1:20880"' }),
  weight: z.int().min(0).max(1_000_000).optional(),
  tag: z.string().optional(),
  labels: labels.optional(),
  metadata: labels.optional(),
});
const service = z.strictObject({
  interface: z.string().min(1).optional(),
  version: z.string().optional(),
  group: z.string().optional(),
  instances: z.array(instance),
});
const caller = z.strictObject({ host: z.string().optional(), labels: labels.optional() });
const schema = z.union([
  z.array(instance.extend({ service: z.string().min(1) })),
  z.strictObject({ services: z.record(z.string().min(1), service), callers: z.record(z.string(), caller).optional() }),
]);

/**
 * Reads a fleet from YAML or JSON: a list of instances that each name their `service`, or
 * `{ services: { orders: { interface, version, group, instances: [ … ] } }, callers: { storefront: { host, labels } } }`. Throws a
 * `PreflightError` INVALID_INSTANCES that names the key that is wrong.
 */
export function readFleet(source: string, content: string): Fleet {
  const wrong = (message: string, cause?: unknown): PreflightError =>
    new PreflightError(`${source}: ${message}`, {
      code: "INVALID_INSTANCES",
      hint: "services: { orders: { instances: [ { address: 10.0.0.1:20880, labels: { zone: a } } ] } }",
      cause,
    });
  let value: unknown;
  try {
    // JSON is YAML, and read as JSON in a fraction of the time.
    value = /^\s*[[{]/.test(content) ? jsonOrYaml(content) : yaml(content);
  } catch (error) {
    throw wrong(`neither YAML nor JSON: ${(error as Error).message.split("\n")[0]}`, error);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw wrong(problemOf(parsed.error, value), parsed.error);
  if (Array.isArray(parsed.data)) {
    const names = [...new Set(parsed.data.map((one) => one.service))];
    const all = parsed.data;
    return {
      services: names.map((name) =>
        fleetService(
          name,
          {},
          all.filter((one) => one.service === name),
        ),
      ),
      callers: undefined,
    };
  }
  const { services, callers } = parsed.data;
  return {
    services: Object.entries(services).map(([name, { instances, ...rest }]) => fleetService(name, rest, instances)),
    callers:
      callers &&
      Object.entries(callers).map(([application, { host, labels: own = {} }]) => ({ application, host, labels: own })),
  };
}

const yaml = (content: string): unknown => parseYaml(content, { maxAliasCount: 100, logLevel: "error" });

function jsonOrYaml(content: string): unknown {
  try {
    return JSON.parse(content) as unknown;
  } catch {
    return yaml(content);
  }
}

function problemOf(error: z.ZodError, value: unknown): string {
  let issues = error.issues;
  // Of the two shapes the one that was meant.
  while (issues.length === 1 && issues[0]!.code === "invalid_union") {
    const [list, map] = issues[0]!.errors;
    issues = (Array.isArray(value) ? list : map) ?? [];
  }
  const [first] = issues;
  if (first === undefined) return "it lists no instances";
  return `${first.path.length === 0 ? "the file" : first.path.join(".")}: ${first.message}`;
}

type InstanceInput = z.infer<typeof instance>;

function fleetService(
  name: string,
  about: {
    readonly interface?: string | undefined;
    readonly version?: string | undefined;
    readonly group?: string | undefined;
  },
  instances: readonly InstanceInput[],
): FleetService {
  return serviceOf(
    {
      name,
      interfaceName: about.interface ?? flyballInterface,
      version: about.version ?? "",
      group: about.group ?? (about.interface === undefined ? name : ""),
    },
    instances.map(({ id, address, weight = 100, tag, labels: own, metadata }) => ({
      id: id ?? address,
      service: name,
      address,
      weight,
      metadata: { ...metadata, ...own, ...(tag !== undefined && { "dubbo.tag": tag }) },
    })),
  );
}

export function serviceOf(about: Omit<FleetService, "endpoints">, instances: readonly Instance[]): FleetService {
  return { ...about, endpoints: instances.map((one) => endpointOf(one)) };
}
