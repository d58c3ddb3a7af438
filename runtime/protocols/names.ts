/** The protocols that a provider may choose, and what each is called in a registry: Dubbo's name where Dubbo has it. */
export const protocolNames = { triple: "tri", framed: "framed", jsonrpc: "jsonrpc", http: "http" } as const;

export type ProtocolName = keyof typeof protocolNames;

/** The label under which an instance says what it speaks; Triple is what those speak that say nothing. */
export const protocolLabel = "protocol";

/** What an instance speaks, by its name in the registry. */
export const protocolOf = ({ metadata }: { readonly metadata: Readonly<Record<string, string>> }): string =>
  metadata[protocolLabel] ?? protocolNames.triple;
