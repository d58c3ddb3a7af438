import { argumentOf } from "../call/argument.ts";
import type { Call } from "../call/call.ts";
import type { Values } from "../configuration/expression.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { protocolLabel, protocolOf } from "../protocols/names.ts";
import type { RouteTarget } from "./router.ts";

/** The two sides of a rule, as Dubbo's URLs have them. */

/** What a caller says of itself: its labels, and what Dubbo writes into a consumer's URL. */
export function callerValues({ application, service, interfaceName, version, host, labels }: RouteTarget): Values {
  return (key) => {
    if (Object.hasOwn(labels, key)) return labels[key];
    switch (key) {
      case "application":
        return application;
      case "side":
        return "consumer";
      case "interface":
        return interfaceName;
      case "version":
        return version;
      case "group":
        return service;
      case "host":
        return host;
      default:
        return undefined;
    }
  };
}

/** What an instance says of itself: its labels, where it is, and what Dubbo writes into a provider's URL. */
export function instanceValues(endpoint: Endpoint, { service, interfaceName }: RouteTarget): Values {
  return (key) => instanceValue(endpoint, key, service, interfaceName);
}

export function instanceValue(
  { id, address, weight, metadata }: Endpoint,
  key: string,
  service: string,
  interfaceName: string,
): string | undefined {
  switch (key) {
    case "host":
      return address.slice(0, address.lastIndexOf(":"));
    case "port":
      return address.slice(address.lastIndexOf(":") + 1);
    case "address":
      return address;
  }
  if (Object.hasOwn(metadata, key)) return metadata[key];
  switch (key) {
    case "instance":
      return id;
    case "weight":
      return String(weight);
    case "application":
    case "remote.application":
    case "group":
      return service;
    case "interface":
      return interfaceName;
    case "side":
      return "provider";
    case protocolLabel:
      return protocolOf({ metadata });
    default:
      return undefined;
  }
}

/** Where a left side finds the value of a key: in the call, or undefined for what is the caller's. */
export type CallKey =
  | { readonly of: "method" }
  /** A path of `argumentOf`: "0", or "0.user.id". */
  | { readonly of: "argument"; readonly path: string }
  /** A metadata key; lower-case, as on the wire. */
  | { readonly of: "attachment"; readonly name: string };

export function callKey(key: string): CallKey | undefined {
  if (key === "method" || key === "methods") return { of: "method" };
  const attachment = /^attachments\[([^\]]+)\]$/.exec(key)?.[1];
  if (attachment !== undefined) return { of: "attachment", name: attachment.toLowerCase() };
  const argument = /^arguments\[(\d{1,3})\]((?:\.[^.]+)*)$/.exec(key);
  return argument === null ? undefined : { of: "argument", path: `${argument[1]}${argument[2]}` };
}

export function callValue(call: Call, key: CallKey): string | undefined {
  switch (key.of) {
    case "method":
      return call.method.slice(call.method.lastIndexOf("/") + 1);
    case "argument":
      return argumentOf(call, key.path);
    case "attachment":
      return call.metadata.get(key.name);
  }
}
