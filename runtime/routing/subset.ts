import type { Endpoint } from "../discovery/endpoint.ts";

/** The endpoints that are kept; the same array when that is every one, so that "no restriction" can be seen. */
export function subset(endpoints: readonly Endpoint[], keep: (endpoint: Endpoint) => boolean): readonly Endpoint[] {
  const kept = endpoints.filter(keep);
  return kept.length === endpoints.length ? endpoints : kept;
}

/** The lane that an instance registered for, if any. */
export function staticTag(endpoint: Endpoint): string | undefined {
  const tag = endpoint.metadata["dubbo.tag"];
  return tag === "" ? undefined : tag;
}
