import { expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { metadata } from "../../call/metadata.ts";
import { methodsOf } from "../../call/service.ts";
import { json } from "../../codec/json.ts";
import { protobuf } from "../../codec/protobuf.ts";
import { Registry } from "../../discovery/proto/registry_pb.ts";
import { systemClock } from "../clock.ts";
import { tripleTransport } from "../triple.ts";

const clock = systemClock();

test.each([
  ["http2", "grpc-js"],
  ["grpc-js", "http2"],
  ["http2", "http2"],
] as const)("a caller on %s and a server on %s agree on codec, metadata and trailers", async (from, to) => {
  const [client, server] = [tripleTransport({ clock, stack: from }), tripleTransport({ clock, stack: to })];
  try {
    const served = methodsOf(Registry).get("lookup")!;
    const { address } = await server.listen({
      address: "127.0.0.1:0",
      methods: new Map([
        [
          served.path,
          {
            method: served,
            serve: async ({ metadata: sent }, request) => {
              const { service } = request as { readonly service: string };
              const message = served.output.create({ service: `${service} ${[...sent.keys()].join()}`, version: 7 });
              return { kind: "unary", message, trailers: metadata({ "x-raw-bin": "AAE=,/w==" }) };
            },
          },
        ],
      ]),
    });
    for (const codecs of [protobuf, json, undefined]) {
      const method = methodsOf(Registry, codecs).get("lookup")!;
      const call = new Call({ clock, service: "", method: method.path, metadata: metadata({ "x-a": "1" }) });
      const response = await client.invoke(address, method, call, method.input.create({ service: "orders" }));
      call.end();
      expect(response).toMatchObject({ message: { service: "orders x-a", version: 7 } });
      expect(response.kind === "unary" && response.trailers.get("x-raw-bin")).toBe("AAE=,/w==");
    }
  } finally {
    await client.close();
    await server.close();
  }
});
