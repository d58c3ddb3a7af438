import type { ClusterPolicy } from "./cluster.ts";
import { failfast } from "./failfast.ts";
import { failover } from "./failover.ts";

/** The built-in cluster strategies by name. */
export const clusters: Readonly<Record<string, ClusterPolicy>> = { failover, failfast };
