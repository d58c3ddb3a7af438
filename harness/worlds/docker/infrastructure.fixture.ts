import { randomBytes } from "node:crypto";

import { systemClock } from "../../../runtime/node/clock.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import { TestPath } from "../../../runtime/node/testing/path.ts";
import type { ConfigCenterParty } from "../../../runtime/ports/config-center.contract.ts";
import type { RegistryParty } from "../../../runtime/ports/registry.contract.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { Worker } from "../../../services/proto/worker_pb.ts";
import type { RunningServer } from "./servers.ts";

export const interfaceName = Worker.typeName;

/** Jitter must hold for every seed. */
export const anyRandom = () => createRandom(randomBytes(4).readUInt32BE());

export interface ClientOptions {
  readonly isRefused?: boolean;
  /** Added to the URL: "&level=interface". */
  readonly parameters?: string;
  /** Default: as all others of the test. */
  readonly sessionTimeoutMs?: number | undefined;
}

/** Clients of a real server for one test, each with ways of its own to each of the server's ports. */
export class TestClients {
  readonly clock = systemClock();
  readonly #server: () => RunningServer;
  readonly #url: string;
  readonly #configUrl: string;
  readonly #ports: readonly number[];
  readonly #sessionTimeoutMs: number | undefined;
  readonly #clients: (() => Promise<void>)[] = [];
  readonly #others: (() => Promise<void> | void)[] = [];

  /** `url` names the server "127.0.0.1" and its first port; the others are `ports` too. */
  constructor(options: {
    readonly server: () => RunningServer;
    readonly url: string;
    /** Of the config centre. Default: `url`. */
    readonly configUrl?: string;
    readonly ports: readonly number[];
    readonly sessionTimeoutMs?: number | undefined;
  }) {
    this.#server = options.server;
    this.#url = options.url;
    this.#configUrl = options.configUrl ?? options.url;
    this.#ports = options.ports;
    this.#sessionTimeoutMs = options.sessionTimeoutMs;
  }

  async openRegistry(client: string, options: ClientOptions = {}) {
    const { sessionTimeoutMs = this.#sessionTimeoutMs, parameters = "" } = options;
    const { paths, connection, infrastructure, scheme } = await this.#connect(client, options);
    const events: RuntimeEvent[] = [];
    const registry = await infrastructure.registries[scheme]!({
      ...connection,
      url: this.#url + parameters,
      telemetry: { emit: (event) => void events.push(event) },
      interfaceName,
      sessionTimeoutMs,
    });
    this.#closes(registry, paths);
    return { registry, events, paths, ...waysOf(paths) } satisfies RegistryParty & { paths: readonly TestPath[] };
  }

  async openConfigCenter(client: string, options: Pick<ClientOptions, "isRefused"> = {}) {
    const { paths, connection, infrastructure, scheme } = await this.#connect(client, options);
    const configCenter = await infrastructure.configCenters[scheme]!({
      ...connection,
      url: this.#configUrl,
      telemetry: { emit: () => undefined },
    });
    this.#closes(configCenter, paths);
    return { configCenter, paths, ...waysOf(paths) } satisfies ConfigCenterParty & { paths: readonly TestPath[] };
  }

  /** Something else that the test opened: it is closed before the clients, the last opened first. */
  add(close: () => Promise<void> | void): void {
    this.#others.unshift(close);
  }

  /** Who was cut off can say goodbye. */
  async close(): Promise<void> {
    for (const close of this.#others.splice(0)) await close();
    await Promise.all(this.#clients.splice(0).map((close) => close()));
  }

  async #connect(client: string, { isRefused = false }: ClientOptions) {
    const byAddress = new Map<string, TestPath>();
    for (const port of this.#ports) {
      const path = await TestPath.open(() => this.#server().addressOf(port));
      if (isRefused) path.refuse();
      byAddress.set(`127.0.0.1:${port}`, path);
    }
    const infrastructure = realInfrastructure({ dial: (address) => byAddress.get(address)?.address ?? address });
    const connection = { clock: this.clock, random: anyRandom(), client, application: client.split("/")[0]! };
    return { paths: [...byAddress.values()], connection, infrastructure, scheme: this.#url.split(":")[0]! };
  }

  #closes(client: { close(): Promise<void> }, paths: readonly TestPath[]): void {
    this.#clients.push(async () => {
      for (const path of paths) path.heal();
      await client.close();
      for (const path of paths) path.close();
    });
  }
}

const waysOf = (paths: readonly TestPath[]) => ({
  cut: () => paths.forEach((path) => path.cut()),
  heal: () => paths.forEach((path) => path.heal()),
  reset: () => paths.forEach((path) => path.reset()),
  refuse: () => paths.forEach((path) => path.refuse()),
});
