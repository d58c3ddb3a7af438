import {
  escape,
  formatUrl,
  instanceParameters,
  isOurs,
  parseUrl,
  providerOf,
  unescape,
  type Provider,
} from "../../discovery/dubbo.ts";
import { protocolOf } from "../../protocols/names.ts";
import type { Instance } from "../../ports/registry.ts";

/**
 * Dubbo's older way to register, which dubbo-go calls interface level: one ephemeral node per provider and interface, whose name
 * is the provider's URL: /dubbo/<interface>/providers/<escaped URL>. A service of ours is a `group` of the interface.
 */
export const providersPath = (interfaceName: string): string => `/dubbo/${interfaceName}/providers`;
export const consumersPath = (interfaceName: string): string => `/dubbo/${interfaceName}/consumers`;

/** The node's name for an instance. */
export function providerNode(instance: Instance, interfaceName: string, timestampMs: number): string {
  const { address, service } = instance;
  const parameters = new Map([
    ["application", service],
    ["group", service],
    ["interface", interfaceName],
    ["side", "provider"],
    ...instanceParameters(instance, timestampMs),
  ]);
  return escape(formatUrl({ protocol: protocolOf(instance), address, path: interfaceName, parameters }));
}

export interface ReadOptions {
  readonly interfaceName: string;
  readonly service: string;
  /** Whether a provider that belongs to no group serves every service. */
  readonly acceptsAnyGroup: boolean;
}

/** The provider behind a node's name; undefined when it serves another interface or service, another protocol, or is garbage. */
export function providerOfNode(name: string, options: ReadOptions): Provider | undefined {
  const { interfaceName, service, acceptsAnyGroup } = options;
  const url = parseUrl(unescape(name));
  // Others may mean something else by a name of ours.
  if (url === undefined || (url.protocol !== "tri" && !isOurs(url.parameters))) return undefined;
  const { parameters, path, address } = url;
  if ((parameters.get("interface") ?? path) !== interfaceName) return undefined;
  if (parameters.get("enabled") === "false" || (parameters.get("category") ?? "providers") !== "providers") {
    return undefined;
  }
  const group = parameters.get("group") ?? "";
  const isOfService = group === service || (!isOurs(parameters) && parameters.get("application") === service);
  if (!isOfService && !(acceptsAnyGroup && group === "")) return undefined;
  return providerOf(address, service, parameters);
}

export interface Consumer {
  readonly host: string;
  readonly application: string;
  readonly service: string;
  readonly timestampMs: number;
}

/** The node's name for a consumer: nobody needs it to call, consoles show it. */
export function consumerNode({ host, application, service, timestampMs }: Consumer, interfaceName: string): string {
  const parameters = new Map([
    ["application", application],
    ["category", "consumers"],
    ["check", "false"],
    ["group", service],
    ["interface", interfaceName],
    ["protocol", "tri"],
    ["side", "consumer"],
    ["timestamp", String(timestampMs)],
  ]);
  return escape(formatUrl({ protocol: "consumer", address: host, path: interfaceName, parameters }));
}
