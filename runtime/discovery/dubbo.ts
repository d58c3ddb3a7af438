import { RpcError } from "../call/status.ts";
import type { Instance } from "../ports/registry.ts";

/**
 * Instances as Dubbo writes them into any registry: a provider's URL, or a map of texts. What isn't Dubbo's own travels under
 * "flyball.": an instance comes back as it was registered. What others wrote is read as far as it makes sense, and is undefined
 * otherwise: foreign data never throws.
 */

/** A Dubbo URL: "tri://10.0.0.1:20880/some.Interface?group=orders". */
export interface DubboUrl {
  readonly protocol: string;
  /** "host:port" */
  readonly address: string;
  /** Without the slash in front. */
  readonly path: string;
  readonly parameters: Parameters;
}

/** Keys and values, in the order in which they were written. */
export type Parameters = ReadonlyMap<string, string>;

/** What was read, and what decides between two registrations of one instance: the later wins. */
export interface Provider {
  readonly instance: Instance;
  /** When it was registered, in milliseconds since the epoch; 0 where that isn't told. */
  readonly timestampMs: number;
}

/** Dubbo's weight for those who don't say. */
const defaultWeight = 100;
const weightMax = 1_000_000;

/** As many labels as an instance has at most, and as long as a key or value is; the embedded registry's limits. */
const labelsMax = 64;
const labelCharactersMax = 1024;

/** Keys with a meaning of Dubbo's own: a label of that name travels as "flyball.<name>". */
const reserved = new Set([
  ...["application", "category", "check", "enabled", "group", "interface", "methods", "path", "protocol", "release"],
  ...["side", "timestamp", "version", "weight", "dubbo.endpoints", "dubbo.metadata-service.url-params"],
  ...["dubbo.metadata.revision", "dubbo.metadata.storage-type", "dubbo.subscribed-services.revision"],
  ...["meta-v", "registry.id", "dubbo.metadata-service.urls"],
]);

/** Noise of foreign providers: true of the process, of no use to routing. */
const noise = new Set([
  ...["anyhost", "background", "bean.name", "cluster", "deprecated", "dubbo", "dynamic", "executor-management-mode"],
  ...["export", "file-cache", "generic", "IDL-mode", "ipv6", "loadbalance", "module", "name", "nacos.category", "ns"],
  ...["organization", "owner", "pid", "prefer.serialization", "registry", "registry.role", "registry.type", "revision"],
  ...["serialization", "service-name-mapping", "service.filter", "qos.enable"],
]);

const ours = "flyball.";
const idKey = `${ours}id`;

/** Parameters that say everything about an instance but its address and service. */
export function instanceParameters({ id, weight, metadata }: Instance, timestampMs: number): Map<string, string> {
  const parameters = new Map([
    [idKey, id],
    ["timestamp", String(timestampMs)],
    ["weight", String(weight)],
  ]);
  for (const [key, value] of Object.entries(metadata)) {
    parameters.set(reserved.has(key) || key.startsWith(ours) ? ours + key : key, value);
  }
  return parameters;
}

/** Whether one of ours wrote them. */
export const isOurs = (parameters: Parameters): boolean => parameters.has(idKey);

/** The instance at `address` that these parameters describe; undefined where they, or the address, make none. */
export function providerOf(address: string, service: string, parameters: Parameters): Provider | undefined {
  if (!isHostAndPort(address)) return undefined;
  const id = parameters.get(idKey) ?? address;
  if (id === "" || id.length > labelCharactersMax) return undefined;
  const labels = isOurs(parameters) ? ourLabels(parameters) : foreignLabels(parameters);
  return {
    instance: { id, service, address, weight: weightOf(parameters), metadata: Object.fromEntries(labels) },
    timestampMs: timestampOf(parameters),
  };
}

function ourLabels(parameters: Parameters): [string, string][] {
  const labels: [string, string][] = [];
  for (const [key, value] of parameters) {
    if (key.startsWith(ours) && key !== idKey) labels.push([key.slice(ours.length), value]);
    else if (!key.startsWith(ours) && !reserved.has(key)) labels.push([key, value]);
  }
  return labels;
}

/** One that names its warm-up also says since when it has been there: see `warmedUp`. */
function foreignLabels(parameters: Parameters): [string, string][] {
  const labels: [string, string][] = [];
  for (const [key, value] of parameters) {
    const isKept = !reserved.has(key) || isAddressing(key) || (key === "timestamp" && parameters.get("warmup"));
    const isLabel = !noise.has(key) && isKept && !key.startsWith(ours);
    const isSmall = key.length <= labelCharactersMax && value.length <= labelCharactersMax;
    if (isLabel && isSmall && key !== "" && value !== "" && labels.length < labelsMax) labels.push([key, value]);
  }
  return labels;
}

