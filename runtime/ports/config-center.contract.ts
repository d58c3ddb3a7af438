import { RpcError } from "../call/status.ts";
import type { Clock } from "./clock.ts";
import type { ConfigCenter, ConfigDocument, ConfigKey } from "./config-center.ts";

/** A config centre, its clients, and what may happen to it and between them. One world serves one fact. */
export interface ConfigCenterWorld {
  readonly clock: Clock;
  /** A key that nobody else uses; so is every key that begins with it, in the group "dubbo". */
  readonly key: string;
  /** Opens a client with a way to the config centre of its own; answers at once. The world closes it in the end. */
  open(client: string, options?: { readonly isRefused?: boolean }): Promise<ConfigCenterParty>;
  /** Ends the config centre without ceremony and starts it again at the same address, with what it keeps on its disk. */
  restart(): Promise<void>;
  readonly timing: ConfigCenterTiming;
  /** It refuses documents that are empty, or nothing but white space: no rule is. Default false. */
  readonly refusesBlanks?: boolean;
  /** The largest document that it takes, where that is less than 1 MiB. */
  readonly documentBytesMax?: number;
}

/** A client, and the way between it and the config centre. */
export interface ConfigCenterParty {
  readonly configCenter: ConfigCenter;
  /** Nothing passes in either direction, and nobody is told. */
  cut(): void;
  /** Ends `cut` and `refuse`. */
  heal(): void;
  /** Resets every connection, and each new one. */
  refuse(): void;
}

/** How fast this config centre is, in milliseconds of the world's clock. */
export interface ConfigCenterTiming {
  /** A change reaches every connected watcher within this time. */
  readonly pushWithinMs: number;
  /** A call fails within this time when the config centre doesn't answer. */
  readonly failWithinMs: number;
  /** After a restart, or a cut, everybody knows the latest within this time. */
  readonly recoverWithinMs: number;
}

/** A fact about config centres: resolves when it holds, rejects with what doesn't. */
export type ConfigCenterFact = (world: ConfigCenterWorld) => Promise<void>;

/**
 * What every config centre promises, embedded or real. A test file runs them all:
 *
 *     for (const [fact, holds] of Object.entries(configCenterContract)) test(fact, () => inWorld(holds));
 */
