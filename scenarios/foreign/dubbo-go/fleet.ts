import { foreign } from "../../../harness/scenario/builders.ts";
import type { ForeignProgram, ForeignSpec } from "../../../harness/scenario/schema.ts";

/** What the two programs of this directory are told: any of the environment variables that their sources describe. */
export type Environment = Readonly<Record<string, string>>;

const common: Environment = {
  REGISTRY: "${registry}",
  OTLP: "${otlp}",
  // In ms; OpenTelemetry's own 5 s are longer than a run waits for spans.
  OTEL_BSP_SCHEDULE_DELAY: "200",
};

/** A provider that dubbo-go 3.3.2 serves; `npm run foreign` builds it. */
export function dubboGo(environment: Environment = {}): ForeignProgram {
  return {
    command: [".flyball/foreign/provider"],
    environment: {
      ...common,
      APPLICATION: "${service}",
      GROUP: "${service}",
      INSTANCE: "${node}",
      IP: "${ip}",
      PORT: "${port}",
      ...environment,
    },
    ready: { line: "ready" },
  };
}

/** Providers of dubbo-go's only. */
export function dubboGoProvider(
  options: { readonly instances: number } & Pick<ForeignSpec, "tag">,
  environment: Environment = {},
): ForeignSpec {
  return foreign({ role: "provider", ...options, ...dubboGo(environment) });
}

/** A consumer that calls through dubbo-go 3.3.2. `timeout` is an attempt's, as it is in dubbo-go. */
export function dubboGoConsumer(
  options: { readonly calls: string; readonly timeout?: string; readonly retries?: number },
  environment: Environment = {},
): ForeignSpec {
  const { calls, timeout = "1s", retries = 2 } = options;
  return foreign({
    role: "consumer",
    command: [".flyball/foreign/consumer"],
    environment: {
      ...common,
      APPLICATION: "${service}",
      GROUP: "${calls}",
      PROVIDERS: "${providers}",
      TIMEOUT: timeout,
      RETRIES: String(retries),
      ...environment,
    },
    calls: { service: calls, timeout, retries },
  });
}
