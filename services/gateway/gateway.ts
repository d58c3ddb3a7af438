import type { HttpListener } from "../../runtime/ports/http.ts";
import { ConfigReader } from "../config.ts";
import { Caller, parseCaller, type CallerConfig } from "../consumer/caller.ts";
import type { Drive } from "../control.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
import { Front } from "./front.ts";

export interface GatewayConfig extends CallerConfig {
  /** How long requests in flight may go on when it drains. Default 2000. */
  readonly graceMs: number;
}

/**
 * A consumer that also calls for others: an HTTP front of the service that it calls, so that load generators and people from
 * outside of the fleet make governed calls, which are recorded like any. Where a world has no HTTP it is a consumer.
 */
export const gateway: ServiceProgram<GatewayConfig> = {
  name: "gateway",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const config: GatewayConfig = {
      graceMs: reader.number("graceMs", { min: 0, max: 3_600_000 }, 2000),
      ...parseCaller(reader),
    };
    reader.end();
    return config;
  },

  start: async (context, config) => {
    const running = new RunningGateway(context, config);
    await running.listen();
    return running;
  },
};

class RunningGateway implements RunningService {
  readonly #context: NodeContext;
  readonly #config: GatewayConfig;
  readonly #caller: Caller;
  readonly #front: Front;
  #listener: HttpListener | undefined;

  constructor(context: NodeContext, config: GatewayConfig) {
    this.#context = context;
    this.#config = config;
    this.#caller = new Caller(context, config);
    this.#front = new Front(context, config, this.#caller);
  }

  get address(): string | undefined {
    return this.#listener?.address;
  }

  async listen(): Promise<void> {
    const { http, listen } = this.#context;
    this.#listener = await http?.listen({ address: listen, handle: (request) => this.#front.handle(request) });
  }

  go(): Promise<void> {
    return this.#caller.go();
  }

  /** Makes the calls; those that come by HTTP from now on may say when they were due, counted from this load's start. */
  drive(drive: Drive): Promise<void> {
    if (!drive.isWarmUp) this.#front.beginLoad(drive.startUs);
    return this.#caller.drive(drive);
  }

  async drain(): Promise<void> {
    this.#front.leave();
    await Promise.all([this.#listener?.drain(this.#config.graceMs * 1000), this.#caller.drain()]);
  }

  async stop(): Promise<void> {
    this.#front.leave();
    await this.#listener?.close();
    await this.#caller.stop();
  }
}
