import type { Clock } from "../ports/clock.ts";
import type { Health } from "../health/health.ts";
import type { Registration, Registry } from "../ports/registry.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { Listener } from "../ports/transport.ts";
import { Call, whileWaiting } from "./call.ts";

export interface LifecycleOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly listener: Listener;
  readonly registry: Registry;
  /** What it says of its health. Default: nothing. */
  readonly health?: Health | undefined;
  /** What the server has published by now. */
  readonly registrations: () => readonly Registration[];
  /** Time for the news to reach every consumer, before calls are refused. Default 500. */
  readonly propagationMs?: number | undefined;
  /** Time for calls in flight to end. Default 2000. */
  readonly graceMs?: number | undefined;
}

/** The end of a server, in the order in which nobody notices it. */
export interface Lifecycle {
  /**
   * Takes leave: say NOT_SERVING and deregister; wait for the news to spread, still serving; ask clients to go away and refuse new calls;
   * let those in flight end, or cut them off after the grace; and end the registry session last. A registry that doesn't answer can't hold
   * it up: the session will expire. The order is that of gRPC's and Dubbo's graceful shutdown.
   */
  drain(): Promise<void>;
  /** Lets go of everything at once; after a drain nothing is left to do. */
  stop(): Promise<void>;
}

/** A registry that is away doesn't keep a server from leaving for longer than this. */
const farewellUs = 1_000_000;

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { clock, telemetry, listener, registry, registrations, health } = options;
  const { propagationMs = 500, graceMs = 2000 } = options;
  let draining: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;

  const report = (phase: "deregistered" | "draining"): void =>
    telemetry.emit({ type: "node", atUs: clock.nowUs(), phase });

  const drain = async (): Promise<void> => {
    health?.shutdown();
    const all = registrations();
    await atMost(clock, farewellUs, Promise.all(all.map((registration) => registration.deregister())));
    report("deregistered");
    // Nobody knows of a server that never was registered.
    if (all.length > 0) await clock.sleep(propagationMs * 1000);
    report("draining");
    health?.close();
    await listener.drain(graceMs * 1000);
    await stop();
  };
  const stop = (): Promise<void> => (stopping ??= letGo());
  const letGo = async (): Promise<void> => {
    await listener.close();
    await registry.close();
  };
  return { drain: () => (draining ??= drain()), stop };
}

/** Waits for `work`, but not for longer than `limitUs`, and whatever becomes of it. */
async function atMost(clock: Clock, limitUs: number, work: Promise<unknown>): Promise<void> {
  const limit = new Call({ clock, service: "", method: "", timeoutUs: limitUs });
  await whileWaiting(limit, work).catch(() => undefined);
  limit.end();
}
