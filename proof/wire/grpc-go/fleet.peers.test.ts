import type { ChildProcess } from "node:child_process";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Call } from "../../../runtime/call/call.ts";
import { noMetadata } from "../../../runtime/call/metadata.ts";
import { methodsOf } from "../../../runtime/call/service.ts";
import { RpcError } from "../../../runtime/call/status.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import type { Response, ServedMethod } from "../../../runtime/ports/transport.ts";
import { describePeer, freePort, listening, peerPath, start, tryCase } from "../peers.ts";
import { TestService, type SimpleRequest, type SimpleResponse, type StreamingOutputCallResponse } from "./test_pb.ts";

// The transport of a fleet, with all that it has around HTTP/2, and grpc-go's interop programs: the cases of the kinds of calls that it has.

const clock = systemClock();
const transport = tripleTransport({ clock });
afterAll(() => transport.close());
const methods = methodsOf(TestService);
const unary = (message: unknown): Response => ({ kind: "unary", message, trailers: noMetadata });
const payload = (size: number) => ({ body: new Uint8Array(size) });

const handlers: Readonly<Record<string, (request: unknown) => Response>> = {
  emptyCall: () => unary(methods.get("emptyCall")!.output.create({})),
  unaryCall: (request) => {
    const { responseStatus, responseSize, fillServerId } = request as SimpleRequest;
    if (responseStatus !== undefined) throw new RpcError(responseStatus.message, { code: "UNKNOWN" });
    const serverId = fillServerId ? "flyball" : "";
    return unary(methods.get("unaryCall")!.output.create({ payload: payload(responseSize), serverId }));
  },
  streamingOutputCall: (request) => {
    const { responseParameters } = request as { readonly responseParameters: readonly { readonly size: number }[] };
    const { output } = methods.get("streamingOutputCall")!;
    async function* messages() {
      for (const { size } of responseParameters) yield output.create({ payload: payload(size) });
    }
    return { kind: "stream", messages: messages() };
  },
};

describePeer("grpc-go", "grpc-go's interop client at a fleet's server", () => {
  let port = "";
  beforeAll(async () => {
    const served = Object.entries(handlers).map(([name, answer]): [string, ServedMethod] => {
      const method = methods.get(name)!;
      return [method.path, { method, serve: async (_, request) => answer(request) }];
    });
    const { address } = await transport.listen({ address: "127.0.0.1:0", methods: new Map(served) });
    port = address.split(":")[1]!;
  });

  test.each([
    ...["empty_unary", "large_unary", "server_streaming", "special_status_message", "unimplemented_method"],
    ...["unimplemented_service", "pick_first_unary", "rpc_soak"],
  ])("%s", async (name) => {
    await tryCase(name, port);
  });
});

describePeer("grpc-go", "a fleet's client at grpc-go's interop server", () => {
  let server: ChildProcess;
  let address = "";
  beforeAll(async () => {
    const port = await freePort();
    address = `127.0.0.1:${port}`;
    server = start(peerPath("grpc-go-server"), [`-port=${port}`]);
    await listening(port);
  });
  afterAll(() => server.kill());

  /** One call; a stream is read to its end. */
  async function ask(name: string, request: object, timeoutUs?: number): Promise<readonly unknown[]> {
    const method = methods.get(name)!;
    const call = new Call({ clock, service: "", method: method.path, timeoutUs });
    try {
      const response = await transport.invoke(address, method, call, method.input.create(request));
      if (response.kind === "unary") return [response.message];
      const messages: unknown[] = [];
      for await (const message of response.messages) messages.push(message);
      return messages;
    } finally {
      call.end();
    }
  }

  describe("answers", () => {
    test("empty_unary", async () => {
      expect(await ask("emptyCall", {})).toHaveLength(1);
    });

    test("large_unary", async () => {
      const [message] = await ask("unaryCall", { responseSize: 314_159, payload: payload(271_828) });
      expect((message as SimpleResponse).payload?.body).toHaveLength(314_159);
    });

    test("server_streaming", async () => {
      const sizes = [31_415, 9, 2_653, 58_979];
      const messages = await ask("streamingOutputCall", { responseParameters: sizes.map((size) => ({ size })) });
      expect(messages.map((message) => (message as StreamingOutputCallResponse).payload?.body.length)).toEqual(sizes);
    });
  });

  describe("failures", () => {
    test("special_status_message", async () => {
      const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
      const asked = ask("unaryCall", { responseStatus: { code: 2, message } });
      await expect(asked).rejects.toMatchObject({ code: "UNKNOWN", message });
    });

    test("unimplemented_method", async () => {
      await expect(ask("unimplementedCall", {})).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    });

    test("timeout_on_sleeping_server, whoever of both notices first", async () => {
      const sleeping = { responseParameters: [{ size: 1, intervalUs: 10_000_000 }] };
      for (let time = 0; time < 20; time++) {
        const asked = ask("streamingOutputCall", sleeping, 5_000);
        await expect(asked).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
      }
    });
  });
});
