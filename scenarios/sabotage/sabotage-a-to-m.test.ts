import { readdirSync } from "node:fs";

import { expect, test } from "vitest";

import { elsewhere, sabotageScenarios, scenarios } from "./suite.fixture.ts";

test("only scenarios about real servers escape", () => {
  expect(elsewhere.map(({ name, tags }) => [name, tags])).toEqual([["counted-by-prometheus", ["docker"]]]);
});

test("no sabotage is left of a scenario that is gone", () => {
  const files = readdirSync(new URL("of", import.meta.url)).map((file) => file.replace(/\.ts$/, ""));
  expect(files.filter((name) => !scenarios.has(name))).toEqual([]);
});

sabotageScenarios((name) => name < "n");
