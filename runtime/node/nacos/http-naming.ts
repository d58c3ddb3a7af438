import { createBackoff } from "../../call/backoff.ts";
import { Call } from "../../call/call.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { RegistryState, Subscription } from "../../ports/registry.ts";
import type { Telemetry } from "../../ports/telemetry.ts";
import { HttpClient, type HttpAnswer } from "../http-api/client.ts";
import { HttpLink } from "../http-api/link.ts";
import { sightingOf, type Hold, type NacosRegistration, type Naming, type Sighting } from "./naming.ts";
import { PushReceiver } from "./push.ts";

export interface HttpNamingOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly address: string;
  readonly dial: (address: string) => string;
  readonly namespace: string;
  readonly group: string;
  /** Default: the server's own (`preserved.heart.beat.timeout`, 15 s; removal after twice as long). */
  readonly sessionTimeoutMs?: number | undefined;
  /** Default: the server's `cacheMillis`. */
  readonly pollMs?: number | undefined;
  readonly isPushWanted: boolean;
}

/** The server looks for silent instances so often. */
const lookMs = 5_000;
const beatTimeoutMsDefault = 15_000;
const pollMsDefault = 10_000;
/** No server restarts so fast, and none that paused no longer takes its instances for dead. */
const sameWithinUs = 4_500_000;

/**
 * Nacos's naming over its first HTTP API (servers 1.x and 2.x). An instance lives by heartbeats, one each third of the timeout
 * (default 5 s of 15 s): after the timeout it is unhealthy, after twice as long it is removed, both by a check that runs each 5 s.
 * A heartbeat that fails is tried again and stops nothing; a server that answers 20404 is registered at again. Services are read
 * each `cacheMillis` (10 s), and told by UDP half a second after a change where the server's datagrams reach this machine.
 */
export class HttpNaming implements Naming {
  readonly vanished = "deregistered";
  readonly #options: HttpNamingOptions;
  readonly #link: HttpLink;
  /** Reads go over one connection, one after the other: while it lasts, the server is the same process. */
  readonly #reader: HttpClient;
  readonly #held = new Set<HttpHold>();
  readonly #turns = new Turns();
  readonly #subscribed = new Map<string, Set<(sighting: Sighting) => void>>();
  #incarnation = 0;
  /** The last answer came then; this client has given up the connection since. */
  #readUs = 0;
  #isGivenUp = false;
  #push: PushReceiver | undefined;
  #isClosing = false;

  constructor(options: HttpNamingOptions) {
    this.#options = options;
    this.#link = new HttpLink({ ...options, name: "Nacos", pingPath: "/nacos/v1/ns/operator/metrics" });
    this.#reader = new HttpClient({ ...options, connectionsMax: 1 });
  }

  get state(): RegistryState {
    return this.#isClosing ? "closed" : this.#link.availability.state;
  }

  get trouble(): string | undefined {
    return this.#link.availability.trouble;
  }

  hold(registration: NacosRegistration): Hold {
    const hold = new HttpHold({
      options: this.#options,
      link: this.#link,
      turns: this.#turns,
      registration,
      onEnd: () => this.#held.delete(hold),
    });
    this.#held.add(hold);
    return hold;
  }

