import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["**/*.test.ts", ".ci/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/.flyball/**"],
    pool: "forks",
    // Live worlds start processes of their own: leave them a core.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default"],
  },
});
