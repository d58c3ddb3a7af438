import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";

import { programs } from "../services/programs.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): unknown =>
  parse(readFileSync(join(root, path), "utf8"), { merge: true, maxAliasCount: -1 });

const healthcheck = z.object({ test: z.tuple([z.enum(["CMD", "CMD-SHELL"])], z.string()), interval: z.string() });
const service = z.object({
  image: z.string(),
  profiles: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  ports: z.array(z.string()).optional(),
  restart: z.string(),
  mem_limit: z.string(),
  labels: z.record(z.string(), z.string()),
  security_opt: z.array(z.string()),
  healthcheck,
  volumes: z
    .array(
      z.object({
        type: z.literal("bind"),
        source: z.string(),
        target: z.string(),
        read_only: z.literal(true),
        bind: z.object({ create_host_path: z.literal(false) }),
      }),
    )
    .optional(),
  read_only: z.boolean().optional(),
  privileged: z.never().optional(),
  network_mode: z.never().optional(),
  container_name: z.never().optional(),
});
const compose = z.object({ name: z.literal("flyball"), services: z.record(z.string(), service) });
const { services } = compose.parse(read("docker-compose.yml"));
const all = Object.entries(services);
const fleet = all.filter(([, { labels }]) => labels["flyball.demo"] === "fleet");

describe("in docker-compose.yml", () => {
  test.each(all)("%s can be reached from this machine only, at a port that can be chosen", (_, { ports = [] }) => {
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\$\{FLYBALL_PORT_[A-Z0-9_]+:-\d+\}:\d+$/);
  });

  test("every published port has a default and a variable of its own", () => {
    const ports = all.flatMap(([, { ports = [] }]) => ports);
    for (const part of [/\$\{(\w+):/, /:-(\d+)\}/]) {
      const found = ports.map((port) => part.exec(port)![1]);
      expect(new Set(found).size).toBe(found.length);
    }
  });

  test.each(all)("%s has an image that is pinned and can be replaced", (_, { image }) => {
    const [, name, official] = /^\$\{(FLYBALL_IMAGE_[A-Z0-9_]+):-(.+)\}$/.exec(image) ?? [];
    expect(name).toBeDefined();
    // Our own is made here, not pulled.
    if (name !== "FLYBALL_IMAGE_FLEET") expect(official).toMatch(/:v?\d+\.\d+/);
  });

  test.each(all)("%s says when it is well, has bounds, and stays stopped when it is stopped", (_, one) => {
    expect(one.healthcheck.test.length).toBeGreaterThan(1);
    expect(one.mem_limit).toMatch(/^\d+[mg]$/);
    expect(one.restart).toMatch(/^(no|on-failure:\d+)$/);
    expect(one.security_opt).toContain("no-new-privileges:true");
  });

  test.each(all)("what is mounted into %s is there, or made by another part", (_, { volumes = [] }) => {
    for (const { source } of volumes) {
      if (!source.startsWith("./dashboards/") || existsSync(join(root, "dashboards/generated"))) {
        expect(existsSync(join(root, source)), source).toBe(true);
      }
    }
  });

  test("profiles start less or more, and all starts everything", () => {
    const named = all.filter(([, { profiles }]) => profiles !== undefined);
    for (const [, { profiles }] of named) expect(profiles).toContain("all");
    expect(new Set(named.flatMap(([, { profiles = [] }]) => profiles))).toEqual(
      new Set(["nacos", "consul", "transactions", "k6", "all"]),
    );
  });

  test.each(fleet)("the node %s has a configuration that its program accepts", (name, { command = [], read_only }) => {
    const [program, ...options] = command;
    const value = (option: string): string | undefined =>
      options.find((text) => text.startsWith(`--${option}=`))?.slice(option.length + 3);
    const withDefaults = (value("config") ?? "{}").replaceAll(/\$\{\w+:-([^}]*)\}/g, "$1");
    const config = JSON.parse(withDefaults) as object;
    const isOperator = program === "rules";
    const where = "zookeeper://zookeeper:2181";
    const infrastructure = isOperator ? { configCenter: where } : { registry: where };
    const isBank = ["order", "account", "stock"].includes(program!);
    const given =
      program === "provider"
        ? { service: value("service") }
        : isBank
          ? { coordinator: value("coordinator") }
          : isOperator
            ? {}
            : { application: "x", calls: { service: "x" } };
    expect(() => programs.get(program!)!.parse({ ...given, ...config, ...infrastructure })).not.toThrow();
    // It is found where its name leads, and scraped under the name that it has.
    expect(value("node")).toBe(name.replace(/-(\d+)$/, "/$1"));
    if (program === "provider" || isBank) expect(value("advertise")).toBe(`${name}:20880`);
    expect(read_only).toBe(true);
    const option = isOperator ? "config-center" : "registry";
    expect(value(option)).toContain("${FLYBALL_REGISTRY:-zookeeper://zookeeper:2181}");
  });

  test.each([
    [
      "targets.json",
      "that is always there",
      fleet.filter(([, { profiles }]) => profiles === undefined),
      ["zookeeper:7000"],
    ],
    [
      "transactions.json",
      "of the bank",
      fleet.filter(([, { profiles }]) => profiles?.[0] === "transactions"),
      ["seata:9898"],
    ],
  ])("Prometheus scrapes, by %s, every node %s, under its own name", (file, _, nodes, others) => {
    const targets = z
      .array(z.object({ targets: z.array(z.string()), labels: z.record(z.string(), z.string()) }))
      .parse(read(`dashboards/compose/${file}`));
    const found = targets.filter(({ targets: [address] }) => !others.includes(address!));
    expect(targets.length - found.length).toBe(others.length);
    expect(found.map(({ targets: [address], labels }) => [address, labels["instance"]]).toSorted()).toEqual(
      nodes.map(([name]) => [`${name}:9464`, name.replace(/-(\d+)$/, "/$1")]).toSorted(),
    );
  });
});

