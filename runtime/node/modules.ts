import { existsSync, realpathSync } from "node:fs";
import { isBuiltin, registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

import { placeIn } from "../place.ts";

const root = new URL("../../", import.meta.url).href;
/** What of ours needs a host: whoever runs in the simulator can't have it. */
const hostRoom = new URL("./", import.meta.url).href;
const packageName = "flyball";

/** A module that takes longer to be read waits for something that never comes. */
const loadsWithinMs = 6_000;

/**
 * What each module imports, as it was written, by the URL that it led to. Kept from the beginning: a module is resolved once a process,
 * and who imports it again wants to know, too.
 */
const imports = new Map<string, Map<string, string>>();
registerHooks({
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context);
    const { parentURL } = context;
    if (parentURL === undefined) return resolved;
    const importedBy = imports.get(parentURL) ?? new Map<string, string>();
    imports.set(parentURL, importedBy.set(resolved.url, specifier));
    return resolved;
  },
});

/**
 * Lets "flyball/…" name this very checkout in modules that are imported while `during` lasts, wherever they lie: a file that nobody has
 * installed anything for finds it, in a container too.
 */
export async function withFlyball<T>(during: () => Promise<T>): Promise<T> {
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      isFlyball(specifier) ? next(specifier, { ...context, parentURL: root }) : next(specifier, context),
  });
  try {
    return await during();
  } finally {
    hooks.deregister();
  }
}

/**
 * Imports a module of the user's. With `isPortable`, Node.js's own modules, and what of ours needs them, are refused in it and in all that
 * it imports. Rejects with the module's own error, or one that says what it imports, or waits for.
 */
export async function importModule(file: string, { isPortable = false } = {}): Promise<unknown> {
  // The real path, as Node.js names it.
  const url = pathToFileURL(existsSync(file) ? realpathSync(file) : file).href;
  /** The module and all that it imports, beside ours. */
  const own = families.get(file) ?? new Set([url]);
  families.set(file, own);
  // What a scenario, say, has imported before isn't resolved again.
  for (const parent of own) {
    for (const [imported, specifier] of imports.get(parent) ?? []) {
      if (isOfHost(imported)) {
        if (isPortable) throw notPortable(specifier, parent);
      } else if (isBesideOurs(imported, url)) {
        own.add(imported);
      }
    }
  }
  const hooks = registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context);
      if (context.parentURL === undefined || !own.has(context.parentURL)) return resolved;
      if (isOfHost(resolved.url)) {
        if (isPortable) throw notPortable(specifier, context.parentURL);
      } else if (isBesideOurs(resolved.url, url)) {
        own.add(resolved.url);
      }
      return resolved;
    },
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new ModuleError("it never gets to its end: at its top level it waits for something that never comes");
    timer = setTimeout(() => reject(error), loadsWithinMs);
  });
  try {
    return await Promise.race([withFlyball(() => import(url)), late]);
  } catch (error) {
    throw located(error, url);
  } finally {
    clearTimeout(timer);
    hooks.deregister();
  }
}

/** The user's modules by their files, each with all that it imports beside ours. */
const families = new Map<string, Set<string>>();

/** Whose error it is, and where it was thrown: the first place in its stack that is in a module of the user's, or in what one imports. */
export function originOf(error: unknown): { readonly files: readonly string[]; readonly place: string } | undefined {
  if (!(error instanceof Error)) return undefined;
  for (const line of error.stack?.split("\n").slice(1) ?? []) {
    const [, url = "", place = ""] = /(file:.*?):(\d+(?::\d+)?)\)?$/.exec(line) ?? [];
    const files = [...families].filter(([, urls]) => urls.has(url)).map(([file]) => file);
    if (files.length > 0) return { files, place: `${fileURLToPath(url)}:${place}` };
  }
  return undefined;
}

const isOfHost = (url: string): boolean => isBuiltin(url) || url.startsWith(hostRoom);

const isBesideOurs = (url: string, importer: string): boolean => !url.startsWith(root) || importer.startsWith(root);

const isFlyball = (specifier: string): boolean => specifier === packageName || specifier.startsWith(`${packageName}/`);

/** A module that can't be had, for a reason that is told in full. */
class ModuleError extends Error {
  override readonly name = "ModuleError";
  readonly hint: string | undefined;

  constructor(message: string, { hint, cause }: { readonly hint?: string | undefined; readonly cause?: unknown } = {}) {
    super(message, { cause });
    this.hint = hint;
  }
}

const notPortable = (specifier: string, importer: string): ModuleError =>
  new ModuleError(`${specifier}, which ${fileURLToPath(importer)} imports, is not there in sim`, {
    hint: "in sim a service has its context and nothing else: take what it needs from there, or run it in --world local",
  });

/** Where in a module its own code threw, or can't be read as TypeScript: who takes the types away names the path. */
export const placeInModule = (url: string, error: Error): string | undefined =>
  placeIn(url, error) ?? placeIn(fileURLToPath(url), error);

/** The error, with the place in the module where it was thrown, if that is where. */
function located(error: unknown, url: string): unknown {
  if (!(error instanceof Error) || error instanceof ModuleError) return error;
  const place = placeInModule(url, error);
  const { code } = error as NodeJS.ErrnoException;
  const hint =
    code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX"
      ? "only TypeScript that can be erased runs without a build"
      : undefined;
  const message = `it throws ${error.name}: ${error.message}${place === undefined ? "" : ` (at ${place})`}`;
  return new ModuleError(message, { hint, cause: error });
}
