import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, expect, test } from "vitest";

import { systemClock } from "../../runtime/node/clock.ts";
import { realInfrastructure } from "../../runtime/node/infrastructure.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { createRandom } from "../../runtime/random.ts";
import { flyballInterface } from "../preflight/fleet.ts";
import { consul, nacos, zookeeper } from "../worlds/docker/servers.ts";
import { describeReal, startTestServer } from "../worlds/docker/testing.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "preflight-"));
  await writeFile(
    join(directory, "orders.condition-router.yaml"),
    "configVersion: v3.0\nkey: orders\nenabled: true\nforce: true\nconditions:\n" +
      "  - method=pay => region=r1\n  - method=refund => region=r9\n",
  );
});
afterAll(() => rm(directory, { recursive: true }));

function preflight(url: string): Promise<{ readonly code: number; readonly out: string }> {
  const args = [join(import.meta.dirname, "main.ts"), "preflight", directory, "--instances", url, "--json"];
  return new Promise((resolve) => {
    execFile(process.execPath, args, (error, out) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, out });
    });
  });
}

/** The lines of the rules of which it says that they lead to no instance. */
function linesOf(out: string): string {
  if (out === "") return "";
  const { findings } = JSON.parse(out) as {
    readonly findings: readonly { readonly kind: string; readonly line: number }[];
  };
  return findings.flatMap(({ kind, line }) => (kind === "no-instance" ? [line] : [])).join();
}

describeReal("preflight against the instances of a live registry", () => {
  test.each(Object.entries({ zookeeper, nacos, consul }))(
    "%s",
    async (scheme, kind) => {
      const server = await startTestServer(kind);
      // Not its published ports: Nacos's second one is always 1000 above its first.
      const url = `${scheme}://${await server.container.ip("bridge")}:${kind.ports[0]}`;
      const registry = await realInfrastructure().registries[scheme]!({
        ...{ clock: systemClock(), random: createRandom(1), telemetry: silent, url },
        ...{ client: "orders", application: "orders", interfaceName: flyballInterface },
      });
      try {
        for (const [index, region] of ["r1", "r1", "r2"].entries()) {
          const place = { id: `orders/${index}`, address: `10.0.0.1:${2000 + index}`, metadata: { region } };
          await registry.register({ ...place, service: "orders", weight: 100 });
        }
        // Registries tell a change at their leisure; until r1 is there, line 6 leads nowhere, too.
        let found = await preflight(url);
        for (let tries = 0; tries < 10 && linesOf(found.out) !== "7"; tries++) {
          await sleep(500);
          found = await preflight(url);
        }
        expect(linesOf(found.out)).toBe("7");
        expect(found.code).toBe(1);
      } finally {
        await registry.close();
        await server.container.remove();
      }
    },
    90_000,
  );
});