  async read(service: string): Promise<Sighting> {
    return (await this.#list(service, 0)).sighting;
  }

  subscribe(service: string, listener: (sighting: Sighting) => void): Subscription {
    const { clock } = this.#options;
    const listeners = this.#subscribed.get(service) ?? new Set();
    this.#subscribed.set(service, listeners);
    listeners.add(listener);
    const life = new Call({ clock, service: "nacos", method: "", parent: this.#link.life });
    void this.#poll(service, listener, life).finally(() => life.end());
    return {
      close: () => {
        life.cancel();
        listeners.delete(listener);
        if (listeners.size === 0 && this.#subscribed.get(service) === listeners) this.#subscribed.delete(service);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    const isReached = this.#link.availability.state === "connected";
    // Best effort: what can't be taken out runs out by itself.
    await Promise.all([...this.#held].map((hold) => hold.end(isReached).catch(() => undefined)));
    this.#isClosing = true;
    this.#link.close();
    this.#reader.close();
    this.#push?.close();
  }

  async #poll(service: string, listener: (sighting: Sighting) => void, life: Call): Promise<void> {
    const { random, pollMs } = this.#options;
    const backoff = createBackoff(random.fork(`poll ${service}`));
    while (!life.isCancelled) {
      try {
        await this.#link.availability.connected(life);
        const { sighting, cacheMs } = await this.#list(service, await this.#pushPort(), life);
        if (life.isCancelled) return;
        backoff.reset();
        listener(sighting);
        await this.#link.pause((pollMs ?? cacheMs) * 1000, life);
      } catch {
        await this.#link.pause(backoff.nextUs(), life);
      }
    }
  }

  async #list(
    service: string,
    udpPort: number,
    parent?: Call,
  ): Promise<{ readonly sighting: Sighting; readonly cacheMs: number }> {
    const path = `/nacos/v1/ns/instance/list?${queryOf(this.#options, service, {
      clusters: "",
      healthyOnly: "false",
      udpPort: String(udpPort),
      clientIP: this.#link.localAddress ?? "",
    })}`;
    // The server sends datagrams only to those who call themselves a client that it knows.
    const headers = { "user-agent": "Nacos-Java-Client:v2.2.4", "client-version": "2.2.4" };
    const answer = await this.#link
      .call({ method: "GET", path, headers }, { parent, client: this.#reader })
      .catch((error: unknown) => {
        if (parent?.isCancelled !== true) this.#onUnread(error);
        throw error;
      });
    this.#onRead(answer);
    const serviceInfo = this.#link.json(answer) as { readonly cacheMillis?: unknown };
    const sighting = sightingOf(serviceInfo, this.#incarnation);
    if (sighting === undefined) throw new RpcError("Nacos answers no list of instances", { code: "UNAVAILABLE" });
    const { cacheMillis } = serviceInfo;
    return { sighting, cacheMs: typeof cacheMillis === "number" && cacheMillis >= 100 ? cacheMillis : pollMsDefault };
  }

  /** A process that ends breaks its connections. One that only didn't answer in time is the same, unless that took long. */
  #onUnread(error: unknown): void {
    if (toRpcError(error).code === "DEADLINE_EXCEEDED") this.#isGivenUp = true;
    else this.#incarnation++;
  }

  #onRead({ isFirst }: HttpAnswer): void {
    const nowUs = this.#options.clock.nowUs();
    const isLate = nowUs - this.#readUs > sameWithinUs;
    if (isFirst && (!this.#isGivenUp || isLate)) this.#incarnation++;
    this.#isGivenUp = false;
    this.#readUs = nowUs;
  }

  /** 0 where pushes aren't wanted, or can't be had. */
  async #pushPort(): Promise<number> {
    const { localAddress } = this.#link;
    if (!this.#options.isPushWanted || localAddress === undefined) return 0;
    this.#push ??= new PushReceiver(localAddress, (serviceInfo) => this.#onPush(serviceInfo));
    return this.#push.port;
  }

  /** Only a server that was asked since it started knows where to send: so this one is that of the last answer. */
  #onPush(serviceInfo: unknown): void {
    const { name } = (serviceInfo ?? {}) as { readonly name?: unknown };
    const sighting = sightingOf(serviceInfo, this.#incarnation);
    const prefix = `${this.#options.group}@@`;
    if (sighting === undefined || typeof name !== "string" || !name.startsWith(prefix)) return;
    for (const listener of [...(this.#subscribed.get(name.slice(prefix.length)) ?? [])]) listener(sighting);
  }
}

/** One instance, kept alive. */
class HttpHold implements Hold {
  readonly confirmed: Promise<void>;
  readonly #options: HttpNamingOptions;
  readonly #link: HttpLink;
  readonly #turns: Turns;
  readonly #registration: NacosRegistration;
  readonly #timeoutUs: number;
  readonly #ending: Call;
  readonly #onEnd: () => void;
  readonly #kept: Promise<void>;

  constructor({ options, link, turns, registration, onEnd }: HttpHoldOptions) {
    this.#options = options;
    this.#link = link;
    this.#turns = turns;
    this.#registration = registration;
    this.#timeoutUs = (options.sessionTimeoutMs ?? beatTimeoutMsDefault) * 1000;
    this.#ending = new Call({ clock: options.clock, service: "nacos", method: "" });
    this.#onEnd = onEnd;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.confirmed = promise;
    // Who isn't interested in the first time isn't disturbed by its failure.
    promise.catch(() => undefined);
    this.#kept = this.#keep(resolve, reject);
  }

  async release(): Promise<void> {
    await this.end(true);
  }

  abandon(): void {
    this.#onEnd();
    this.#ending.cancel();
  }

  async end(isReached: boolean): Promise<void> {
    if (this.#ending.isCancelled) return;
    this.#onEnd();
    this.#ending.cancel();
    // A registration that is under way must not come after the removal.
    await this.#kept;
    if (!isReached) return;
    const { ip, port } = this.#registration;
    await this.#send("DELETE", "/nacos/v1/ns/instance", { ip, port: String(port), ephemeral: "true" }, this.#link.life);
  }

  async #keep(onConfirmed: () => void, onRefused: (error: RpcError) => void): Promise<void> {
    const { random } = this.#options;
    const { service, ip, port } = this.#registration;
    const own = random.fork(`keep ${service} ${ip}:${port}`);
    const backoff = createBackoff(own);
    let isRegistered = false;
    while (!this.#ending.isCancelled && !this.#link.life.isCancelled) {
      try {
        await this.#link.availability.connected(this.#ending, this.#link.life);
        if (!isRegistered) {
          await this.#register();
          isRegistered = true;
          onConfirmed();
        } else if (!(await this.#beat())) {
          isRegistered = false;
          // A fleet that its registry forgot doesn't come back in one moment.
          await this.#link.pause(own.below(Math.ceil(this.#timeoutUs / 12)), this.#ending);
          continue;
        }
        backoff.reset();
        const thirdUs = Math.floor(this.#timeoutUs / 3);
        await this.#link.pause(thirdUs - own.below(Math.max(1, Math.floor(thirdUs / 5))), this.#ending);
      } catch (thrown) {
        if (this.#ending.isCancelled) break;
        const error = toRpcError(thrown);
        if (error.code === "INVALID_ARGUMENT" || error.code === "PERMISSION_DENIED") onRefused(error);
        await this.#link.pause(backoff.nextUs(), this.#ending);
      }
    }
    onRefused(this.#link.life.reason ?? new RpcError("the registration was withdrawn", { code: "CANCELLED" }));
  }

  async #register(): Promise<void> {
    const { ip, port, weight, metadata } = this.#registration;
    const { sessionTimeoutMs } = this.#options;
    const preserved = sessionTimeoutMs === undefined ? {} : preservedMetadata(sessionTimeoutMs);
    await this.#send("POST", "/nacos/v1/ns/instance", {
      ip,
      port: String(port),
      weight: String(weight),
      enabled: "true",
      healthy: "true",
      ephemeral: "true",
      metadata: JSON.stringify({ ...metadata, ...preserved }),
    });
  }

  /** Whether the server knows the instance still. */
  async #beat(): Promise<boolean> {
    const { ip, port } = this.#registration;
    const answer = await this.#send("PUT", "/nacos/v1/ns/instance/beat", { ip, port: String(port) });
    const { code } = this.#link.json(answer) as { readonly code?: unknown };
    return code !== 20404;
  }

  async #send(method: "POST" | "PUT" | "DELETE", path: string, parameters: Record<string, string>, parent?: Call) {
    const query = queryOf(this.#options, this.#registration.service, parameters);
    // Metadata are long: they go in the body.
    const request =
      method === "POST"
        ? { method, path, body: query, headers: { "content-type": "application/x-www-form-urlencoded" } }
        : { method, path: `${path}?${query}` };
    const send = () => this.#link.call(request, { parent: parent ?? this.#ending });
    const { ip, port } = this.#registration;
    const answer = await (method === "PUT" ? send() : this.#turns.take(`${ip}:${port}`, send));
    if (answer.status !== 200) throw this.#link.refusal(answer, "INVALID_ARGUMENT");
    return answer;
  }
}

interface HttpHoldOptions {
  readonly options: HttpNamingOptions;
  readonly link: HttpLink;
  readonly turns: Turns;
  readonly registration: NacosRegistration;
  readonly onEnd: () => void;
}

/**
 * One change after the other, per address: Nacos 2 makes a "client" of an address when it is first registered, whatever the service,
 * and of two that are registered at once it forgets one.
 */
class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(address: string, change: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(address) ?? Promise.resolve()).catch(() => undefined).then(change);
    this.#last.set(address, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(address) === turn) this.#last.delete(address);
    }
  }
}

/**
 * How an instance asks for timeouts of its own; the server looks each 5 s whatever they are. Between unhealthy and removed are two
 * looks at least: who was never seen unhealthy would seem to have taken leave.
 */
export const preservedMetadata = (timeoutMs: number): Record<string, string> => ({
  "preserved.heart.beat.interval": String(Math.ceil(timeoutMs / 3)),
  "preserved.heart.beat.timeout": String(timeoutMs),
  "preserved.ip.delete.timeout": String(Math.max(2 * timeoutMs, timeoutMs + 2 * lookMs)),
});

function queryOf(
  { namespace, group }: HttpNamingOptions,
  service: string,
  parameters: Readonly<Record<string, string>>,
): string {
  const query = { serviceName: `${group}@@${service}`, groupName: group, namespaceId: namespace, ...parameters };
  return new URLSearchParams(query).toString();
}
