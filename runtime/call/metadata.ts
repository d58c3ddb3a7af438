/**
 * What travels beside a message: lower-case keys, text values. As on gRPC's wire a key that ends in `-bin` holds base64, and a
 * repeated key's values are joined by ",".
 */
export type Metadata = ReadonlyMap<string, string>;

export const noMetadata: Metadata = new Map();

/** On an attempt after the first: how many were made before it (gRPC proposal A6). */
export const previousAttemptsKey = "grpc-previous-rpc-attempts";

/** In a failed call's trailers: milliseconds after which to try again; anything but a number ≥ 0 says not to (gRPC proposal A6). */
export const pushbackKey = "grpc-retry-pushback-ms";

/** In a failed call's trailers: google.rpc.Status in full, as some servers add it to `grpc-message`. */
export const statusDetailsKey = "grpc-status-details-bin";

/** A call that carries it with "1" asks the instance for how much it would still take (dubbo-go's adaptive service). */
export const adaptiveEnabledKey = "adaptive-service.enabled";

/** In the answer: how many more calls at a time the instance would take, and how many it has. */
export const adaptiveRemainingKey = "adaptive-service.remaining";
export const adaptiveInflightKey = "adaptive-service.inflight";

/** Metadata from a plain object; keys become lower-case. */
export function metadata(entries: Readonly<Record<string, string>>): Metadata {
  return new Map(Object.entries(entries).map(([key, value]) => [key.toLowerCase(), value]));
}
