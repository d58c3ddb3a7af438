import { expect, test } from "vitest";

import { RpcError } from "../../call/status.ts";
import { call } from "../../fixtures.ts";
import type { Response } from "../../ports/transport.ts";
import { ManualClock } from "../../testing/clock.ts";
import { readReport } from "./orca.ts";
import { reportsLoad } from "./reporter.ts";

test("a server says how many calls it ended in the last second, how many failed, and how much of its capacity they took", async () => {
  const clock = new ManualClock();
  const filter = reportsLoad({ clock, capacity: 2 });
  const served = async (waitMs: number, workMs: number, fails = false): Promise<Response> => {
    const one = call({ clock });
    const response = filter(one, {}, async () => {
      await clock.sleep(waitMs * 1000);
      // Its turn.
      one.workUs = clock.nowUs();
      await clock.sleep(workMs * 1000);
      if (fails) throw new RpcError("broken", { code: "INTERNAL" });
      return { kind: "unary", message: {}, trailers: new Map([["own", "1"]]) };
    }).catch((error: unknown) => error as Response);
    await clock.advance((waitMs + workMs) * 1000);
    return response;
  };
  // How long it waited for its turn doesn't count.
  for (let index = 0; index < 3; index++) await served(20, 100);
  expect(await served(0, 100, true)).toMatchObject({ code: "INTERNAL" });
  const last = await served(0, 100);
  const trailers = last.kind === "unary" ? last.trailers : new Map<string, string>();
  expect(trailers.get("own")).toBe("1");
  // Five calls of 100 ms by two workers.
  expect(readReport(trailers)).toEqual({ perSecond: 5, errorsPerSecond: 1, utilization: 0.25 });
  await clock.advance(2_000_000);
  const later = await served(0, 50);
  expect(readReport(later.kind === "unary" ? later.trailers : new Map<string, string>())).toMatchObject({
    perSecond: 1,
    utilization: 0.025,
  });
});
