import { isAccessLogged, overridePolicy, type OverrideRule } from "../runtime/configuration/override.ts";
import { watchRule, type WatchedRule } from "../runtime/configuration/rules.ts";
import { endpointOf, type Endpoint } from "../runtime/discovery/endpoint.ts";
import type { ConfigCenter } from "../runtime/ports/config-center.ts";
import type { Instance } from "../runtime/ports/registry.ts";
import type { RouteTarget } from "../runtime/routing/router.ts";
import type { NodeContext } from "./service.ts";

/** Time that the config centre has to say whether the log is on, before the node goes on without. */
const knownWithinUs = 1_000_000;

/**
 * Whether a provider writes an access log: `accesslog` in the override documents of its interfaces, of its service, and of its application.
 */
export class AccessSwitch {
  readonly #context: Pick<NodeContext, "clock" | "telemetry" | "policies">;
  readonly #application: string;
  readonly #rules = new Map<string, WatchedRule<OverrideRule>>();
  #own: Endpoint | undefined;
  #targets: readonly RouteTarget[] = [];
  /** The interfaces whose calls are logged now. */
  #on: ReadonlySet<string> = new Set();

  constructor(
    context: Pick<NodeContext, "clock" | "telemetry" | "policies">,
    { application }: { readonly application: string },
  ) {
    this.#context = context;
    this.#application = application;
  }

  isOn(interfaceName: string): boolean {
    return this.#on.size > 0 && this.#on.has(interfaceName);
  }

  /** Follows the documents about this instance from now on; resolves when they are known, or the config centre is away. */
  async follow(own: Instance, interfaces: readonly string[], configCenter: ConfigCenter | undefined): Promise<void> {
    if (configCenter === undefined) return;
    const { clock, telemetry, policies } = this.#context;
    const policy = overridePolicy(policies);
    this.#own = endpointOf(own);
    this.#targets = interfaces.map((interfaceName) => ({
      service: own.service,
      interfaceName,
      application: this.#application,
      labels: own.metadata,
    }));
    for (const key of new Set(this.#targets.flatMap((target) => policy.keys(target)))) {
      this.#rules.set(
        key,
        watchRule(policy, key, { configCenter, telemetry, clock }, () => this.#decide()),
      );
    }
    let cancel = (): void => undefined;
    const patience = new Promise<void>((resolve) => {
      cancel = clock.after(knownWithinUs, resolve);
    });
    await Promise.race([Promise.all([...this.#rules.values()].map(({ known }) => known)), patience]);
    cancel();
  }

  close(): void {
    for (const rule of this.#rules.values()) rule.close();
    this.#rules.clear();
  }

  #decide(): void {
    const policy = overridePolicy(this.#context.policies);
    const isLogged = (target: RouteTarget): boolean => {
      const rules = policy.keys(target).flatMap((key) => this.#rules.get(key)?.current ?? []);
      return isAccessLogged(this.#own!, rules, target);
    };
    this.#on = new Set(this.#targets.filter(isLogged).map(({ interfaceName }) => interfaceName));
  }
}
