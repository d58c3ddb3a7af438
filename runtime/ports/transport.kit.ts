import { Call } from "../call/call.ts";
import type { Metadata } from "../call/metadata.ts";
import type { Method } from "../call/service.ts";
import { RpcError, toRpcError } from "../call/status.ts";
import type { Codec } from "../codec/codec.ts";
import type { Clock } from "./clock.ts";
import type { Transport } from "./transport.ts";

// What the contracts of transports say their facts with.

/** A client's and a server's transport, and what may happen between them. */
export interface TransportWorld {
  readonly clock: Clock;
  readonly client: Transport;
  readonly server: Transport;
  /** Where `server` may listen: "host:port", port 0 where the world chooses. */
  readonly listenAt: string;
  /** Resets every connection between the two. */
  breakConnections(): void | Promise<void>;
}

/** A fact about transports: resolves when it holds, rejects with what doesn't. */
export type TransportFact = (world: TransportWorld) => Promise<void>;

export interface Message {
  text: string;
}

export const codec: Codec<unknown> = {
  create: (init) => init,
  encode: (message) => new TextEncoder().encode((message as Message).text),
  decode: (bytes) => ({ text: new TextDecoder().decode(bytes) }),
  copy: (message) => ({ ...(message as Message) }),
};

export interface Options {
  readonly metadata?: Metadata;
  readonly timeoutUs?: number;
}

export const callOf = (world: TransportWorld, method: Method<unknown, unknown>, options: Options): Call =>
  new Call({ clock: world.clock, service: "contract", method: method.path, ...options });

export async function failure(work: Promise<unknown>): Promise<RpcError> {
  const value = await work.catch((error: unknown) => {
    if (error instanceof RpcError) return error;
    throw error;
  });
  if (value instanceof RpcError) return value;
  throw new Error("it succeeded");
}

export const codeOf = (error: unknown): string => toRpcError(error).code;

export async function until(world: TransportWorld, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = world.clock.nowUs() + 5_000_000;
  while (!(await isSo())) {
    check(world.clock.nowUs() < end, "it didn't happen within 5 s");
    await world.clock.sleep(2_000);
  }
}

export function equal(actual: unknown, expected: unknown): void {
  check(actual === expected, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

export function check(isSo: boolean, message: string): void {
  if (!isSo) throw new Error(message);
}

/** A source of messages that never waits. */
export class Spring {
  /** Nobody takes any more. */
  isLeft = false;
  #taken = 0;

  /** It ends, else a transport that takes what it can get would never come to an end. */
  async *flow(): AsyncGenerator<Message> {
    try {
      for (; this.#taken < flowMax; this.#taken++) yield { text: "x".repeat(10_000) };
    } finally {
      this.isLeft = true;
    }
  }

  /** Where a few messages are read, a pause is made, and some more are read, it flows as far, and stands still in between. */
  async isReadSlowly(world: TransportWorld, read: () => Promise<unknown>): Promise<void> {
    for (let messages = 0; messages < 5; messages++) await read();
    await world.clock.sleep(200_000);
    check(this.#taken < flowMax, "all was taken, and nobody had read it");
    const taken = this.#taken;
    for (let messages = 0; messages < taken + 500; messages++) await read();
    check(this.#taken > taken, "nothing was taken any more, and all was read");
  }
}

/** More than what connections and sockets hold. */
const flowMax = 5_000;
