import type { Clock } from "../ports/clock.ts";
import type { ConfigCenter, ConfigDocument } from "../ports/config-center.ts";
import type { Subscription } from "../ports/registry.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { RouteTarget } from "../routing/router.ts";
import { RuleError } from "./document.ts";

export { RuleError } from "./document.ts";

/** The group that governance rules live in: Dubbo's. */
export const ruleGroup = "dubbo";

/** A kind of rule document: where it lives and how it is read. */
export interface RulePolicy<Rule> {
  /** Config-centre keys (group "dubbo") of the documents that concern a call from `application` to `service`. */
  keys(target: RouteTarget): readonly string[];
  /** Reads a document; throws a `RuleError` that names line and reason. */
  parse(content: string): Rule;
}

/** A rule document that is kept up to date. */
export interface WatchedRule<Rule> {
  /** The last document that could be read; undefined when there is none. */
  readonly current: Rule | undefined;
  /** Resolves once the config centre delivered the document or its absence, or the watch was closed; never rejects. */
  readonly known: Promise<void>;
  close(): void;
}

export interface WatchPorts {
  readonly configCenter: ConfigCenter;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
}

/**
 * Follows one rule document. A version that can't be read is reported (`rejected`, with line and reason) and changes nothing:
 * the last known good rule stays in force until a good version or a deletion arrives. A version that isn't newer than the one
 * before is ignored. `onChange` is called after `current` changed.
 */
export function watchRule<Rule>(
  policy: Pick<RulePolicy<Rule>, "parse">,
  key: string,
  ports: WatchPorts,
  onChange: () => void,
): WatchedRule<Rule> {
  return new Watch(policy, key, ports, onChange);
}

class Watch<Rule> implements WatchedRule<Rule> {
  current: Rule | undefined;
  readonly known: Promise<void>;
  readonly #parse: (content: string) => Rule;
  readonly #key: string;
  readonly #ports: WatchPorts;
  readonly #onChange: () => void;
  readonly #subscription: Subscription;
  #version = -1;
  #exists = false;
  #isClosed = false;
  #setKnown!: () => void;

  constructor(policy: Pick<RulePolicy<Rule>, "parse">, key: string, ports: WatchPorts, onChange: () => void) {
    this.#parse = (content) => policy.parse(content);
    this.#key = key;
    this.#ports = ports;
    this.#onChange = onChange;
    this.known = new Promise((resolve) => {
      this.#setKnown = resolve;
    });
    this.#subscription = ports.configCenter.watch({ key, group: ruleGroup }, (document) => this.#take(document));
  }

  close(): void {
    this.#isClosed = true;
    this.#subscription.close();
    this.#setKnown();
  }

  #take(document: ConfigDocument): void {
    if (this.#isClosed || document.version <= this.#version) return;
    this.#version = document.version;
    const existed = this.#exists;
    this.#exists = document.exists;
    if (document.exists) this.#apply(document.content);
    else if (existed) this.#remove();
    this.#setKnown();
  }

  #apply(content: string): void {
    let rule: Rule;
    try {
      rule = this.#parse(content);
    } catch (error) {
      // Whatever a parser throws, a foreign one's mistakes included, is no reason to lose the rule that works.
      this.#report("rejected", reasonOf(error));
      return;
    }
    this.current = rule;
    this.#report("applied");
    this.#onChange();
  }

  #remove(): void {
    const had = this.current !== undefined;
    this.current = undefined;
    this.#report("removed");
    if (had) this.#onChange();
  }

  #report(outcome: "applied" | "removed" | "rejected", reason?: string): void {
    this.#ports.telemetry.emit({
      type: "rule",
      atUs: this.#ports.clock.nowUs(),
      key: this.#key,
      version: this.#version,
      outcome,
      ...(reason !== undefined && { reason }),
    });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RuleError) return error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
  return error instanceof Error ? error.message : String(error);
}
