import { randomBytes } from "node:crypto";

import { systemClock } from "../../../runtime/node/clock.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import { TestPath } from "../../../runtime/node/testing/path.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { Worker } from "../../../services/proto/worker_pb.ts";

/** The server's tick is half a second, so sessions end one and a half to two seconds after their last sign of life. */
export const sessionTimeoutMs = 1500;
export const tickMs = 500;
/** … and a busy machine may need longer to do so, and to tell. */
export const expiryMaxMs = sessionTimeoutMs + tickMs + 3000;

export const interfaceName = Worker.typeName;

/** For tests: closes, the last opened first, what a test opened. */
export class Openings {
  readonly #closing: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#closing.unshift(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0)) await close();
  }
}

export interface PartyOptions {
  /** "orders/0" */
  readonly client: string;
  /** A tree of its own. */
  readonly chroot: string;
  readonly level?: string;
  /** "&anyGroup=true" */
  readonly parameters?: string;
  readonly isRefused?: boolean;
  readonly timeoutMs?: number;
}

/** A client of ZooKeeper as the registry, with a path of its own to `target`, which is asked for each connection. */
export async function openParty(openings: Openings, target: () => string, options: PartyOptions) {
  const { client, chroot, level = "all", parameters = "", isRefused = false, timeoutMs = sessionTimeoutMs } = options;
  const path = await TestPath.open(target);
  if (isRefused) path.refuse();
  const events: RuntimeEvent[] = [];
  const registry = await realInfrastructure({ dial: () => path.address }).registries["zookeeper"]!({
    clock: systemClock(),
    random: anyRandom(),
    telemetry: { emit: (event) => void events.push(event) },
    url: `zookeeper://zookeeper:2181${chroot}?level=${level}${parameters}`,
    client,
    application: client.split("/")[0]!,
    interfaceName,
    sessionTimeoutMs: timeoutMs,
  });
  openings.add(async () => {
    path.heal();
    await registry.close();
    path.close();
  });
  return { registry, events, path, ...faultsOf(path) };
}

export type Party = Awaited<ReturnType<typeof openParty>>;

/** A client of ZooKeeper as the config centre, likewise. */
export async function openConfigParty(openings: Openings, target: () => string, options: PartyOptions) {
  const { client, chroot, isRefused = false } = options;
  const path = await TestPath.open(target);
  if (isRefused) path.refuse();
  const configCenter = await realInfrastructure({ dial: () => path.address }).configCenters["zookeeper"]!({
    clock: systemClock(),
    random: anyRandom(),
    telemetry: { emit: () => undefined },
    url: `zookeeper://zookeeper:2181${chroot}`,
    client,
    application: client.split("/")[0]!,
  });
  openings.add(async () => {
    path.heal();
    await configCenter.close();
    path.close();
  });
  return { configCenter, path, ...faultsOf(path) };
}

/** Jitter must hold for every seed. */
export const anyRandom = () => createRandom(randomBytes(4).readUInt32BE());

const faultsOf = (path: TestPath) => ({
  cut: () => path.cut(),
  heal: () => path.heal(),
  reset: () => path.reset(),
  refuse: () => path.refuse(),
});
