import { createHash } from "node:crypto";

import { instanceParameters, isOurs, providerOf, type Provider } from "../../discovery/dubbo.ts";
import { parsed, record, servingGroup } from "../../discovery/dubbo-application.ts";
import { protocolOf } from "../../protocols/names.ts";
import type { Instance } from "../../ports/registry.ts";
import type { NacosHost, NacosRegistration } from "./naming.ts";
import type { Offer } from "./offers.ts";

/*
 * Dubbo's formats in Nacos, as dubbo-go 3.3.2 writes them. At interface level a service is
 * "providers:<interface>:<version>:<group>", and the parameters of the provider's URL are the instance's metadata; a service of ours
 * is a group. At application level a service is the application, the metadata say by a revision where to read which interfaces it
 * offers, and the configuration "<interface>" of group "mapping" lists the applications that offer the interface.
 */

/** Under which of Dubbo's names an instance stands. */
export type Level = "interface" | "application" | "all";

export const interfaceService = (interfaceName: string, service: string): string =>
  `providers:${interfaceName}::${service}`;

/** An application of ours offers one service, and has its name. */
export const applicationService = (service: string): string => service;

/** What Nacos and Dubbo add to the metadata for their own use. */
const nacosKeys = new Set(["nacos.category", "id"]);
const isNacosKey = (key: string): boolean => nacosKeys.has(key) || key.startsWith("preserved.");

/** Of Nacos's own weight, 1 by default. */
const weightMax = 10_000;
/** Dubbo's weight for those who don't say. */
const dubboWeight = 100;

export function registrationsOf(
  instance: Instance,
  options: {
    readonly application: string;
    readonly interfaceName: string;
    readonly level: Level;
    readonly timestampMs: number;
  },
): readonly NacosRegistration[] {
  const { application, interfaceName, level, timestampMs } = options;
  const { service, address, weight } = instance;
  const colon = address.lastIndexOf(":");
  const ip = address.slice(0, colon);
  const port = Number(address.slice(colon + 1));
  const parameters = Object.fromEntries(instanceParameters(instance, timestampMs));
  const common = { ip, port };
  const registrations: NacosRegistration[] = [];
  if (level !== "application") {
    const metadata = {
      ...{
        side: "provider",
        protocol: protocolOf(instance),
        path: `/${interfaceName}`,
        interface: interfaceName,
        group: service,
      },
      ...{ application, category: "providers" },
      ...parameters,
    };
    const own = weight > 0 ? Math.min(weight, weightMax) : 1;
    registrations.push({ ...common, weight: own, service: interfaceService(interfaceName, service), metadata });
  }
  if (level !== "interface") {
    const metadata = {
      "dubbo.endpoints": JSON.stringify([{ port, protocol: protocolOf(instance) }]),
      "dubbo.metadata.revision": revisionOf(instance, interfaceName),
      "dubbo.metadata.storage-type": "remote",
      "meta-v": "1.0.0",
      "registry.id": "nacos",
      ...parameters,
    };
    // Here dubbo-go's consumers go by Nacos's weight, in whole numbers, and its providers register 1 unless told otherwise.
    const own = Math.min(Math.max(Math.round(weight / dubboWeight), 1), weightMax);
    registrations.push({ ...common, weight: own, service: applicationService(service), metadata });
  }
  return registrations;
}

/** What an application of ours offers, for consumers that look it up by revision: the same for all its instances that speak alike. */
export function applicationMetadata(instance: Offering, interfaceName: string): string {
  const { service } = instance;
  const protocol = protocolOf(instance);
  return JSON.stringify({
    app: service,
    revision: revisionOf(instance, interfaceName),
    services: {
      [`${service}/${interfaceName}:${protocol}`]: {
        ...{ name: interfaceName, group: service, protocol, path: interfaceName },
        params: { group: service, side: "provider" },
      },
    },
  });
}

/** Consumers keep what they read of a revision for ever: another offer is another revision. */
export function revisionOf(instance: Offering, interfaceName: string): string {
  const offer = `2\n${instance.service}\n${interfaceName}\n${protocolOf(instance)}`;
  return createHash("sha256").update(offer).digest("hex");
}

/** What of an instance decides what it offers: its service, and what it speaks. */
type Offering = Pick<Instance, "service" | "metadata">;

/**
 * The instances among a service's hosts: those that are healthy, enabled, and speak Triple, of an application that offers what is
 * looked for, as far as that is known. `offerOf` tells it of a revision of the application's.
 */
export function providersOf(
  service: string,
  hosts: readonly NacosHost[],
  offerOf: (revision: string) => Offer | undefined,
): readonly Provider[] {
  return hosts.flatMap((host) => {
    if (!isUsable(host)) return [];
    const port = triplePortOf(host);
    if (port === undefined) return [];
    const parameters = new Map(host.metadata);
    for (const key of host.metadata.keys()) {
      if (isNacosKey(key) && !isLabelOfOurs(key, host)) parameters.delete(key);
    }
    // An application's instance of others has no weight but Nacos's.
    if (!isOurs(host.metadata) && parameters.has("dubbo.endpoints") && !parameters.has("weight")) {
      parameters.set("weight", String(Math.round(host.weight * dubboWeight)));
    }
    const revision = foreignRevisionOf(host);
    if (revision !== undefined) {
      const offer = offerOf(revision);
      // Whoever calls it must know the group.
      if (offer === undefined || offer === "unreachable") return [];
      const group = offer === "unwritten" ? "" : servingGroup(offer, true, service);
      if (group === undefined) return [];
      parameters.set("group", group);
    }
    const provider = providerOf(`${host.ip}:${port}`, service, parameters);
    return provider === undefined ? [] : [provider];
  });
}

/** The revisions of which `providersOf` asks what they offer. */
export const revisionsOf = (hosts: readonly NacosHost[]): ReadonlySet<string> =>
  new Set(hosts.filter(isUsable).flatMap((host) => foreignRevisionOf(host) ?? []));

const isUsable = ({ isHealthy, isEnabled }: NacosHost): boolean => isHealthy && isEnabled;

/** Where it can be read what a foreign instance offers; undefined where only the process itself could tell. Of ours it is known. */
function foreignRevisionOf({ metadata }: NacosHost): string | undefined {
  const isRemote = metadata.get("dubbo.metadata.storage-type") === "remote";
  const revision = metadata.get("dubbo.metadata.revision");
  const isReadable = isRemote && revision !== undefined && /^[\w.:-]{1,128}$/.test(revision);
  return isReadable && !isOurs(metadata) ? revision : undefined;
}

/** Where it speaks Triple; undefined when it doesn't. */
function triplePortOf({ port, metadata }: NacosHost): number | undefined {
  const endpoints = metadata.get("dubbo.endpoints");
  if (endpoints === undefined) {
    return isOurs(metadata) || (metadata.get("protocol") ?? "tri") === "tri" ? port : undefined;
  }
  const listed = parsed(endpoints);
  if (!Array.isArray(listed)) return undefined;
  const triple = listed.map(record).find((endpoint) => endpoint?.["protocol"] === "tri" || isOurs(metadata))?.["port"];
  return typeof triple === "number" ? triple : undefined;
}

/** Ours never write "id": where it is, it is a label. */
const isLabelOfOurs = (key: string, { metadata }: NacosHost): boolean =>
  !key.startsWith("preserved.") && isOurs(metadata);
