import type { Clock } from "../../../../runtime/ports/clock.ts";
import type { Network, SimHost } from "../network.ts";
import type { SimProcess } from "../process.ts";

export interface SimTransportOptions {
  readonly network: Network;
  /** The machine that it sends from and listens at. */
  readonly host: SimHost;
  /** The process that it belongs to and ends with. */
  readonly process: SimProcess;
  readonly clock: Clock;
}
