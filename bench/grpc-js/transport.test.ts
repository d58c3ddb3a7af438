import { describe, expect, test } from "vitest";

import { Call } from "../../runtime/call/call.ts";
import { metadata } from "../../runtime/call/metadata.ts";
import { methodsOf } from "../../runtime/call/service.ts";
import { json } from "../../runtime/codec/json.ts";
import { protobuf } from "../../runtime/codec/protobuf.ts";
import { Registry } from "../../runtime/discovery/proto/registry_pb.ts";
import { Authority } from "../../runtime/node/authority.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { inWorld } from "../../runtime/node/testing/transport-world.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import { transportContract } from "../../runtime/ports/transport.contract.ts";
import { grpcJsTransport } from "./transport.ts";

const clock = systemClock();
const authority = new Authority("the test's", clock.wallMs());
const identities = {
  plain: { client: undefined, server: undefined },
  "mutual TLS": {
    client: authority.issue({ name: "storefront", hosts: ["127.0.0.1"] }),
    server: authority.issue({ name: "orders", hosts: ["127.0.0.1"] }),
  },
};

describe("it keeps the contract of transports", () => {
  for (const [fact, holds] of Object.entries(transportContract)) test(fact, () => inWorld(holds, grpcJsTransport));
});

describe.each(["plain", "mutual TLS"] as const)("over connections that are %s", (way) => {
  const { client: storefront, server: orders } = identities[way];

  test.each([
    { from: "our own HTTP/2", to: "@grpc/grpc-js", caller: tripleTransport, callee: grpcJsTransport },
    { from: "@grpc/grpc-js", to: "our own HTTP/2", caller: grpcJsTransport, callee: tripleTransport },
  ])(
    "a caller on $from and a server on $to agree on codec, metadata, trailers and name",
    async ({ caller, callee }) => {
      const [client, server] = [caller({ clock, tls: storefront }), callee({ clock, tls: orders })];
      const names = new Set<string | undefined>();
      try {
        const served = methodsOf(Registry).get("lookup")!;
        const { address } = await server.listen({
          address: "127.0.0.1:0",
          methods: new Map([
            [
              served.path,
              {
                method: served,
                serve: async ({ metadata: sent, principal }, request) => {
                  names.add(principal);
                  const { service } = request as { readonly service: string };
                  const message = served.output.create({
                    service: `${service} ${[...sent.keys()].join()}`,
                    version: 7,
                  });
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
        expect([...names]).toEqual([way === "plain" ? undefined : "storefront"]);
      } finally {
        await client.close();
        await server.close();
      }
    },
  );
});
