import type { FleetNode } from "../world.ts";
import { WorldError } from "../error.ts";
import type { OwnedNode } from "../live/fleet.ts";
import type { Network } from "./network.ts";
import type { RunningServer } from "./servers.ts";

/** A real server in the place of a node of ours: "registry/0" is a ZooKeeper. It makes no calls and reports nothing. */
export class ServerNode implements OwnedNode {
  readonly id: string;
  readonly address: string;
  readonly #server: RunningServer;
  /** Nobody else's: it goes with the run. */
  readonly #isOwn: boolean;
  readonly #network: Network;
  readonly #onAlive: (isAlive: boolean) => Promise<void>;
  #state: FleetNode["state"] = "running";

  constructor(
    id: string,
    options: {
      readonly address: string;
      readonly server: RunningServer;
      readonly isOwn: boolean;
      readonly network: Network;
      readonly onAlive: (isAlive: boolean) => Promise<void>;
    },
  ) {
    this.id = id;
    this.address = options.address;
    this.#server = options.server;
    this.#isOwn = options.isOwn;
    this.#network = options.network;
    this.#onAlive = options.onAlive;
  }

  get state(): FleetNode["state"] {
    return this.#state;
  }

  async start(): Promise<void> {
    await this.#onAlive(true);
  }

  async go(): Promise<void> {}

  async kill(): Promise<void> {
    this.#state = "killed";
    await this.#server.container.kill();
    await this.#server.container.ended();
    await this.#onAlive(false);
  }

  async pause(): Promise<void> {
    if (this.#state !== "running") return;
    this.#state = "paused";
    await this.#server.container.pause();
  }

  async resume(): Promise<void> {
    if (this.#state !== "paused") return;
    this.#state = "running";
    await this.#server.container.resume();
  }

  async disconnect(): Promise<void> {
    await this.#network.disconnect(this.#server.container.id);
  }

  async reconnect(): Promise<void> {
    await this.#network.connect(this.#server.container.id, this.#server.container.spec.ip!);
    await this.#server.locate();
  }

  async stop(): Promise<void> {
    await this.resume();
    this.#state = "stopped";
    await this.#server.container.stop();
    await this.#onAlive(false);
  }

  async restart(): Promise<void> {
    if (this.#state === "running" || this.#state === "paused") await this.stop();
    await this.#server.restart();
    this.#state = "running";
    await this.#onAlive(true);
  }

  async slow(): Promise<void> {
    throw new WorldError(`${this.id} is no program of ours: it can't be told to be slow`, { code: "UNAVAILABLE" });
  }

  async disturb(): Promise<never> {
    throw new WorldError(`${this.id} is no program of ours: it can't be broken from inside`, { code: "UNAVAILABLE" });
  }

  async skew(): Promise<never> {
    throw new WorldError(`${this.id} is no program of ours: its clock is this machine's`, { code: "UNAVAILABLE" });
  }

  async breakDisk(): Promise<never> {
    throw new WorldError(`${this.id} is no program of ours: its disk can't be broken`, { code: "UNAVAILABLE" });
  }

  async drive(): Promise<void> {}

  annotate(): void {}

  async audit(): Promise<void> {}

  async collect(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#isOwn) await this.#server.container.remove();
  }

  abandon(): void {
    if (this.#isOwn) void this.#server.container.kill().catch(() => undefined);
  }
}
