import { argumentOf } from "../call/argument.ts";
import type { Call } from "../call/call.ts";
import type { HashSettings } from "./balancer.ts";

/** Which parts of a request make the key of its call. Default "0": the whole request. */
export const keyPaths = ({ arguments: paths = "0" }: HashSettings): readonly string[] =>
  paths.split(",").map((path) => path.trim());

/** The fields of a request that make the key; undefined where it is the whole request, which may be long. */
export function hashedFields(settings: HashSettings = {}): readonly string[] | undefined {
  const paths = keyPaths(settings);
  return paths.includes("0") ? undefined : paths;
}

/** The texts one behind the other, as Dubbo has it; undefined when the call has none of them. */
export function keyOf(call: Call, paths: readonly string[]): string | undefined {
  let key: string | undefined;
  for (const path of paths) {
    const text = argumentOf(call, path);
    if (text !== undefined) key = (key ?? "") + text;
  }
  return key;
}
