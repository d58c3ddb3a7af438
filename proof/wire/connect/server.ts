import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";

import type { Metadata } from "../../../runtime/call/metadata.ts";
import { RpcError } from "../../../runtime/call/status.ts";
import { serveWire, type Handler, type ServedCall } from "../server.ts";
import {
  BidiStreamRequestSchema,
  BidiStreamResponseSchema,
  ClientStreamRequestSchema,
  ClientStreamResponseSchema,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  IdempotentUnaryResponseSchema,
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
  ServerStreamRequestSchema,
  ServerStreamResponseSchema,
  UnaryRequestSchema,
  UnaryResponseSchema,
  type Any,
  type ConformancePayload,
  type ConformancePayload_RequestInfo,
  type StreamResponseDefinition,
  type UnaryResponseDefinition,
} from "./conformance_pb.ts";
import { anyOf, delimited, headersOf, metadataOf, toThrow, writeDelimited } from "./messages.ts";

/** The program that connectconformance starts for each kind of server: it says on its input how to listen, we on our output where. */
const handlers: Readonly<Record<string, Handler>> = {
  Unary: async (call) => {
    const request = await one(call, UnaryRequestSchema);
    const requests = [anyOf(UnaryRequestSchema, request)];
    return answerOne(call, request.responseDefinition, requests, (payload) =>
      toBinary(UnaryResponseSchema, create(UnaryResponseSchema, { payload })),
    );
  },
  IdempotentUnary: async (call) => {
    const request = await one(call, IdempotentUnaryRequestSchema);
    const requests = [anyOf(IdempotentUnaryRequestSchema, request)];
    return answerOne(call, request.responseDefinition, requests, (payload) =>
      toBinary(IdempotentUnaryResponseSchema, create(IdempotentUnaryResponseSchema, { payload })),
    );
  },
  ClientStream: async (call) => {
    let definition: UnaryResponseDefinition | undefined;
    const requests: Any[] = [];
    for await (const message of call.messages) {
      const request = fromBinary(ClientStreamRequestSchema, message);
      if (requests.length === 0) definition = request.responseDefinition;
      requests.push(anyOf(ClientStreamRequestSchema, request));
    }
    return answerOne(call, definition, requests, (payload) =>
      toBinary(ClientStreamResponseSchema, create(ClientStreamResponseSchema, { payload })),
    );
  },
  ServerStream: async (call) => {
    const request = await one(call, ServerStreamRequestSchema);
    const answer = new StreamAnswer(call, request.responseDefinition, (payload) =>
      toBinary(ServerStreamResponseSchema, create(ServerStreamResponseSchema, { payload })),
    );
    answer.begin();
    answer.requests.push(anyOf(ServerStreamRequestSchema, request));
    return answer.end();
  },
  BidiStream: async (call) => {
    let answer: StreamAnswer | undefined;
    let isFullDuplex = false;
    for await (const message of call.messages) {
      const request = fromBinary(BidiStreamRequestSchema, message);
      if (answer === undefined) {
        isFullDuplex = request.fullDuplex;
        answer = new StreamAnswer(call, request.responseDefinition, (payload) =>
          toBinary(BidiStreamResponseSchema, create(BidiStreamResponseSchema, { payload })),
        );
        if (isFullDuplex) answer.begin();
      }
      answer.requests.push(anyOf(BidiStreamRequestSchema, request));
      if (isFullDuplex && !(await answer.next())) break;
    }
    return answer?.end(isFullDuplex);
  },
};

async function one<Desc extends DescMessage>(call: ServedCall, schema: Desc): Promise<MessageShape<Desc>> {
  const message = await call.messages.next();
  if (message === undefined) throw new RpcError("no message", { code: "UNIMPLEMENTED" });
  if ((await call.messages.next()) !== undefined)
    throw new RpcError("more than one message", { code: "UNIMPLEMENTED" });
  return fromBinary(schema, message);
}

const infoOf = ({ metadata, timeoutUs }: ServedCall, requests: Any[]): ConformancePayload_RequestInfo =>
  create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: headersOf(metadata),
    requests,
    ...(timeoutUs !== undefined && { timeoutMs: BigInt(Math.floor(timeoutUs / 1000)) }),
  });

