import { randomUUID } from "node:crypto";
import { access, constants, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { Script } from "node:vm";

/** Packages that a bundle takes in: they are pure, and of many small files. The others stay where they are. */
const takenIn = /^(yaml|@bufbuild\/protobuf)(\/|$)/;

/** What a bundle was made of: each file's path, time of its last change, and size. */
type Stamp = readonly [path: string, modifiedMs: number, bytes: number];

/** Files are named from the bundle's own directory: a checkout that was copied has its own. */
interface Made {
  /** The program comes first. */
  readonly files: readonly string[];
  readonly from: readonly Stamp[];
}

const made = "made.json";

/** A file that no bundle has named for so long is no running process's any more. */
const keptMs = 24 * 3_600_000;

/**
 * The program at `entry` with all that it imports, as one file under `directory`, for `start.cjs`: a process begins with that in a third of
 * the time that some four hundred files take. It is made again whenever one of those has changed, so nobody has to build anything;
 * undefined where it can't be made (no bundler for this system, no room, code that doesn't parse, or that waits where a CommonJS module
 * can't): the program itself is run then, and says what is wrong with it. `caches`: where there may be compiled code of earlier ones, which
 * goes when they go.
 */
export function bundled(entry: string, directory: string, caches: readonly string[] = []): Promise<string | undefined> {
  const key = `${entry} ${directory}`;
  const shared = underWay.get(key) ?? freshestOrNew(entry, directory, caches).finally(() => underWay.delete(key));
  underWay.set(key, shared);
  return shared;
}

/** Runs that start side by side need it at the same moment. */
const underWay = new Map<string, Promise<string | undefined>>();

async function freshestOrNew(entry: string, directory: string, caches: readonly string[]): Promise<string | undefined> {
  try {
    return (await freshest(directory).catch(() => undefined)) ?? (await make(entry, directory, caches));
  } catch {
    return undefined;
  }
}

/** The one that is there, if what it was made of is as it was. Rejects where there is none, or nobody can tell what of. */
async function freshest(directory: string): Promise<string | undefined> {
  const { files, from } = await readMade(directory);
  const main = join(directory, files[0]!);
  await access(main);
  const now = await stampsOf(
    from.map(([path]) => join(directory, path)),
    directory,
  );
  return JSON.stringify(now) === JSON.stringify(from) ? main : undefined;
}

async function make(entry: string, directory: string, caches: readonly string[]): Promise<string | undefined> {
  const beganMs = Date.now();
  // First: where nothing can be written, nobody need wait for what would be.
  await mkdir(directory, { recursive: true });
  await access(directory, constants.W_OK);
  // Loaded by those who need it: nearly always a bundle is there.
  const { rolldown } = await import("rolldown");
  const names = { entryFileNames: "[name]-[hash].cjs", chunkFileNames: "[name]-[hash].cjs" };
  await using bundle = await rolldown({
    input: entry,
    // What becomes of the code afterwards belongs to a file's name, too.
    plugins: [{ name: "in ASCII", augmentChunkHash: () => inAscii.toString() }],
    platform: "node",
    external: (id) => /^[\w@]/.test(id) && !takenIn.test(id),
    logLevel: "silent",
  });
  const { output } = await bundle.generate({
    ...{ dir: directory, format: "cjs", sourcemap: true, ...names },
    postBanner: ({ isEntry }) => (isEntry ? head : ""),
    postFooter: ({ isEntry }) => (isEntry ? "})" : ""),
  });
  // It is made of this file, too, which says how.
  const from = await stampsOf([...(await bundle.watchFiles), import.meta.filename], directory);
  // Changed while it was read: nobody knows which of the two it has.
  if (from.some(([, modifiedMs]) => modifiedMs >= beganMs)) return undefined;
  const files = output.map((file) => ({
    name: file.fileName,
    content: file.type === "chunk" ? inAscii(file.code) : mapWithoutSources(String(file.source)),
  }));
  const all = files.map(({ name }) => name);
  // What is in a file is told by its name. Another harness may be making the same one, and a process may be reading it.
  await Promise.all(files.map(({ name, content }) => put(join(directory, name), content)));
  await beginLastDay(directory);
  await put(join(directory, made), JSON.stringify({ files: all, from } satisfies Made));
  await removeOld(directory, new Set([...all, made]));
  await Promise.allSettled(caches.map((cache) => removeOld(cache)));
  return join(directory, all[0]!);
}

const readMade = async (directory: string): Promise<Made> =>
  JSON.parse(await readFile(join(directory, made), "utf8")) as Made;

const stampsOf = (paths: readonly string[], directory: string): Promise<readonly Stamp[]> =>
  Promise.all(
    paths.map(async (path) => {
      const { mtimeMs, size } = await stat(path);
      return [relative(directory, path), mtimeMs, size];
    }),
  );

/** What Node.js has around a CommonJS module: `start.cjs` compiles the program's file as it is, without another copy of it in memory. */
const head = '(function (exports, require, module, __filename, __dirname) { "use strict";';

/** What says something else once it is escaped, or is the end of a comment. */
const unescapable = /String\.raw|\\[^\0-\x7f]|[\u2028\u2029]/;

/**
 * Escaped where it isn't ASCII: one such character would make V8 keep all of the text at two bytes each, decoded first. In errors, columns
 * behind one on its line are too far right. Throws for code that can't be escaped so, or that doesn't parse then.
 */
function inAscii(code: string): string {
  const [found] = unescapable.exec(code) ?? [];
  if (found !== undefined) throw new Error(`${found} can't be kept in ASCII`);
  const escaped = code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  new Script(code.startsWith(head) ? escaped : `${head}\n${escaped}\n})`);
  return escaped;
}

/** By the map, errors name the lines that people know (`inSources`); the sources themselves are there anyway. */
function mapWithoutSources(text: string): string {
  const { sourcesContent: _, ...map } = JSON.parse(text) as { readonly sourcesContent?: unknown };
  return JSON.stringify(map);
}

/** Whole at once, or not at all. */
async function put(path: string, content: string): Promise<void> {
  const own = `${path}.${process.pid}.${randomUUID()}`;
  await writeFile(own, content);
  await rename(own, path);
}

/** What was in use until now, whenever it was made, still is where a run has begun with it. */
async function beginLastDay(directory: string): Promise<void> {
  const last = await readMade(directory).catch(() => undefined);
  const now = new Date();
  await Promise.allSettled((last?.files ?? []).map((name) => utimes(join(directory, name), now, now)));
}

async function removeOld(directory: string, kept: ReadonlySet<string> = new Set()): Promise<void> {
  for (const name of await readdir(directory, { recursive: true })) {
    if (kept.has(name)) continue;
    const path = join(directory, name);
    // What another harness is putting there has its own name by now.
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() && Date.now() - found.mtimeMs > keptMs) await rm(path, { force: true });
  }
}
