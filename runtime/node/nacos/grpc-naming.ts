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
  /** Time between two looks at a subscribed service, beside the server's pushes. Default 10,000. */
  readonly pollMs?: number | undefined;
}

const pollMsDefault = 10_000;
/** The server is asked so often whether it is there … */
const healthCheckUs = 5_000_000;
/** … and given up after so many questions without an answer. */
const unansweredMax = 2;
/** A connection that lived so long is made again at once when it breaks; a server that only takes and drops them isn't rushed. */
const lastingUs = 1_000_000;
/** A read waits so long for a connection. */
const connectWithinUs = 3_000_000;

/**
 * Nacos's naming over gRPC (servers 2.x and 3.x), which real Dubbo uses: an instance lives as long as the connection over which it
 * was registered. A connection that breaks takes its instances out within half a second, unless they are registered again before;
 * so that is done at once. One that falls silent keeps them until the server's own check. Services are pushed, half a second after
 * a change; empty lists too.
 */
export class GrpcNaming implements Naming {
  /** A goodbye and a broken connection look alike. */
  readonly vanished = "gone";
  readonly #options: GrpcNamingOptions;
  readonly #address: string;
  readonly #availability: Availability;
  readonly #life: Call;
  readonly #publications = new Map<string, Publication>();
  readonly #subscribed = new Map<string, Set<(sighting: Sighting) => void>>();
  /** The connection over which each subscribed service is looked at. */
  readonly #looking = new Map<string, GrpcConnection>();
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

  get trouble(): string | undefined {
    return this.#availability.trouble;
  }