export const configCenterContract: Readonly<Record<string, ConfigCenterFact>> = {
  "what was never published doesn't exist, at version 0": async (world) => {
    const { configCenter } = await world.open("shop/0");
    const { key, group, content, version, exists } = await configCenter.get(keyOf(world));
    equal(JSON.stringify([key, group, content, version, exists]), JSON.stringify([world.key, "dubbo", "", 0, false]));
    const seen = watching(configCenter, keyOf(world));
    await soon(world, () => seen.length > 0);
    equal(told(seen[0]), "absent");
  },

  "what is published is read, and the version grows": async (world) => {
    const writer = (await world.open("writer/0")).configCenter;
    const reader = (await world.open("shop/0")).configCenter;
    let last = 0;
    for (const content of ["one", "two", "three"]) {
      const version = await writer.publish(keyOf(world), content);
      check(version > last, `version ${version} came after ${last}`);
      last = version;
      await soon(world, async () => told(await reader.get(keyOf(world))) === content);
      equal((await reader.get(keyOf(world))).version, version);
    }
  },

  "a document comes back as it was, whatever its characters": async (world) => {
    const { configCenter } = await world.open("writer/0");
    const blanks = ["", " "];
    if (world.refusesBlanks === true) {
      for (const blank of blanks) {
        equal((await failure(configCenter.publish(keyOf(world), blank))).code, "INVALID_ARGUMENT");
      }
    }
    const documents = [
      ...(world.refusesBlanks === true ? [] : blanks),
      "a: b\n\r\n\tc: 'd'\n",
      "规则: 灰度 🌍",
      '%20 & = ? # "q" \\ \u0000',
      "x".repeat(100_000),
    ];
    const seen = watching(configCenter, keyOf(world));
    for (const content of documents) {
      const version = await configCenter.publish(keyOf(world), content);
      equal((await configCenter.get(keyOf(world))).content, content);
      equal((await configCenter.get(keyOf(world))).exists, true);
      await soon(world, () => seen.at(-1)?.version === version);
      equal(seen.at(-1)?.content, content);
    }
  },

  "keys and groups don't mix": async (world) => {
    const { configCenter } = await world.open("writer/0");
    const keys: readonly ConfigKey[] = [
      keyOf(world),
      keyOf(world, ".tag-router"),
      keyOf(world, "::.condition-router"),
      { ...keyOf(world), group: "other" },
    ];
    for (const [index, key] of keys.entries()) await configCenter.publish(key, `document ${index}`);
    for (const [index, key] of keys.entries()) equal((await configCenter.get(key)).content, `document ${index}`);
    await configCenter.remove(keys[0]!);
    for (const [index, key] of keys.entries()) equal((await configCenter.get(key)).exists, index > 0);
  },

  "a removed document doesn't exist, and its versions go on": async (world) => {
    const { configCenter } = await world.open("writer/0");
    const first = await configCenter.publish(keyOf(world), "one");
    const gone = await configCenter.remove(keyOf(world));
    check(gone > first, `version ${gone} came after ${first}`);
    const document = await configCenter.get(keyOf(world));
    equal(told(document), "absent");
    equal(document.content, "");
    await configCenter.remove(keyOf(world));
    const again = await configCenter.publish(keyOf(world), "two");
    check(again > gone, `version ${again} came after ${gone}`);
  },

  "a watch tells the present document, then every newer one once, in order": async (world) => {
    const writer = (await world.open("writer/0")).configCenter;
    const reader = (await world.open("shop/0")).configCenter;
    await writer.publish(keyOf(world), "0");
    const seen = watching(reader, keyOf(world));
    const expected = ["0"];
    await soon(world, () => seen.length === 1);
    for (let index = 1; index <= 5; index++) {
      await writer.publish(keyOf(world), String(index));
      expected.push(String(index));
      await soon(world, () => told(seen.at(-1)) === String(index));
    }
    await writer.remove(keyOf(world));
    await soon(world, () => told(seen.at(-1)) === "absent");
    await writer.publish(keyOf(world), "again");
    await soon(world, () => told(seen.at(-1)) === "again");
    equal(seen.map(told).join(), [...expected, "absent", "again"].join());
    isGrowing(seen);
  },

  "a watch may begin before the document does": async (world) => {
    const reader = (await world.open("shop/0")).configCenter;
    const seen = watching(reader, keyOf(world));
    await soon(world, () => told(seen.at(-1)) === "absent");
    await (await world.open("writer/0")).configCenter.publish(keyOf(world), "there");
    await soon(world, () => told(seen.at(-1)) === "there");
    isGrowing(seen);
  },

  // https://github.com/apache/dubbo-go/issues/1322: what changed between the first look and the watch was lost there.
  "a change that comes while a watch is being set up is told": async (world) => {
    const writer = (await world.open("writer/0")).configCenter;
    const reader = (await world.open("shop/0")).configCenter;
    const suffixes = [".configurators", "::.configurators", ".tag-router", ".condition-router"];
    for (const [index, suffix] of suffixes.entries()) {
      const key = keyOf(world, suffix);
      if (index % 2 === 0) await writer.publish(key, "before");
      const seen = watching(reader, key);
      await writer.publish(key, "meanwhile");
      await soon(world, () => told(seen.at(-1)) === "meanwhile");
      isGrowing(seen);
    }
  },

  "a watch that is closed hears nothing more": async (world) => {
    const { configCenter } = await world.open("shop/0");
    const closed: ConfigDocument[] = [];
    const subscription = configCenter.watch(keyOf(world), (document) => closed.push(document));
    const seen = watching(configCenter, keyOf(world));
    await soon(world, () => closed.length > 0 && seen.length > 0);
    subscription.close();
    subscription.close();
    const heard = closed.length;
    await configCenter.publish(keyOf(world), "news");
    await soon(world, () => told(seen.at(-1)) === "news");
    equal(closed.length, heard);
  },

  "a document is replaced only at the version that was read": async (world) => {
    const { configCenter } = await world.open("writer/0");
    const key = keyOf(world);
    const first = await configCenter.publish(key, "one", { ifVersion: 0 });
    equal((await failure(configCenter.publish(key, "again", { ifVersion: 0 }))).code, "ABORTED");
    const second = await configCenter.publish(key, "two", { ifVersion: first });
    equal((await failure(configCenter.publish(key, "late", { ifVersion: first }))).code, "ABORTED");
    equal((await configCenter.get(key)).content, "two");
    const gone = await configCenter.remove(key);
    equal((await failure(configCenter.publish(key, "late", { ifVersion: second }))).code, "ABORTED");
    await configCenter.publish(key, "three", { ifVersion: gone });
    equal((await configCenter.get(key)).content, "three");
  },

  "of concurrent conditional publishes exactly one succeeds": async (world) => {
    const parties = await Promise.all([...Array(4).keys()].map((index) => world.open(`writer/${index}`)));
    const key = keyOf(world);
    let version = 0;
    for (let round = 0; round < 20; round++) {
      const tries = parties.map(({ configCenter }, index) =>
        configCenter.publish(key, `${round} by ${index}`, { ifVersion: version }).catch((error: unknown) => {
          equal((error as RpcError).code, "ABORTED");
          return 0;
        }),
      );
      const versions = (await Promise.all(tries)).filter((published) => published > 0);
      equal(versions.length, 1);
      version = versions[0]!;
    }
  },

  "concurrent publishes end in the same document and version everywhere": async (world) => {
    const parties = await Promise.all([...Array(4).keys()].map((index) => world.open(`writer/${index}`)));
    const key = keyOf(world);
    const seen = parties.map(({ configCenter }) => watching(configCenter, key));
    const published = parties.map(async ({ configCenter }, index) => {
      let last = 0;
      for (let turn = 0; turn < 25; turn++) last = await configCenter.publish(key, `${turn} by ${index}`);
      return last;
    });
    const final = Math.max(...(await Promise.all(published)));
    await soon(world, () => seen.every((documents) => documents.at(-1)?.version === final));
    equal(new Set(seen.map((documents) => documents.at(-1)?.content)).size, 1);
    for (const documents of seen) isGrowing(documents);
  },

  "a document that is too large is refused with its size": async (world) => {
    const { configCenter } = await world.open("writer/0");
    await configCenter.publish(keyOf(world), "small");
    const error = await failure(
      configCenter.publish(keyOf(world), "x".repeat((world.documentBytesMax ?? 1024 * 1024) + 1)),
    );
    check(["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"].includes(error.code), `it failed with ${error.code}`);
    check(/\d{6}/.test(error.message), `the message doesn't say how large it was: ${error.message}`);
    equal((await configCenter.get(keyOf(world))).content, "small");
  },

  "an error is never an absent document": async (world) => {
    const shop = await world.open("shop/0");
    const { configCenter } = shop;
    await configCenter.publish(keyOf(world), "there");
    const seen = watching(configCenter, keyOf(world));
    await soon(world, () => told(seen.at(-1)) === "there");
    for (const break_ of ["cut", "refuse"] as const) {
      shop[break_]();
      const begin = world.clock.nowUs();
      const error = await failure(configCenter.get(keyOf(world)));
      check(["UNAVAILABLE", "DEADLINE_EXCEEDED"].includes(error.code), `the read failed with ${error.code}`);
      check(world.clock.nowUs() - begin < world.timing.failWithinMs * 1000, "the read failed late");
      shop.heal();
      await soon(world, async () => told(await configCenter.get(keyOf(world)).catch(() => undefined)) === "there", {
        withinMs: world.timing.recoverWithinMs,
      });
    }
    equal(seen.map(told).join(), "there");
  },

  "what was published while a watcher was cut off is told when it is back": async (world) => {
    const shop = await world.open("shop/0");
    const writer = (await world.open("writer/0")).configCenter;
    await writer.publish(keyOf(world), "one");
    const seen = watching(shop.configCenter, keyOf(world));
    await soon(world, () => told(seen.at(-1)) === "one");
    shop.cut();
    await writer.publish(keyOf(world), "two");
    await writer.remove(keyOf(world));
    await world.clock.sleep(100_000);
    shop.heal();
    await soon(world, () => told(seen.at(-1)) === "absent", { withinMs: world.timing.recoverWithinMs });
    shop.refuse();
    await writer.publish(keyOf(world), "three");
    await world.clock.sleep(100_000);
    shop.heal();
    await soon(world, () => told(seen.at(-1)) === "three", { withinMs: world.timing.recoverWithinMs });
    isGrowing(seen);
  },

  "documents survive a restart, and watches go on": async (world) => {
    const { configCenter } = await world.open("shop/0");
    const version = await configCenter.publish(keyOf(world), "kept");
    const seen = watching(configCenter, keyOf(world));
    await soon(world, () => told(seen.at(-1)) === "kept");
    await world.restart();
    const { recoverWithinMs } = world.timing;
    await soon(world, async () => told(await configCenter.get(keyOf(world)).catch(() => undefined)) === "kept", {
      withinMs: recoverWithinMs,
    });
    const next = await configCenter.publish(keyOf(world), "new");
    check(next > version, `version ${next} came after ${version}`);
    await soon(world, () => told(seen.at(-1)) === "new", { withinMs: recoverWithinMs });
    equal(seen.map(told).join(), "kept,new");
  },

  "after close nothing is told, and nothing waits": async (world) => {
    const { configCenter } = await world.open("shop/0");
    const seen = watching(configCenter, keyOf(world));
    await soon(world, () => seen.length > 0);
    await configCenter.close();
    await configCenter.close();
    await (await world.open("writer/0")).configCenter.publish(keyOf(world), "late");
    await world.clock.sleep(200_000);
    equal(seen.map(told).join(), "absent");
  },
};

