import { expect, test } from "vitest";

import type { Endpoint } from "../discovery/endpoint.ts";
import { call, client, pool } from "../fixtures.ts";
import { chainRoutes } from "./chain.ts";
import type { RouterPolicy } from "./router.ts";
import { routers } from "./table.ts";

test("without routers, and without rules, every call gets the very same array", () => {
  const endpoints = pool(1, 2, 3);
  expect(chainRoutes([], endpoints, client())(call())).toBe(endpoints);
  const noRules = Object.values(routers).map((policy) => ({ policy, rules: [] }));
  expect(chainRoutes(noRules, endpoints, client())(call())).toBe(endpoints);
});

test("a router is compiled once for each subset that it meets, when it meets it", () => {
  const endpoints = pool(1, 1, 1, 1);
  const compiled: (readonly Endpoint[])[] = [];
  const halves = { a: endpoints.slice(0, 2), b: endpoints.slice(2) };
  const half: RouterPolicy = {
    keys: () => [],
    parse: () => undefined,
    compile: () => (asked) => (asked.metadata.get("half") === "a" ? halves.a : halves.b),
  };
  const last: RouterPolicy = {
    keys: () => [],
    parse: () => undefined,
    compile: (_rules, candidates, { all }) => {
      expect(all).toBe(endpoints);
      compiled.push(candidates);
      const answer = candidates.slice(-1);
      return () => answer;
    },
  };
  const route = chainRoutes(
    [
      { policy: half, rules: [] },
      { policy: last, rules: [] },
    ],
    endpoints,
    client(),
  );
  expect(compiled).toEqual([]);
  const a = call({ metadata: { half: "a" } });
  const b = call({ metadata: { half: "b" } });
  expect(route(a)).toEqual([endpoints[1]]);
  expect(route(a)).toBe(route(a));
  expect(route(b)).toEqual([endpoints[3]]);
  expect(compiled).toEqual([halves.a, halves.b]);
});

test("the routers come in Dubbo's order, and the canary splits what they leave", () => {
  expect(Object.keys(routers)).toEqual(["tag", "affinity", "condition", "canary"]);
});
