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
