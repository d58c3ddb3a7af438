import { expect, test } from "vitest";

import { ServerReflection } from "../reflection/proto/reflection_pb.ts";
import type { Transport } from "../ports/transport.ts";
import { createServer } from "./server.ts";

test("a service in which a client streams is refused by the name of its method, instead of being served in part", () => {
  const server = createServer({ transport: {} as Transport });
  expect(() => server.add(ServerReflection, { serverReflectionInfo: undefined as never })).toThrow(
    expect.objectContaining({
      code: "UNIMPLEMENTED",
      message:
        "grpc.reflection.v1.ServerReflection.ServerReflectionInfo: calls in which a client streams aren't served",
    }),
  );
});
