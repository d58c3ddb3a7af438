import fc from "fast-check";
import { expect, test } from "vitest";

import { preservedMetadata } from "./http-naming.ts";

test("whatever the timeout, the server looks twice between unhealthy and removed: nobody vanishes without having been ill", () => {
  fc.assert(
    fc.property(fc.integer({ min: 500, max: 600_000 }), (timeoutMs) => {
      const preserved = preservedMetadata(timeoutMs);
      const number = (key: string): number => Number(preserved[key]);
      expect(number("preserved.heart.beat.timeout")).toBe(timeoutMs);
      expect(number("preserved.ip.delete.timeout")).toBeGreaterThanOrEqual(timeoutMs + 10_000);
      expect(3 * number("preserved.heart.beat.interval")).toBeGreaterThanOrEqual(timeoutMs);
    }),
  );
});
