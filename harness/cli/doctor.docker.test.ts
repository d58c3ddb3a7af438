import { hostname, tmpdir } from "node:os";

import { expect, test } from "vitest";

import { imageOf } from "../worlds/docker/engine.ts";
import { label } from "../worlds/docker/labels.ts";
import { describeReal, docker, invocation } from "../worlds/docker/testing.ts";
import { Container } from "../worlds/docker/container.ts";
import type { Finding } from "../worlds/finding.ts";
import { inProcess } from "./in-process.fixture.ts";

describeReal("flyball doctor", () => {
  const doctor = async (...args: readonly string[]): Promise<{ code: number | null; leftovers: Finding }> => {
    const { code, stdout } = await inProcess(tmpdir(), ["doctor", "--world", "docker", "--json", ...args]);
    const { worlds } = JSON.parse(stdout) as { worlds: { isReady: boolean; findings: Finding[] }[] };
    expect(worlds.map(({ isReady }) => isReady)).toEqual([true]);
    return { code, leftovers: worlds[0]!.findings.find(({ name }) => name === "leftovers")! };
  };

  let dead = 0;

  /** Leaves something behind as a run that is dead, and looks; anew where another run has taken it away meanwhile, as it should. */
  const leftAnd = async (look: () => Promise<boolean>): Promise<void> => {
    for (let time = 0; ; time++) {
      const name = `${invocation}-dead-${dead++}`;
      const labels = { [label.invocation]: name, [label.owner]: `${hostname()} another-boot 1 1` };
      await docker.createContainer({ name: `flyball-${name}`, Image: imageOf("node"), Labels: labels });
      await docker.createNetwork({ Name: `flyball-${name}`, Labels: labels });
      if (await look()) return;
      expect(time).toBeLessThan(10);
    }
  };

  test("tells of what a dead run left, and removes it when it is told to: nothing of one that lives", async () => {
    const spec = { role: "lives", invocation, image: imageOf("node") };
    const living = await Container.create(docker, { ...spec, name: `flyball-${invocation}-lives` });
    await leftAnd(async () => {
      const { code, leftovers } = await doctor();
      expect(code).toBe(0);
      if (!/^\d+ containers? and \d+ networks? of dead runs/.test(leftovers.message)) return false;
      expect(leftovers).toMatchObject({ state: "advice", hint: "flyball doctor --clean removes them" });
      return true;
    });
    await leftAnd(async () => {
      const { code, leftovers } = await doctor("--clean");
      expect([code, leftovers.state]).toEqual([0, "ok"]);
      return /^removed \d+ containers? and \d+ networks? of dead runs/.test(leftovers.message);
    });
    const names = (await docker.listContainers({ all: true })).flatMap(({ Names }) => Names);
    expect(names.filter((name) => name.startsWith(`/flyball-${invocation}-`))).toEqual([`/${living.spec.name}`]);
    expect((await docker.listNetworks()).filter(({ Name }) => Name.startsWith(`flyball-${invocation}-`))).toEqual([]);
  }, 60_000);
});
