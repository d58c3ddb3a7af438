import { createBackoff } from "../call/backoff.ts";
import { Call } from "../call/call.ts";
import { directStub } from "../call/direct.ts";
import { lastingStream } from "../call/lasting-stream.ts";
import type { Stub } from "../call/service.ts";
import { RpcError, toRpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type {
  Instance,
  Registration,
  Registry,
  RegistryState,
  RemovalReason,
  ServiceSnapshot,
  Subscription,
} from "../ports/registry.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { Transport } from "../ports/transport.ts";
import type { CallLog } from "../telemetry/call-log.ts";
import { Registry as RegistryService, type ServiceSnapshot as WireSnapshot } from "./proto/registry_pb.ts";

export interface EmbeddedRegistryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly calls: CallLog;
  readonly telemetry: Telemetry;
  /** The registry's "host:port". */
  readonly address: string;
  /** A session that the registry doesn't hear of for so long ends, and its instances go. Default 6000. */
  readonly sessionTimeoutMs?: number | undefined;
  /** Who asks, for people: "orders/0". */
  readonly client: string;
}

/**
 * The client of the embedded registry, from the first moment on connected or trying to be.
 *
 * Its session is kept alive every third of the timeout T, each try within a third; unanswered, the state is `suspended` and
 * nothing else happens: only the registry can say that a session has expired (as ZooKeeper's Disconnected is not Expired). After two
 * tries without an answer each further one makes a new connection, as ZooKeeper's client does: TCP sends again ever more seldom, and may
 * find out seconds after everybody else that the network is back. When the session has expired, a new one is opened and everything
 * registered again, spread over T/12 at most, so that a fleet that lost its registry doesn't come back in one moment. Watches are
 * opened again with backoff, and also when they are silent for T: the registry promises a heartbeat each T/3.
 *
 * `register` resolves when the registry has confirmed. While the registry is away it goes on trying without end; it rejects when
 * the registry refuses the instance (INVALID_ARGUMENT, RESOURCE_EXHAUSTED), or with CANCELLED when it is withdrawn by `close`.
 */
export function createEmbeddedRegistry(options: EmbeddedRegistryOptions): Registry {
  return new EmbeddedRegistry(options);
}

class EmbeddedRegistry implements Registry {
  readonly #options: EmbeddedRegistryOptions;
  readonly #stub: Stub<typeof RegistryService>;
  /** Everything that is under way; ends with `close`. */
  readonly #life: Call;
  readonly #held = new Map<string, Held>();
  readonly #watches = new Set<Subscription>();
  #state: RegistryState = "connecting";
  #trouble: string | undefined;
  #session: Session | undefined;
  #sessions = 0;
  /** Tries in a row that nobody answered. */
  #unanswered = 0;
  readonly #waiting = new Set<() => void>();
  /** The timeout that holds: the registry's answer, before that the wish. */
  #timeoutUs: number;
  #closing: Promise<void> | undefined;

  constructor(options: EmbeddedRegistryOptions) {
    const { clock, transport, calls, address } = options;
    this.#options = options;
    this.#timeoutUs = (options.sessionTimeoutMs ?? 6000) * 1000;
    this.#stub = directStub(RegistryService, { clock, transport, calls, service: "registry", address });
    this.#life = new Call({ clock, service: "registry", method: "" });
    void this.#live();
  }

