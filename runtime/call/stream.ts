import type { Call } from "./call.ts";
import { RpcError, toRpcError } from "./status.ts";

/**
 * The same messages; `onEnd` hears once how the stream ended: by itself, with an error, because the reader left, or because `call` was
 * cancelled. Without a call, a stream that nobody reads has no end.
 */
export function observedStream(
  messages: AsyncIterable<unknown>,
  onEnd: (error?: RpcError) => void,
  call?: Call,
): AsyncIterableIterator<unknown> {
  let isOver = false;
  const over = (error?: RpcError): void => {
    if (isOver) return;
    isOver = true;
    onEnd(error);
  };
  const observed = observing(messages, over);
  let hasBegun = false;
  call?.onCancel(over);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => {
      hasBegun = true;
      return observed.next();
    },
    return: async () => {
      // A generator that hasn't begun ends without a word to anybody.
      if (!hasBegun) {
        await messages[Symbol.asyncIterator]().return?.();
        over(left());
      }
      return observed.return();
    },
  };
}

async function* observing(
  messages: AsyncIterable<unknown>,
  over: (error?: RpcError) => void,
): AsyncGenerator<unknown, void> {
  try {
    for await (const message of messages) yield message;
    over();
  } catch (thrown) {
    const error = toRpcError(thrown);
    over(error);
    throw error;
  } finally {
    over(left());
  }
}

const left = (): RpcError => new RpcError("the reader left the stream", { code: "CANCELLED" });
