import type { RegistryName } from "./plan.ts";

/** How a registry treats those who fall silent, and how fast it spreads news. */
export interface RegistryTiming {
  /** Silence after which an instance is taken out, where the scenario doesn't say. Clients say that they live three times as often. */
  readonly sessionTimeoutMs: number;
  /** Pause between two looks for the silent: one is taken out between T and T + tick after it was last heard. */
  readonly tickMs: number;
  /** Changes within so many milliseconds reach watchers as one. */
  readonly mergeMs: number;
}

/**
 * The embedded registry in the manner of others, so that `sim` and `local` predict how long a dead provider stays visible.
 * `harness/worlds/docker/like.docker.test.ts` holds each row against the real server.
 *
 * - ZooKeeper: the session timeout is the client's; the server expires sessions in steps of its tick (500 ms in world `docker`;
 *   2 s where nobody sets `tickTime`). Watches are told at once.
 * - Nacos over HTTP: beats every 5 s, unhealthy after 15 s without, looked for every 5 s: 15 to 20 s in all. Consumers leave the
 *   unhealthy out. Pushes are gathered for 500 ms, and take 0.6 s in all.
 * - Consul: a TTL check of 15 s with a timer of its own; blocking queries answer at once.
 */
export const registryTimings: Readonly<Record<RegistryName, RegistryTiming | undefined>> = {
  embedded: undefined,
  zookeeper: { sessionTimeoutMs: 6_000, tickMs: 500, mergeMs: 0 },
  nacos: { sessionTimeoutMs: 15_000, tickMs: 5_000, mergeMs: 600 },
  consul: { sessionTimeoutMs: 15_000, tickMs: 50, mergeMs: 0 },
};

export const registryNames = ["embedded", "zookeeper", "nacos", "consul"] as const satisfies readonly RegistryName[];
