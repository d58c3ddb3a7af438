import { describe, expect, test } from "vitest";

import { call } from "../fixtures.ts";
import { metadata } from "./metadata.ts";
import { baggageEntry, requestTag, withTravelling } from "./travelling.ts";

describe("what travels along a chain of calls", () => {
  const parent = call({ metadata: { "dubbo.tag": "gray", baggage: "user=7", "user-id": "u1" } });

  test("lane and baggage, and nothing else, unless a call says otherwise", () => {
    expect([...withTravelling(undefined, parent)]).toEqual([
      ["dubbo.tag", "gray"],
      ["baggage", "user=7"],
    ]);
    expect(withTravelling(metadata({ "dubbo.tag": "" }), parent).get("dubbo.tag")).toBe("");
    expect(withTravelling(metadata({ a: "b" }), parent).get("a")).toBe("b");
  });

  test("nothing is copied where nothing travels", () => {
    const own = metadata({ a: "b" });
    expect(withTravelling(own, undefined)).toBe(own);
    expect(withTravelling(own, call({ metadata: { x: "y" } }))).toBe(own);
    expect(withTravelling(parent.metadata, parent)).toBe(parent.metadata);
  });

  test("the lane is that of dubbo.tag, else that of the baggage", () => {
    const tagOf = (entries: Record<string, string>) => requestTag(call({ metadata: entries }));
    expect(tagOf({})).toBeUndefined();
    expect(tagOf({ baggage: "a=b, dubbo.tag=gray;ttl=1 , c=d" })).toBe("gray");
    expect(tagOf({ baggage: "dubbo.tag=gray", "dubbo.tag": "blue" })).toBe("blue");
    // An empty tag leaves the lane.
    expect(tagOf({ baggage: "dubbo.tag=gray", "dubbo.tag": "" })).toBeUndefined();
    expect(tagOf({ baggage: "xdubbo.tag=gray" })).toBeUndefined();
  });

  test.each([
    ["k=a%20b", "a b"],
    ["k=%zz", "%zz"],
    ["k", undefined],
    ["=,;,k=", ""],
    ["", undefined],
  ])("%j has for k %j", (header, value) => {
    expect(baggageEntry(header, "k")).toBe(value);
  });
});
