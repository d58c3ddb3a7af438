import { expect, test } from "vitest";

import { errorCodes } from "./errors.ts";
import { ReceiveWindow, SendWindow } from "./flow-control.ts";
import { Http2Stream, type StreamHost } from "./stream.ts";
import { Turns } from "./turns.ts";

/** A connection whose window and socket take nothing until they are told to, and what its streams have sent. */
function connection() {
  const sendWindow = new SendWindow(0);
  const turns = new Turns(sendWindow);
  const sent: number[] = [];
  const host = {
    payloadBytesMax: 16_384,
    peerListBytesMax: Infinity,
    sendWindow,
    isFull: true,
    queuedBytes: 0,
    queued: () => undefined,
    writeFields: () => undefined,
    writeData: (streamId: number) => void sent.push(streamId),
    place: () => undefined,
    writePlaced: () => undefined,
    writeReset: () => undefined,
    writeWindowUpdate: () => undefined,
    enqueue: (stream) => turns.add(stream),
    remove: (stream) => turns.remove(stream),
  } satisfies StreamHost;
  const stream = (id: number): Http2Stream => {
    const made = new Http2Stream(id, host, { send: 1_000_000, receive: new ReceiveWindow(1000) });
    made.events = {
      onFields: () => undefined,
      onData: () => undefined,
      onReset: () => undefined,
      onDrain: () => undefined,
    };
    return made;
  };
  return { turns, sendWindow, sent, host, stream };
}

test("each stream sends one frame, and then it is the next one's turn", () => {
  const { turns, sendWindow, sent, stream } = connection();
  for (const id of [1, 3, 5]) stream(id).data(new Uint8Array(40_000));
  expect(turns.size).toBe(3);
  sendWindow.grow(1_000_000);
  turns.take(() => sent.length < 4);
  expect(sent).toEqual([1, 3, 5, 1]);
  turns.take(() => true);
  expect(sent).toEqual([1, 3, 5, 1, 3, 5, 1, 3, 5]);
  expect(turns.size).toBe(0);
});

test("what the connection's window grows by goes to the first that wait for it, and the others aren't looked at", () => {
  const { turns, sendWindow, sent, host, stream } = connection();
  for (const id of [1, 3, 5]) stream(id).data(new Uint8Array(1000));
  turns.take(() => true);
  const looked: number[] = [];
  host.enqueue = (waiting) => {
    looked.push(waiting.id);
    turns.add(waiting);
    turns.take(() => true);
  };
  for (const by of [1, 600, 1400]) {
    sendWindow.grow(by);
    turns.unblock();
  }
  expect(looked).toEqual([1, 3, 5, 1]);
  expect(sent).toEqual(looked);
  expect(turns.size).toBe(2);
});

test("a stream that is reset leaves nothing behind, whether it waits for its turn or for the connection's window", () => {
  const { turns, stream } = connection();
  const [ready, blocked] = [stream(1), stream(3)];
  blocked.data(new Uint8Array(10));
  turns.take(() => true);
  ready.data(new Uint8Array(10));
  expect(turns.size).toBe(2);
  ready.reset(errorCodes.cancel);
  expect(turns.size).toBe(1);
  blocked.reset(errorCodes.cancel);
  expect(turns.size).toBe(0);
});
