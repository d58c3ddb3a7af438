import type { Call } from "./call.ts";
import { noMetadata, type Metadata } from "./metadata.ts";

/**
 * What a call hands on to the calls that are made for it, without any handler's help: the lane that it goes by (`dubbo.tag`, and
 * whether it may leave it) and W3C baggage (https://www.w3.org/TR/baggage/). A lane that is chosen once, at the edge, so holds for
 * the whole chain, past services that have no instance in it.
 */
const travelling = ["dubbo.tag", "dubbo.force.tag", "baggage"] as const;

/** The metadata of a call under `parent`: its own, and what travels. A call that names something itself keeps its own word. */
export function withTravelling(own: Metadata | undefined, parent: Call | undefined): Metadata {
  const metadata = own ?? noMetadata;
  if (parent === undefined || parent.metadata.size === 0) return metadata;
  let joint: Map<string, string> | undefined;
  for (const key of travelling) {
    const value = parent.metadata.get(key);
    if (value === undefined || metadata.has(key)) continue;
    joint ??= new Map(metadata);
    joint.set(key, value);
  }
  return joint ?? metadata;
}

/** The lane that a call asks for, if any: its `dubbo.tag`, else that of its baggage. */
export const requestTag = (call: Call): string | undefined => laneOf(call.metadata);

/** The lane that metadata asks for. */
export function laneOf(metadata: Metadata): string | undefined {
  // Nearly every call has neither, and this is asked for each.
  if (metadata.size === 0) return undefined;
  const wanted = metadata.get("dubbo.tag") ?? baggageEntry(metadata.get("baggage"), "dubbo.tag");
  return wanted === "" ? undefined : wanted;
}

/** A member's value in a `baggage` header; its properties (after ";") don't count. What isn't baggage has no members. */
export function baggageEntry(header: string | undefined, key: string): string | undefined {
  if (header === undefined) return undefined;
  for (const member of header.split(",")) {
    const [pair = ""] = member.split(";", 1);
    const equals = pair.indexOf("=");
    if (equals < 0 || pair.slice(0, equals).trim() !== key) continue;
    const value = pair.slice(equals + 1).trim();
    try {
      return decodeURIComponent(value);
    } catch {
      return value;
    }
  }
  return undefined;
}
