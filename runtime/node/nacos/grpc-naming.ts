import { createBackoff } from "../../call/backoff.ts";
import { Call } from "../../call/call.ts";
import { pause } from "../../call/pause.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { Availability } from "../../discovery/availability.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { RegistryState, Subscription } from "../../ports/registry.ts";
import type { Telemetry } from "../../ports/telemetry.ts";
import { GrpcConnection, grpcAddress } from "./grpc-connection.ts";
import { sightingOf, type Hold, type NacosRegistration, type Naming, type Sighting } from "./naming.ts";
import type { Payload } from "./payload.ts";

export interface GrpcNamingOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  /** The server's HTTP address. */
  readonly address: string;
  readonly dial: (address: string) => string;
  readonly namespace: string;
  readonly group: string;
}

/** The server is asked so often whether it is there … */
const healthCheckUs = 5_000_000;
/** … and given up after so many questions without an answer. */
const unansweredMax = 2;

/**
 * Nacos's naming over gRPC (servers 2.x and 3.x), which real Dubbo uses: an instance lives as long as the connection over which it
 * was registered. A connection that breaks takes its instances out within half a second, unless they are registered again before;
 * so that is done at once. One that falls silent keeps them until the server's own check. Services are pushed, half a second after
 * a change; empty lists too.
 */
export class GrpcNaming implements Naming {
  /** A goodbye and a broken connection look alike: the word that is believed less. */
  readonly vanished = "expired";
  readonly #options: GrpcNamingOptions;
  readonly #address: string;
  readonly #availability: Availability;
  readonly #life: Call;
  readonly #held = new Set<GrpcHold>();
  readonly #subscribed = new Map<string, Set<(sighting: Sighting) => void>>();
  #connection: GrpcConnection | undefined;
  #incarnation = 0;

  constructor(options: GrpcNamingOptions) {
    const { clock, telemetry, address } = options;
    this.#options = options;
    this.#address = grpcAddress(address);
    this.#availability = new Availability(clock, telemetry);
    this.#life = new Call({ clock, service: "nacos", method: "" });
    void this.#live();
  }

  get state(): RegistryState {
    return this.#availability.state;
  }

