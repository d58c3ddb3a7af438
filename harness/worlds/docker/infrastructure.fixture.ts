import { systemClock } from "../../../runtime/node/clock.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import { TestPath } from "../../../runtime/node/testing/path.ts";
import type { ConfigCenterParty } from "../../../runtime/ports/config-center.contract.ts";
import type { RegistryParty } from "../../../runtime/ports/registry.contract.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { RunningServer } from "./servers.ts";

/** Clients of a real server for one test, each with ways of its own to each of the server's ports. */
export class TestClients {
  readonly clock = systemClock();
  readonly #server: () => RunningServer;
  readonly #url: string;
  readonly #configUrl: string;
  readonly #ports: readonly number[];
  readonly #sessionTimeoutMs: number | undefined;
  readonly #closing: (() => Promise<void>)[] = [];

  /** `url` names the server "127.0.0.1" and its first port; the others are `ports` too. */
  constructor(options: {
    readonly server: () => RunningServer;
    readonly url: string;
    /** Of the config centre. Default: `url`. */
    readonly configUrl?: string;
    readonly ports: readonly number[];
    readonly sessionTimeoutMs?: number;
  }) {
    this.#server = options.server;
    this.#url = options.url;
    this.#configUrl = options.configUrl ?? options.url;
    this.#ports = options.ports;
    this.#sessionTimeoutMs = options.sessionTimeoutMs;
  }

  async openRegistry(client: string, options: { readonly isRefused?: boolean } = {}) {
    const { paths, connection, infrastructure, scheme } = await this.#connect(client, options);
    const events: RuntimeEvent[] = [];
    const registry = await infrastructure.registries[scheme]!({
      ...connection,
      telemetry: { emit: (event) => void events.push(event) },
      interfaceName: "flyball.worker.v1.Worker",
      sessionTimeoutMs: this.#sessionTimeoutMs,
    });
    this.#closing.push(() => registry.close());
    return { registry, events, paths, ...waysOf(paths) } satisfies RegistryParty & { paths: readonly TestPath[] };
  }

  async openConfigCenter(client: string, options: { readonly isRefused?: boolean } = {}) {
    const { paths, connection, infrastructure, scheme } = await this.#connect(client, options);
    const configCenter = await infrastructure.configCenters[scheme]!({
      ...connection,
      url: this.#configUrl,
      telemetry: { emit: () => undefined },
    });
    this.#closing.push(() => configCenter.close());
    return { configCenter, paths, ...waysOf(paths) } satisfies ConfigCenterParty & { paths: readonly TestPath[] };
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.reverse().map((close) => close()));
  }

  async #connect(client: string, { isRefused = false }: { readonly isRefused?: boolean }) {
    const byAddress = new Map<string, TestPath>();
    for (const port of this.#ports) {
      const path = await TestPath.open(() => this.#server().addressOf(port));
      if (isRefused) path.refuse();
      byAddress.set(`127.0.0.1:${port}`, path);
    }
    const paths = [...byAddress.values()];
    this.#closing.unshift(async () => paths.forEach((path) => path.close()));
    for (const path of paths) this.#closing.push(async () => path.heal());
    const infrastructure = realInfrastructure({ dial: (address) => byAddress.get(address)?.address ?? address });
    const random = createRandom(this.#closing.length);
    const connection = { clock: this.clock, random, url: this.#url, client, application: client.split("/")[0]! };
    return { paths, connection, infrastructure, scheme: this.#url.split(":")[0]! };
  }
}

const waysOf = (paths: readonly TestPath[]) => ({
  cut: () => paths.forEach((path) => path.cut()),
  heal: () => paths.forEach((path) => path.heal()),
  reset: () => paths.forEach((path) => path.reset()),
  refuse: () => paths.forEach((path) => path.refuse()),
});
