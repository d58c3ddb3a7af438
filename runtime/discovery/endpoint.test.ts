import { expect, test } from "vitest";

import { endpointOf } from "./endpoint.ts";

const instance = { id: "orders/0", service: "orders", address: "10.0.0.1:20880", weight: 100 };
const addressing = (metadata: Readonly<Record<string, string>>) =>
  Object.fromEntries(endpointOf({ ...instance, metadata }).addressing);

test("calls to a foreign provider name the group and version that it registered; calls to ours carry nothing more", () => {
  expect(addressing({ group: "orders" })).toEqual({ "tri-service-group": "orders" });
  expect(addressing({ group: "orders", version: "1.2.3" })).toEqual({
    "tri-service-group": "orders",
    "tri-service-version": "1.2.3",
  });
  // A version without a group is a label like any other: canaries go by it.
  expect(addressing({ version: "2", "dubbo.tag": "gray" })).toEqual({});
  expect(addressing({})).toEqual({});
});
