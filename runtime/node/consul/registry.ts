import { randomUUID } from "node:crypto";

import { createBackoff } from "../../call/backoff.ts";
import { Call } from "../../call/call.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { ServiceView } from "../../discovery/view.ts";
import type { RegistryConnection } from "../../ports/infrastructure.ts";
import type {
  Instance,
  Registration,
  Registry,
  RegistryState,
  RemovalReason,
  ServiceSnapshot,
  Subscription,
} from "../../ports/registry.ts";
import type { HttpAnswer } from "../http-api/client.ts";
import { HttpLink } from "../http-api/link.ts";
import { blockingQuery, indexOf } from "./blocking.ts";
import { checkIdOf, consulId, healthEntriesOf, isOwnedBy, registrationOf } from "./format.ts";

export interface ConsulRegistryOptions extends RegistryConnection {
  readonly address: string;
  readonly prefix: string;
  readonly dial: (address: string) => string;
}

/** Consul has no default for a check's time to live. */
const ttlMsDefault = 15_000;

/**
 * A registry at a Consul agent. An instance is a service with a TTL check, which is told "pass" every third of the TTL T
 * (`sessionTimeoutMs`, default 15 s); after T without, Consul marks it critical and watchers drop it at once; after another minute
 * Consul forgets it. An agent that doesn't know the check any more is registered at again.
 *
 * Watches are blocking queries that see the critical ones too: so an instance that turns critical has `expired`, and one that
 * vanishes was `deregistered`, as long as the server went on answering. Of those whom a server that came back doesn't know, or takes
 * for dead, nothing is said. `close` takes out what was registered, if the agent can be reached; else the TTL does.
 */
export class ConsulRegistry implements Registry {
  readonly #options: ConsulRegistryOptions;
  readonly #link: HttpLink;
  /** Tells this client's registrations from those of a predecessor or successor with the same ids. */
  readonly #owner = randomUUID();
  readonly #ttlMs: number;
  readonly #held = new Map<string, Held>();
  readonly #tracked = new Map<string, Tracked>();
  #closing: Promise<void> | undefined;

  constructor(options: ConsulRegistryOptions) {
    this.#options = options;
    this.#ttlMs = options.sessionTimeoutMs ?? ttlMsDefault;
    this.#link = new HttpLink({ ...options, name: "Consul", pingPath: "/v1/status/leader" });
  }

  get state(): RegistryState {
    return this.#link.availability.state;
  }

  get trouble(): string | undefined {
    return this.#link.availability.trouble;
  }

