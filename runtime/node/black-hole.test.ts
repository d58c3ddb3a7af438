import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";

import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { methodsOf } from "../call/service.ts";
import { toRpcError } from "../call/status.ts";
import { Health, HealthCheckRequestSchema } from "../health/proto/health_pb.ts";
import { systemClock } from "./clock.ts";
import { otherTransports } from "./transports.ts";
import { tripleTransport } from "./triple.ts";

const clock = systemClock();
const method = methodsOf(Health).get("check")!;

/** An address that answers no SYN: who listens there never accepts, and its queue is full. */
const blackHole = new Worker(
  `const { createServer } = require("node:net");
   const server = createServer();
   server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
     require("node:worker_threads").parentPort.postMessage(server.address().port);
     setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
   });`,
  { eval: true },
);
const fillers: Socket[] = [];
let address = "";

beforeAll(async () => {
  const [port] = (await once(blackHole, "message")) as [number];
  address = `127.0.0.1:${port}`;
  // Until one of them hangs.
  for (;;) {
    const filler = connect(port, "127.0.0.1");
    filler.on("error", () => undefined);
    fillers.push(filler);
    const isThrough = await Promise.race([
      once(filler, "connect").then(() => true),
      new Promise<false>((resolve) => setTimeout(resolve, 100, false)),
    ]);
    if (!isThrough) return;
  }
});

afterAll(async () => {
  for (const filler of fillers) filler.destroy();
  await blackHole.terminate();
});

// https://github.com/apache/dubbo-go/issues/3161: there the kernel's 127 seconds had to pass.
test.each(Object.entries({ triple: tripleTransport({ clock }), ...otherTransports({ clock }) }))(
  "%s: a call to a black-holed address ends when its own time is up",
  async (_, transport) => {
    const call = new Call({ clock, service: "health", method: method.path, timeoutUs: 200_000 });
    const beganUs = clock.nowUs();
    const error = await transport.invoke(address, method, call, create(HealthCheckRequestSchema)).then(
      () => undefined,
      (thrown: unknown) => toRpcError(thrown),
    );
    call.end();
    expect(error?.code).toBe("DEADLINE_EXCEEDED");
    expect(clock.nowUs() - beganUs).toBeGreaterThanOrEqual(200_000);
    expect(clock.nowUs() - beganUs).toBeLessThan(2_000_000);
    await transport.close();
  },
);
