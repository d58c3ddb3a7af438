import { expect, test } from "vitest";

import type { Transport } from "../ports/transport.ts";
import { silent } from "../ports/telemetry.ts";
import { ServerReflection } from "../reflection/proto/reflection_pb.ts";
import { CallLog } from "../telemetry/call-log.ts";
import { ManualClock } from "../testing/clock.ts";
import { directStub } from "./direct.ts";
import { RpcError } from "./status.ts";

test("what can't be asked is an RpcError, whoever made it one", async () => {
  const clock = new ManualClock();
  const stub = directStub(ServerReflection, {
    ...{ clock, transport: {} as Transport, calls: new CallLog({ clock, telemetry: silent }) },
    ...{ service: "reflection", address: "127.0.0.1:1" },
  });
  const breaking = {
    [Symbol.asyncIterator]: () => {
      throw new Error("no words");
    },
  };
  const error = await stub.serverReflectionInfo(breaking).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RpcError);
  expect(error).toMatchObject({ code: "UNKNOWN", message: "no words" });
});