/** A foreign provider answers only those who name the group and version that it registered: see `addressingOf`. */
const isAddressing = (key: string): boolean => key === "group" || key === "version";

/**
 * dubbo-go 3.3 writes weight=0 at interface level whatever its user asked for (server/action.go), and means the default; then a
 * rule, not the registry, is the way to take such a provider's traffic away.
 */
function weightOf(parameters: Parameters): number {
  const text = parameters.get("weight") ?? "";
  const weight = /^\d{1,9}$/.test(text) ? Math.min(Number(text), weightMax) : defaultWeight;
  const isMistaken = weight === 0 && /^dubbo-golang-3\.3\b/.test(parameters.get("release") ?? "");
  return isMistaken ? defaultWeight : weight;
}

/** Java writes milliseconds, Go seconds. */
function timestampOf(parameters: Parameters): number {
  const text = parameters.get("timestamp") ?? "";
  if (!/^\d{1,15}$/.test(text)) return 0;
  const time = Number(text);
  return time < 100_000_000_000 ? time * 1000 : time;
}

/** Throws INVALID_ARGUMENT for an instance that can't be registered in Dubbo's formats. */
export function checkInstance({ id, service, address, weight, metadata }: Instance): void {
  const labels = Object.entries(metadata);
  if (!isName(id)) throw invalid(`an instance's id is a short text, not ${JSON.stringify(id.slice(0, 60))}`);
  if (!isName(service) || service.includes("/") || service === "." || service === "..") {
    throw invalid(`a service's name is a short text without "/", not ${JSON.stringify(service.slice(0, 60))}`);
  }
  if (!isHostAndPort(address)) throw invalid(`an instance's address is "host:port", not "${address.slice(0, 60)}"`);
  if (!Number.isSafeInteger(weight) || weight < 0 || weight > weightMax) {
    throw invalid(`an instance's weight is an integer from 0 to ${weightMax}, not ${weight}`);
  }
  if (labels.length > labelsMax) throw invalid(`an instance has at most ${labelsMax} labels, not ${labels.length}`);
  for (const [key, value] of labels) {
    if (key === "" || key.length > labelCharactersMax || value.length > labelCharactersMax) {
      throw invalid(
        `a label has a key, and at most ${labelCharactersMax} characters in key or value: "${key.slice(0, 60)}"`,
      );
    }
  }
}

const isName = (text: string): boolean =>
  // Control characters and lone halves of surrogate pairs don't survive the way through a registry.
  text !== "" && text.length <= 256 && !/[\u0000-\u001f\u007f-\u009f]/.test(text) && text.isWellFormed();

const invalid = (message: string): RpcError => new RpcError(message, { code: "INVALID_ARGUMENT" });

/** "host:port" that can be called. */
export function isHostAndPort(text: string): boolean {
  const match = /^([^\s/?#@,]+):(\d{1,5})$/.exec(text);
  return match !== null && text.length <= 256 && Number(match[2]) >= 1 && Number(match[2]) <= 65_535;
}

/** The URL as text; keys and values are escaped. */
export function formatUrl({ protocol, address, path, parameters }: DubboUrl): string {
  const query = Array.from(parameters, ([key, value]) => `${escape(key)}=${escape(value)}`).join("&");
  return `${protocol}://${address}/${path}${query === "" ? "" : `?${query}`}`;
}

/** Reads a URL; undefined where the text is none. A key that comes twice counts once, as it came first. */
export function parseUrl(text: string): DubboUrl | undefined {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(?:[^/?#@]*@)?([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?/.exec(text);
  if (match === null) return undefined;
  const [, protocol, address, path = "", query = ""] = match;
  const parameters = new Map<string, string>();
  for (const pair of query.split("&")) {
    const equals = pair.indexOf("=");
    const key = unescape(equals < 0 ? pair : pair.slice(0, equals));
    if (key !== "" && !parameters.has(key)) parameters.set(key, equals < 0 ? "" : unescape(pair.slice(equals + 1)));
  }
  return { protocol: protocol!, address: address!, path: unescape(path), parameters };
}

/** As a part of a URL, or as a node's name. */
export const escape = (text: string): string => encodeURIComponent(text.toWellFormed());

/** Go and Java write a space as "+". What isn't escaped rightly is taken as it stands. */
export function unescape(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** One entry per address, and one per id: the later registration. In the order of their ids, so that equal lists are equal. */
export function merged(providers: readonly Provider[]): readonly Instance[] {
  // Of equals the first stays: sorting keeps their order.
  const latestFirst = [...providers].sort((a, b) => b.timestampMs - a.timestampMs);
  const addresses = new Set<string>();
  const byId = new Map<string, Instance>();
  for (const { instance } of latestFirst) {
    if (addresses.has(instance.address) || byId.has(instance.id)) continue;
    addresses.add(instance.address);
    byId.set(instance.id, instance);
  }
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
