import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Test files against real servers that take more than a minute each, in the order in which they are begun: those that wait for Nacos and
 * Consul before and beside those that keep the processors busy. Vitest would begin with the largest files, but some of these are a few
 * lines, and everybody would wait for who begins last with two minutes to wait.
 */
export const longest = [
  "harness/worlds/docker/nacos.docker.test.ts",
  "harness/worlds/docker/consul.docker.test.ts",
  "harness/worlds/docker/nacos-grpc.docker.test.ts",
  "dashboards/compose.docker.test.ts",
  "harness/worlds/docker/nacos-invariants.docker.test.ts",
  "harness/worlds/docker/zookeeper-invariants.docker.test.ts",
  "harness/cli/killed-runs.docker.test.ts",
  "harness/worlds/docker/like.docker.test.ts",
  "harness/worlds/docker/world.docker.test.ts",
  "harness/worlds/docker/registry-faults.docker.test.ts",
];

/** Test files in the order in which they are begun: `longest` first, the others as Vitest has them. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rankOf(a.moduleId) - rankOf(b.moduleId));
  }
}

/** Vitest names a file by its whole path, with slashes on every system. */
export function rankOf(file: string): number {
  const rank = longest.findIndex((name) => file.endsWith(`/${name}`));
  return rank < 0 ? longest.length : rank;
}