const keyOf = ({ key }: ConfigCenterWorld, suffix = ""): ConfigKey => ({ key: `${key}${suffix}`, group: "dubbo" });

/** Every document that a watch delivers from now on. The world closes the client, and the watch with it. */
function watching(configCenter: ConfigCenter, key: ConfigKey): ConfigDocument[] {
  const seen: ConfigDocument[] = [];
  configCenter.watch(key, (document) => seen.push(document));
  return seen;
}

function told(document: ConfigDocument | undefined): string {
  if (document === undefined) return "nothing";
  return document.exists ? document.content : "absent";
}

function isGrowing(documents: readonly ConfigDocument[]): void {
  for (let index = 1; index < documents.length; index++) {
    const [before, after] = [documents[index - 1]!.version, documents[index]!.version];
    check(before < after, `version ${after} came after ${before}`);
  }
}

async function failure(work: Promise<unknown>): Promise<RpcError> {
  const value = await work.catch((error: unknown) => {
    if (error instanceof RpcError) return error;
    throw error;
  });
  if (value instanceof RpcError) return value;
  throw new Error("it succeeded");
}

/** Waits until it is so, by default for a push. */
async function soon(
  world: ConfigCenterWorld,
  isSo: () => boolean | Promise<boolean>,
  { withinMs = world.timing.pushWithinMs }: { readonly withinMs?: number } = {},
): Promise<void> {
  const begin = world.clock.nowUs();
  // Asked once more at the end: a look may have taken long.
  for (;;) {
    const isLate = world.clock.nowUs() - begin > withinMs * 1000;
    if (await isSo()) return;
    check(!isLate, `it didn't happen within ${withinMs} ms: ${isSo.toString()}`);
    await world.clock.sleep(5_000);
  }
}

function equal(actual: unknown, expected: unknown): void {
  check(actual === expected, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

function check(isSo: boolean, message: string): void {
  if (!isSo) throw new Error(message);
}