/** Grafana's own formats (https://grafana.com/docs/grafana/latest/administration/provisioning/). */
const dataSources = z.strictObject({
  apiVersion: z.literal(1),
  datasources: z.array(
    z.strictObject({
      name: z.string(),
      uid: z.string().regex(/^[a-zA-Z0-9_-]{1,40}$/),
      type: z.enum(["prometheus", "jaeger"]),
      access: z.literal("proxy"),
      url: z.string(),
      isDefault: z.boolean().optional(),
      editable: z.boolean().optional(),
      jsonData: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
});
const providers = z.strictObject({
  apiVersion: z.literal(1),
  providers: z.array(
    z.strictObject({
      name: z.string(),
      orgId: z.int().optional(),
      folder: z.string(),
      folderUid: z.string().optional(),
      type: z.literal("file"),
      disableDeletion: z.boolean().optional(),
      updateIntervalSeconds: z.int().optional(),
      allowUiUpdates: z.boolean().optional(),
      options: z.strictObject({ path: z.string(), foldersFromFilesStructure: z.boolean().optional() }),
    }),
  ),
});

const provisioning = "dashboards/grafana/provisioning";
describe.skipIf(!existsSync(join(root, provisioning)))("Grafana's provisioning", () => {
  const grafana = all.find(([name]) => name === "grafana")![1];

  test("has data sources in Grafana's format, where compose says that they are", () => {
    const { datasources } = dataSources.parse(read(`${provisioning}/datasources/flyball.yaml`));
    const environment = z.object({ environment: z.record(z.string(), z.string()) });
    const given = environment.parse(
      (read("docker-compose.yml") as { services: Record<string, unknown> }).services["grafana"],
    ).environment;
    for (const { url, type } of datasources) {
      const variable = /^\$\{?(\w+)\}?$/.exec(url)?.[1];
      const address = variable === undefined ? url : given[variable];
      expect(new URL(address!).hostname).toBe(type);
    }
    expect(datasources.filter(({ isDefault }) => isDefault)).toHaveLength(1);
  });

  test("has dashboards in Grafana's format, from where compose mounts them, which ask data sources that there are", () => {
    const [{ options }] = providers.parse(read(`${provisioning}/dashboards/flyball.yaml`)).providers as [
      z.infer<typeof providers>["providers"][number],
    ];
    expect(grafana.volumes!.map(({ target }) => target)).toContain(options.path);
    const { datasources } = dataSources.parse(read(`${provisioning}/datasources/flyball.yaml`));
    const uids = new Set(datasources.map(({ uid }) => uid));
    const home = readFileSync(join(root, "dashboards/generated/red.json"), "utf8");
    for (const [, uid] of home.matchAll(/"uid":\s*"(flyball-(?:prometheus|jaeger))"/g)) expect(uids).toContain(uid);
  });
});
