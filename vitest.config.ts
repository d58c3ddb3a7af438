import { defineConfig } from "vitest/config";

import { LongestFirst } from "./.ci/longest-first.ts";
import { compileCache } from "./harness/compile-cache.ts";

/**
 * Tests against real servers in containers (`*.docker.test.ts`): FLYBALL_DOCKER=1 runs them, FLYBALL_DOCKER=later leaves them to
 * another run; otherwise they are there, skipped by name with the reason. FLYBALL_PEERS says the same of tests against other
 * implementations of what is on the wire (`*.peers.test.ts`).
 */
const later = ["docker", "peers"].filter((kind) => process.env[`FLYBALL_${kind.toUpperCase()}`] === "later");

/**
 * Files whose modules keep nothing between calls and touch no process, socket or environment: one process runs one after the other of
 * them, instead of starting anew and loading the same modules 160 times.
 */
const pure = [
  "dashboards/dashboards.test.ts",
  "harness/{faults,judge,preflight,rollout,scenario}/**/*.test.ts",
  "harness/history/{collector,directory,file}.test.ts",
  "harness/load/{arrivals,k6/script,k6/thresholds}.test.ts",
  "harness/report/{agreement,files,text}.test.ts",
  "harness/telemetry/{fault-windows,targets}.test.ts",
  "harness/{compose,timeline}.test.ts",
  "harness/worlds/{docker/instance-names,live/fleet,live/lane}.test.ts",
  "harness/worlds/sim/{disk,network,services,transport}.test.ts",
  "runtime/*.test.ts",
  "runtime/!(node)/**/*.test.ts",
  "runtime/node/{disk,consul/format,http2/allowance,http2/hpack/hpack,nacos/payload,seata/message}.test.ts",
  "runtime/node/{sql/statement,telemetry/metrics,triple/stream-reader,zookeeper/levels}.test.ts",
  "services/{access-switch,advertised,distribution,machine,nearest,node,programs}.test.ts",
  "services/{bank/at,config-center/log,consumer/open-loop,coordinator/at,coordinator/transactions}.test.ts",
  "services/{provider/queue,registry/store}.test.ts",
  "theory/*.test.ts",
];

/** Files that wait longer than they work, for processes and for what falls silent: four at a time keep two processors busy. */
const waiting = [
  "harness/cli/{loads,own-services,preflight}.test.ts",
  "harness/load/k6/k6.test.ts",
  "harness/worlds/docker/engine.test.ts",
  "runtime/node/{black-hole,consul/blocking,http-api/link,seata/client,telemetry/otlp}.test.ts",
  "runtime/node/zookeeper/{client,lasting-watch}.test.ts",
  "services/{config-center,coordinator,registry}/contract.test.ts",
  "services/main.test.ts",
];
/** Real registries forget at their own pace, and their tests wait for it: four at a time are no more work than one of the others. */
const registries = ["harness/worlds/docker/{consul,nacos,nacos-grpc,nacos-invariants}.docker.test.ts"];
const leftOut = ["**/node_modules/**", "**/.flyball/**", ...later.map((kind) => `**/*.${kind}.test.ts`)];

export default defineConfig({
  test: {
    environment: "node",
    // For the programs that tests start by themselves.
    env: { NODE_COMPILE_CACHE: compileCache },
    projects: [
      {
        extends: true,
        test: { name: "pure", include: pure, exclude: leftOut, isolate: false, setupFiles: "vitest.setup.ts" },
      },
      {
        extends: true,
        test: {
          name: "apart",
          include: ["**/*.test.ts", ".ci/**/*.test.ts"],
          exclude: [...leftOut, ...pure, ...waiting, ...registries],
        },
      },
      {
        extends: true,
        test: { name: "waiting", include: waiting, exclude: leftOut, maxWorkers: 4, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: { name: "registries", include: registries, exclude: leftOut, maxWorkers: 4, sequence: { groupOrder: 2 } },
      },
    ],
    pool: "forks",
    // Live worlds start processes of their own: leave them a core.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default"],
  },
});
