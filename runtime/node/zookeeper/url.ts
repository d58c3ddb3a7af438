import { RpcError } from "../../call/status.ts";

/** Where ZooKeeper is: "zookeeper://10.0.0.1:2181,10.0.0.2:2181/chroot?level=all". */
export interface ZooKeeperUrl {
  /** "host:port" each. */
  readonly servers: readonly string[];
  /** "" or "/one/two" */
  readonly chroot: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const defaultPort = 2181;

/** Reads a URL. Throws INVALID_ARGUMENT for one that can't work, and for a parameter that isn't `known`. Dubbo's `backup` is. */
export function parseZooKeeperUrl(url: string, known: readonly string[]): ZooKeeperUrl {
  const match = /^zookeeper:\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
  if (match === null) throw wrong(url, "it isn't of the form zookeeper://host:port");
  const [, authority, path = "", query = ""] = match;
  const parameters = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    if (key !== "backup" && !known.includes(key)) {
      throw wrong(url, `there is no parameter "${key}"`, `the parameters are ${[...known, "backup"].join(", ")}`);
    }
    parameters.set(key, value);
  }
  const servers = [...authority!.split(","), ...(parameters.get("backup")?.split(",") ?? [])].map((server) =>
    serverOf(url, server),
  );
  const chroot = path.replace(/\/+$/, "");
  if (/\/\/|\/\.{1,2}(\/|$)/.test(chroot)) throw wrong(url, `"${chroot}" is no path in ZooKeeper`);
  return { servers, chroot, parameters };
}

/** A parameter that is one of a few words. */
export function choice<T extends string>(
  url: string,
  { parameters }: ZooKeeperUrl,
  key: string,
  words: readonly T[],
): T {
  const value = parameters.get(key) ?? words[0]!;
  const word = words.find((known) => known === value);
  if (word === undefined) throw wrong(url, `${key}=${value}`, `${key} is ${words.join(" or ")} (default ${words[0]})`);
  return word;
}

function serverOf(url: string, text: string): string {
  const [, host, port = String(defaultPort)] = /^(\[[^\]]+\]|[^:\s]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) throw wrong(url, `"${text}" is no host:port`);
  return `${host}:${port}`;
}

export const wrong = (url: string, what: string, hint = 'write "zookeeper://127.0.0.1:2181"'): RpcError =>
  new RpcError(`${url} can't be used: ${what}`, { code: "INVALID_ARGUMENT", hint });
