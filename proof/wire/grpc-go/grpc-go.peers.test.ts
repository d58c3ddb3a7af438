import type { ChildProcess } from "node:child_process";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { WireClient } from "../client.ts";
import { describePeer, freePort, listening, peerPath, run, start, tryCase } from "../peers.ts";
import { serveWire, type Handler, type WireServer } from "../server.ts";
import { certificates } from "../certificates.ts";
import { cases, smallMessages } from "./cases.ts";
import { testService } from "./service.ts";

// The interop programs of grpc-go, as its project releases them. Not among the cases: those about Google's credentials, ALTS and ORCA.

const { ca, cert, key, files } = certificates();

describePeer("grpc-go", "grpc-go's interop client at our server", () => {
  const names = [...Object.keys(cases), "pick_first_unary", "channel_soak"];

  describe.each([
    ["plain", false],
    ["TLS", true],
  ])("%s", (_, isTls) => {
    let server: WireServer;
    beforeAll(async () => {
      server = await serveWire(testService, isTls ? { tls: { cert, key } } : {});
    });
    afterAll(() => server.close());

    test.each(names)("%s", async (name) => {
      const tls = ["-use_tls", "-use_test_ca", `-ca_file=${files.ca}`, "-server_host_override=localhost"];
      await tryCase(name, server.port, isTls ? tls : []);
    });
  });
});

describePeer(
  "grpc-go",
  "grpc-go's streams at our server, each message of which is answered with a PING and a WINDOW_UPDATE",
  () => {
    let server: WireServer;
    beforeAll(async () => {
      const echo: Handler = async (call) => {
        for await (const message of call.messages) await call.send(message);
      };
      server = await serveWire({ "/flyball.wire.Streams/Echo": echo });
    });
    afterAll(() => server.close());

    test.each([
      ["echo", 15_000, 100],
      ["echo", 15_000, 1],
      ["refused", 100, 20],
    ])(
      "%s %d %d",
      async (...what) => {
        await run(peerPath("grpc-go-streams"), [`127.0.0.1:${server.port}`, ...what.map(String)], 30_000);
      },
      30_000,
    );
  },
);

describePeer("grpc-go", "our client at grpc-go's interop server", () => {
  describe.each([
    ["plain", false],
    ["TLS", true],
  ])("%s", (_, isTls) => {
    let port: number;
    let server: ChildProcess;
    beforeAll(async () => {
      port = await freePort();
      const tls = ["-use_tls", `-tls_cert_file=${files.cert}`, `-tls_key_file=${files.key}`];
      server = start(peerPath("grpc-go-server"), [`-port=${port}`, ...(isTls ? tls : [])]);
      await listening(port);
    });
    afterAll(() => server.kill());

    test.each(Object.entries(cases))("%s", async (_name, one) => {
      const client = await WireClient.connect("127.0.0.1", port, isTls ? { ca, servername: "localhost" } : undefined);
      await one(client);
      client.close();
    });

    test("thousands of small messages on one stream", async () => {
      const client = await WireClient.connect("127.0.0.1", port, isTls ? { ca, servername: "localhost" } : undefined);
      expect(await smallMessages(client, 10_000)).toBe(10_000);
      client.close();
    }, 30_000);
  });
});
