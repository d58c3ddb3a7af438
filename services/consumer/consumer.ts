import { ConfigReader } from "../config.ts";
import type { RunningService, ServiceProgram } from "../service.ts";
import { Caller, parseCaller, type CallerConfig } from "./caller.ts";

export type ConsumerConfig = CallerConfig;

/** A program that calls: it makes the load, open loop. */
export const consumer: ServiceProgram<ConsumerConfig> = {
  name: "consumer",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const config = parseCaller(reader);
    reader.end();
    return config;
  },

  start: async (context, config): Promise<RunningService> => {
    const caller = new Caller(context, config);
    return {
      address: undefined,
      go: () => caller.go(),
      drive: (drive) => caller.drive(drive),
      drain: () => caller.drain(),
      stop: () => caller.stop(),
    };
  },
};
