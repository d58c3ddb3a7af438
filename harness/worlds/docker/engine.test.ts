import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import { hostname, release, tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { removeOrphans } from "./clean.ts";
import { worldErrorOf } from "./container.ts";
import { examineDocker } from "./doctor.ts";
import { Container } from "./container.ts";
import { defaultImages, engineHost, imageOf, obstacleTo, openEngine, pulled } from "./engine.ts";
import { label } from "./labels.ts";

/** An engine that hangs: it accepts, hears, and answers what `answers` says, if anything. */
let server: Server;
let answers: (path: string, method: string) => { readonly status?: number; readonly body: string } | undefined;
let directory: string;
let host: string | undefined;

beforeEach(async () => {
  host = process.env["DOCKER_HOST"];
  directory = await mkdtemp(join(tmpdir(), "engine-"));
  const socket = join(directory, "docker.sock");
  answers = () => undefined;
  server = createServer((request, response) => {
    const answer = answers(request.url ?? "", request.method ?? "");
    if (answer !== undefined) response.writeHead(answer.status ?? 200).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  process.env["DOCKER_HOST"] = `unix://${socket}`;
});
afterEach(async () => {
  if (host === undefined) delete process.env["DOCKER_HOST"];
  else process.env["DOCKER_HOST"] = host;
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
});

test("an engine that hangs is an error that says what to do, and nothing waits for it", async () => {
  const engine = openEngine(100);
  const error = { name: "WorldError", hint: expect.stringContaining("docker info") as string };
  await expect(engine.listContainers({ all: true })).rejects.toMatchObject(error);
  await expect(engine.getContainer("x").remove({ force: true })).rejects.toMatchObject({
    ...error,
    message: "the Docker engine didn't answer DELETE /containers/x within 0.1 s",
  });
  await expect(obstacleTo(engine)).resolves.toMatchObject({ message: expect.stringContaining("answer") as string });
});

test("a pull that never begins is an error that names the image", async () => {
  answers = (path) => (path.includes("/json") ? { status: 404, body: "{}" } : undefined);
  const pulling = pulled(openEngine(1_000), "nobody/has:it", { otherwise: "another", onProgress: () => undefined });
  await expect(pulling).rejects.toMatchObject({
    name: "WorldError",
    message: expect.stringMatching(/^the image nobody\/has:it can't be had: .*within 1 s/) as string,
  });
});

test.each(["Two Words", "../..", "a//b", "-flag", "/root", "UPPER:1", "a@b"])(
  "%j is no image's name, and that is said, also by doctor",
  async (reference) => {
    const info = { OSType: "linux", KernelVersion: release(), ServerVersion: "1", NCPU: 1, MemTotal: 2 ** 40 };
    answers = (path) => {
      if (path.startsWith("/info")) return { body: JSON.stringify(info) };
      // What is written like a name is judged by the engine.
      if (/^\/images\/(UPPER|a@b)/.test(path)) return { status: 400, body: '{"message":"invalid reference format"}' };
      return { body: "[]" };
    };
    const pulling = pulled(openEngine(1_000), reference, { otherwise: "another", onProgress: () => undefined });
    await expect(pulling).rejects.toMatchObject({
      name: "WorldError",
      message: `the image ${reference} can't be had: that is no image's name`,
    });
    const before = process.env["FLYBALL_IMAGE_CONSUL"];
    process.env["FLYBALL_IMAGE_CONSUL"] = reference;
    try {
      const findings = await examineDocker({ isCleaning: false });
      expect(findings.filter(({ state }) => state === "missing")).toEqual([
        {
          name: "image consul",
          state: "missing",
          message: `${reference}: that is no image's name`,
          hint: expect.stringContaining("FLYBALL_IMAGE_CONSUL") as string,
        },
      ]);
    } finally {
      if (before === undefined) delete process.env["FLYBALL_IMAGE_CONSUL"];
      else process.env["FLYBALL_IMAGE_CONSUL"] = before;
    }
  },
);

test("a variable that is empty names no image, and no engine", () => {
  expect(imageOf("zookeeper", { FLYBALL_IMAGE_ZOOKEEPER: " mine:1 " })).toBe("mine:1");
  for (const empty of ["", " "]) {
    expect(imageOf("zookeeper", { FLYBALL_IMAGE_ZOOKEEPER: empty })).toBe(defaultImages.zookeeper);
  }
  process.env["DOCKER_HOST"] = "";
  expect(engineHost()).toMatch(/^unix:\/\/.+\/docker\.sock$/);
});

test.each([
  ["http://127.0.0.1:99999", {}, /^DOCKER_HOST is http:\/\/127\.0\.0\.1:99999, which is no engine's address$/],
  ["tcp://127.0.0.1:2376", { DOCKER_CERT_PATH: "/none" }, /DOCKER_CERT_PATH should hold can't be read: .*ca\.pem/],
])("a way to an engine that is none (%s) is told as such, also by doctor", async (address, env, message) => {
  const before = { ...process.env };
  Object.assign(process.env, env, { DOCKER_HOST: address });
  try {
    const error = {
      message: expect.stringMatching(message) as string,
      hint: expect.stringContaining("--world local") as string,
    };
    expect(openEngine).toThrow(expect.objectContaining({ name: "WorldError", ...error }) as Error);
    await expect(examineDocker({ isCleaning: false })).resolves.toEqual([
      { name: "Docker engine", state: "missing", ...error },
    ]);
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
});

test.each([
  ["write /var/lib/docker/tmp/x: no space left on device", /disk is full: docker system df/],
  ["driver failed: Bind for 127.0.0.1:2181 failed: port is already allocated", /another program has the port/],
  ["No such image: nobody/has:it", /FLYBALL_IMAGE_/],
  ['exec: "node": executable file not found in $PATH', /its image, or its command/],
  ["something else", /flyball doctor/],
])("what an engine refuses (%s) says what to do", async (message, hint) => {
  answers = () => ({ status: 500, body: JSON.stringify({ message }) });
  const refused: unknown = await openEngine(5_000)
    .createContainer({ Image: "x" })
    .catch((error: unknown) => error);
  expect(worldErrorOf(refused, "orders/0 can't be started")).toMatchObject({
    message: expect.stringMatching(/^orders\/0 can't be started: /) as string,
    hint: expect.stringMatching(hint) as string,
  });
  expect(worldErrorOf(refused, "").message).toContain(message);
});

test("an engine that counts somebody on a network where nobody is says so, and what to do", async () => {
  const network = { Id: "n1", Name: "flyball-1", Labels: { [label.owner]: `${hostname()} another-boot 1 1` } };
  answers = (path, method) => {
    if (method === "DELETE") return { status: 403, body: JSON.stringify({ message: "it has active endpoints" }) };
    if (path.includes("/networks/n1")) return { body: JSON.stringify({ ...network, Containers: {} }) };
    return { body: path.includes("/networks") ? JSON.stringify([network]) : "[]" };
  };
  await expect(removeOrphans(openEngine(5_000), 300)).rejects.toMatchObject({
    name: "WorldError",
    message: "the engine counts somebody on the network flyball-1, and shows nobody",
    hint: expect.stringContaining("restarted") as string,
  });
});

test("an engine that one may not use is told from one that isn't there", async () => {
  // A user's socket; as root, who may everything, it can't be had for real.
  const forbidden = Object.assign(new Error("connect EACCES"), { code: "EACCES", address: "/run/docker.sock" });
  const engine = openEngine(5_000);
  engine.info = () => Promise.reject(forbidden);
  delete process.env["DOCKER_HOST"];
  await expect(obstacleTo(engine)).resolves.toEqual({
    message: "you may not use the Docker engine at /run/docker.sock",
    hint: expect.stringContaining("usermod -aG docker") as string,
  });
});

test("an engine that answers in time is heard", async () => {
  answers = () => ({ body: '[{"Id":"a"}]' });
  await expect(openEngine(5_000).listContainers()).resolves.toEqual([{ Id: "a" }]);
});

test("a container may run for as long as it likes", async () => {
  const engine = openEngine(50);
  const waiting: Promise<unknown> = engine.getContainer("x").wait();
  const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 200, "still waiting"))]);
  expect(first).toBe("still waiting");
  server.closeAllConnections();
  await expect(waiting).rejects.toThrow();
});

test("who waits for a container's end hears of it, and of an engine that ends before", async () => {
  const engine = openEngine(50);
  const headed = new Promise<void>((resolve) => {
    server.removeAllListeners("request").on("request", (request, response: ServerResponse) => {
      // As an engine does: the head at once, the rest when the container has ended.
      const { pathname, searchParams } = new URL(request.url!, "http://engine");
      response.writeHead(pathname === "/containers/create" ? 201 : 200).flushHeaders();
      if (pathname === "/containers/create") response.end(JSON.stringify({ Id: searchParams.get("name") }));
      else if (pathname === "/containers/short/wait") response.end('{"StatusCode":3}');
      else resolve();
    });
  });
  const create = (name: string): Promise<Container> =>
    Container.create(engine, { name, role: "orders/0", invocation: "1a2b3c", image: "node" });
  await expect((await create("short")).ended()).resolves.toEqual({ how: "it ended with exit code 3" });
  const waiting = (await create("long")).ended();
  await headed;
  setTimeout(() => server.closeAllConnections(), 20);
  await expect(waiting).resolves.toEqual({
    how: "the engine lost it: the Docker engine broke off its answer",
    isLost: true,
  });
});
