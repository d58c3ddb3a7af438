import { RpcError, toRpcError } from "./status.ts";

/** The same messages; `onEnd` hears once how the stream ended: by itself, with an error, or because the reader left. */
export async function* observedStream(
  messages: AsyncIterable<unknown>,
  onEnd: (error?: RpcError) => void,
): AsyncIterable<unknown> {
  let isOver = false;
  try {
    for await (const message of messages) yield message;
    isOver = true;
    onEnd();
  } catch (thrown) {
    isOver = true;
    const error = toRpcError(thrown);
    onEnd(error);
    throw error;
  } finally {
    if (!isOver) onEnd(new RpcError("the reader left the stream", { code: "CANCELLED" }));
  }
}
