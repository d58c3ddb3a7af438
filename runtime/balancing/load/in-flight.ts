import type { LoadPolicy } from "./load.ts";

/** Calls in flight from this client. */
export const inFlight: LoadPolicy = () => ({ of: ({ stats }) => stats.inFlight });
