import { RpcError } from "../../call/status.ts";
import { checkInstance, instanceParameters, providerOf } from "../../discovery/dubbo.ts";
import { protocolOf } from "../../protocols/names.ts";
import type { Instance } from "../../ports/registry.ts";

/**
 * How an instance looks in Consul: a service of its name with address and port, and Dubbo's parameters as meta data. Meta data have
 * letters, digits, "-" and "_" in their keys only, so every other character, and "_", is written as "_" and its code in four
 * hexadecimal digits: "dubbo.tag" is "dubbo_002etag".
 */

/** Consul's limits, per service. */
const metaMax = 64;
const metaKeyMax = 128;
const metaValueMax = 512;

/** A registration for `PUT /v1/agent/service/register`. Throws INVALID_ARGUMENT for what Consul can't hold. */
export function registrationOf(
  instance: Instance,
  options: {
    readonly prefix: string;
    readonly ttlMs: number;
    readonly owner: string;
    readonly application: string;
    readonly interfaceName: string;
    readonly timestampMs: number;
  },
): unknown {
  checkInstance(instance);
  const { prefix, ttlMs, owner, application, interfaceName, timestampMs } = options;
  const parameters = [
    ["protocol", protocolOf(instance)],
    ["interface", interfaceName],
    ["group", instance.service],
    ["application", application],
    [ownerKey, owner],
    ...instanceParameters(instance, timestampMs),
  ] as const;
  const meta = Object.fromEntries(parameters.map(([key, value]) => [escapeKey(key), value]));
  const entries = Object.entries(meta);
  if (entries.length > metaMax) throw tooMuch(`${entries.length} entries, and Consul holds ${metaMax}`);
  for (const [key, value] of entries) {
    if (key.length > metaKeyMax) throw tooMuch(`a key of ${key.length} characters, and Consul holds ${metaKeyMax}`);
    // Consul counts bytes.
    const size = Buffer.byteLength(value);
    if (size > metaValueMax) throw tooMuch(`${size} bytes in "${unescapeKey(key)}", and Consul holds ${metaValueMax}`);
  }
  const colon = instance.address.lastIndexOf(":");
  const id = consulId(prefix, instance);
  return {
    ID: id,
    Name: prefix + instance.service,
    Address: instance.address.slice(0, colon),
    Port: Number(instance.address.slice(colon + 1)),
    Meta: meta,
    // For those who balance by Consul's own weights, which begin at 1.
    Weights: { Passing: Math.min(65_535, Math.max(1, instance.weight)), Warning: 1 },
    Check: {
      CheckID: checkIdOf(id),
      TTL: `${ttlMs}ms`,
      Status: "passing",
      // The shortest that Consul allows.
      DeregisterCriticalServiceAfter: "1m",
    },
  };
}

/** Whose registration it is: a client that was thought dead must not take out its successor's. */
const ownerKey = "flyball.owner";

/** Unique at the agent; an instance's id is so within its service only. */
export const consulId = (prefix: string, { service, id }: Pick<Instance, "service" | "id">): string =>
  `${prefix}${service}:${id}`;

export const checkIdOf = (consulId: string): string => `service:${consulId}`;

/** One entry of `/v1/health/service/:name`. */
export interface HealthEntry {
  readonly instance: Instance;
  readonly isPassing: boolean;
}

/** What a health query answered; what can't be an instance is left out. Throws UNAVAILABLE for what can't be an answer. */
export function healthEntriesOf(service: string, answer: unknown): readonly HealthEntry[] {
  if (!Array.isArray(answer)) {
    throw new RpcError("Consul answers no list", {
      code: "UNAVAILABLE",
      hint: "is it really Consul that listens there?",
    });
  }
  return answer.flatMap((entry: unknown) => {
    const { Service, Node, Checks } = (entry ?? {}) as RawEntry;
    const host = textOf(Service?.Address) || textOf(Node?.Address);
    const parameters = new Map<string, string>();
    for (const [key, value] of Object.entries(Service?.Meta ?? {})) {
      if (typeof value === "string" && unescapeKey(key) !== ownerKey) parameters.set(unescapeKey(key), value);
    }
    const provider = providerOf(`${host}:${String(Service?.Port)}`, service, parameters);
    if (provider === undefined) return [];
    const isPassing =
      Array.isArray(Checks) &&
      (Checks as NonNullable<RawEntry["Checks"]>).every((check) => check?.Status === "passing");
    return [{ instance: provider.instance, isPassing }];
  });
}

/** Whether the agent's own entry, from `/v1/agent/service/:id`, is `owner`'s. */
export function isOwnedBy(owner: string, answer: unknown): boolean {
  return ((answer ?? {}) as { readonly Meta?: Record<string, unknown> }).Meta?.[escapeKey(ownerKey)] === owner;
}

interface RawEntry {
  readonly Service?: { readonly Address?: unknown; readonly Port?: unknown; readonly Meta?: Record<string, unknown> };
  readonly Node?: { readonly Address?: unknown };
  readonly Checks?: readonly ({ readonly Status?: unknown } | null)[];
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

export const escapeKey = (key: string): string =>
  key.replaceAll(/[^A-Za-z0-9-]/g, (unit) => `_${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Others write "_" as it is. */
export const unescapeKey = (key: string): string =>
  key.replaceAll(/_([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)));

const tooMuch = (what: string): RpcError =>
  new RpcError(`an instance's labels are too much for Consul: ${what}`, {
    code: "INVALID_ARGUMENT",
    hint: "give it fewer or shorter labels",
  });
