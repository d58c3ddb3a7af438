import { createLifecycle, type Lifecycle } from "../runtime/call/lifecycle.ts";
import type { Filter } from "../runtime/call/filter.ts";
import { createServer, type Server } from "../runtime/call/server.ts";
import { Health } from "../runtime/health/health.ts";
import type { Instance, Registration } from "../runtime/ports/registry.ts";
import type { Listener, Transport } from "../runtime/ports/transport.ts";
import { protocolLabel, protocolNames, type ProtocolName } from "../runtime/protocols/names.ts";
import type { GuardSettings } from "../runtime/security/guard.ts";
import { accessLog } from "../runtime/telemetry/access-log.ts";
import type { TaskLog } from "../runtime/telemetry/task-log.ts";
import { advertised, schemeOf, type ConfigReader } from "./config.ts";
import { connect, parseInfrastructure, type Connections, type InfrastructureConfig } from "./connections.ts";
import { parseGuard } from "./guard.ts";
import { AccessSwitch } from "./access-switch.ts";
import type { Disturbance, Settle } from "./disturbance.ts";
import type { NodeContext } from "./service.ts";

/** What a node that provides a service says of itself, and how it leaves. */
export interface OfferConfig extends InfrastructureConfig {
  /** The service that it provides: "orders". */
  readonly service: string;
  /** What it speaks. Default "triple". */
  readonly protocol: ProtocolName;
  /** Whom it lets in. Default: everybody. */
  readonly guard: GuardSettings | undefined;
  /** Default 100. */
  readonly weight: number;
  /** Time that it takes to be warm, which callers count from its registration: see docs/balancing.md. Default: it is warm at once. */
  readonly warmUpMs: number | undefined;
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
    protocol: reader.choice("protocol", Object.keys(protocolNames) as ProtocolName[]) ?? "triple",
    guard: parseGuard(reader.object("guard")),
    warmUpMs: reader.number("warmUpMs", { min: 1, max: 86_400_000, isInteger: true }),
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
  readonly #health = new Health();
  readonly #accessSwitch: AccessSwitch;
  #listener: Listener | undefined;
  /** Where others find it. */
  #advertised = "";
  #connections: Connections | undefined;
  /** What it registers as. */
  #instance: Instance | undefined;
  #registration: Registration | undefined;
  #lifecycle: Lifecycle | undefined;
  #isLeaving = false;

  constructor(context: NodeContext, config: OfferConfig) {
    this.#context = context;
    this.#config = config;
    this.#accessSwitch = new AccessSwitch(context, config);
  }

  /** Where it listens. */
  get address(): string | undefined {
    return this.#listener?.address;
  }

  /** Listens; `add` gives the server its services. `filters` come after those of every node, the guard, and the access log. */
  async listen(
    add: (server: Server) => Server,
    { filters = [], tasks }: { readonly filters?: readonly Filter[]; readonly tasks?: TaskLog | undefined } = {},
  ): Promise<void> {
    const { clock, telemetry, policies, listen, advertise, tracer } = this.#context;
    const { guard: whom, service } = this.#config;
    const guarded = whom === undefined ? [] : [policies.authentication(whom, service)];
    const logged = accessLog({
      ...{ clock, telemetry, service },
      local: () => this.#advertised,
      isOn: (interfaceName) => this.#accessSwitch.isOn(interfaceName),
    });
    const all = [...policies.serverFilters, ...guarded, logged, ...filters];
    const transport = this.#transport();
    const server = createServer({ transport, filters: all, tracer, tasks, health: this.#health });
    const listener = await add(server).listen(listen);
    try {
      this.#advertised = advertised(listener.address, advertise);
    } catch (error) {
      await listener.close();
      throw error;
    }
    this.#listener = listener;
  }

  #transport(): Transport {
    const { transport, transports } = this.#context;
    return transports?.[protocolNames[this.#config.protocol]] ?? transport;
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
      health: this.#health,
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

  /** Says that it serves these interfaces, and registers: from here on it is called. */
  async register(...interfaces: readonly string[]): Promise<void> {
    const { node, clock } = this.#context;
    const { service, protocol, guard: whom, weight, warmUpMs } = this.#config;
    // Dubbo's own keys.
    const metadata = {
      ...this.#config.metadata,
      ...(warmUpMs !== undefined && { warmup: String(warmUpMs), timestamp: String(Math.floor(clock.wallMs())) }),
      ...(protocol !== "triple" && { [protocolLabel]: protocolNames[protocol] }),
      ...(whom?.token !== undefined && { token: whom.token }),
    };
    const own = { id: node, service, address: this.#advertised, weight, metadata };
    await this.#accessSwitch.follow(own, interfaces, this.#connections!.configCenter);
    this.#health.set(true, [...interfaces, service]);
    this.#instance = own;
    const registered = this.#announce();
    await new Promise<void>((resolve, reject) => {
      const disarm = clock.after(registerWithinUs, resolve);
      registered.then(resolve, reject).finally(disarm);
    });
  }

  /** Breaks its registration, while it serves on. */
  disturb(disturbance: Disturbance): Promise<Settle> | undefined {
    if (disturbance.kind === "zombie") return this.#withdraw().then(() => () => this.#announce());
    if (disturbance.kind === "flapping-registration") return Promise.resolve(this.#flap(disturbance.everyMs));
    return undefined;
  }

  /** Withdraws and announces in turn; settled, it is registered. */
  #flap(everyMs: number): Settle {
    const { clock } = this.#context;
    let isOut = false;
    let disarm = (): void => undefined;
    // One after the other, however long the registry takes.
    let turn: Promise<void> = Promise.resolve();
    const next = (): void => {
      disarm = clock.after((everyMs * 1000) / 2, next);
      isOut = !isOut;
      const step = isOut ? () => this.#withdraw() : () => this.#announce();
      turn = turn.then(step).catch(() => undefined);
    };
    next();
    return async () => {
      disarm();
      await turn;
      if (isOut) await this.#announce();
    };
  }

  async #withdraw(): Promise<void> {
    const registration = this.#registration;
    this.#registration = undefined;
    await registration?.deregister();
  }

  async #announce(): Promise<void> {
    if (this.#isLeaving) return;
    try {
      const registration = await this.#connections!.registry.register(this.#instance!);
      this.#registration = registration;
      // Too late: it is leaving already.
      if (this.#isLeaving) await registration.deregister();
    } catch (error) {
      if (!this.#isLeaving) throw error;
    }
  }

  async drain(): Promise<void> {
    this.#isLeaving = true;
    if (this.#lifecycle === undefined) await this.#listener?.close();
    await this.#lifecycle?.drain();
    this.#accessSwitch.close();
    await this.#connections?.closeClient();
  }

  async stop(): Promise<void> {
    this.#isLeaving = true;
    this.#accessSwitch.close();
    await this.#connections?.closeClient();
    if (this.#lifecycle === undefined) await this.#listener?.close();
    await this.#lifecycle?.stop();
  }
}
