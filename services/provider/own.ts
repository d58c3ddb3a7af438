import { placeIn } from "../../runtime/place.ts";
import type { OwnContext, OwnService, StartedService } from "../own.ts";
import { ConfigError, type NodeContext } from "../service.ts";

/** What a scenario says of a service of its own. */
export interface OwnConfig {
  /** The module, by its whole path. */
  readonly file: string;
  /** Default: empty. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A service that isn't started by then never is. Less than a node has to get ready, so that its own reason is told. */
const startsWithinUs = 6_000_000;

/** Loads a service and starts it. Throws a `ConfigError` that names the file for every way in which that can't be done. */
export async function startOwn(
  { file, config }: OwnConfig,
  own: OwnContext,
  { load, clock }: Pick<NodeContext, "load" | "clock">,
): Promise<StartedService> {
  if (load === undefined) throw new ConfigError(`${file} can't be loaded: this node runs no services of one's own`);
  const service = serviceIn(await loaded(load, file), file);
  const late = new ConfigError(
    `${file} never listens: its start() hasn't ended after ${startsWithinUs / 1e6} s`,
    "let start() return what answers calls; what takes its time goes on beside it",
  );
  const started: unknown = await new Promise((resolve, reject) => {
    const disarm = clock.after(startsWithinUs, () => reject(late));
    Promise.resolve()
      .then(() => service.start(own, config))
      .then(resolve, (error: unknown) => reject(new ConfigError(`${file} can't start: ${reasonIn(file, error)}`)))
      .finally(disarm);
  });
  if (isObject(started) && typeof started["do"] === "function") return started as unknown as StartedService;
  throw new ConfigError(
    `${file}: start() answers ${kindOf(started)}, and nothing that could be called`,
    "return { do: async ({ key }, call) => ({ payload: … }) }",
  );
}

async function loaded(load: NonNullable<NodeContext["load"]>, file: string): Promise<unknown> {
  try {
    return await load(file);
  } catch (error) {
    const { hint } = (error ?? {}) as { readonly hint?: unknown };
    throw new ConfigError(`${file} can't be loaded: ${reasonOf(error)}`, typeof hint === "string" ? hint : undefined);
  }
}

function serviceIn(module: unknown, file: string): OwnService {
  const exported = isObject(module) ? module["default"] : undefined;
  if (isObject(exported) && typeof exported["start"] === "function") return exported as unknown as OwnService;
  const names = isObject(module) ? Object.keys(module) : [];
  throw new ConfigError(
    `${file} exports no service: ${names.length === 0 ? "nothing at all" : names.join(", ")}`,
    'write `export default service({ start: … })`, with service from "flyball/service"',
  );
}

/** With the place in the module where it was thrown, if that is where: "no luck (at 3:11)". */
function reasonIn(file: string, error: unknown): string {
  const place = placeIn(file, error);
  return place === undefined ? reasonOf(error) : `${reasonOf(error)} (at ${place})`;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

const kindOf = (value: unknown): string => (isObject(value) ? "an object without do()" : String(value));

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
