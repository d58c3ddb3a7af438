import { expect, test } from "vitest";

import { advertised } from "./config.ts";

test.each([
  ["127.0.0.1:20880", undefined, "127.0.0.1:20880"],
  ["0.0.0.0:20880", "orders-0:20880", "orders-0:20880"],
  ["0.0.0.0:41234", "orders-0:0", "orders-0:41234"],
  ["[::]:20880", "10.0.0.7:1000", "10.0.0.7:1000"],
  ["192.0.2.7:20880", undefined, "192.0.2.7:20880"],
])("who listens at %s and advertises %s is found at %s", (listening, advertise, found) => {
  expect(advertised(listening, advertise)).toBe(found);
});

test.each([
  ["0.0.0.0:20880", undefined, /listens everywhere/],
  ["[::]:20880", undefined, /listens everywhere/],
  ["0.0.0.0:20880", "orders-0", /no address/],
  ["0.0.0.0:20880", "0.0.0.0:20880", /nobody can dial/],
])("who listens at %s and advertises %s is refused", (listening, advertise, why) => {
  expect(() => advertised(listening, advertise)).toThrow(why);
});
