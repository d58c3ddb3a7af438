import type { MessageInitShape } from "@bufbuild/protobuf";

import type { Call } from "../../../runtime/call/call.ts";
import { createServer } from "../../../runtime/call/server.ts";
import type { Handlers } from "../../../runtime/call/service.ts";
import { RpcError, rpcCodeOf } from "../../../runtime/call/status.ts";
import type { Listener, Transport } from "../../../runtime/ports/transport.ts";
import {
  TestService,
  type EchoStatus,
  type StreamingOutputCallRequest,
  type StreamingOutputCallResponseSchema,
} from "./test_pb.ts";

/** Serves what every gRPC project's interop server does, as a fleet serves its own services. Resolves with the address. */
export const serveInterop = (transport: Transport): Promise<Listener> =>
  createServer({ transport })
    .add(TestService, handlers as Handlers<typeof TestService>)
    .listen("127.0.0.1:0");

const payload = (size: number) => ({ body: new Uint8Array(size) });

/** All but those that no case calls, and the one whose answer is that there is none. */
const handlers: Partial<Handlers<typeof TestService>> = {
  emptyCall: async () => ({}),
  unaryCall: async ({ responseStatus, responseSize, fillServerId }) => {
    fail(responseStatus);
    return { payload: payload(responseSize), serverId: fillServerId ? "flyball" : "" };
  },
  streamingOutputCall: answers,
  streamingInputCall: async (requests) => {
    let aggregatedPayloadSize = 0;
    for await (const { payload } of requests) aggregatedPayloadSize += payload?.body.length ?? 0;
    return { aggregatedPayloadSize };
  },
  async *fullDuplexCall(requests, call) {
    for await (const request of requests) {
      fail(request.responseStatus);
      yield* answers(request, call);
    }
  },
};

async function* answers(
  { responseParameters }: StreamingOutputCallRequest,
  { clock, signal }: Call,
): AsyncGenerator<MessageInitShape<typeof StreamingOutputCallResponseSchema>> {
  for (const { size, intervalUs } of responseParameters) {
    if (intervalUs > 0) await clock.sleep(intervalUs, signal);
    yield { payload: payload(size) };
  }
}

function fail(status: EchoStatus | undefined): void {
  if (status === undefined || status.code === 0) return;
  const code = rpcCodeOf(status.code);
  throw new RpcError(status.message, { code: code === "OK" ? "UNKNOWN" : code });
}