  get state(): RegistryState {
    return this.#state;
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  async register(instance: Instance): Promise<Registration> {
    const key = `${instance.service}\n${instance.id}`;
    const held: Held = { instance, session: undefined, isWanted: true, publishing: undefined };
    const earlier = this.#held.get(key);
    if (earlier !== undefined) earlier.isWanted = false;
    this.#held.set(key, held);
    try {
      await this.#publish(held, { isFirst: true });
    } catch (error) {
      if (this.#held.get(key) === held) this.#held.delete(key);
      throw error;
    }
    return { deregister: () => this.#deregister(key, held) };
  }

  async lookup(service: string): Promise<ServiceSnapshot> {
    const { client } = this.#options;
    return snapshotOf(await this.#stub.lookup({ service, client }, { parent: this.#life }));
  }

  watch(service: string, listener: (snapshot: ServiceSnapshot) => void): Subscription {
    const { clock, random } = this.#options;
    let version = -1;
    let session: Session | undefined;
    const stream = lastingStream<WireSnapshot>({
      clock,
      random: random.fork(`watch ${service}`),
      service: "registry",
      silenceUs: () => this.#timeoutUs,
      open: async (parent) => {
        session = await this.#connected(parent);
        const sinceVersion = Math.max(0, version);
        return this.#stub.watch({ sessionId: session.id, service, sinceVersion }, { parent });
      },
      onMessage: (message) => {
        const isNews = message.version > version;
        // A heartbeat lists nobody.
        if (isNews || message.instances.length > 0) this.#reportPush(message);
        if (!isNews) return;
        version = message.version;
        listener(snapshotOf(message));
      },
      onBroken: (error) => {
        if (error.code === "NOT_FOUND" && session !== undefined) this.#expired(session);
      },
    });
    const subscription = {
      close: () => {
        stream.close();
        this.#watches.delete(subscription);
      },
    };
    if (this.#state === "closed") stream.close();
    else this.#watches.add(subscription);
    return subscription;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    this.#become("closed");
    for (const watch of [...this.#watches]) watch.close();
    this.#held.clear();
    this.#life.cancel(new RpcError("the registry client was closed", { code: "CANCELLED" }));
    this.#life.end();
    // Best effort: an unreachable registry ends the session by itself.
    if (session !== undefined) {
      await this.#stub.closeSession({ sessionId: session.id }, { timeoutMs: this.#thirdMs() }).catch(() => undefined);
    }
  }

  /** One session after the other, until the end. */
  async #live(): Promise<void> {
    const backoff = createBackoff(this.#options.random.fork("session"), undefined, this.#longestPauseUs());
    while (!this.#life.isCancelled) {
      try {
        const session = await this.#open();
        backoff.reset();
        await this.#keepAlive(session);
      } catch (thrown) {
        // The end of this client shows in the loop's condition.
        if (this.#life.isCancelled) return;
        this.#become("suspended", toRpcError(thrown).message);
        this.#mistrust(thrown);
        await this.#pause(backoff.nextUs());
      }
    }
  }

  async #open(): Promise<Session> {
    const { clock, client } = this.#options;
    const reply = await this.#stub.openSession(
      { timeoutMs: Math.round(this.#timeoutUs / 1000), client },
      { timeoutMs: this.#thirdMs(), parent: this.#life },
    );
    const session: Session = { id: reply.sessionId, ending: new Call({ clock, service: "registry", method: "" }) };
    this.#timeoutUs = reply.timeoutMs * 1000;
    this.#session = session;
    this.#unanswered = 0;
    this.#become("connected");
    for (const proceed of [...this.#waiting]) proceed();
    if (this.#sessions++ > 0) for (const held of this.#held.values()) void this.#publishAgain(held);
    return session;
  }

  /** Resolves when the session has expired. */
  async #keepAlive(session: Session): Promise<void> {
    const backoff = createBackoff(this.#options.random.fork("keep-alive"), undefined, this.#longestPauseUs());
    while (this.#session === session) {
      await this.#pause(this.#state === "suspended" ? backoff.nextUs() : this.#periodUs(), session.ending);
      if (this.#session !== session) return;
      try {
        await this.#stub.keepAlive({ sessionId: session.id }, { timeoutMs: this.#thirdMs(), parent: this.#life });
        backoff.reset();
        this.#unanswered = 0;
        if (this.#session === session) this.#become("connected");
      } catch (thrown) {
        if (toRpcError(thrown).code === "NOT_FOUND") this.#expired(session);
        else if (this.#session === session) this.#become("suspended", toRpcError(thrown).message);
        this.#mistrust(thrown);
      }
    }
  }

  /** From the second try in a row without an answer on, the connection is let go, and the next try makes a new one. */
  #mistrust(thrown: unknown): void {
    if (toRpcError(thrown).code !== "DEADLINE_EXCEEDED") {
      this.#unanswered = 0;
      return;
    }
    this.#unanswered++;
    if (this.#unanswered >= 2) this.#options.transport.release(this.#options.address);
  }

  /** The registry said that it doesn't know this session any more. */
  #expired(session: Session): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#report("expired");
    session.ending.cancel();
  }

  async #publishAgain(held: Held): Promise<void> {
    const { random } = this.#options;
    await this.#pause(random.below(Math.max(1, Math.round(this.#timeoutUs / 12))));
    await this.#publish(held, { isFirst: false }).catch(() => undefined);
  }

  /** Resolves when the present session holds the instance, or nobody wants it any more. One at a time for an instance. */
  #publish(held: Held, options: { readonly isFirst: boolean }): Promise<void> {
    held.publishing ??= this.#tryToPublish(held, options).finally(() => {
      held.publishing = undefined;
    });
    return held.publishing;
  }

  async #tryToPublish(held: Held, { isFirst }: { readonly isFirst: boolean }): Promise<void> {
    const backoff = createBackoff(this.#options.random.fork(`register ${held.instance.id}`));
    const instance = { ...held.instance, metadata: { ...held.instance.metadata } };
    while (held.isWanted) {
      const session = await this.#connected(this.#life);
      if (held.session === session) return;
      try {
        await this.#stub.register({ sessionId: session.id, instance }, { parent: this.#life });
        held.session = session;
      } catch (thrown) {
        const { code } = toRpcError(thrown);
        if (this.#life.reason !== undefined) throw this.#life.reason;
        if (isFirst && (code === "INVALID_ARGUMENT" || code === "RESOURCE_EXHAUSTED")) throw thrown;
        if (code === "NOT_FOUND") this.#expired(session);
        else await this.#pause(backoff.nextUs());
      }
    }
  }

  async #deregister(key: string, held: Held): Promise<void> {
    if (!held.isWanted) return;
    held.isWanted = false;
    if (this.#held.get(key) === held) this.#held.delete(key);
    await held.publishing?.catch(() => undefined);
    // With its session the instance has gone too.
    if (this.#state === "closed" || held.session === undefined || held.session !== this.#session) return;
    const { service, id } = held.instance;
    try {
      await this.#stub.deregister({ sessionId: held.session.id, service, id }, { parent: this.#life });
    } catch (thrown) {
      if (toRpcError(thrown).code !== "NOT_FOUND") throw thrown;
    }
  }

  /** The present session, as soon as there is one. */
  async #connected(call: Call): Promise<Session> {
    for (;;) {
      if (this.#life.reason !== undefined) throw this.#life.reason;
      if (call.reason !== undefined) throw call.reason;
      if (this.#session !== undefined) return this.#session;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(done);
          leave();
          leaveLife();
          resolve();
        };
        this.#waiting.add(done);
        const leave = call.onCancel(done);
        const leaveLife = call === this.#life ? leave : this.#life.onCancel(done);
      });
    }
  }

  /** Waits, but no longer than this client or `until` lives. */
  #pause(delayUs: number, until: Call = this.#life): Promise<void> {
    if (this.#life.isCancelled || until.isCancelled) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        disarm();
        leave();
        leaveLife();
        resolve();
      };
      const disarm = this.#options.clock.after(delayUs, done);
      const leave = until.onCancel(done);
      const leaveLife = until === this.#life ? leave : this.#life.onCancel(done);
    });
  }

  /** A little less than T/3, never twice the same: a fleet that started in one moment doesn't knock in one moment. */
  #periodUs(): number {
    const thirdUs = Math.floor(this.#timeoutUs / 3);
    return thirdUs - this.#options.random.below(Math.max(1, Math.floor(thirdUs / 5)));
  }

  /** Between tries that fail: a session that ends soon can't wait as long as others. */
  #longestPauseUs(): number {
    return Math.min(1_000_000, Math.floor(this.#timeoutUs / 3));
  }

  #thirdMs(): number {
    return this.#timeoutUs / 3000;
  }

  #become(state: RegistryState, trouble?: string): void {
    this.#trouble = trouble;
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    if (state !== "connecting") this.#report(state);
  }

  #reportPush({ service, version, instances }: WireSnapshot): void {
    const { clock, telemetry } = this.#options;
    telemetry.emit({ type: "push", atUs: clock.nowUs(), service, version, instances: instances.map(({ id }) => id) });
  }

  #report(state: "connected" | "suspended" | "expired" | "closed"): void {
    const { clock, telemetry } = this.#options;
    telemetry.emit({ type: "registry", atUs: clock.nowUs(), state });
  }
}

/** A session as this client sees it; `ending` is cancelled when it turns out to have expired. */
interface Session {
  readonly id: string;
  readonly ending: Call;
}

/** An instance that shall be registered. */
interface Held {
  readonly instance: Instance;
  /** The session under which the registry has confirmed it. */
  session: Session | undefined;
  isWanted: boolean;
  publishing: Promise<void> | undefined;
}

function snapshotOf({ service, version, instances, removed }: WireSnapshot): ServiceSnapshot {
  return { service, version, instances, removed: removed.map(({ id, reason }) => ({ id, reason: reasonOf(reason) })) };
}

/** Who closes a session takes leave too. */
function reasonOf(reason: string): RemovalReason {
  return reason === "expired" ? "expired" : "deregistered";
}
