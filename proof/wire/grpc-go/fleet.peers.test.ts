import type { ChildProcess } from "node:child_process";

import { afterAll, beforeAll, test } from "vitest";

import { directStub } from "../../../runtime/call/direct.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import { describePeer, freePort, listening, peerPath, start, tryCase } from "../peers.ts";
import { fleetCases } from "./fleet-cases.ts";
import { serveInterop } from "./fleet-service.ts";
import { TestService } from "./test_pb.ts";

// The servers and stubs of a fleet, with all that they have around HTTP/2, and grpc-go's interop programs.

const clock = systemClock();
const transport = tripleTransport({ clock });
afterAll(() => transport.close());

describePeer("grpc-go", "grpc-go's interop client at a fleet's server", () => {
  let port = "";
  beforeAll(async () => {
    const { address } = await serveInterop(transport);
    port = address.split(":")[1]!;
  });

  test.each([
    ...["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream"],
    ...["timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response"],
    ...["status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service"],
    ...["pick_first_unary", "rpc_soak"],
  ])("%s", async (name) => {
    await tryCase(name, port);
  });
});

describePeer("grpc-go", "a fleet's stub at grpc-go's interop server", () => {
  let server: ChildProcess;
  let address = "";
  beforeAll(async () => {
    const port = await freePort();
    address = `127.0.0.1:${port}`;
    server = start(peerPath("grpc-go-server"), [`-port=${port}`]);
    await listening(port);
  });
  afterAll(() => server.kill());

  test.each(Object.entries(fleetCases))("%s", async (_, holds) => {
    const calls = new CallLog({ clock, telemetry: silent });
    const options = { ...{ clock, transport, calls, service: "interop", address }, timeoutMs: 20_000 };
    await holds({ stub: directStub(TestService, options), clock });
  });
});
