import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { TlsIdentity } from "../security/tls-identity.ts";
import { connectReading } from "./input.ts";
import { onDemand } from "./on-demand.ts";

export type { TlsIdentity } from "../security/tls-identity.ts";

/** A handshake that takes longer is given up. */
export const handshakeWithinMs = 5_000;

/** A client that vanished without a word would keep its place for ever: after so much silence the kernel asks whether it is there. */
const accepting = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

/**
 * RFC 9113 section 9.2: TLS 1.2 or newer, with keys that are agreed on anew for each connection and ciphers that authenticate what they
 * hide: those of TLS 1.3, and of TLS 1.2 the ones that appendix A doesn't list.
 */
const secureEnough = {
  minVersion: "TLSv1.2",
  ciphers: [
    ...["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    ...["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"],
    ...["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"],
  ].join(":"),
  /** SSL_OP_NO_RENEGOTIATION of OpenSSL's; compression is off in Node.js anyway. */
  secureOptions: 1 << 30,
} as const;

/** What every client of an identity's says of it, and asks of its server. */
export function clientOptionsOf({ ca, cert, key, serverName }: TlsIdentity) {
  return { ca, cert, key, ...secureEnough, ...(serverName !== undefined && { servername: serverName }) };
}

/**
 * Connects; with an identity over TLS, and then `protocol` is what both sides have to agree on (ALPN; default: nothing). The answer is
 * writable at once, and is heard by `hearBytes`; `onConnect` is called when bytes can really go.
 */
export function connectTo(
  { host, port }: { readonly host: string; readonly port: number },
  identity: TlsIdentity | undefined,
  onConnect: () => void,
  protocol?: string,
): Socket {
  if (identity === undefined) return connectReading({ host, port, noDelay: true }, onConnect);
  const { serverName = host } = identity;
  const isName = !/^[\d.]+$|:/.test(serverName);
  const options = {
    ...clientOptionsOf(identity),
    ...(isName && { servername: serverName }),
    ...(protocol !== undefined && { ALPNProtocols: [protocol] }),
  };
  return onDemand
    .tls()
    .connect({ host, port, ...options }, onConnect)
    .setNoDelay(true);
}

/** A connection that was accepted. */
export interface Accepted {
  readonly socket: Socket;
  /** The common name of the peer's certificate. */
  readonly principal: string | undefined;
}

/**
 * A server of connections; with an identity it takes those only whose certificate the authority has signed. `protocols`: of which both
 * sides have to agree on one in the handshake if the client names any (ALPN), the best first. Default: nothing.
 */
export function acceptorOf(
  identity: TlsIdentity | undefined,
  onConnection: (accepted: Accepted) => void,
  protocols?: readonly string[],
): Server {
  if (identity === undefined) {
    return createTcpServer(accepting, (socket) => onConnection({ socket, principal: undefined }));
  }
  const { ca, cert, key } = identity;
  const server = onDemand.tls().createServer(
    {
      ...{ ca, cert, key, requestCert: true, rejectUnauthorized: true, ...accepting },
      ...(protocols !== undefined && { ALPNProtocols: [...protocols] }),
      handshakeTimeout: handshakeWithinMs,
      ...secureEnough,
    },
    (socket) => onConnection({ socket, principal: principalOf(socket) }),
  );
  // A client that isn't believed hears it from TLS itself; to the server it is no event.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}

/** Breaks a connection off: its peer sees that it broke, and no end in order. Over TLS that is to end without saying so. */
export function breakOff(socket: Socket): void {
  if (isTls(socket)) socket.destroy();
  else socket.resetAndDestroy();
}

/** The common name of a peer's certificate, where it has been verified. */
export function principalOf(socket: Socket): string | undefined {
  if (!isTls(socket) || !socket.authorized) return undefined;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === "string" && name !== "" ? name : undefined;
}

const isTls = (socket: Socket): socket is TLSSocket => "encrypted" in socket;

/** What is wrong with a handshake, by the words of OpenSSL's and Node's, and what to do about it. */
interface Trouble {
  readonly words: RegExp;
  readonly message: (identity: TlsIdentity | undefined) => string;
  readonly hint: string;
}

const renew = "give every node a new certificate of the fleet's authority";
const sameAuthority = "both need certificates of one authority, and its certificate as their `ca`";

/** In this order: a peer's own complaint says more than that the connection is gone. */
const troubles: readonly Trouble[] = [
  {
    words: /certificate required|CERTIFICATE_REQUIRED|peer did not return a certificate|PEER_DID_NOT_RETURN/i,
    message: () => "the server demands a certificate, and this caller has none",
    hint: "give the caller an identity (`security: { mtls: true }` in a scenario, --tls by hand)",
  },
  {
    words: /alert certificate expired|CERTIFICATE_EXPIRED/i,
    message: () => "the server says that this caller's certificate has expired",
    hint: renew,
  },
  {
    words: /certificate has expired|CERT_HAS_EXPIRED/i,
    message: () => "the server's certificate has expired",
    hint: renew,
  },
  {
    words: /certificate is not yet valid|CERT_NOT_YET_VALID/i,
    message: () => "the server's certificate isn't valid yet",
    hint: "do the clocks of both machines agree?",
  },
  {
    words: /alert unknown ca|UNKNOWN_CA/i,
    message: () => "the server doesn't believe the authority of this caller's certificate",
    hint: sameAuthority,
  },
  {
    words:
      /unable to verify the first certificate|unable to get local issuer|self.signed certificate|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER|SELF_SIGNED_CERT/i,
    message: () => "another authority vouches for the server than the one that this caller believes",
    hint: sameAuthority,
  },
  {
    words: /does not match certificate's altnames|ALTNAME_INVALID/i,
    message: ({ serverName } = { ca: "", cert: "", key: "" }) =>
      `the server's certificate isn't for ${serverName === undefined ? "the address that was dialled" : `"${serverName}"`}`,
    hint: "its subjectAltName has to name what callers dial, or their `serverName`",
  },
  {
    words: /speaks TLS|wrong version number|WRONG_VERSION_NUMBER|packet length too long|http request/i,
    message: () => "one side speaks TLS and the other doesn't",
    hint: "mutual TLS is for all nodes of a fleet or for none",
  },
];

/** A connection that ended in its handshake, without a word: a server drops so whom it doesn't believe. */
const silence = /ECONNRESET|Failed to connect|EPIPE|socket hang up|disconnected before secure TLS connection|closed/i;

/**
 * Why a connection over TLS failed, and what to do next: by whatever its library said (`code` and text), and by this side's own
 * certificate, because a server that doesn't believe a caller may just hang up. Undefined: TLS had no part in it.
 */
export function tlsTrouble(
  said: string,
  identity: TlsIdentity | undefined,
  wallMs: number,
): { readonly message: string; readonly hint: string } | undefined {
  const trouble = troubles.find(({ words }) => words.test(said));
  if (trouble !== undefined) return { message: trouble.message(identity), hint: trouble.hint };
  if (identity === undefined || !silence.test(said)) return undefined;
  const { X509Certificate } = onDemand.crypto();
  const own = new X509Certificate(identity.cert);
  if (wallMs > own.validToDate.getTime()) {
    return { message: `this node's own certificate has expired (${own.validTo}), and its peer hung up`, hint: renew };
  }
  if (!own.verify(new X509Certificate(identity.ca).publicKey)) {
    return {
      message: "another authority vouches for this node than the one that it believes, and its peer hung up",
      hint: sameAuthority,
    };
  }
  return undefined;
}
