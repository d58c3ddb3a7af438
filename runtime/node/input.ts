import { connect, Socket, type OnReadOpts, type TcpNetConnectOpts } from "node:net";
import type { Duplex } from "node:stream";

/** As much as Node.js reads at a time. */
const readBytesMax = 64 * 1024;

/** Where a connection's bytes come in, one read over the other, and who hears them. */
class OwnBuffer implements OnReadOpts {
  readonly buffer = Buffer.allocUnsafeSlow(readBytesMax);
  onBytes: ((bytes: Buffer) => void) | undefined;
  readonly callback = (length: number): boolean => {
    this.onBytes?.(this.buffer.subarray(0, length));
    return true;
  };
}

const ownBuffers = new WeakMap<Duplex, OwnBuffer>();

/**
 * A client's connection that reads into one buffer: it has no "data", and what comes is heard by `hearBytes`, which is to be called at
 * once.
 */
export function connectReading(options: TcpNetConnectOpts, onConnect: () => void): Socket {
  const own = new OwnBuffer();
  const socket = connect({ ...options, onread: own }, onConnect);
  ownBuffers.set(socket, own);
  return socket;
}

/**
 * Hears what a connection receives. The bytes are lent: who keeps some of them, or hands out something that shares them, copies them before
 * `onBytes` returns. Then their memory is used again. Where a connection has no buffer of its own, Node.js makes one for each read, and it
 * is given back at once: V8 answers each 64 MiB of them with a full collection of the whole heap, and 10 KiB calls cost twice as much.
 */
export function hearBytes(socket: Duplex, onBytes: (bytes: Buffer) => void): void {
  const own = ownBuffers.get(socket);
  if (own !== undefined) own.onBytes = onBytes;
  else if (socket instanceof Socket) socket.on("data", (chunk: Buffer<ArrayBuffer>) => lend(chunk, onBytes));
  // Whoever wrote them may have them still.
  else socket.on("data", onBytes);
}

function lend(chunk: Buffer<ArrayBuffer>, onBytes: (bytes: Buffer) => void): void {
  onBytes(chunk);
  // A small one that was put back into the socket is a part of the pool of all buffers.
  if (chunk.length === chunk.buffer.byteLength) chunk.buffer.transfer(0);
}