  async register(instance: Instance): Promise<Registration> {
    const { clock, prefix, application, interfaceName } = this.#options;
    const body = JSON.stringify(
      registrationOf(instance, {
        prefix,
        ttlMs: this.#ttlMs,
        owner: this.#owner,
        application,
        interfaceName,
        timestampMs: clock.wallMs(),
      }),
    );
    if (this.#link.life.reason !== undefined) throw this.#link.life.reason;
    const id = consulId(prefix, instance);
    this.#held.get(id)?.ending.cancel();
    const held: Held = { id, body, ending: this.#call(), isRegistered: false };
    this.#held.set(id, held);
    try {
      await new Promise<void>((resolve, reject) => void this.#keep(held, resolve, reject));
    } catch (error) {
      if (this.#held.get(id) === held) this.#held.delete(id);
      held.ending.cancel();
      throw error;
    }
    return { deregister: () => this.#deregister(held) };
  }

  async lookup(service: string): Promise<ServiceSnapshot> {
    const answer = await this.#link.call({ method: "GET", path: this.#healthPath(service) });
    const tracked = this.#track(service);
    this.#see(tracked, answer);
    return tracked.view.snapshot;
  }

  watch(service: string, listener: (snapshot: ServiceSnapshot) => void): Subscription {
    if (this.state === "closed") return { close: () => undefined };
    const { clock, random } = this.#options;
    const tracked = this.#track(service);
    const watching = tracked.view.watch(listener);
    tracked.watchers++;
    tracked.query ??= blockingQuery({
      clock,
      random: random.fork(`watch ${service}`),
      link: this.#link,
      path: this.#healthPath(service),
      onAnswer: (answer) => this.#see(tracked, answer),
      onBroken: () => void (tracked.isUnbroken = false),
    });
    let isOpen = true;
    return {
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        watching.close();
        if (--tracked.watchers > 0) return;
        tracked.query?.close();
        tracked.query = undefined;
        tracked.isUnbroken = false;
      },
    };
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    for (const { query } of this.#tracked.values()) query?.close();
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const { ending } of held) ending.cancel();
    if (this.state === "connected") {
      // Best effort: what can't be taken out runs out by itself.
      await Promise.all(held.map((one) => this.#takeOut(one).catch(() => undefined)));
    }
    this.#link.close();
  }

  /** Registers and keeps registered, until the held one's end. */
  async #keep(held: Held, onRegistered: () => void, onRefused: (error: RpcError) => void): Promise<void> {
    const { clock, random } = this.#options;
    const backoff = createBackoff(random.fork(`register ${held.id}`));
    const { ending } = held;
    while (!ending.isCancelled) {
      try {
        await this.#link.availability.connected(ending, this.#link.life);
        if (!held.isRegistered) {
          const sinceUs = clock.nowUs();
          await this.#put("/v1/agent/service/register", held.body, ending);
          held.isRegistered = true;
          onRegistered();
          // An agent without a leader answers late, and has counted the TTL since it was asked.
          if (clock.nowUs() - sinceUs > this.#periodUs() / 2) continue;
        } else if (!(await this.#pass(held))) {
          // A fleet that lost its agent doesn't come back in one moment.
          await this.#link.pause(random.below(Math.ceil((this.#ttlMs * 1000) / 12)), ending);
          held.isRegistered = false;
          continue;
        }
        backoff.reset();
        await this.#link.pause(this.#periodUs(), ending);
      } catch (thrown) {
        const error = toRpcError(thrown);
        if (this.#link.life.reason !== undefined || ending.isCancelled) break;
        if (error.code === "INVALID_ARGUMENT" || error.code === "PERMISSION_DENIED") onRefused(error);
        await this.#link.pause(backoff.nextUs(), ending);
      }
    }
    onRefused(this.#link.life.reason ?? new RpcError("the registration was withdrawn", { code: "CANCELLED" }));
  }

  /** Whether the agent knows the check still. */
  async #pass({ id, ending }: Held): Promise<boolean> {
    const path = `/v1/agent/check/pass/${encodeURIComponent(checkIdOf(id))}`;
    const answer = await this.#link.call({ method: "PUT", path }, { parent: ending });
    if (answer.status !== 200 && answer.status !== 404) throw this.#link.refusal(answer, "INVALID_ARGUMENT");
    return answer.status === 200;
  }

  async #deregister(held: Held): Promise<void> {
    if (held.ending.isCancelled || this.#held.get(held.id) !== held) return;
    this.#held.delete(held.id);
    held.ending.cancel();
    if (this.state !== "closed") await this.#takeOut(held);
  }

  async #takeOut({ id }: Held): Promise<void> {
    const path = encodeURIComponent(id);
    const known = await this.#link.call({ method: "GET", path: `/v1/agent/service/${path}` });
    if (known.status === 404 || !isOwnedBy(this.#owner, this.#link.json(known))) return;
    await this.#put(`/v1/agent/service/deregister/${path}`, "", this.#link.life);
  }

  async #put(path: string, body: string, parent: Call): Promise<void> {
    const answer = await this.#link.call({ method: "PUT", path, body }, { parent });
    if (answer.status !== 200 && answer.status !== 404) throw this.#link.refusal(answer, "INVALID_ARGUMENT");
  }

  #track(service: string): Tracked {
    let tracked = this.#tracked.get(service);
    if (tracked === undefined) {
      tracked = {
        service,
        view: new ServiceView(service),
        query: undefined,
        watchers: 0,
        index: 0n,
        isUnbroken: false,
      };
      this.#tracked.set(service, tracked);
    }
    return tracked;
  }

  #see(tracked: Tracked, answer: HttpAnswer): void {
    const entries = healthEntriesOf(tracked.service, this.#link.json(answer));
    const index = indexOf(answer);
    // A lookup and the watch's query may overtake one another; a server that lost its memory begins again.
    const isSameServer = tracked.query !== undefined && tracked.isUnbroken;
    if (isSameServer && index < tracked.index) return;
    tracked.index = index;
    tracked.isUnbroken = true;
    const ids = new Set(entries.map(({ instance }) => instance.id));
    const passing = entries.filter(({ isPassing }) => isPassing).map(({ instance }) => instance);
    const reasonOf = ({ id }: Instance): RemovalReason | undefined => {
      // A server that came back takes everybody for dead until it has heard from them.
      if (!isSameServer) return undefined;
      return ids.has(id) ? "expired" : "deregistered";
    };
    tracked.view.see(
      passing.sort((a, b) => (a.id < b.id ? -1 : 1)),
      reasonOf,
    );
  }

  #healthPath(service: string): string {
    return `/v1/health/service/${encodeURIComponent(this.#options.prefix + service)}?consistent`;
  }

  #call(): Call {
    return new Call({ clock: this.#options.clock, service: "consul", method: "" });
  }

  /** A little less than T/3, never twice the same. */
  #periodUs(): number {
    const thirdUs = Math.floor((this.#ttlMs * 1000) / 3);
    return thirdUs - this.#options.random.below(Math.max(1, Math.floor(thirdUs / 5)));
  }
}

/** An instance that shall be registered. */
interface Held {
  readonly id: string;
  readonly body: string;
  /** Cancelled when nobody wants it any more. */
  readonly ending: Call;
  isRegistered: boolean;
}

/** A service that was asked for. */
interface Tracked {
  readonly service: string;
  readonly view: ServiceView;
  query: Subscription | undefined;
  watchers: number;
  /** Of the last answer. */
  index: bigint;
  /** Every answer since the one before came from a server that went on answering. */
  isUnbroken: boolean;
}
