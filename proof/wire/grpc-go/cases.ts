import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect } from "vitest";

import { metadata } from "../../../runtime/call/metadata.ts";
import type { WireCall, WireClient } from "../client.ts";
import { initialKey, pathOf, trailingKey } from "./service.ts";
import {
  EmptySchema,
  SimpleRequestSchema,
  SimpleResponseSchema,
  StreamingInputCallRequestSchema,
  StreamingInputCallResponseSchema,
  StreamingOutputCallRequestSchema,
  StreamingOutputCallResponseSchema,
  UnimplementedService,
  type SimpleRequest,
  type SimpleResponse,
} from "./test_pb.ts";

const requestSizes = [27_182, 8, 1_828, 45_904];
const responseSizes = [31_415, 9, 2_653, 58_979];
const empty = toBinary(EmptySchema, create(EmptySchema));
const payload = (size: number) => ({ body: new Uint8Array(size) });

/**
 * The cases that every gRPC project's interop client makes, by their names
 * (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md).
 */
export const cases: Readonly<Record<string, (client: WireClient) => Promise<void>>> = {
  empty_unary: async (client) => {
    const reply = await client.call(pathOf("EmptyCall")).unary(empty);
    expect(reply).toHaveLength(0);
  },
  large_unary: async (client) => {
    const reply = await unary(client.call(pathOf("UnaryCall")), { responseSize: 314_159, payload: payload(271_828) });
    expect(reply.payload?.body).toHaveLength(314_159);
  },
  client_streaming: async (client) => {
    const call = client.call(pathOf("StreamingInputCall"));
    for (const size of requestSizes) {
      const request = create(StreamingInputCallRequestSchema, { payload: payload(size) });
      await call.send(toBinary(StreamingInputCallRequestSchema, request));
    }
    call.end();
    expect(fromBinary(StreamingInputCallResponseSchema, await call.one()).aggregatedPayloadSize).toBe(74_922);
  },
  server_streaming: async (client) => {
    const call = client.call(pathOf("StreamingOutputCall"));
    await call.send(outputRequest(responseSizes));
    call.end();
    expect(await sizes(call)).toEqual(responseSizes);
  },
  ping_pong: async (client) => {
    const call = client.call(pathOf("FullDuplexCall"));
    for (const [index, size] of responseSizes.entries()) {
      await call.send(outputRequest([size], requestSizes[index]));
      expect(sizeOf(await call.messages.next())).toBe(size);
    }
    call.end();
    expect(await call.messages.next()).toBeUndefined();
  },
  empty_stream: async (client) => {
    const call = client.call(pathOf("FullDuplexCall"));
    call.end();
    expect(await sizes(call)).toEqual([]);
  },
  timeout_on_sleeping_server: async (client) => {
    const call = client.call(pathOf("FullDuplexCall"), { timeoutMs: 1 });
    await call.send(outputRequest([], 27_182));
    await expect(call.messages.next()).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  },
  cancel_after_begin: async (client) => {
    const call = client.call(pathOf("StreamingInputCall"), { metadata: metadata({ key1: "value1" }) });
    call.cancel();
    await expect(call.messages.next()).rejects.toMatchObject({ code: "CANCELLED" });
  },
  cancel_after_first_response: async (client) => {
    const call = client.call(pathOf("FullDuplexCall"));
    await call.send(outputRequest([31_415], 27_182));
    expect(sizeOf(await call.messages.next())).toBe(31_415);
    call.cancel();
    await expect(call.messages.next()).rejects.toMatchObject({ code: "CANCELLED" });
  },
  custom_metadata: async (client) => {
    const sent = metadata({ [initialKey]: "test_initial_metadata_value", [trailingKey]: "CgsKCwoL" });
    const one = client.call(pathOf("UnaryCall"), { metadata: sent });
    await unary(one, { responseSize: 314_159, payload: payload(271_828) });
    const many = client.call(pathOf("FullDuplexCall"), { metadata: sent });
    await many.send(outputRequest([314_159], 271_828));
    many.end();
    expect(await sizes(many)).toEqual([314_159]);
    for (const call of [one, many]) {
      expect((await call.headers)?.get(initialKey)).toBe("test_initial_metadata_value");
      expect(call.trailers.get(trailingKey)).toBe("CgsKCwoL");
    }
  },
  status_code_and_message: async (client) => {
    const responseStatus = { code: 2, message: "test status message" };
    const expected = { code: "UNKNOWN", message: "test status message" };
    await expect(unary(client.call(pathOf("UnaryCall")), { responseStatus })).rejects.toMatchObject(expected);
    const call = client.call(pathOf("FullDuplexCall"));
    const request = create(StreamingOutputCallRequestSchema, { responseStatus });
    await call.send(toBinary(StreamingOutputCallRequestSchema, request));
    call.end();
    await expect(call.messages.next()).rejects.toMatchObject(expected);
  },
  special_status_message: async (client) => {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    const asked = unary(client.call(pathOf("UnaryCall")), { responseStatus: { code: 2, message } });
    await expect(asked).rejects.toMatchObject({ code: "UNKNOWN", message });
  },
  unimplemented_method: async (client) => {
    const asked = client.call(pathOf("UnimplementedCall")).unary(empty);
    await expect(asked).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  },
  unimplemented_service: async (client) => {
    const asked = client.call(`/${UnimplementedService.typeName}/UnimplementedCall`).unary(empty);
    await expect(asked).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  },
  rpc_soak: async (client) => {
    for (let time = 0; time < 20; time++) await cases["large_unary"]!(client);
  },
};

/** So many messages, each answered before the next goes; answers how many came back. */
export async function smallMessages(client: WireClient, count: number): Promise<number> {
  const call = client.call(pathOf("FullDuplexCall"));
  let came = 0;
  for (let at = 0; at < count; at++) {
    await call.send(outputRequest([20], 20));
    if (sizeOf(await call.messages.next()) === 20) came++;
  }
  call.end();
  expect(await call.messages.next()).toBeUndefined();
  return came;
}

async function unary(
  call: WireCall,
  request: Partial<Pick<SimpleRequest, "responseSize">> & {
    readonly payload?: { readonly body: Uint8Array<ArrayBuffer> };
    readonly responseStatus?: { readonly code: number; readonly message: string };
  },
): Promise<SimpleResponse> {
  const reply = await call.unary(toBinary(SimpleRequestSchema, create(SimpleRequestSchema, request)));
  return fromBinary(SimpleResponseSchema, reply);
}

function outputRequest(sizes: readonly number[], size = 0): Uint8Array {
  const request = create(StreamingOutputCallRequestSchema, {
    responseParameters: sizes.map((each) => ({ size: each })),
    payload: payload(size),
  });
  return toBinary(StreamingOutputCallRequestSchema, request);
}

const sizeOf = (message: Buffer | undefined): number =>
  fromBinary(StreamingOutputCallResponseSchema, message!).payload!.body.length;

async function sizes(call: WireCall): Promise<number[]> {
  const seen: number[] = [];
  for await (const message of call.messages) seen.push(sizeOf(message));
  return seen;
}
