import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { metadata, noMetadata } from "../call/metadata.ts";
import { RpcError } from "../call/status.ts";
import type { Response } from "../ports/transport.ts";
import { attachmentsOf } from "../security/signature.ts";
import { ManualClock } from "../testing/clock.ts";
import { accessLine, accessLog } from "./access-log.ts";
import type { Access, RuntimeEvent } from "./events.ts";

const interfaceName = "flyball.worker.v1.Worker";
const request = { $typeName: "flyball.worker.v1.DoRequest", key: "u1", payload: "" };

/** A provider's filter, and what it wrote. */
function logging({ isOn = () => true }: { readonly isOn?: (name: string) => boolean } = {}) {
  const clock = new ManualClock();
  const lines: Access[] = [];
  const telemetry = { emit: (event: RuntimeEvent) => void (event.type === "access" && lines.push(event)) };
  const filter = accessLog({ clock, telemetry, service: "orders", local: () => "10.0.0.2:20880", isOn });
  const call = (entries: Iterable<readonly [string, string]> = []): Call =>
    new Call({
      clock,
      service: "",
      method: `/${interfaceName}/Do`,
      peer: "10.0.0.1:4242",
      metadata: metadata(Object.fromEntries(entries)),
    });
  return { clock, lines, filter, call };
}

const answer: Response = { kind: "unary", message: {}, trailers: noMetadata };

describe("the line", () => {
  test("is Dubbo's: the example of its manual, with the interface's group", () => {
    const at = (ms: number): number => Date.UTC(2022, 11, 30, 12, 36, 31, ms);
    const call = { method: "/org.apache.dubbo.samples.UserService/login", peer: "192.168.0.103:60943" };
    const own = { service: "shop-user", local: "192.168.0.103:20884", beginMs: at(159), endMs: at(160) };
    expect(accessLine(call, { $typeName: "User", name: "test" }, own)).toBe(
      '[2022-12-30 12:36:31.15900] -> [2022-12-30 12:36:31.16000] 192.168.0.103:60943 -> 192.168.0.103:20884 - shop-user/org.apache.dubbo.samples.UserService login(User) [{"name":"test"}]',
    );
  });

  test("has the calendar's dates, and is one line whatever is asked", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date("2200-01-01"), noInvalidDate: true }),
        fc.string({ unit: "binary-ascii", maxLength: 20 }),
        (date, text) => {
          const own = { service: "s", local: "l", beginMs: date.getTime(), endMs: date.getTime() };
          const line = accessLine({ method: "/a/B", peer: "p" }, { text }, own);
          const time = `${date.toISOString().replace("T", " ").replace("Z", "")}00`;
          expect(line.startsWith(`[${time}] -> [${time}] p -> l - s/a B() [`)).toBe(true);
          expect(line).not.toMatch(/[\u0000-\u001f]/);
        },
      ),
    );
  });

  test("is bounded, however large the request", () => {
    const own = { service: "s", local: "l", beginMs: 0, endMs: 0 };
    expect(accessLine({ method: "/a/B", peer: "p" }, { text: "x".repeat(4_000_000) }, own).length).toBeLessThan(4_300);
  });
});

describe("a served call", () => {
  test("is one line when it is over, an error too, with the time that it took", async () => {
    const { clock, lines, filter, call } = logging();
    const served = filter(call(), request, () => clock.sleep(3_000).then(() => answer));
    await clock.advance(2_000);
    expect(lines).toEqual([]);
    await clock.advance(1_000);
    await served;
    expect(lines).toMatchObject([{ atUs: 3_000, beginUs: 0, service: "orders", method: `/${interfaceName}/Do` }]);
    expect(lines[0]!.line).toMatch(/00\.00000\] -> \[.*00\.00300\] 10\.0\.0\.1:4242 -> 10\.0\.0\.2:20880 - orders\//);
    const failed = filter(call(), request, () => Promise.reject(new RpcError("no", { code: "INTERNAL" })));
    await expect(failed).rejects.toMatchObject({ code: "INTERNAL" });
    expect(lines).toHaveLength(2);
  });

  test("that is a stream is one line when it ends, or its reader leaves", async () => {
    const { lines, filter, call } = logging();
    async function* messages(): AsyncIterable<unknown> {
      yield 1;
      yield 2;
    }
    for (const readMax of [9, 1]) {
      lines.length = 0;
      const response = await filter(call(), request, () => Promise.resolve({ kind: "stream", messages: messages() }));
      expect(lines).toEqual([]);
      let read = 0;
      for await (const message of response.kind === "stream" ? response.messages : []) {
        expect(message).toBe(++read);
        if (read === readMax) break;
      }
      expect(lines).toHaveLength(1);
    }
  });

  test("while the log is off is no line; what counts is the moment when it came in", async () => {
    let isOn = false;
    const asked: string[] = [];
    const { clock, lines, filter, call } = logging({
      isOn: (name) => {
        asked.push(name);
        return isOn;
      },
    });
    const slow = () => clock.sleep(1_000).then(() => answer);
    const before = filter(call(), request, slow);
    isOn = true;
    const during = filter(call(), request, slow);
    isOn = false;
    await clock.advance(1_000);
    await Promise.all([before, during]);
    expect(lines).toHaveLength(1);
    expect(asked).toEqual([interfaceName, interfaceName]);
  });

  test("leaves nothing of its metadata in the log: no token, no signature", async () => {
    const { lines, filter, call } = logging();
    const secret = "s3cr3t";
    const signed = { path: `/${interfaceName}/Do`, service: "orders", timestampMs: 1 };
    const entries = [...attachmentsOf(signed, { accessKey: "storefront", secret }, "web"), ["token", "t0ken"] as const];
    await filter(call(entries), request, () => Promise.resolve(answer));
    expect(lines).toHaveLength(1);
    for (const [, value] of entries.filter(([key]) => key === "token" || key === "signature")) {
      expect(JSON.stringify(lines)).not.toContain(value);
    }
  });
});
