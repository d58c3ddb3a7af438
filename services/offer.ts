import { createLifecycle, type Lifecycle } from "../runtime/call/lifecycle.ts";
import type { Filter } from "../runtime/call/filter.ts";
import { createServer, type Server } from "../runtime/call/server.ts";
import type { Registration } from "../runtime/ports/registry.ts";
import type { Listener } from "../runtime/ports/transport.ts";
import type { TaskLog } from "../runtime/telemetry/task-log.ts";
import { advertised, schemeOf, type ConfigReader } from "./config.ts";
import { connect, parseInfrastructure, type Connections, type InfrastructureConfig } from "./connections.ts";
import type { NodeContext } from "./service.ts";

/** What a node that provides a service says of itself, and how it leaves. */
export interface OfferConfig extends InfrastructureConfig {
  /** The service that it provides: "orders". */
  readonly service: string;
  /** Default 100. */
  readonly weight: number;
  /** Its labels in the registry. Default none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long it serves on after it has deregistered. Default: `propagationMsOf` its registry. */
  readonly propagationMs: number;
  /** Default 2000. */
  readonly graceMs: number;
}

export function parseOffer(reader: ConfigReader, service = reader.requiredText("service")): OfferConfig {
  const time = { min: 0, max: 3_600_000 };
  const infrastructure = parseInfrastructure(reader, service);
  return {
    service,
    weight: reader.number("weight", { min: 0, max: 1_000_000, isInteger: true }, 100),
    metadata: reader.labels("metadata"),
    graceMs: reader.number("graceMs", time, 2000),
    ...infrastructure,
    propagationMs: reader.number("propagationMs", time, propagationMsOf(schemeOf(infrastructure.registry))),
  };
}

/**
 * Time that the news of a departure takes to reach every caller, with room to spare: over Nacos, which gathers pushes for 500 ms, about
 * 0.6 s (measured; a busy server takes longer); over the others some milliseconds.
 */
export function propagationMsOf(registry: string | undefined): number {
  return registry === "nacos" ? 1_500 : 500;
}

/** Time that a service which this one calls has to appear. */
const downstreamWithinMs = 5_000;
/** Time that the registry has to confirm before the node is ready without: it serves, and goes on trying to register. */
const registerWithinUs = 5_000_000;

/** A service's instance as others find it: it listens, registers, and leaves in order. */
export class Offer {
  readonly #context: NodeContext;
  readonly #config: OfferConfig;
  #listener: Listener | undefined;
  /** Where others find it. */
  #advertised = "";
  #connections: Connections | undefined;
  #registration: Registration | undefined;
  #lifecycle: Lifecycle | undefined;
  #isLeaving = false;

  constructor(context: NodeContext, config: OfferConfig) {
    this.#context = context;
    this.#config = config;
  }

  /** Where it listens. */
  get address(): string | undefined {
    return this.#listener?.address;
  }

  /** Listens; `add` gives the server its services. `filters` come after those of every node. */
  async listen(
    add: (server: Server) => Server,
    { filters = [], tasks }: { readonly filters?: readonly Filter[]; readonly tasks?: TaskLog | undefined } = {},
  ): Promise<void> {
    const { transport, policies, listen, advertise, tracer } = this.#context;
    const all = [...policies.serverFilters, ...filters];
    const listener = await add(createServer({ transport, filters: all, tracer, tasks })).listen(listen);
    try {
      this.#advertised = advertised(listener.address, advertise);
    } catch (error) {
      await listener.close();
      throw error;
    }
    this.#listener = listener;
  }

  /** Connects to the infrastructure: from here on it can call others. */
  async connect(): Promise<Connections> {
    const { clock, telemetry } = this.#context;
    const { metadata, propagationMs, graceMs } = this.#config;
    const connections = await connect(this.#context, this.#config, metadata);
    this.#connections = connections;
    this.#lifecycle = createLifecycle({
      clock,
      telemetry,
      listener: this.#listener!,
      registry: connections.registry,
      registrations: () => (this.#registration === undefined ? [] : [this.#registration]),
      propagationMs,
      graceMs,
    });
    return connections;
  }

  /** Waits a while for whom it calls: better that they are known before it can be called, but that is no reason never to serve. */
  async awaitCallees(...services: readonly string[]): Promise<void> {
    const { client } = this.#connections!;
    await Promise.all(services.map((service) => client.ready(service, downstreamWithinMs).catch(() => undefined)));
  }

  /** Registers; from here on it is called. */
  async register(): Promise<void> {
    const { node, clock } = this.#context;
    const { service, weight, metadata } = this.#config;
    const registered = this.#connections!.registry.register({
      id: node,
      service,
      address: this.#advertised,
      weight,
      metadata,
    })
      .then(async (registration) => {
        this.#registration = registration;
        // Too late: it is leaving already.
        if (this.#isLeaving) await registration.deregister();
      })
      .catch((error: unknown) => {
        if (!this.#isLeaving) throw error;
      });
    await new Promise<void>((resolve, reject) => {
      const disarm = clock.after(registerWithinUs, resolve);
      registered.then(resolve, reject).finally(disarm);
    });
  }

  async drain(): Promise<void> {
    this.#isLeaving = true;
    if (this.#lifecycle === undefined) await this.#listener?.close();
    await this.#lifecycle?.drain();
    await this.#connections?.closeClient();
  }

  async stop(): Promise<void> {
    this.#isLeaving = true;
    await this.#connections?.closeClient();
    if (this.#lifecycle === undefined) await this.#listener?.close();
    await this.#lifecycle?.stop();
  }
}
