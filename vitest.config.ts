import { defineConfig } from "vitest/config";

import { compileCache } from "./harness/compile-cache.ts";

/**
 * Tests against real servers in containers (`*.docker.test.ts`): FLYBALL_DOCKER=1 runs them, FLYBALL_DOCKER=later leaves them to
 * another run; otherwise they are there, skipped by name with the reason. FLYBALL_PEERS says the same of tests against other
 * implementations of what is on the wire (`*.peers.test.ts`).
 */
const later = ["docker", "peers"].filter((kind) => process.env[`FLYBALL_${kind.toUpperCase()}`] === "later");

export default defineConfig({
  test: {
    environment: "node",
    // For the programs that tests start by themselves.
    env: { NODE_COMPILE_CACHE: compileCache },
    include: ["**/*.test.ts", ".ci/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/.flyball/**", ...later.map((kind) => `**/*.${kind}.test.ts`)],
    pool: "forks",
    // Live worlds start processes of their own: leave them a core.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default"],
  },
});
