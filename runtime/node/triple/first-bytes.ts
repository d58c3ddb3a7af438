import type { Socket } from "node:net";

import type { Clock } from "../../ports/clock.ts";
import { clientPreface } from "../http2/frames.ts";

/** A connection that doesn't say anything for longer is closed. */
const withinUs = 10_000_000;
/** "PRI ": no request of HTTP/1.1 begins so (RFC 9113 section 3.4), and HTTP/2's own reader looks at the rest. */
const enough = 4;

/**
 * Hands a connection on by what its client speaks: as agreed in the TLS handshake (ALPN), else by its first bytes, HTTP/2's preface or
 * anything else. Whoever gets it reads those bytes again.
 */
export function byFirstBytes(
  socket: Socket,
  clock: Clock,
  handOn: { readonly http2: (socket: Socket) => void; readonly http1: (socket: Socket) => void },
): void {
  const { alpnProtocol } = socket as { readonly alpnProtocol?: string | false };
  if (alpnProtocol === "h2") return handOn.http2(socket);
  if (alpnProtocol === "http/1.1") return handOn.http1(socket);
  let seen = Buffer.alloc(0);
  const disarm = clock.after(withinUs, () => socket.destroy());
  const onData = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, enough);
    const isPreface = seen.subarray(0, compared).equals(clientPreface.subarray(0, compared));
    if (isPreface && compared < enough) return;
    disarm();
    socket.off("data", onData).off("close", disarm);
    socket.pause();
    socket.unshift(seen);
    (isPreface ? handOn.http2 : handOn.http1)(socket);
    socket.resume();
  };
  socket.on("data", onData).on("close", disarm);
  // Over TLS it has nobody else who hears it.
  socket.on("error", () => undefined);
}
