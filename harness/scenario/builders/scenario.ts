import { fractionOf } from "../durations.ts";
import { instancesOf } from "../instances.ts";
import { parseScenario } from "../parse.ts";
import type { Agreement, Bilingual, CheckSpec, FleetSpec, LoadSpec, Scenario, StepSpec } from "../schema.ts";
import { CheckBuilder } from "./checks.ts";
import { LoadBuilder } from "./load.ts";

/** A scenario as people write it. What is left out has the schema's defaults. */
export interface ScenarioInput {
  readonly name: string;
  readonly title: Bilingual;
  /** What a learner should see here, and why it happens. */
  readonly explanation: Bilingual;
  /** Default none. Scenarios with "tour" are those that run by default. */
  readonly tags?: readonly string[];
  readonly fleet: Readonly<Record<string, FleetSpec>>;
  readonly registry?: NonNullable<Scenario["registry"]>;
  /** Settings of the embedded transaction coordinator. */
  readonly coordinator?: NonNullable<Scenario["coordinator"]>;
  /** Which share of the calls is traced: `{ sample: 1 }` is all. Default: none. */
  readonly tracing?: NonNullable<Scenario["tracing"]>;
  /** Whether the history has what servers do with the calls that they get. Default false. */
  readonly tasks?: boolean;
  /** Rule documents (YAML) that are there from the beginning, by key. */
  readonly rules?: Readonly<Record<string, string>>;
  readonly load: LoadBuilder | LoadSpec | readonly (LoadBuilder | LoadSpec)[];
  readonly timeline?: readonly StepSpec[];
  readonly expect: readonly (CheckBuilder | CheckSpec)[];
  /** How far `sim` may be from `local`: 0.02 or "2%"; of shares and success also "chance", where each call is a draw. */
  readonly agreement?: { readonly [Key in keyof Agreement]?: number | string };
}

/**
 * A scenario as a plain, JSON-serialisable value. Throws a `ScenarioError` that names every key that is wrong; whether the
 * parts fit together (names, times, trials) is the planner's to say.
 */
export function scenario(input: ScenarioInput): Scenario {
  const { tags = [], timeline = [], agreement, load, expect, ...rest } = input;
  const loads = Array.isArray(load) ? (load as readonly (LoadBuilder | LoadSpec)[]) : [load as LoadBuilder | LoadSpec];
  return parseScenario({
    version: 1,
    ...rest,
    tags,
    load: loads.map((one) => (one instanceof LoadBuilder ? one.spec : one)),
    timeline,
    expect: expect.map((check) => (check instanceof CheckBuilder ? spelledOut(check, input.fleet) : check)),
    ...(agreement && {
      agreement: Object.fromEntries(
        Object.entries(agreement).map(([key, tolerance]) => [
          key,
          tolerance === undefined || tolerance === "chance" ? tolerance : fractionOf(tolerance),
        ]),
      ),
    }),
  });
}

/** Gives "equal" shares to every instance. */
function spelledOut({ spec }: CheckBuilder, fleet: ScenarioInput["fleet"]): unknown {
  if (spec.check !== "share" || !("expected" in spec) || spec.expected !== "equal") return spec;
  const service = fleet[spec.service];
  const count = service === undefined ? 1 : instancesOf(service);
  return {
    ...spec,
    expected: Object.fromEntries(Array.from({ length: count }, (_, index) => [`${spec.service}/${index}`, 1])),
  };
}