  hold(registration: NacosRegistration): Hold {
    const { service } = registration;
    let publication = this.#publications.get(service);
    if (publication === undefined) {
      publication = new Publication(service, this.#options, () => this.#connection);
      this.#publications.set(service, publication);
    }
    const hold = publication.hold(registration);
    if (this.#life.reason !== undefined) publication.refuse(this.#life.reason);
    return hold;
  }

  async read(service: string): Promise<Sighting> {
    const { clock } = this.#options;
    const waiting = new Call({ clock, service: "nacos", method: "", timeoutUs: connectWithinUs, parent: this.#life });
    try {
      await this.#availability.connected(waiting);
    } finally {
      waiting.end();
    }
    const incarnation = this.#incarnation;
    const { serviceInfo } = await this.#connection!.request("ServiceQueryRequest", {
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
    for (const publication of this.#publications.values()) publication.refuse(closed);
    // What was registered over it goes with it.
    this.#connection?.close();
  }

  /** One connection after the other, until the end. */
  async #live(): Promise<void> {
    const { clock, random, dial, namespace } = this.#options;
    const backoff = createBackoff(random.fork("connection"));
    while (!this.#life.isCancelled) {
      const spell = new Call({ clock, service: "nacos", method: "", parent: this.#life });
      let isUrgent = false;
      let trouble = `the connection to ${this.#address} is gone`;
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
        this.#availability.become("connected");
        this.#restore(connection);
        const sinceUs = clock.nowUs();
        await this.#keepAlive(connection, spell);
        connection.close();
        this.#connection = undefined;
        if (clock.nowUs() - sinceUs > lastingUs) {
          backoff.reset();
          // What hung on it is missed after half a second.
          isUrgent = true;
        }
      } catch (error) {
        // The end of this client shows in the loop's condition.
        trouble = toRpcError(error).message;
      } finally {
        spell.end();
      }
      if (this.#life.isCancelled) return;
      this.#availability.become("suspended", trouble);
      if (!isUrgent) await pause(clock, backoff.nextUs(), this.#life);
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
    for (const publication of this.#publications.values()) void publication.publish();
    for (const service of this.#subscribed.keys()) void this.#subscribe(connection, service);
  }

  async #subscribe(connection: GrpcConnection, service: string): Promise<void> {
    const backoff = createBackoff(this.#options.random.fork(`subscribe ${service}`));
    const isFirst = this.#looking.get(service) !== connection;
    this.#looking.set(service, connection);
    let isSubscribed = false;
    while (this.#connection === connection && this.#subscribed.has(service)) {
      const incarnation = this.#incarnation;
      try {
        const body = isSubscribed ? { cluster: "", healthyOnly: false, udpPort: 0 } : { clusters: "", subscribe: true };
        const type = isSubscribed ? "ServiceQueryRequest" : "SubscribeServiceRequest";
        const { serviceInfo } = await connection.request(type, { ...this.#nameOf(service), ...body });
        this.#tell(service, serviceInfo, incarnation);
        // One subscription of a service is looked after, for all who listen.
        if (!isFirst) return;
        isSubscribed = true;
        backoff.reset();
        // A push may get lost, and a server that can't hear of its arrival may never send one.
        await pause(this.#options.clock, (this.#options.pollMs ?? pollMsDefault) * 1000, this.#life);
      } catch {
        await pause(this.#options.clock, backoff.nextUs(), this.#life);
      }
    }
    if (this.#looking.get(service) === connection) this.#looking.delete(service);
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

/**
 * One service's instances of this client, registered over each connection anew. A connection holds one registration of a service,
 * and a later one replaces it: so several instances are registered together, with each change all of them.
 */
class Publication {
  readonly #service: string;
  readonly #options: GrpcNamingOptions;
  readonly #connection: () => GrpcConnection | undefined;
  readonly #random: Random;
  readonly #holds = new Set<GrpcHold>();
  /** The connection that knows of any. */
  #over: GrpcConnection | undefined;
  #isChanged = false;
  #publishing: Promise<void> | undefined;

  constructor(service: string, options: GrpcNamingOptions, connection: () => GrpcConnection | undefined) {
    this.#service = service;
    this.#options = options;
    this.#connection = connection;
    this.#random = options.random.fork(`register ${service}`);
  }

  hold(registration: NacosRegistration): GrpcHold {
    const hold = new GrpcHold(registration, this);
    this.#holds.add(hold);
    void this.publish();
    return hold;
  }

  /** Tells the server what is held, as soon as it can be reached. */
  publish(): Promise<void> {
    this.#isChanged = true;
    return (this.#publishing ??= this.#publish().finally(() => (this.#publishing = undefined)));
  }

  refuse(error: RpcError): void {
    for (const { confirm } of this.#holds) confirm.reject(error);
    this.#holds.clear();
  }

  drop(hold: GrpcHold): void {
    this.#holds.delete(hold);
    hold.confirm.reject(new RpcError("the registration was withdrawn", { code: "CANCELLED" }));
  }

  /** Takes it out. Rejects with an `RpcError` when the server can't be told. */
  async release(hold: GrpcHold): Promise<void> {
    if (!this.#holds.has(hold)) return;
    this.drop(hold);
    await this.#publishing;
    const connection = this.#connection();
    // With its connection it has gone too.
    if (connection === undefined || this.#over !== connection) return;
    if (this.#holds.size > 0) return this.publish();
    this.#over = undefined;
    await connection.request("InstanceRequest", this.#one("deregisterInstance", hold));
  }

  async #publish(): Promise<void> {
    const { clock } = this.#options;
    const backoff = createBackoff(this.#random);
    while (this.#isChanged && this.#holds.size > 0) {
      const connection = this.#connection();
      // The next one begins with all of them.
      if (connection === undefined) return;
      this.#isChanged = false;
      const holds = [...this.#holds];
      try {
        if (holds.length === 1) await connection.request("InstanceRequest", this.#one("registerInstance", holds[0]!));
        else await connection.request("BatchInstanceRequest", this.#all(holds));
        this.#over = connection;
        for (const { confirm } of holds) confirm.resolve();
      } catch (thrown) {
        const error = toRpcError(thrown);
        if (error.code === "INVALID_ARGUMENT" || error.code === "PERMISSION_DENIED") {
          for (const { confirm } of holds) confirm.reject(error);
        }
        this.#isChanged = true;
        if (this.#connection() === connection) await clock.sleep(backoff.nextUs());
      }
    }
  }

  #one(type: string, { registration }: GrpcHold): Readonly<Record<string, unknown>> {
    return { ...this.#name(), type, instance: instanceOf(registration) };
  }

  #all(holds: readonly GrpcHold[]): Readonly<Record<string, unknown>> {
    const instances = holds.map(({ registration }) => instanceOf(registration));
    return { ...this.#name(), type: "batchRegisterInstance", instances };
  }

  #name(): Readonly<Record<string, unknown>> {
    const { namespace, group } = this.#options;
    return { namespace, serviceName: this.#service, groupName: group };
  }
}

class GrpcHold implements Hold {
  readonly registration: NacosRegistration;
  readonly confirm: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #publication: Publication;

  constructor(registration: NacosRegistration, publication: Publication) {
    this.registration = registration;
    this.#publication = publication;
    // Who isn't interested in the first time isn't disturbed by its failure.
    this.confirmed.catch(() => undefined);
  }

  get confirmed(): Promise<void> {
    return this.confirm.promise;
  }

  release(): Promise<void> {
    return this.#publication.release(this);
  }

  abandon(): void {
    this.#publication.drop(this);
  }
}

function instanceOf({ service, ip, port, weight, metadata }: NacosRegistration): Readonly<Record<string, unknown>> {
  const states = { healthy: true, enabled: true, ephemeral: true };
  return { ip, port, weight, ...states, clusterName: "DEFAULT", serviceName: service, metadata };
}
