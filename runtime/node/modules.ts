import { existsSync, realpathSync } from "node:fs";
import { isBuiltin, registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = new URL("../../", import.meta.url).href;
/** What of ours needs a host: whoever runs in the simulator can't have it. */
const hostRoom = new URL("./", import.meta.url).href;
const packageName = "flyball";

/** A module that takes longer to be read waits for something that never comes. */
const loadsWithinMs = 6_000;

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
  const own = new Set([url]);
  const hooks = registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context);
      if (context.parentURL === undefined || !own.has(context.parentURL)) return resolved;
      if (isBuiltin(resolved.url) || resolved.url.startsWith(hostRoom)) {
        if (isPortable) throw notPortable(specifier, context.parentURL);
      } else if (!resolved.url.startsWith(root) || url.startsWith(root)) {
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

/** The error, with the place in the module where it was thrown, if that is where. */
function located(error: unknown, url: string): unknown {
  if (!(error instanceof Error) || error instanceof ModuleError) return error;
  const place = error.stack?.split(`${url}:`)[1]?.match(/^\d+(:\d+)?/)?.[0];
  const { code } = error as NodeJS.ErrnoException;
  const hint =
    code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX"
      ? "only TypeScript that can be erased runs without a build"
      : undefined;
  const message = `it throws ${error.name}: ${error.message}${place === undefined ? "" : ` (at ${place})`}`;
  return new ModuleError(message, { hint, cause: error });
}
