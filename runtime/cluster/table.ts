import { available } from "./available.ts";
import { broadcast } from "./broadcast.ts";
import type { ClusterPolicy } from "./cluster.ts";
import { failback } from "./failback.ts";
import { failfast } from "./failfast.ts";
import { failover } from "./failover.ts";
import { failsafe } from "./failsafe.ts";
import { forking } from "./forking.ts";
import { hedging } from "./hedging.ts";
import { zoneAware } from "./zone-aware.ts";

/** The built-in cluster strategies by name. */
export const clusters: Readonly<Record<string, ClusterPolicy>> = {
  failover,
  failfast,
  failsafe,
  failback,
  forking,
  broadcast,
  available,
  "zone-aware": zoneAware,
  hedging,
};
