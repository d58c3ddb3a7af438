import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, test } from "vitest";

import { isScrapedSince, prometheusAt, readMetrics, type Prometheus, type Series } from "./prometheus.ts";

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

/** Something that answers every question like this. */
async function answering(body: string): Promise<string> {
  const server = createServer((_request, response) => response.end(body));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("the client", () => {
  test("reads a vector, NaN and all", async () => {
    const result = [{ metric: { run: "r" }, value: [1, "NaN"] }];
    const url = await answering(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
    expect(await prometheusAt(url).query("x")).toEqual([{ labels: { run: "r" }, value: NaN }]);
  });

  test("tells what Prometheus has against a question", async () => {
    const url = await answering(JSON.stringify({ status: "error", errorType: "bad_data", error: "parse error" }));
    await expect(prometheusAt(url).query("sum(")).rejects.toMatchObject({
      code: "REFUSED",
      message: "Prometheus refuses sum(: parse error",
    });
  });

  test.each([
    ["garbage", () => answering("<html>")],
    ["nobody", () => Promise.resolve("http://127.0.0.1:1")],
  ])("names %s as what it is, and what to look at", async (_, where) => {
    await expect(prometheusAt(await where()).query("up")).rejects.toMatchObject({
      code: "UNREACHABLE",
      hint: expect.stringMatching(/running/) as string,
    });
  });

  test("doesn't wait for ever", async () => {
    const server = createServer(() => undefined);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(prometheusAt(url, 50).query("up")).rejects.toMatchObject({ code: "UNREACHABLE" });
    server.closeAllConnections();
  });
});

const who = { run: "r", node: "storefront/0" };

/** A Prometheus that has scraped these values, one every second. */
function having(
  ...series: readonly (readonly [labels: Readonly<Record<string, string>>, values: readonly number[]])[]
) {
  const all = series.map(([labels, values]): Series => ({
    labels,
    samples: values.map((value, index) => ({ atMs: 1_000 * index, value })),
  }));
  const prometheus: Prometheus = { query: () => Promise.resolve([]), samples: () => Promise.resolve(all) };
  return readMetrics(prometheus, {
    ...who,
    windowMs: 60_000,
    isWhole: true,
    atUs: 9,
    runUsAt: (wallMs) => wallMs * 1000 - 500,
  });
}
const startTime = (...values: readonly number[]) => [{ __name__: "process_start_time_seconds" }, values] as const;
const callsOf = (labels: Readonly<Record<string, string>>, ...values: readonly number[]) =>
  [{ __name__: "rpc_client_call_duration_seconds_count", peer_service: "orders", ...labels }, values] as const;

describe("what is read of a node", () => {
  test("is its last counts, methods added up, zeros left out", async () => {
    const record = await having(
      startTime(100, 100, 100),
      callsOf({ rpc_status_code: "OK", rpc_method: "a" }, 1, 2, 5),
      callsOf({ rpc_status_code: "OK", rpc_method: "b" }, 0, 0, 2),
      callsOf({ rpc_status_code: "UNAVAILABLE", error_type: "UNAVAILABLE" }, 0, 0, 0),
      [
        {
          __name__: "rpc_client_attempt_duration_seconds_count",
          peer_service: "orders",
          peer_instance: "orders/1",
          rpc_status_code: "OK",
        },
        [1, 2, 7],
      ],
      [{ __name__: "rpc_server_call_duration_seconds_count", rpc_status_code: "OK" }, [3, 3, 4]],
    );
    expect(record).toEqual({
      type: "metrics",
      atUs: 9,
      node: "storefront/0",
      scrapedUs: 2_000 * 1000 - 500,
      isWhole: true,
      calls: [{ service: "orders", code: "OK", count: 7 }],
      attempts: [{ service: "orders", instance: "orders/1", count: 7 }],
      served: [{ code: "OK", count: 4 }],
    });
  });

  test("adds up its lives, also where a counter is higher than before when it is first seen again", async () => {
    const { calls } = await having(startTime(100, 100, 200, 200), callsOf({ rpc_status_code: "OK" }, 3, 5, 6, 8));
    expect(calls).toEqual([{ service: "orders", code: "OK", count: 13 }]);
  });

  test("is nothing, and not whole, when it was never scraped", async () => {
    expect(await having()).toMatchObject({ scrapedUs: null, isWhole: false, calls: [] });
  });
});

describe("waiting for a scrape", () => {
  const upAt = (...samples: readonly (readonly [atMs: number, value: number])[]): Prometheus => ({
    query: () => Promise.resolve([]),
    samples: () => Promise.resolve([{ labels: {}, samples: samples.map(([atMs, value]) => ({ atMs, value })) }]),
  });
  const sinceMs = 1_000_000;
  const isScraped = (prometheus: Prometheus) => isScrapedSince(prometheus, who, sinceMs, { withinMs: 0 });

  test("ends with one that began later and succeeded", async () => {
    expect(await isScraped(upAt([sinceMs - 500, 1], [sinceMs + 500, 1]))).toBe(true);
  });

  test.each([
    ["began before, or may have", upAt([sinceMs + 2, 1])],
    ["failed", upAt([sinceMs + 500, 0])],
    ["isn't there", { query: () => Promise.resolve([]), samples: () => Promise.resolve([]) }],
  ])("doesn't end with one that %s", async (_, prometheus) => {
    expect(await isScraped(prometheus)).toBe(false);
  });
});
