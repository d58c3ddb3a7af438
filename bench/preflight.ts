import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Bench, Figure } from "./bench.ts";
import { finish } from "./child.ts";

const mainFile = fileURLToPath(new URL("../harness/cli/main.ts", import.meta.url));
const rules = 1_000;
const instances = 10_000;

/**
 * The whole command, from the shell's prompt to its answer: 1,000 rules on 10,000 instances, once all of one service (the rules meet in
 * half a million pairs), once of 100 services with ten documents each, as a company has them.
 */
export const preflight: Bench = {
  name: "preflight",
  about: "the time of a preflight of 1,000 rules on 10,000 instances",

  run: async (rounds, progress) => {
    const directory = await mkdtemp(join(tmpdir(), "flyball-bench-"));
    try {
      const figures: Figure[] = [];
      for (const services of [1, 100]) {
        const place = join(directory, String(services));
        await layOut(place, services);
        const seconds: number[] = [];
        let note = "";
        for (let round = 1; round <= rounds; round++) {
          progress(`preflight: round ${round} of ${rounds}, ${services} services`);
          const args = ["preflight", join(place, "rules"), "--instances", join(place, "fleet.json"), "--json"];
          const { wallMs, stdout, stderr } = await finish(process.execPath, [mainFile, ...args]);
          if (stdout === "") throw new Error(stderr.trim());
          const answer = JSON.parse(stdout) as { readonly findings: readonly unknown[]; readonly requests: number };
          note = `${answer.requests} requests tried, ${answer.findings.length} findings`;
          seconds.push(wallMs / 1000);
        }
        const what = services === 1 ? "one service" : `${services} services`;
        figures.push({ what, unit: "s", values: seconds, target: "< 2", note });
      }
      return figures;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

/** Rules and a fleet in which most rules can be kept, and a few contradict. */
export async function layOut(place: string, services: number): Promise<void> {
  await mkdir(join(place, "rules"), { recursive: true });
  const fleet: Record<string, unknown> = {};
  const perService = instances / services;
  for (let service = 0; service < services; service++) {
    const name = `service-${service}`;
    fleet[name] = {
      instances: Array.from({ length: perService }, (_, index) => ({
        id: `${name}/${index}`,
        address: `10.${service}.${index >> 8}.${index & 255}:20880`,
        labels: { region: `r${index % 20}`, cell: `c${index % 50}`, env: index % 100 === 7 ? "gray" : "prod" },
      })),
    };
    const conditions = Array.from({ length: rules / services }, (_, index) => conditionOf(index));
    // A document that anybody could read has some ten conditions; one service's thousand stand in one.
    const content = JSON.stringify({
      configVersion: "v3.0",
      scope: "application",
      key: name,
      force: true,
      enabled: true,
      conditions,
    });
    await writeFile(join(place, "rules", `${name}.condition-router.json`), content);
  }
  await writeFile(join(place, "fleet.json"), JSON.stringify({ services: fleet }));
}

function conditionOf(index: number): string {
  switch (index % 4) {
    case 0:
      return `attachments[user]=u${index} => region=r${index % 20}`;
    case 1:
      return `method=m${index}* & attachments[tier]=vip => cell=c${index % 50},c${(index * 7) % 50}`;
    case 2:
      return `arguments[0]=${index}~${index + 5} => region!=r${index % 20}`;
    default:
      return `application=caller-${index} => env=gray & region=r7,r17`;
  }
}
