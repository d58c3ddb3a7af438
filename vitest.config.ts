import { defineConfig } from "vitest/config";

import { compileCache } from "./harness/compile-cache.ts";

/**
 * Tests against real servers in containers (`*.docker.test.ts`): FLYBALL_DOCKER=1 runs them, FLYBALL_DOCKER=later leaves them to
 * another run; otherwise they are there, skipped by name with the reason. FLYBALL_PEERS says the same of tests against other
 * implementations of what is on the wire (`*.peers.test.ts`).
 */
const later = ["docker", "peers"].filter((kind) => process.env[`FLYBALL_${kind.toUpperCase()}`] === "later");

/**
 * Rooms whose modules keep nothing between calls and touch no process, socket or environment: one process runs file after file of
 * theirs, instead of starting anew and loading the same modules 120 times.
 */
const pure = [
  "runtime/*.test.ts",
  "runtime/!(node)/**/*.test.ts",
  "harness/{faults,judge,rollout,scenario}/**/*.test.ts",
];
const leftOut = ["**/node_modules/**", "**/.flyball/**", ...later.map((kind) => `**/*.${kind}.test.ts`)];

export default defineConfig({
  test: {
    environment: "node",
    // For the programs that tests start by themselves.
    env: { NODE_COMPILE_CACHE: compileCache },
    projects: [
      { extends: true, test: { name: "pure", include: pure, exclude: leftOut, isolate: false } },
      {
        extends: true,
        test: { name: "apart", include: ["**/*.test.ts", ".ci/**/*.test.ts"], exclude: [...leftOut, ...pure] },
      },
    ],
    pool: "forks",
    // Live worlds start processes of their own: leave them a core.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default"],
  },
});
