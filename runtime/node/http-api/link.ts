import { createBackoff } from "../../call/backoff.ts";
import { Call } from "../../call/call.ts";
import { pause } from "../../call/pause.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { Availability } from "../../discovery/availability.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { Telemetry } from "../../ports/telemetry.ts";
import { HttpClient, type HttpAnswer, type HttpRequest } from "./client.ts";

export interface HttpLinkOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  /** What it is, for people: "Nacos". */
  readonly name: string;
  readonly address: string;
  readonly dial: (address: string) => string;
  /** Answered with status 200 by a server that is ready. */
  readonly pingPath: string;
  /** Silence that matters: a third of it without an answer, and the server is asked; another third, and it isn't there. */
  readonly sessionTimeoutMs?: number | undefined;
}

/** Any call but a long poll is answered within this time, or fails. */
const answerWithinMs = 3_000;
/** The question whether it is there has less time where silence matters sooner, but a busy server is no absent one. */
const pingWithinMsMin = 1_000;
/** After so long without any answer the server is asked whether it is there. */
const quietMsMax = 5_000;

export interface HttpCallOptions {
  /** Default: the link's life. */
  readonly parent?: Call | undefined;
  /** Default: the link's own. */
  readonly client?: HttpClient | undefined;
}

/**
 * A server behind HTTP that is there or isn't. HTTP has no connection that could tell, so its answers do: while none comes, the
 * state is `suspended`, everything that lasts waits for `connected`, and a single prober knocks, every second at most. A fleet
 * whose registry is away costs it nothing, and nobody spins.
 */
export class HttpLink {
  readonly availability: Availability;
  /** Everything under way; cancelled by `close`. */
  readonly life: Call;
  readonly #options: HttpLinkOptions;
  readonly #client: HttpClient;
  readonly #pingWithinMs: number;
  readonly #quietUs: number;
  /** Cancelled when the server stops answering; a new one begins when it answers again. */
  #spell: Call;
  #heardUs = -Infinity;
  #localAddress: string | undefined;

  constructor(options: HttpLinkOptions) {
    const { clock, telemetry, name } = options;
    this.#options = options;
    this.#client = new HttpClient(options);
    const thirdMs = Math.ceil((options.sessionTimeoutMs ?? Infinity) / 3);
    this.#pingWithinMs = Math.max(pingWithinMsMin, Math.min(answerWithinMs, thirdMs));
    this.#quietUs = Math.min(quietMsMax, thirdMs) * 1000;
    this.availability = new Availability(clock, telemetry);
    this.life = new Call({ clock, service: name, method: "" });
    this.#spell = new Call({ clock, service: name, method: "" });
    this.#spell.cancel();
    void this.#probe();
  }

  /** This machine's end of the way to the server; undefined before the first answer. */
  get localAddress(): string | undefined {
    return this.#localAddress;
  }

  /** Cancelled when the server stops answering: what waits for an answer in vain hangs below it. */
  get spell(): Call {
    return this.#spell;
  }

  /** Rejects with an `RpcError` for anything but a status below 500. */
  async call(
    request: Omit<HttpRequest, "timeoutMs"> & { readonly timeoutMs?: number },
    { parent = this.life, client = this.#client }: HttpCallOptions = {},
  ): Promise<HttpAnswer> {
    if (this.life.reason !== undefined) throw this.life.reason;
    const call = new Call({ clock: this.#options.clock, service: this.#options.name, method: "", parent: this.life });
    const leave = parent === this.life ? undefined : parent.onCancel((reason) => call.cancel(reason));
    try {
      const answer = await client.request({ timeoutMs: answerWithinMs, ...request }, call);
      if (answer.status >= 500) throw this.refusal(answer, "UNAVAILABLE");
      this.#heard(answer);
      return answer;
    } catch (error) {
      if (!call.isCancelled) this.#lost(toRpcError(error).message);
      throw error;
    } finally {
      leave?.();
      call.end();
    }
  }

  /** An answer that says no, in words. */
  refusal({ status, text }: HttpAnswer, code: "UNAVAILABLE" | "INVALID_ARGUMENT" | "PERMISSION_DENIED"): RpcError {
    const { name, address } = this.#options;
    return new RpcError(`${name} at ${address} answered ${status}: ${text.slice(0, 200).trim()}`, {
      code: status === 403 || status === 401 ? "PERMISSION_DENIED" : code,
    });
  }

  /** The answer's JSON. Rejects with UNAVAILABLE when it isn't any: whatever listens there isn't what was meant. */
  json(answer: HttpAnswer): unknown {
    const { name, address } = this.#options;
    if (answer.status !== 200) throw this.refusal(answer, "UNAVAILABLE");
    try {
      return JSON.parse(answer.text) as unknown;
    } catch (cause) {
      throw new RpcError(`${address} answers what ${name} never would: ${answer.text.slice(0, 100)}`, {
        code: "UNAVAILABLE",
        hint: `is it really ${name} that listens there?`,
        cause,
      });
    }
  }

  /** Waits so long, but no longer than the server answers and the calls live. */
  pause(delayUs: number, ...until: readonly Call[]): Promise<void> {
    return pause(this.#options.clock, delayUs, this.life, this.#spell, ...until);
  }

  close(): void {
    this.availability.become("closed");
    this.life.cancel(new RpcError(`the client of ${this.#options.name} was closed`, { code: "CANCELLED" }));
    this.#client.close();
  }

  async #probe(): Promise<void> {
    const { clock, random, pingPath } = this.#options;
    const backoff = createBackoff(random.fork("probe"));
    while (!this.life.isCancelled) {
      const leftUs = this.#heardUs + this.#quietUs - clock.nowUs();
      if (this.availability.state === "connected" && leftUs > 0) {
        backoff.reset();
        await this.pause(leftUs);
        continue;
      }
      try {
        const answer = await this.call({ method: "GET", path: pingPath, timeoutMs: this.#pingWithinMs });
        if (answer.status !== 200) this.#lost(this.refusal(answer, "UNAVAILABLE").message);
      } catch {
        // It shows in the state.
      }
      if (this.availability.state !== "connected") await pause(clock, backoff.nextUs(), this.life);
    }
  }

  #heard({ localAddress }: HttpAnswer): void {
    if (this.life.isCancelled) return;
    const { clock, name } = this.#options;
    this.#heardUs = clock.nowUs();
    this.#localAddress = localAddress ?? this.#localAddress;
    if (this.#spell.isCancelled) this.#spell = new Call({ clock, service: name, method: "" });
    this.availability.become("connected");
  }

  #lost(why: string): void {
    if (this.life.isCancelled) return;
    this.availability.become("suspended", why);
    this.#spell.cancel(new RpcError(`${this.#options.name} doesn't answer`, { code: "UNAVAILABLE" }));
  }
}
