/**
 * What a Dubbo application offers, as it is written down by revision for consumers of application level (storage type "remote"):
 * `{"app": …, "services": {"<key>": {"name": <interface>, "group": …, "protocol": "tri", …}}}`, the same in every registry.
 */

/** The groups in which metadata offers an interface with Triple, "" for none; undefined for what is no metadata. */
export function groupsOf(content: string, interfaceName: string): readonly string[] | undefined {
  const services = record(record(parsed(content))?.["services"]);
  if (services === undefined) return undefined;
  return Object.values(services)
    .map(record)
    .filter((service) => service?.["name"] === interfaceName && (service["protocol"] ?? "tri") === "tri")
    .map((service) => (typeof service?.["group"] === "string" ? service["group"] : ""));
}

/**
 * The group that a call of `service` has to name at an instance whose application offers the interface in `groups`; undefined where
 * it doesn't serve the service. An application of the service's name serves it in any group; another one in no group, or in the
 * service's.
 */
export function servingGroup(groups: readonly string[], isOwn: boolean, service: string): string | undefined {
  if (groups.includes(service)) return service;
  if (groups.includes("")) return "";
  return isOwn ? groups[0] : undefined;
}

/** Undefined for what is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? (value as Record<string, unknown>) : undefined;
}
