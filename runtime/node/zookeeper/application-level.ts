import { createHash } from "node:crypto";

import {
  instanceParameters,
  isHostAndPort,
  isOurs,
  providerOf,
  type Parameters,
  type Provider,
} from "../../discovery/dubbo.ts";
import { parsed, record, servingGroup } from "../../discovery/dubbo-application.ts";
import type { Instance } from "../../ports/registry.ts";

/**
 * Dubbo 3's way to register, application level: one ephemeral node per process, /services/<application>/<host:port>, which says
 * where it is; /dubbo/mapping/<interface> says which applications offer an interface; what each of them offers exactly is the
 * "metadata" of a revision, for us in /dubbo/<application>/<revision> (storage type "remote").
 */
export const applicationPath = (application: string): string => `/services/${application}`;
export const mappingPath = (interfaceName: string): string => `/dubbo/mapping/${interfaceName}`;
export const metadataPath = (application: string, revision: string): string => `/dubbo/${application}/${revision}`;

/** What an application of ours offers: one interface, in the group of its name. */
export interface Offer {
  readonly revision: string;
  /** The content of the metadata's node. */
  readonly content: string;
}

export function offerOf(application: string, interfaceName: string, port: number): Offer {
  const services = {
    [`${application}/${interfaceName}:tri`]: {
      name: interfaceName,
      group: application,
      protocol: "tri",
      port,
      path: interfaceName,
      params: { application, group: application, interface: interfaceName, side: "provider" },
    },
  };
  // Consumers keep what they have read of a revision: another content is another revision.
  const revision = createHash("sha256")
    .update(JSON.stringify([application, services]))
    .digest("hex");
  return { revision, content: JSON.stringify({ app: application, revision, services }) };
}

/** The content of an instance's node. */
export function instanceContent(instance: Instance, revision: string, timestampMs: number): string {
  const { service: name, address: id, metadata } = instance;
  const port = portOf(id);
  return JSON.stringify({
    name,
    id,
    address: id.slice(0, id.lastIndexOf(":")),
    port,
    payload: {
      "@class": "org.apache.dubbo.registry.zookeeper.ZookeeperInstance",
      id,
      name,
      metadata: {
        ...Object.fromEntries(instanceParameters({ ...instance, metadata }, timestampMs)),
        "dubbo.endpoints": JSON.stringify([{ port, protocol: "tri" }]),
        "dubbo.metadata.revision": revision,
        "dubbo.metadata.storage-type": "remote",
        "meta-v": "1.0.0",
        "registry.id": "zookeeper",
      },
    },
  });
}

/** What an instance's node says, as far as it can be understood. */
export interface ApplicationInstance {
  readonly address: string;
  readonly parameters: Parameters;
  /** The revision of the metadata that can be read in ZooKeeper; undefined where only the process itself could tell. */
  readonly revision: string | undefined;
}

/** Undefined for what isn't an instance that can be called with Triple. */
export function applicationInstanceOf(content: string): ApplicationInstance | undefined {
  const root = record(parsed(content));
  const metadata = record(record(root?.["payload"])?.["metadata"]) ?? {};
  const parameters = new Map<string, string>();
  for (const [key, value] of Object.entries(metadata)) if (typeof value === "string") parameters.set(key, value);
  const host = root?.["address"];
  const port = endpointPort(parameters) ?? root?.["port"];
  const address = `${String(host)}:${String(port)}`;
  if (typeof host !== "string" || typeof port !== "number" || !isHostAndPort(address)) return undefined;
  const isRemote = parameters.get("dubbo.metadata.storage-type") === "remote";
  const revision = parameters.get("dubbo.metadata.revision");
  const isReadable = isRemote && revision !== undefined && /^[\w.-]{1,256}$/.test(revision) && !/^\.+$/.test(revision);
  return { address, parameters, revision: isReadable ? revision : undefined };
}

/**
 * The Triple endpoint's port; undefined where none is listed. An instance that lists endpoints, none of them Triple, is told by
 * port 0, which nobody can call.
 */
function endpointPort(parameters: Parameters): number | undefined {
  const endpoints = parsed(parameters.get("dubbo.endpoints") ?? "");
  if (!Array.isArray(endpoints) || endpoints.length === 0) return undefined;
  const triple = endpoints.map(record).find((endpoint) => endpoint?.["protocol"] === "tri");
  return typeof triple?.["port"] === "number" ? triple["port"] : 0;
}

/**
 * The provider that an instance of `application` is for `service`. An application of the service's name serves it if it offers
 * the interface in any group; another one if it does so in no group (`acceptsAnyGroup`), or in the service's. `groups` is
 * undefined where the metadata can't be read: then the instance is believed to offer the interface, since the mapping led here.
 */
export function providerOfApplication(
  { address, parameters }: ApplicationInstance,
  groups: readonly string[] | undefined,
  options: { readonly application: string; readonly service: string },
): Provider | undefined {
  const { application, service } = options;
  const isOwn = application === service;
  if (isOurs(parameters) && !isOwn) return undefined;
  if (isOurs(parameters) || groups === undefined) return providerOf(address, service, parameters);
  const group = servingGroup(groups, isOwn, service);
  return group === undefined ? undefined : providerOf(address, service, new Map([...parameters, ["group", group]]));
}

/** The applications that a mapping's content lists. */
export const applicationsOf = (mapping: string): readonly string[] =>
  [...new Set(mapping.split(",").map((name) => name.trim()))].filter((name) => /^[^/\s]{1,256}$/.test(name));

export const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));
