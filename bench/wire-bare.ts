import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { Output } from "../runtime/node/output.ts";
import { DoReplySchema, DoRequestSchema } from "../services/proto/worker_pb.ts";

/**
 * The floor of framed TCP: a length u32, a number u32 and a message, one write for each turn of the event loop. No metadata, no deadline,
 * no status, no limits, and nothing is heeded but that answers find their questions.
 */
const headBytes = 8;

export async function serveBare(): Promise<string> {
  const server = createServer((socket) => {
    const output = outputOf(socket);
    onFrames(socket, (id, body) => {
      const { payload } = fromBinary(DoRequestSchema, body);
      send(output, id, toBinary(DoReplySchema, create(DoReplySchema, { instance: "workers/0", payload })));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function callBare(address: string): Promise<(payload: string) => Promise<unknown>> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  await once(socket, "connect");
  const output = outputOf(socket);
  const waiting = new Map<number, (reply: unknown) => void>();
  let last = 0;
  onFrames(socket, (id, body) => {
    const resolve = waiting.get(id)!;
    waiting.delete(id);
    resolve(fromBinary(DoReplySchema, body));
  });
  return (payload) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      send(output, last, toBinary(DoRequestSchema, create(DoRequestSchema, { key: "k", payload })));
    });
}

function outputOf(socket: Socket): Output {
  socket.setNoDelay(true);
  return new Output(socket, () => undefined);
}

function send(output: Output, id: number, body: Uint8Array): void {
  output.room(headBytes + body.length);
  const { bytes, at } = output;
  bytes.writeUInt32BE(body.length, at);
  bytes.writeUInt32BE(id, at + 4);
  bytes.set(body, at + headBytes);
  output.at = at + headBytes + body.length;
}

function onFrames(socket: Socket, onFrame: (id: number, body: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= headBytes) {
      const end = at + headBytes + bytes.readUInt32BE(at);
      if (end > bytes.length) break;
      onFrame(bytes.readUInt32BE(at + 4), bytes.subarray(at + headBytes, end));
      at = end;
    }
    rest = bytes.subarray(at);
  });
}
