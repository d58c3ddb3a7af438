import { createBackoff } from "../../call/backoff.ts";
import { Call } from "../../call/call.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { Subscription } from "../../ports/registry.ts";
import type { HttpAnswer } from "../http-api/client.ts";
import type { HttpLink } from "../http-api/link.ts";

export interface BlockingQueryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly link: HttpLink;
  /** With a query, or at least its "?". */
  readonly path: string;
  /** Each answer, whether or not anything has changed. What it throws is as if there had been no answer. */
  readonly onAnswer: (answer: HttpAnswer) => void;
  /** An answer didn't come, or came over a new way: what is seen next may be another server's. */
  readonly onBroken: () => void;
}

/** How long Consul holds a question that has nothing new; it adds up to a sixteenth, so that not all return at once. */
const waitMs = 30_000;
/** Answers beyond this pace wait: two at once, then ten a second. What changes meanwhile comes with the next one. */
const burst = 2;
const refillUs = 100_000;

/**
 * One of Consul's blocking queries, asked again and again (https://developer.hashicorp.com/consul/api-docs/features/blocking):
 * an index that goes backwards begins again from 0, an index of 0 is taken as 1, and the pace is limited, because an answer is
 * no promise of a change.
 */
export function blockingQuery({ clock, random, link, path, onAnswer, onBroken }: BlockingQueryOptions): Subscription {
  const life = new Call({ clock, service: "consul", method: "", parent: link.life });
  const backoff = createBackoff(random);
  const ask = async (): Promise<void> => {
    let index = 0n;
    let tokens = burst;
    let countedUs = clock.nowUs();
    while (!life.isCancelled) {
      try {
        await link.availability.connected(life);
        const wait = index === 0n ? "" : `&index=${index}&wait=${waitMs}ms`;
        const timeoutMs = index === 0n ? undefined : waitMs + waitMs / 16 + 2_000;
        const spell = new Call({ clock, service: "consul", method: "", parent: life });
        const leave = link.spell.onCancel((reason) => spell.cancel(reason));
        const answer = await link
          .call({ method: "GET", path: path + wait, ...(timeoutMs !== undefined && { timeoutMs }) }, { parent: spell })
          .finally(() => {
            leave();
            spell.end();
          });
        if (life.isCancelled) return;
        onAnswer(answer);
        const told = indexOf(answer);
        const next = told < 1n ? 1n : told;
        index = next < index ? 0n : next;
        backoff.reset();
      } catch {
        if (life.isCancelled) return;
        index = 0n;
        onBroken();
        await link.pause(backoff.nextUs(), life);
      }
      const nowUs = clock.nowUs();
      tokens = Math.min(burst, tokens + (nowUs - countedUs) / refillUs);
      countedUs = nowUs;
      if (tokens < 1) await link.pause(Math.ceil((1 - tokens) * refillUs), life);
      tokens--;
    }
  };
  void ask().finally(() => life.end());
  return { close: () => life.cancel() };
}

/** An unsigned 64-bit number. */
export function indexOf({ headers }: HttpAnswer): bigint {
  const text = headers["x-consul-index"];
  return typeof text === "string" && /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
}
