import type { Response } from "../ports/transport.ts";
import type { Call } from "./call.ts";

/** Goes on with a call: the next filter, and in the end the cluster strategy (client) or the handler (server). */
export type Next = (call: Call, request: unknown) => Promise<Response>;

/** One layer of the onion around every call of a client or server. It hands on the very call that it was given. */
export type Filter = (call: Call, request: unknown, next: Next) => Promise<Response>;

/** The filters as one function, the first outermost. Built once, not per call. */
export function chain(filters: readonly Filter[], last: Next): Next {
  return filters.reduceRight<Next>((next, filter) => (call, request) => filter(call, request, next), last);
}