  hold(registration: NacosRegistration): Hold {
    const hold = new GrpcHold(registration, this.#options, {
      connection: () => this.#connection,
      onEnd: () => this.#held.delete(hold),
    });
    this.#held.add(hold);
    if (this.#life.reason !== undefined) hold.refuse(this.#life.reason);
    else if (this.#connection !== undefined) void hold.publish(this.#connection);
    return hold;
  }

  async read(service: string): Promise<Sighting> {
    if (this.#life.reason !== undefined) throw this.#life.reason;
    const connection = this.#connection;
    if (connection === undefined) throw new RpcError(`${this.#address} isn't connected`, { code: "UNAVAILABLE" });
    const incarnation = this.#incarnation;
    const { serviceInfo } = await connection.request("ServiceQueryRequest", {
      ...this.#nameOf(service),
      ...{ cluster: "", healthyOnly: false, udpPort: 0 },
    });
    const sighting = sightingOf(serviceInfo, incarnation);
    if (sighting === undefined) throw new RpcError("Nacos answers no list of instances", { code: "UNAVAILABLE" });
    return sighting;
  }

  subscribe(service: string, listener: (sighting: Sighting) => void): Subscription {
    const listeners = this.#subscribed.get(service) ?? new Set();
    this.#subscribed.set(service, listeners);
    listeners.add(listener);
    if (this.#connection !== undefined) void this.#subscribe(this.#connection, service);
    return {
      close: () => {
        listeners.delete(listener);
        if (listeners.size > 0 || this.#subscribed.get(service) !== listeners) return;
        this.#subscribed.delete(service);
        const body = { ...this.#nameOf(service), clusters: "", subscribe: false };
        void this.#connection?.request("SubscribeServiceRequest", body).catch(() => undefined);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#life.isCancelled) return;
    const closed = new RpcError("the client of Nacos was closed", { code: "CANCELLED" });
    this.#availability.become("closed");
    this.#life.cancel(closed);
    for (const hold of [...this.#held]) hold.refuse(closed);
    // What was registered over it goes with it.
    this.#connection?.close();
  }

  /** One connection after the other, until the end. */
  async #live(): Promise<void> {
    const { clock, random, dial, namespace } = this.#options;
    const backoff = createBackoff(random.fork("connection"));
    while (!this.#life.isCancelled) {
      const spell = new Call({ clock, service: "nacos", method: "", parent: this.#life });
      try {
        const connection = await GrpcConnection.open(
          {
            clock,
            address: this.#address,
            target: dial(this.#address),
            namespace,
            module: "naming",
            onRequest: (payload) => this.#onRequest(payload),
            onEnd: () => spell.cancel(),
          },
          spell,
        );
        if (this.#life.isCancelled) return connection.close();
        this.#connection = connection;
        this.#incarnation++;
        this.#restore(connection);
        this.#availability.become("connected");
        const sinceUs = clock.nowUs();
        await this.#keepAlive(connection, spell);
        connection.close();
        this.#connection = undefined;
        // One that had lasted is made again at once: what hung on it is missed after half a second.
        if (clock.nowUs() - sinceUs > healthCheckUs) backoff.reset();
      } catch {
        // The end of this client shows in the loop's condition.
      } finally {
        spell.end();
      }
      if (this.#life.isCancelled) return;
      this.#availability.become("suspended");
      await pause(clock, backoff.nextUs(), this.#life);
    }
  }

  /** Resolves when the connection has ended, or is as good as that. */
  async #keepAlive(connection: GrpcConnection, spell: Call): Promise<void> {
    const { clock } = this.#options;
    let unanswered = 0;
    while (!spell.isCancelled) {
      if (unanswered === 0) await pause(clock, healthCheckUs, spell);
      if (spell.isCancelled) return;
      try {
        await connection.request("HealthCheckRequest", {});
        unanswered = 0;
      } catch {
        if (++unanswered >= unansweredMax) return;
      }
    }
  }

  /** A connection begins with nothing: everything that lasts is done again. */
  #restore(connection: GrpcConnection): void {
    for (const hold of this.#held) void hold.publish(connection);
    for (const service of this.#subscribed.keys()) void this.#subscribe(connection, service);
  }

  async #subscribe(connection: GrpcConnection, service: string): Promise<void> {
    const backoff = createBackoff(this.#options.random.fork(`subscribe ${service}`));
    while (this.#connection === connection && this.#subscribed.has(service)) {
      const incarnation = this.#incarnation;
      try {
        const body = { ...this.#nameOf(service), clusters: "", subscribe: true };
        const { serviceInfo } = await connection.request("SubscribeServiceRequest", body);
        this.#tell(service, serviceInfo, incarnation);
        return;
      } catch {
        await pause(this.#options.clock, backoff.nextUs(), this.#life);
      }
    }
  }

  #onRequest({ type, body }: Payload): void {
    if (type !== "NotifySubscriberRequest") return;
    const { name, groupName } = (body["serviceInfo"] ?? {}) as {
      readonly name?: unknown;
      readonly groupName?: unknown;
    };
    if (typeof name !== "string" || groupName !== this.#options.group) return;
    // Some servers put the group in front of the name, too.
    const prefix = `${this.#options.group}@@`;
    const service = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    this.#tell(service, body["serviceInfo"], this.#incarnation);
  }

  #tell(service: string, serviceInfo: unknown, incarnation: number): void {
    const sighting = sightingOf(serviceInfo, incarnation);
    if (sighting === undefined || this.#life.isCancelled) return;
    for (const listener of [...(this.#subscribed.get(service) ?? [])]) listener(sighting);
  }

  #nameOf(service: string): Readonly<Record<string, string>> {
    return { namespace: this.#options.namespace, serviceName: service, groupName: this.#options.group };
  }
}

/** One instance, registered over each connection anew. */
class GrpcHold implements Hold {
  readonly confirmed: Promise<void>;
  readonly #registration: NacosRegistration;
  readonly #options: GrpcNamingOptions;
  readonly #owner: { readonly connection: () => GrpcConnection | undefined; readonly onEnd: () => void };
  readonly #confirm: PromiseWithResolvers<void> = Promise.withResolvers();
  /** The connection over which it is registered. */
  #over: GrpcConnection | undefined;
  #publishing: Promise<void> = Promise.resolve();
  #isWanted = true;

  constructor(
    registration: NacosRegistration,
    options: GrpcNamingOptions,
    owner: { readonly connection: () => GrpcConnection | undefined; readonly onEnd: () => void },
  ) {
    this.#registration = registration;
    this.#options = options;
    this.#owner = owner;
    this.confirmed = this.#confirm.promise;
    this.confirmed.catch(() => undefined);
  }

  publish(connection: GrpcConnection): Promise<void> {
    return (this.#publishing = this.#publishing.then(() => this.#publish(connection)));
  }

  async release(): Promise<void> {
    if (!this.#isWanted) return;
    this.abandon();
    await this.#publishing;
    const over = this.#over;
    // With its connection it has gone too.
    if (over !== undefined && over === this.#owner.connection())
      await over.request("InstanceRequest", this.#body("deregisterInstance"));
  }

  abandon(): void {
    this.refuse(new RpcError("the registration was withdrawn", { code: "CANCELLED" }));
  }

  refuse(error: RpcError): void {
    this.#isWanted = false;
    this.#owner.onEnd();
    this.#confirm.reject(error);
  }

  async #publish(connection: GrpcConnection): Promise<void> {
    const { clock, random } = this.#options;
    const { service, ip, port } = this.#registration;
    const backoff = createBackoff(random.fork(`register ${service} ${ip}:${port}`));
    while (this.#isWanted && this.#owner.connection() === connection) {
      try {
        await connection.request("InstanceRequest", this.#body("registerInstance"));
        this.#over = connection;
        this.#confirm.resolve();
        return;
      } catch (thrown) {
        const error = toRpcError(thrown);
        if (error.code === "INVALID_ARGUMENT" || error.code === "PERMISSION_DENIED") this.#confirm.reject(error);
        await clock.sleep(backoff.nextUs());
      }
    }
  }

  #body(type: "registerInstance" | "deregisterInstance"): Readonly<Record<string, unknown>> {
    const { namespace, group } = this.#options;
    const { service, ip, port, weight, metadata } = this.#registration;
    const states = { healthy: true, enabled: true, ephemeral: true };
    return {
      ...{ namespace, serviceName: service, groupName: group, type },
      instance: { ip, port, weight, ...states, clusterName: "DEFAULT", serviceName: service, metadata },
    };
  }
}
