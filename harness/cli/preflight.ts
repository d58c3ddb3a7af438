import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { analyse, type Preflight } from "../preflight/analyse.ts";
import { readRuleDocument, type RuleDocument } from "../preflight/documents.ts";
import { PreflightError } from "../preflight/error.ts";
import { readFleet, type Fleet } from "../preflight/fleet.ts";
import { fleetFromRegistry } from "../preflight/registry.ts";
import { preflightText } from "../preflight/text.ts";
import { paintFor } from "../report/text.ts";
import { CliError, exitCodes, usageError, type ExitCode } from "./errors.ts";

/** The options of `preflight`, as the parser gives them. */
export interface PreflightOptions {
  readonly instances?: string;
  readonly service?: readonly string[];
  readonly strict?: boolean;
  readonly json?: boolean;
}

/**
 * `flyball preflight RULES… --instances FILE|URL`: what rules would do to a fleet, before they are published and without a single
 * call. Exit code 1 where something was found.
 */
export async function preflightCommand(
  paths: readonly string[],
  { instances, service = [], strict = false, json = false }: PreflightOptions,
): Promise<ExitCode> {
  if (paths.length === 0) throw usageError("which rules?", "preflight rules/ --instances fleet.yaml");
  if (instances === undefined) {
    throw usageError("which instances?", "--instances fleet.yaml, or zookeeper://HOST:2181, or nacos://HOST:8848");
  }
  try {
    const documents = await readDocuments(paths);
    const fleet = await fleetOf(instances, documents, service);
    const result = analyse(documents, fleet);
    process.stdout.write(
      json
        ? `${JSON.stringify(documentOf(result, strict), null, 2)}\n`
        : preflightText(result, paintFor(process.stdout)),
    );
    return isClear(result, strict) ? exitCodes.passed : exitCodes.failed;
  } catch (error) {
    if (!(error instanceof PreflightError)) throw error;
    const exitCode = error.code === "UNREACHABLE" ? exitCodes.environment : exitCodes.usage;
    throw new CliError(error.message, { exitCode, hint: error.hint, cause: error });
  }
}

function isClear({ findings }: Preflight, strict: boolean): boolean {
  return !findings.some(({ level }) => strict || level === "error");
}

function documentOf(result: Preflight, strict: boolean): unknown {
  return { version: 1, verdict: isClear(result, strict) ? "pass" : "fail", ...result };
}

async function fleetOf(
  instances: string,
  documents: readonly RuleDocument[],
  named: readonly string[],
): Promise<Fleet> {
  const fleet = /^[a-z]+:\/\//.test(instances)
    ? await fleetFromRegistry(instances, documents, named)
    : readFleet(instances, await readText(instances));
  if (fleet.services.some(({ endpoints }) => endpoints.length > 0)) return fleet;
  throw new PreflightError(`${instances}: there isn't a single instance of a service that these rules are about`, {
    code: "INVALID_INSTANCES",
    hint: "name services with --service NAME; in a file they stand under services",
  });
}

/** Files as they are named, and those of directories in the order of their names. */
async function readDocuments(paths: readonly string[]): Promise<readonly RuleDocument[]> {
  const documents: RuleDocument[] = [];
  for (const path of paths) {
    for (const file of await filesOf(path)) documents.push(readRuleDocument(file, await readText(file)));
  }
  if (documents.length === 0) {
    throw new PreflightError(`there is no rule in ${paths.join(", ")}`, {
      code: "NO_RULES",
      hint: "rules are .yaml, .yml or .json files, named as their keys: orders.tag-router.yaml",
    });
  }
  const twice = documents.find(({ key }, index) => documents.findIndex((other) => other.key === key) < index);
  if (twice === undefined) return documents;
  throw new PreflightError(`${twice.source}: ${twice.key} is there twice`, {
    code: "UNKNOWN_KIND",
    hint: "a key has one document: leave one of the files out",
  });
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => /\.(ya?ml|json|[a-z]+-router|configurators)$/.test(name));
    return names.sort().map((name) => join(path, name));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

const unreadable = (path: string, cause: unknown): PreflightError =>
  new PreflightError(`${path} can't be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
    code: "CANNOT_READ",
    hint: "rules are files or directories; instances are a file (flyball explain preflight shows one) or a registry's URL",
    cause,
  });
