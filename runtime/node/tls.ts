import { connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";

/** Who a node is to its peers, and whom it believes: mutual TLS (RFC 8446). PEM texts. */
export interface TlsIdentity {
  /** The authority that has signed every certificate of the fleet. */
  readonly ca: string;
  /** This node's own certificate, and its key. */
  readonly cert: string;
  readonly key: string;
  /** The name that a server's certificate must have. Default: the host that is dialled. */
  readonly serverName?: string | undefined;
}

/** A handshake that takes longer is given up. */
export const handshakeWithinMs = 5_000;

/** Connects; with an identity over TLS. The answer is writable at once; `onConnect` is called when bytes can really go. */
export function connectTo(
  { host, port }: { readonly host: string; readonly port: number },
  identity: TlsIdentity | undefined,
  onConnect: () => void,
): Socket {
  if (identity === undefined) return connectTcp({ host, port, noDelay: true }, onConnect);
  const { ca, cert, key, serverName = host } = identity;
  const isName = !/^[\d.]+$|:/.test(serverName);
  return connectTls(
    {
      ...{ host, port, ca, cert, key },
      ...(isName && { servername: serverName }),
      minVersion: "TLSv1.2",
    },
    onConnect,
  ).setNoDelay(true);
}

/** A connection that was accepted. */
export interface Accepted {
  readonly socket: Socket;
  /** The common name of the peer's certificate. */
  readonly principal: string | undefined;
}

/** A server of connections; with an identity it takes those only whose certificate the authority has signed. */
export function acceptorOf(identity: TlsIdentity | undefined, onConnection: (accepted: Accepted) => void): Server {
  if (identity === undefined) {
    return createTcpServer({ noDelay: true }, (socket) => onConnection({ socket, principal: undefined }));
  }
  const { ca, cert, key } = identity;
  const server = createTlsServer(
    {
      ...{ ca, cert, key, requestCert: true, rejectUnauthorized: true, noDelay: true },
      handshakeTimeout: handshakeWithinMs,
      minVersion: "TLSv1.2",
    },
    (socket) => onConnection({ socket, principal: principalOf(socket) }),
  );
  // A client that isn't believed hears it from TLS itself; to the server it is no event.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}

/** Of a peer whose certificate has been verified. */
export function principalOf(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === "string" && name !== "" ? name : undefined;
}
