import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";

import { RemovalSchema } from "../discovery/proto/registry_pb.ts";
import { ManualClock } from "../testing/clock.ts";
import { argumentOf } from "./argument.ts";
import { Call } from "./call.ts";

const asking = (request: unknown): Call =>
  new Call({ clock: new ManualClock(), service: "orders", method: "/Do", request });

describe("an argument of a call", () => {
  test("is the whole message, or a field of it", () => {
    const call = asking(create(RemovalSchema, { id: "u7" }));
    expect(argumentOf(call, "0.id")).toBe("u7");
    expect(argumentOf(call, "0")).toBe('{"id":"u7","reason":""}');
    expect(argumentOf(asking({ user: { id: 12n, vip: true } }), "0.user.id")).toBe("12");
    expect(argumentOf(asking({ user: { id: 12n, vip: true } }), "0.user.vip")).toBe("true");
    expect(argumentOf(asking({ bytes: new Uint8Array([1, 2]) }), "0")).toBe('{"bytes":[1,2]}');
  });

  test("is undefined where there is none", () => {
    const call = asking(create(RemovalSchema, { id: "u7" }));
    for (const path of ["1", "0.nobody", "0.id.length", "", "0.__proto__", "0.constructor"]) {
      expect(argumentOf(call, path)).toBeUndefined();
    }
    expect(argumentOf(asking(undefined), "0")).toBeUndefined();
  });
});
