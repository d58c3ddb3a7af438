import { argumentOf } from "../call/argument.ts";
import type { Call } from "../call/call.ts";
import type { HashSettings } from "./balancer.ts";

/** Which parts of a request make the key of its call. Default "0": the whole request. */
export const keyPaths = ({ arguments: paths = "0" }: HashSettings): readonly string[] =>
  paths.split(",").map((path) => path.trim());

/** The texts one behind the other, as Dubbo has it; undefined when the call has none of them. */
export function keyOf(call: Call, paths: readonly string[]): string | undefined {
  let key: string | undefined;
  for (const path of paths) {
    const text = argumentOf(call, path);
    if (text !== undefined) key = (key ?? "") + text;
  }
  return key;
}
