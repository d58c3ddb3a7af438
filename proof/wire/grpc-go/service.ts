import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";

import type { Metadata } from "../../../runtime/call/metadata.ts";
import { RpcError, rpcCodeOf } from "../../../runtime/call/status.ts";
import type { Handler, ServedCall } from "../server.ts";
import {
  EmptySchema,
  SimpleRequestSchema,
  SimpleResponseSchema,
  StreamingInputCallRequestSchema,
  StreamingInputCallResponseSchema,
  StreamingOutputCallRequestSchema,
  StreamingOutputCallResponseSchema,
  TestService,
  type EchoStatus,
  type StreamingOutputCallRequest,
} from "./test_pb.ts";

/** What every gRPC project's interop server does (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md#server). */
export const testService: Readonly<Record<string, Handler>> = {
  [pathOf("EmptyCall")]: async (call) => {
    await one(call, EmptySchema);
    await call.send(toBinary(EmptySchema, create(EmptySchema)));
  },
  [pathOf("UnaryCall")]: async (call) => {
    const { responseStatus, responseSize, fillServerId } = await one(call, SimpleRequestSchema);
    echoInitial(call);
    fail(responseStatus);
    const response = create(SimpleResponseSchema, {
      payload: { body: new Uint8Array(responseSize) },
      ...(fillServerId && { serverId: "flyball" }),
    });
    await call.send(toBinary(SimpleResponseSchema, response));
    return trailing(call);
  },
  [pathOf("StreamingOutputCall")]: async (call) => {
    const request = await one(call, StreamingOutputCallRequestSchema);
    echoInitial(call);
    await sendAll(call, request);
    return trailing(call);
  },
  [pathOf("StreamingInputCall")]: async (call) => {
    let aggregatedPayloadSize = 0;
    for await (const message of call.messages) {
      aggregatedPayloadSize += fromBinary(StreamingInputCallRequestSchema, message).payload?.body.length ?? 0;
    }
    const response = create(StreamingInputCallResponseSchema, { aggregatedPayloadSize });
    await call.send(toBinary(StreamingInputCallResponseSchema, response));
  },
  [pathOf("FullDuplexCall")]: async (call) => {
    echoInitial(call);
    for await (const message of call.messages) {
      const request = fromBinary(StreamingOutputCallRequestSchema, message);
      fail(request.responseStatus);
      await sendAll(call, request);
    }
    return trailing(call);
  },
};

export function pathOf(method: string): string {
  return `/${TestService.typeName}/${method}`;
}

async function one<Desc extends DescMessage>(call: ServedCall, schema: Desc): Promise<MessageShape<Desc>> {
  const message = await call.messages.next();
  if (message === undefined) throw new RpcError("no message", { code: "UNIMPLEMENTED" });
  return fromBinary(schema, message);
}

async function sendAll(call: ServedCall, { responseParameters }: StreamingOutputCallRequest): Promise<void> {
  for (const { size, intervalUs } of responseParameters) {
    if (intervalUs > 0) await call.sleep(intervalUs / 1000);
    const response = create(StreamingOutputCallResponseSchema, { payload: { body: new Uint8Array(size) } });
    await call.send(toBinary(StreamingOutputCallResponseSchema, response));
  }
}

export const initialKey = "x-grpc-test-echo-initial";
export const trailingKey = "x-grpc-test-echo-trailing-bin";

const picked = (metadata: Metadata, key: string): Metadata => new Map([...metadata].filter(([name]) => name === key));

function echoInitial(call: ServedCall): void {
  const echoed = picked(call.metadata, initialKey);
  if (echoed.size > 0) call.begin(echoed);
}

const trailing = (call: ServedCall): Metadata => picked(call.metadata, trailingKey);

function fail(status: EchoStatus | undefined): void {
  if (status === undefined || status.code === 0) return;
  const code = rpcCodeOf(status.code);
  throw new RpcError(status.message, { code: code === "OK" ? "UNKNOWN" : code });
}
