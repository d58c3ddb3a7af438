import { expect } from "vitest";

import { Call } from "../../../runtime/call/call.ts";
import type { Stub } from "../../../runtime/call/service.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import type { StreamingOutputCallResponse, TestService } from "./test_pb.ts";

const requestSizes = [27_182, 8, 1_828, 45_904];
const responseSizes = [31_415, 9, 2_653, 58_979];
const payload = (size: number) => ({ body: new Uint8Array(size) });
const parameters = (sizes: readonly number[]) => ({ responseParameters: sizes.map((size) => ({ size })) });

interface Parties {
  readonly stub: Stub<typeof TestService>;
  readonly clock: Clock;
}

/**
 * gRPC's interop cases (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md) as somebody makes them who has a stub:
 * all but those about metadata that comes before or behind messages, which stubs don't show.
 */
export const fleetCases: Readonly<Record<string, (parties: Parties) => Promise<void>>> = {
  empty_unary: async ({ stub }) => {
    expect(await stub.emptyCall({})).toMatchObject({});
  },
  large_unary: async ({ stub }) => {
    const reply = await stub.unaryCall({ responseSize: 314_159, payload: payload(271_828) });
    expect(reply.payload?.body).toHaveLength(314_159);
  },
  client_streaming: async ({ stub }) => {
    const requests = requestSizes.map((size) => ({ payload: payload(size) }));
    expect((await stub.streamingInputCall(requests)).aggregatedPayloadSize).toBe(74_922);
  },
  server_streaming: async ({ stub }) => {
    expect(await sizes(await stub.streamingOutputCall(parameters(responseSizes)))).toEqual(responseSizes);
  },
  ping_pong: async ({ stub }) => {
    let answered: () => void = () => undefined;
    async function* requests() {
      for (const [index, size] of responseSizes.entries()) {
        const answer = new Promise<void>((resolve) => (answered = resolve));
        yield { ...parameters([size]), payload: payload(requestSizes[index]!) };
        await answer;
      }
    }
    const seen: number[] = [];
    for await (const message of await stub.fullDuplexCall(requests())) {
      seen.push(sizeOf(message));
      answered();
    }
    expect(seen).toEqual(responseSizes);
  },
  empty_stream: async ({ stub }) => {
    expect(await sizes(await stub.fullDuplexCall([]))).toEqual([]);
  },
  cancel_after_begin: async ({ stub, clock }) => {
    const parent = new Call({ clock, service: "", method: "test" });
    const asked = stub.streamingInputCall(nothingYet(), { parent });
    await clock.sleep(20_000);
    parent.cancel();
    await expect(asked).rejects.toMatchObject({ code: "CANCELLED" });
  },
  cancel_after_first_response: async ({ stub, clock }) => {
    const parent = new Call({ clock, service: "", method: "test" });
    const messages = await stub.fullDuplexCall(andThenNothing(parameters([31_415])), { parent });
    const answers = messages[Symbol.asyncIterator]();
    expect(sizeOf((await answers.next()).value as StreamingOutputCallResponse)).toBe(31_415);
    parent.cancel();
    await expect(answers.next()).rejects.toMatchObject({ code: "CANCELLED" });
  },
  "timeout_on_sleeping_server, whoever of both notices first": async ({ stub }) => {
    const sleeping = { responseParameters: [{ size: 1, intervalUs: 10_000_000 }] };
    for (let time = 0; time < 20; time++) {
      const asked = stub.fullDuplexCall(andThenNothing(sleeping), { timeoutMs: 5 }).then(sizes);
      await expect(asked).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    }
  },
  status_code_and_message: async ({ stub }) => {
    const responseStatus = { code: 2, message: "test status message" };
    const expected = { code: "UNKNOWN", message: "test status message" };
    await expect(stub.unaryCall({ responseStatus })).rejects.toMatchObject(expected);
    await expect(stub.fullDuplexCall([{ responseStatus }]).then(sizes)).rejects.toMatchObject(expected);
  },
  special_status_message: async ({ stub }) => {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    const asked = stub.unaryCall({ responseStatus: { code: 2, message } });
    await expect(asked).rejects.toMatchObject({ code: "UNKNOWN", message });
  },
  unimplemented_method: async ({ stub }) => {
    await expect(stub.unimplementedCall({})).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  },
};

async function* nothingYet(): AsyncGenerator<never> {
  await new Promise(() => undefined);
}

async function* andThenNothing<T>(first: T): AsyncGenerator<T> {
  yield first;
  await new Promise(() => undefined);
}

const sizeOf = ({ payload }: StreamingOutputCallResponse): number => payload!.body.length;

async function sizes(messages: AsyncIterable<StreamingOutputCallResponse>): Promise<number[]> {
  const seen: number[] = [];
  for await (const message of messages) seen.push(sizeOf(message));
  return seen;
}
