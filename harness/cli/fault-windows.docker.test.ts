import { afterAll, expect, test } from "vitest";

import { at, consumer, metrics, poisson, provider, scenario } from "../scenario/builders.ts";
import { runScenario } from "../run.ts";
import { label } from "../worlds/docker/labels.ts";
import { describeReal, docker } from "../worlds/docker/testing.ts";
import { dockerWorld } from "../worlds/docker/world.ts";
import { prometheusAt, type Series } from "../telemetry/prometheus.ts";

describeReal("a run that Prometheus watches", () => {
  const world = dockerWorld();
  afterAll(() => world.close!(), 60_000);

  test("has its faults there, from when they come until they go, and the next run has its own", async () => {
    const shop = (pause: string) =>
      scenario({
        name: "shop",
        title: { en: "Shop", zh: "商店" },
        explanation: { en: "A shop.", zh: "一家商店。" },
        fleet: {
          shop: consumer({ instances: 1, calls: "orders", timeout: "200ms" }),
          orders: provider({ instances: 2 }),
        },
        load: poisson("60/s").on("shop").for("5s"),
        timeline: [at("1s").pause(pause, { for: "2s" })],
        expect: [metrics("orders")],
      });
    for (const target of ["orders/0", "orders/1"]) {
      const { result } = await runScenario(shop(target), { world, seed: 1 });
      expect(result.faults).toMatchObject([{ kind: "pause", target }]);
    }
    const found = await windows();
    expect(found.map(({ labels: { run, kind, target } }) => ({ run, kind, target }))).toEqual([
      { run: "run-1", kind: "pause", target: "orders/0" },
      { run: "run-2", kind: "pause", target: "orders/1" },
    ]);
    for (const { samples } of found) {
      const seconds = samples.filter(({ value }) => value === 1).length;
      // Prometheus looks once a second, on a busy machine later.
      expect(seconds).toBeGreaterThanOrEqual(1);
      expect(seconds).toBeLessThanOrEqual(4);
      expect(samples.at(-1)?.value).toBe(0);
    }
  }, 90_000);

  async function windows(): Promise<readonly Series[]> {
    const filters = { label: [`${label.role}=prometheus`] };
    const ours = (await docker.listContainers({ filters })).find(
      ({ Labels }) => Labels[label.owner]?.split(" ")[2] === String(process.pid),
    );
    const { PublicPort: port } = ours!.Ports.find(({ PrivatePort }) => PrivatePort === 9090)!;
    const series = await prometheusAt(`http://127.0.0.1:${port}`).samples("flyball_fault_active", 120_000);
    return series.toSorted((a, b) => (a.labels["run"]! < b.labels["run"]! ? -1 : 1));
  }
});
