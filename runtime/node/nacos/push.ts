import { createSocket, type Socket } from "node:dgram";
import { gunzipSync } from "node:zlib";

/** A push is one datagram. */
const textBytesMax = 1024 * 1024;

/**
 * Where a Nacos server sends the changes of services by UDP, to those who read them over HTTP: `{type, data, lastRefTime}`, with
 * gzip when it is long, acknowledged by a datagram. Whatever else arrives is ignored.
 */
export class PushReceiver {
  /** Where it listens; 0 when it can't. */
  readonly port: Promise<number>;
  readonly #socket: Socket;

  /** Listens at `address` of this machine; `onPush` gets the service. */
  constructor(address: string, onPush: (serviceInfo: unknown) => void) {
    this.#socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const { promise, resolve } = Promise.withResolvers<number>();
    this.port = promise;
    this.#socket.on("listening", () => resolve(this.#socket.address().port));
    // Without datagrams there is the next poll.
    this.#socket.on("error", () => resolve(0));
    this.#socket.on("close", () => resolve(0));
    this.#socket.on("message", (datagram, from) => {
      const push = read(datagram);
      if (push === undefined) return;
      const ack = JSON.stringify({ type: "push-ack", lastRefTime: push.lastRefTime, data: "" });
      this.#socket.send(ack, from.port, from.address, () => undefined);
      onPush(push.serviceInfo);
    });
    this.#socket.bind(0, address);
  }

  close(): void {
    this.#socket.close();
  }
}

function read(datagram: Buffer): { readonly serviceInfo: unknown; readonly lastRefTime: unknown } | undefined {
  try {
    const isZipped = datagram[0] === 0x1f && datagram[1] === 0x8b;
    const text = isZipped ? gunzipSync(datagram, { maxOutputLength: textBytesMax }) : datagram;
    const { type, data, lastRefTime } = JSON.parse(text.toString()) as Record<string, unknown>;
    if ((type !== "dom" && type !== "service") || typeof data !== "string") return undefined;
    return { serviceInfo: JSON.parse(data) as unknown, lastRefTime };
  } catch {
    return undefined;
  }
}
