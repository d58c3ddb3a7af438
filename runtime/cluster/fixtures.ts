import { Call } from "../call/call.ts";
import { metadata, noMetadata, pushbackKey } from "../call/metadata.ts";
import { RpcError, type Reach, type RpcCode } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { call, endpoint } from "../fixtures.ts";
import type { UnaryResponse } from "../ports/transport.ts";
import type { RetryBudget } from "../protection/retry-budget/retry-budget.ts";
import { unlimited } from "../protection/retry-budget/unlimited.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import type { AttemptOutcome, Attempts, Cluster, ClusterPolicy, ClusterSettings, SendOptions } from "./cluster.ts";

/** What an instance does with an attempt. */
export interface Behaviour {
  /** "own timeout": the attempt's own time runs out. Default "OK". */
  readonly code?: RpcCode | "own timeout" | undefined;
  /** Default 1000. */
  readonly tookUs?: number | undefined;
  readonly reach?: Reach | undefined;
  /** The trailer `grpc-retry-pushback-ms`. */
  readonly pushback?: string | undefined;
}

export const ok: Behaviour = {};
export const down: Behaviour = { code: "UNAVAILABLE" };

/** An attempt as its instance saw it. */
export interface Sent extends SendOptions {
  readonly id: string;
  readonly atUs: number;
  wasCancelled: boolean;
}

export interface WorldInit {
  /** Instances, or the zones that they are in. */
  readonly size?: number | readonly string[];
  /** By the attempt's number and its instance. */
  readonly behave: (attempt: number, endpoint: Endpoint) => Behaviour;
  readonly timeoutUs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly budget?: RetryBudget;
}

export const reply: UnaryResponse = { kind: "unary", message: { ok: true }, trailers: noMetadata };
export const emptyReply: UnaryResponse = { kind: "unary", message: {}, trailers: noMetadata };
export const noInstance = new RpcError("no instance", { code: "UNAVAILABLE" });

/** One logical call over instances that behave as told, on a clock that is moved by hand; the balancer takes the first untried. */
export class ClusterWorld {
  readonly clock = new ManualClock();
  readonly sent: Sent[] = [];
  readonly reports: string[] = [];
  /** What the attempts failed with. */
  readonly errors: RpcError[] = [];
  /** Calls that were made for nobody that waits. */
  readonly redeliveries: { readonly atUs: number; error?: RpcError }[] = [];
  endpoints: readonly Endpoint[];
  fallback: unknown;
  call: Call;
  readonly #init: WorldInit;

  constructor(init: WorldInit) {
    this.#init = init;
    const { size = 3 } = init;
    const zones = typeof size === "number" ? Array.from({ length: size }, () => undefined) : size;
    this.endpoints = zones.map((zone, index) =>
      endpoint({ id: `orders/${index}`, weight: 1, ...(zone !== undefined && { metadata: { zone } }) }),
    );
    this.call = this.#newCall();
  }

  /** Makes the call, and lets `forUs` go by. */
  async run(policy: ClusterPolicy, settings: ClusterSettings = {}, forUs = 60_000_000) {
    return this.play(this.cluster(policy, settings), forUs);
  }

  async play(cluster: Cluster, forUs = 60_000_000) {
    const ended = cluster(this.attempts()).then(
      (response) => ({ response, error: undefined, atUs: this.clock.nowUs() }),
      (error: unknown) => ({ response: undefined, error, atUs: this.clock.nowUs() }),
    );
    await this.clock.advance(forUs);
    return ended;
  }

  cluster(policy: ClusterPolicy, settings: ClusterSettings = {}): Cluster {
    const { clock } = this;
    return policy(settings, {
      clock,
      random: createRandom(1),
      budget: this.#init.budget ?? unlimited({ policy: "unlimited" }, { clock }),
      report: ({ state }) => this.reports.push(state),
    });
  }

  attempts(of: Call = this.call): Attempts {
    return {
      call: of,
      candidates: () => this.endpoints,
      pick: (tried, among = this.endpoints) =>
        among.find(({ key }) => !tried.some((other) => other.key === key)) ?? among[0],
      send: (to, options = {}) => this.#send(of, to, options),
      noInstance: () => noInstance,
      empty: () => emptyReply,
      atDeadline: (response) => {
        this.fallback = response;
      },
      again: async (run) => {
        const record: (typeof this.redeliveries)[number] = { atUs: this.clock.nowUs() };
        this.redeliveries.push(record);
        const again = this.#newCall();
        try {
          return await run(this.attempts(again));
        } catch (error) {
          record.error = error as RpcError;
          throw error;
        } finally {
          again.end();
        }
      },
    };
  }

  #newCall(): Call {
    const { timeoutUs = 10_000_000, metadata: carried } = this.#init;
    return call({ clock: this.clock, timeoutUs, ...(carried && { metadata: carried }) });
  }

  #send(of: Call, to: Endpoint, options: SendOptions): Promise<AttemptOutcome> {
    const { clock } = this;
    const { code = "OK", tookUs = 1000, reach, pushback } = this.#init.behave(this.sent.length, to);
    const record: Sent = { id: to.id, atUs: clock.nowUs(), wasCancelled: false, ...options };
    this.sent.push(record);
    return new Promise((resolve) => {
      const fail = (error: RpcError, isOwnTimeout = false): void => {
        this.errors.push(error);
        resolve({ kind: "error", error, isOwnTimeout });
      };
      const disarm = clock.after(tookUs, () => {
        leave();
        if (code === "OK") return resolve({ kind: "response", response: reply });
        const trailers = pushback === undefined ? noMetadata : metadata({ [pushbackKey]: pushback });
        const status = code === "own timeout" ? "DEADLINE_EXCEEDED" : code;
        fail(new RpcError(`attempt ${this.sent.length}`, { code: status, reach, trailers }), code === "own timeout");
      });
      const leave = (options.under ?? of).onCancel((reason) => {
        disarm();
        record.wasCancelled = true;
        fail(reason);
      });
    });
  }
}
