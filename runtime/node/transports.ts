import type { Transport } from "../ports/transport.ts";
import { httpJson } from "../protocols/http-json.ts";
import { jsonRpc } from "../protocols/json-rpc.ts";
import { protocolNames } from "../protocols/names.ts";
import { framedTransport } from "./framed.ts";
import { httpTransport, type HttpTransportOptions } from "./http-transport.ts";

/** A transport for each protocol beside Triple, by its name in the registry. */
export function otherTransports(options: HttpTransportOptions): Readonly<Record<string, Transport>> {
  return {
    [protocolNames.framed]: framedTransport(options),
    [protocolNames.jsonrpc]: httpTransport(jsonRpc, options),
    [protocolNames.http]: httpTransport(httpJson, options),
  };
}
