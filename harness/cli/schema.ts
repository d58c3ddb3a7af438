import { z } from "zod";

import { scenarioSchema } from "../scenario/schema.ts";
import { exitCodes, type ExitCode } from "./errors.ts";

/** `flyball schema`: the JSON Schema (draft 2020-12) of a scenario file, for editors. */
export function schemaCommand(): ExitCode {
  const schema = { title: "Flyball scenario", ...z.toJSONSchema(scenarioSchema, { io: "input" }) };
  process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
  return exitCodes.passed;
}
