import { afterEach, expect, test } from "vitest";

import { builtInPolicies } from "../runtime/call/client.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { otherTransports } from "../runtime/node/transports.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import { embeddedOnly } from "../runtime/ports/infrastructure.ts";
import { createRandom } from "../runtime/random.ts";
import { CallLog } from "../runtime/telemetry/call-log.ts";
import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import { programs } from "./programs.ts";
import { ConfigError, type RunningService } from "./service.ts";

const clock = systemClock();
const noDisk: Disk = {
  read: () => Promise.resolve(undefined),
  append: () => Promise.resolve(),
  sync: () => Promise.resolve(),
  rename: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};
const secret = "s3cr3t-of-storefront";
const token = "t0ken-of-orders";
const guard = {
  token,
  accessKeys: { storefront: secret, reader: "0ther-s3cr3t" },
  allow: [{ callers: ["storefront"], methods: ["Do"] }],
};

const running: RunningService[] = [];
const events: RuntimeEvent[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((service) => service.stop()));
  events.length = 0;
});

async function start(program: string, config: object): Promise<RunningService> {
  const telemetry = { emit: (event: RuntimeEvent) => void events.push(event) };
  const one = programs.get(program)!;
  const service = await one.start(
    {
      node: `${program}/0`,
      listen: "127.0.0.1:0",
      clock,
      random: createRandom(1),
      transport: tripleTransport({ clock }),
      transports: otherTransports({ clock }),
      disk: noDisk,
      telemetry,
      calls: new CallLog({ clock, telemetry }),
      policies: builtInPolicies,
      infrastructure: embeddedOnly,
      work: (us) => clock.sleep(us),
    },
    one.parse(config),
  );
  running.push(service);
  return service;
}

/** How one call ends that a consumer with these credentials makes. */
async function outcome(protocol: string, credentials: object | undefined): Promise<string | undefined> {
  const registry = (await start("registry", { mergeMs: 0 })).address!;
  await (await start("provider", { service: "orders", protocol, guard, graceMs: 0, propagationMs: 0, registry })).go();
  const calls = { service: "orders", timeoutMs: 2000, retries: 0, ...(credentials && { credentials }) };
  const consumer = await start("consumer", { application: "web", calls, registry });
  await consumer.go();
  await consumer.drive!({ startUs: clock.nowUs(), dueUs: [0], isWarmUp: false });
  const own = new Set(
    events.flatMap((event) => (event.type === "call.begin" && event.service === "orders" ? [event.call] : [])),
  );
  const end = events.find(
    (event) => event.type === "call.end" && own.has(event.call) && event.attempts[0]?.instance === "provider/0",
  );
  return end?.type === "call.end" ? end.code : undefined;
}

test.each(["triple", "framed", "jsonrpc", "http"])(
  "over %s: who may call is served, who may not is denied, who isn't known is refused; no secret is in any event",
  async (protocol) => {
    expect(await outcome(protocol, { accessKey: "storefront", secret })).toBe("OK");
    const heard = [...events];
    events.length = 0;
    expect(await outcome(protocol, { accessKey: "reader", secret: "0ther-s3cr3t" })).toBe("PERMISSION_DENIED");
    heard.push(...events.splice(0));
    expect(await outcome(protocol, { accessKey: "storefront", secret: "guess" })).toBe("UNAUTHENTICATED");
    heard.push(...events.splice(0));
    expect(await outcome(protocol, undefined)).toBe("UNAUTHENTICATED");
    const all = JSON.stringify([...heard, ...events]);
    for (const hidden of [secret, token, "0ther-s3cr3t", "guess", 'signature":']) expect(all).not.toContain(hidden);
  },
);

test.each([
  ["a token that is no text", { token: 12_345 }],
  ["a secret with a space", { accessKeys: { storefront: "two w0rds" } }],
  ["a rule of no shape", { allow: [{ callers: "storefront" }] }],
])("%s is refused without being shown", (_, wrong) => {
  const parse = (): unknown =>
    programs.get("provider")!.parse({ service: "orders", registry: "127.0.0.1:1", guard: wrong });
  expect(parse).toThrow(ConfigError);
  expect(parse).not.toThrow(/12345|w0rds/);
});
