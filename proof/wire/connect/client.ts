import { create, fromBinary, type DescMessage } from "@bufbuild/protobuf";

import { toRpcError } from "../../../runtime/call/status.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { WireClient, type WireCall } from "../client.ts";
import {
  BidiStreamResponseSchema,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  ClientResponseResultSchema,
  ConformancePayloadSchema,
  ClientStreamResponseSchema,
  IdempotentUnaryResponseSchema,
  ServerStreamResponseSchema,
  UnaryResponseSchema,
  type ClientCompatRequest,
  type ClientCompatResponse,
  type ClientResponseResult,
  type ConformancePayload,
} from "./conformance_pb.ts";
import { delimited, errorFrom, headersOf, metadataOf, writeDelimited } from "./messages.ts";

/** The program that connectconformance tells, on its input, which calls to make; each one's outcome goes to the output. */
const clock = systemClock();
const atATime = 8;
const gzip = 2;
const fullDuplex = 5;

const payloadsOf: Readonly<Record<string, DescMessage | undefined>> = {
  Unary: UnaryResponseSchema,
  IdempotentUnary: IdempotentUnaryResponseSchema,
  ServerStream: ServerStreamResponseSchema,
  ClientStream: ClientStreamResponseSchema,
  BidiStream: BidiStreamResponseSchema,
};

const running = new Set<Promise<void>>();
for await (const message of delimited(process.stdin)) {
  const request = fromBinary(ClientCompatRequestSchema, message);
  const one = outcome(request).then((result) => {
    const response = create(ClientCompatResponseSchema, { testName: request.testName, result });
    writeDelimited(ClientCompatResponseSchema, response);
    running.delete(one);
  });
  running.add(one);
  if (running.size >= atATime) await Promise.race(running);
}
await Promise.all(running);
process.exit();

async function outcome(request: ClientCompatRequest): Promise<ClientCompatResponse["result"]> {
  try {
    return { case: "response", value: await invoke(request) };
  } catch (error) {
    const { message } = toRpcError(error);
    return { case: "error", value: { $typeName: "connectrpc.conformance.v1.ClientErrorResult", message } };
  }
}

async function invoke(request: ClientCompatRequest): Promise<ClientResponseResult> {
  const { host, port, serverTlsCert, clientTlsCreds, service, method = "", messageReceiveLimit } = request;
  const tls = {
    ca: Buffer.from(serverTlsCert),
    ...(clientTlsCreds && { cert: Buffer.from(clientTlsCreds.cert), key: Buffer.from(clientTlsCreds.key) }),
  };
  const client = await WireClient.connect(host, port, serverTlsCert.length > 0 ? tls : undefined);
  const call = client.call(`/${service}/${method}`, {
    metadata: metadataOf(request.requestHeaders),
    timeoutMs: request.timeoutMs,
    isGzip: request.compression === gzip,
    ...(messageReceiveLimit > 0 && { messageBytesMax: messageReceiveLimit }),
  });
  const result = create(ClientResponseResultSchema);
  try {
    await converse(call, request, result);
  } catch (error) {
    result.error = errorFrom(toRpcError(error));
    if (method === "Unary" || method === "ClientStream") result.payloads = [];
  }
  result.responseHeaders = headersOf((await call.headers) ?? new Map<string, string>());
  result.responseTrailers = headersOf(call.trailers);
  client.close();
  return result;
}

async function converse(
  call: WireCall,
  { method = "", streamType, requestMessages, requestDelayMs, cancel }: ClientCompatRequest,
  result: ClientResponseResult,
): Promise<void> {
  const timing = cancel?.cancelTiming;
  const schema = payloadsOf[method];
  const isStream = method === "ServerStream" || method === "BidiStream";
  const receive = (message: Buffer): void => {
    const { payload = create(ConformancePayloadSchema) } =
      schema === undefined ? {} : (fromBinary(schema, message) as { payload?: ConformancePayload });
    result.payloads.push(payload);
    if (timing?.case === "afterNumResponses" && result.payloads.length === timing.value) call.cancel();
  };
  for (const [index, { value }] of requestMessages.entries()) {
    if (requestDelayMs > 0) await clock.sleep(1000 * requestDelayMs);
    if (call.isOver) {
      result.numUnsentRequests = requestMessages.length - index;
      break;
    }
    await call.send(value);
    if (streamType !== fullDuplex) continue;
    const message = await call.messages.next();
    if (message === undefined) break;
    receive(message);
  }
  if (timing?.case === "beforeCloseSend") call.cancel();
  call.end();
  if (cancel !== undefined && (timing?.case === undefined || timing.case === "afterCloseSendMs")) {
    clock.after(1000 * (timing?.value ?? 0), () => call.cancel());
  }
  if (isStream) for await (const message of call.messages) receive(message);
  else receive(await call.one());
}
