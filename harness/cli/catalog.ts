import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { placeInModule, withFlyball } from "../../runtime/node/modules.ts";
import { didYouMean } from "../../services/nearest.ts";
import { readDocument, type ScenarioDocument } from "../scenario/document.ts";
import { parseScenario } from "../scenario/parse.ts";
import type { Scenario } from "../scenario/schema.ts";
import { exitCodes, usageError } from "./errors.ts";

/** A scenario and how it was named, so that a command line can name it again. */
export interface Listed {
  readonly scenario: Scenario;
  /** Its name, or the file as it was given. */
  readonly reference: string;
  /** Where its file is. */
  readonly directory: string;
  /** Where it stands in Flyball's own folder: "scenarios/node-loss.ts". Undefined for a file that was given. */
  readonly file?: string;
  /** Where in a file of YAML or JSON a path stands: "mine.yaml:12:5". */
  readonly locate?: ScenarioDocument["locate"] | undefined;
}

const root = join(import.meta.dirname, "../../scenarios");
/** Those of `foreign/` need programs that Flyball didn't write. */
const directories = [root, join(root, "foreign")];
/** The scenarios that run when none is named. */
const defaultTag = "tour";

/** Every scenario that comes with Flyball, by name. */
export async function listScenarios(): Promise<readonly Listed[]> {
  return Promise.all([...(await files()).keys()].map(load));
}

/** What chooses scenarios that nobody named; together they narrow. */
export interface Choice {
  readonly all?: boolean;
  readonly tag?: string;
  /** A regular expression; it looks into the name and both titles. */
  readonly grep?: string;
}

/** The scenarios asked for, in that order; else all, or those that are chosen; the tour when nobody says which. */
export async function selectScenarios(
  asked: readonly string[],
  { all = false, tag, grep }: Choice = {},
): Promise<readonly Listed[]> {
  if (asked.length > 0) {
    if (all || tag !== undefined || grep !== undefined)
      throw usageError("scenarios are named, or chosen by --all, --tag or --grep: not both");
    const selected: Listed[] = [];
    for (const reference of asked) selected.push(await load(reference));
    return selected;
  }
  const listed = await listScenarios();
  const found = grep === undefined ? listed : grepped(listed, grep);
  const chosen = (all || grep !== undefined) && tag === undefined ? undefined : (tag ?? defaultTag);
  const selected = chosen === undefined ? found : found.filter(({ scenario }) => scenario.tags.includes(chosen));
  if (selected.length > 0) return selected;
  const tags = [...new Set(listed.flatMap(({ scenario }) => scenario.tags))].sort();
  throw usageError(`no scenario has the tag "${chosen}"; there is ${tags.join(", ")}`, didYouMean(chosen!, tags));
}

function grepped(listed: readonly Listed[], pattern: string): readonly Listed[] {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, "iu");
  } catch (error) {
    throw usageError(`--grep ${pattern} is no regular expression: ${(error as Error).message}`, undefined, error);
  }
  const found = listed.filter(({ scenario: { name, title } }) =>
    [name, title.en, title.zh].some((text) => expression.test(text)),
  );
  if (found.length > 0) return found;
  throw usageError(`--grep ${pattern} finds no scenario`, "npm run scenario -- --list shows them all");
}

/** The files of the scenarios that come with Flyball, by name, in the names' order. */
async function files(): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    directories.map(async (directory) =>
      (await readdir(directory))
        .filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
        .map((file) => [basename(file, ".ts"), join(directory, file)] as const),
    ),
  );
  return new Map(found.flat().sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function load(reference: string): Promise<Listed> {
  const isFile = /[\\/]/.test(reference) || extname(reference) !== "";
  if (isFile) {
    const { value, locate } = await readScenario(resolve(reference), reference);
    const scenario = parseScenario(value, reference, locate);
    return { scenario, reference, directory: dirname(resolve(reference)), locate };
  }
  const known = await files();
  const file = known.get(reference);
  if (file === undefined) {
    throw usageError(
      `there is no scenario "${reference}"; there is ${[...known.keys()].join(", ")}`,
      didYouMean(reference, known.keys()) ?? "a file is named with its extension: ./my-scenario.ts",
    );
  }
  const scenario = parseScenario((await readScenario(file, reference)).value);
  return { scenario, reference, directory: dirname(file), file: relative(join(root, ".."), file) };
}

/** The value that a file holds: a module's default export, or the document itself. */
async function readScenario(
  file: string,
  reference: string,
): Promise<Pick<ScenarioDocument, "value"> & Partial<ScenarioDocument>> {
  try {
    switch (extname(file)) {
      case ".ts":
      case ".mts":
      case ".js":
      case ".mjs":
        return { value: defaultExport(await importModule(file, reference), reference) };
      case ".json":
      case ".yaml":
      case ".yml":
        return readDocument(await readFile(file, "utf8"), reference);
      default:
        throw usageError(`${reference}: a scenario is a .ts, .mts, .js, .mjs, .json, .yaml or .yml file`);
    }
  } catch (error) {
    // What the scenario itself says about its mistakes needs no more words.
    if (!(error instanceof Error)) throw usageError(`${reference} throws ${String(error)}`, undefined, error);
    if (error.name === "ScenarioError" || error.name === "CliError") throw error;
    const { code, path } = error as NodeJS.ErrnoException;
    const isMissing =
      (code === "ENOENT" && path === file) || (code === "ERR_MODULE_NOT_FOUND" && error.message.includes(`'${file}'`));
    if (isMissing) throw usageError(`there is no file ${reference}`, elsewhereHint(reference), error);
    const place = placeInModule(pathToFileURL(file).href, error);
    throw usageError(
      `${reference} can't be read: ${error.message}${place === undefined ? "" : ` (at ${place})`}`,
      importHint(code),
      error,
    );
  }
}

/** `npm run --prefix DIR` changes into DIR: a path that is right for whoever typed it is wrong there. */
function elsewhereHint(reference: string): string | undefined {
  const typedIn = process.env["INIT_CWD"];
  const meant = typedIn === undefined ? undefined : resolve(typedIn, reference);
  return meant === undefined || !existsSync(meant)
    ? undefined
    : `npm run looks in ${process.cwd()}; say where it is: ${meant}`;
}

/** A scenario whose module ends the process is named, before the command line says it in general. */
async function importModule(file: string, reference: string): Promise<unknown> {
  const onExit = (): void => {
    process.stderr.write(
      `error: ${reference} never gets to its end: it exits, or waits for something that never comes\n`,
    );
    process.exitCode = exitCodes.usage;
  };
  process.prependOnceListener("exit", onExit);
  try {
    return await withFlyball(() => import(pathToFileURL(file).href));
  } finally {
    process.off("exit", onExit);
  }
}

function importHint(code: string | undefined): string | undefined {
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") return "only TypeScript that can be erased runs without a build";
  if (code === "ERR_MODULE_NOT_FOUND") return "an import needs its extension: ./harness/scenario/builders.ts";
  return undefined;
}

function defaultExport(module: unknown, reference: string): unknown {
  if (typeof module === "object" && module !== null && "default" in module) return module.default;
  throw usageError(`${reference} exports no scenario`, "write `export default scenario({ … })`");
}