async function answerOne(
  call: ServedCall,
  definition: UnaryResponseDefinition | undefined,
  requests: Any[],
  encode: (payload: ConformancePayload) => Uint8Array,
): Promise<Metadata> {
  const requestInfo = infoOf(call, requests);
  const trailers = metadataOf(definition?.responseTrailers ?? []);
  if (definition !== undefined) {
    call.begin(metadataOf(definition.responseHeaders));
    if (definition.responseDelayMs > 0) await call.sleep(definition.responseDelayMs);
    const { response } = definition;
    if (response.case === "error") {
      throw toThrow(response.value, trailers, [anyOf(ConformancePayload_RequestInfoSchema, requestInfo)]);
    }
  }
  const data = definition?.response.case === "responseData" ? definition.response.value : new Uint8Array();
  await call.send(encode(create(ConformancePayloadSchema, { data, requestInfo })));
  return trailers;
}

/** A stream's answer, as its first request says: the messages, and how it ends. */
class StreamAnswer {
  /** Those that no response has told of yet. */
  readonly requests: Any[] = [];
  readonly #call: ServedCall;
  readonly #definition: StreamResponseDefinition | undefined;
  readonly #encode: (payload: ConformancePayload) => Uint8Array;
  #sent = 0;

  constructor(
    call: ServedCall,
    definition: StreamResponseDefinition | undefined,
    encode: (payload: ConformancePayload) => Uint8Array,
  ) {
    this.#call = call;
    this.#definition = definition;
    this.#encode = encode;
  }

  begin(): void {
    this.#call.begin(metadataOf(this.#definition?.responseHeaders ?? []));
  }

  /** Sends the next message; false when there is none left. */
  async next(): Promise<boolean> {
    const data = this.#definition?.responseData[this.#sent];
    if (data === undefined) return false;
    const requests = this.requests.splice(0);
    const requestInfo =
      this.#sent === 0 ? infoOf(this.#call, requests) : create(ConformancePayload_RequestInfoSchema, { requests });
    const delayMs = this.#definition!.responseDelayMs;
    if (delayMs > 0) await this.#call.sleep(delayMs);
    this.#sent++;
    const payload = create(ConformancePayloadSchema, { data, ...(requests.length > 0 && { requestInfo }) });
    await this.#call.send(this.#encode(payload));
    return true;
  }

  /** Sends what is left; answers the trailers, or throws what the stream is to fail with. */
  async end(hasBegun = true): Promise<Metadata> {
    if (!hasBegun) this.begin();
    while (await this.next());
    const trailers = metadataOf(this.#definition?.responseTrailers ?? []);
    const error = this.#definition?.error;
    if (error === undefined) return trailers;
    const info = infoOf(this.#call, this.requests);
    const more = this.#sent === 0 ? [anyOf(ConformancePayload_RequestInfoSchema, info)] : [];
    throw toThrow(error, trailers, more);
  }
}

function pathOf(method: string): string {
  return `/${ConformanceService.typeName}/${method}`;
}

for await (const message of delimited(process.stdin)) {
  const { useTls, serverCreds, clientTlsCert, messageReceiveLimit } = fromBinary(ServerCompatRequestSchema, message);
  const { cert = new Uint8Array(), key = new Uint8Array() } = serverCreds ?? {};
  const named = Object.entries(handlers).map(([name, handler]) => [pathOf(name), handler] as const);
  const server = await serveWire(Object.fromEntries(named), {
    ...(messageReceiveLimit > 0 && { messageBytesMax: messageReceiveLimit }),
    ...(useTls && {
      tls: {
        ...{ cert: Buffer.from(cert), key: Buffer.from(key) },
        ...(clientTlsCert.length > 0 && {
          ca: Buffer.from(clientTlsCert),
          requestCert: true,
          rejectUnauthorized: true,
        }),
      },
    }),
  });
  const { port } = server;
  writeDelimited(
    ServerCompatResponseSchema,
    create(ServerCompatResponseSchema, { host: "127.0.0.1", port, ...(useTls && { pemCert: cert }) }),
  );
}
