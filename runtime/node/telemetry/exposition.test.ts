import { afterEach, expect, test } from "vitest";

import { serveMetrics, type Exposition } from "./exposition.ts";

const open: Exposition[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((exposition) => exposition.close()));
});

async function serve(render: () => Promise<string> = () => Promise.resolve("up 1\n"), address = "127.0.0.1:0") {
  const exposition = await serveMetrics({ address, contentType: "text/plain; version=0.0.4", render });
  open.push(exposition);
  return { exposition, url: `http://${exposition.address}` };
}

test("GET /metrics answers the text as it is now, with its type", async () => {
  let count = 0;
  const { url } = await serve(() => Promise.resolve(`calls_total ${++count}\n`));
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  expect(await response.text()).toBe("calls_total 1\n");
  expect(await (await fetch(`${url}/metrics?again`)).text()).toBe("calls_total 2\n");
});

test.each([
  ["/", "GET", 404],
  ["/metrics/", "GET", 404],
  ["/metrics", "POST", 405],
  ["/metrics", "HEAD", 200],
] as const)("%s %s is answered with %d", async (path, method, status) => {
  const { url } = await serve();
  expect((await fetch(`${url}${path}`, { method })).status).toBe(status);
});

test("what can't be rendered is a failed scrape, not the end of the node", async () => {
  const { url } = await serve(() => Promise.reject(new Error("no memory")));
  const response = await fetch(`${url}/metrics`);
  expect([response.status, await response.text()]).toEqual([500, "no memory\n"]);
});

test("an address that is taken is refused with a way out", async () => {
  const { exposition } = await serve();
  await expect(serve(undefined, exposition.address)).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: `${exposition.address} is in use`,
    hint: expect.stringMatching(/port 0/) as string,
  });
});

test("nothing is served beyond loopback unless it is allowed", async () => {
  await expect(serve(undefined, "0.0.0.0:0")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  const contentType = "text/plain";
  const render = () => Promise.resolve("");
  open.push(await serveMetrics({ address: "0.0.0.0:0", contentType, render, isLoopbackOnly: false }));
});

test("closing ends connections that are kept alive, too", async () => {
  const { exposition, url } = await serve();
  await (await fetch(`${url}/metrics`)).text();
  await exposition.close();
  await expect(fetch(`${url}/metrics`)).rejects.toThrow();
});
