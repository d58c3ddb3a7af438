import { parseArgs } from "node:util";

import { systemClock } from "../../../runtime/node/clock.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import { serveMetrics } from "../../../runtime/node/telemetry/exposition.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { StepRecord } from "../../history/record.ts";
import { faultWindows } from "../../telemetry/fault-windows.ts";
import { PairProxy } from "../live/proxy.ts";

// The demo fleet's trouble (docker-compose.yml): the way to one instance leads through here, the same proxy as in a scenario. Once a
// minute it makes that way slow for some seconds, says so to Prometheus, and gives the canary another share of the traffic.

const { values } = parseArgs({
  options: {
    /** "host:port" at which callers find the instance. */
    listen: { type: "string" },
    /** "host:port" where it really is. */
    destination: { type: "string" },
    /** Its name in the registry: "payments/0". */
    target: { type: "string" },
    /** The config centre's URL, and whose canary it is. */
    "config-center": { type: "string" },
    canary: { type: "string" },
    metrics: { type: "string", default: "0.0.0.0:9464" },
    run: { type: "string", default: "compose" },
  },
});
const { listen, destination, target, "config-center": url, canary, metrics, run } = values;
if (listen === undefined || destination === undefined || target === undefined) {
  throw new Error("--listen, --destination and --target are needed");
}

/** Longer than anybody waits for an answer here. */
const latency = { addUs: 400_000, jitterUs: 0, distribution: "uniform" } as const;
const firstAfterUs = 15_000_000;
const lastsUs = 8_000_000;
const everyUs = 60_000_000;
const shares = [20, 50];

const clock = systemClock();
const random = createRandom(1);
const windows = faultWindows(run);
await serveMetrics({ ...windows, address: metrics, isLoopbackOnly: false });
const proxy = new PairProxy(
  { clock, random },
  { name: `→ ${target}`, listen: placeOf(listen), destination: placeOf(destination) },
);
await proxy.open();
const stop = (): void => void proxy.close().finally(() => process.exit());
process.on("SIGTERM", stop).on("SIGINT", stop);
say(`leads to ${destination}`);

const publish = canary === undefined || url === undefined ? undefined : publisher(url, canary);
publish?.(shares[0]!);
await clock.sleep(firstAfterUs);
for (let round = 0; ; round++) {
  note(round, "applied");
  await proxy.shape({ latency });
  await clock.sleep(lastsUs);
  await proxy.shape({});
  note(round, "lifted");
  publish?.(shares[(round + 1) % shares.length]!);
  await clock.sleep(everyUs - lastsUs);
}

function note(index: number, phase: StepRecord["phase"]): void {
  const fault = { kind: "latency", link: { to: target! }, add: "400ms" } as const;
  const what = { kind: "fault", fault, forUs: lastsUs, nodes: [target!], links: [] } as const;
  windows.hear({ type: "step", atUs: clock.nowUs(), index, phase, what });
  say(`latency on ${target} ${phase}`);
}

/** Publishes the rule, in the background: without a config centre the demo goes on. */
function publisher(address: string, service: string): (percent: number) => void {
  const scheme = address.slice(0, address.indexOf(":"));
  const options = { clock, random, telemetry: silent, url: address, client: "chaos/0", application: "chaos" };
  const opening = realInfrastructure({ dial: (at) => at }).configCenters[scheme]!(options);
  return (percent) => {
    const rule = ["configVersion: v1.0", "scope: service", `key: ${service}`, "enabled: true", "split:"];
    const content = [...rule, "  - tag: v2", `    percent: ${percent}`, ""].join("\n");
    opening
      .then((center) => center.publish({ key: `${service}.canary-router`, group: "dubbo" }, content))
      .then(() => say(`the canary of ${service} gets ${percent} %`))
      .catch((error: unknown) => say(`no canary: ${error instanceof Error ? error.message : String(error)}`));
  };
}

function placeOf(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
