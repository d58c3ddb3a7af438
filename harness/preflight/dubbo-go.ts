import { staticTag } from "../../runtime/routing/subset.ts";
import type { RuleDocument } from "./documents.ts";
import type { Finding, FindingRequest } from "./findings.ts";
import type { Fleet } from "./fleet.ts";

/**
 * Where the same document means something else to dubbo-go 3.3.2, as it was measured (the conformance scorecard has the runs), and what
 * only Flyball knows. `witnesses`: requests that conditions mean, to show it by.
 */
export function dubboGoFindings(
  document: RuleDocument,
  fleet: Fleet,
  witnesses: readonly { readonly why: string; readonly request: FindingRequest }[],
): readonly Finding[] {
  const { key, source, rule, said, content } = document;
  const lineOf = (word: string): number => {
    const at = content.split("\n").findIndex((line) => line.includes(word));
    return at < 0 ? 1 : at + 1;
  };
  const request = (witnesses.find(({ why }) => why.startsWith(`${key}:`)) ?? witnesses[0])?.request;
  const found: Finding[] = [];
  const warn = (kind: "dubbo-go" | "portability", word: string, message: string, hint?: string): void => {
    found.push({
      kind,
      level: "warning",
      key,
      source,
      line: lineOf(word),
      message,
      ...(hint !== undefined && { hint }),
      ...(request !== undefined && { request }),
    });
  };
  const goes = (text: string): string => `dubbo-go 3.3.2 ${text}`;

  switch (rule.kind) {
    case "malformed":
      // What Flyball refuses may be fine over there; what is no YAML, or says no version, is not.
      if (key.endsWith(".condition-router") && rule.code !== "TOO_LARGE" && typeof said["configVersion"] !== "string") {
        warn(
          "dubbo-go",
          "",
          goes("clears the rule that was in force when it can't read its successor, and calls go everywhere"),
        );
      }
      break;
    case "condition": {
      const { enabled, force } = said;
      const { version } = rule.rule;
      if (said["configVersion"] === undefined) {
        warn("dubbo-go", "", goes("drops a rule without configVersion"), `add configVersion: ${version}`);
      }
      if (version === "v3.0") {
        if (enabled === undefined || force === undefined) {
          const missing = enabled === undefined ? "enabled" : "force";
          warn(
            "dubbo-go",
            "",
            goes(`dies of a rule without "${missing}": the consumer's process ends`),
            "state both enabled and force",
          );
        } else if (enabled === true && force === false) {
          warn(
            "dubbo-go",
            "force",
            goes("ignores a rule that is enabled and not forced (it takes one flag for the other)"),
            "force: true",
          );
        } else if (enabled === false && force === true) {
          warn(
            "dubbo-go",
            "enabled",
            goes("applies this rule although it is disabled (it takes one flag for the other)"),
            "delete the document",
          );
        }
      } else {
        if (enabled === undefined)
          warn("dubbo-go", "", goes("ignores a v3.1 rule that doesn't say enabled: true"), "enabled: true");
        if (rule.rule.conditions.some(({ to }) => to.some(({ weight }) => weight === 0))) {
          warn("dubbo-go", "weight: 0", goes("takes weight 0 for 100"), "leave the destination out");
        }
      }
      if (
        said["runtime"] === false &&
        rule.rule.conditions.some(({ from }) => from.terms.some(({ key: asked }) => isOfCall(asked)))
      ) {
        warn(
          "portability",
          "runtime",
          "Dubbo 2.7 looks at the call once and remembers its answer with runtime: false; Dubbo 3 and Flyball look each time",
          "runtime: true",
        );
      }
      for (const { from, to } of rule.rule.conditions) {
        const own = [...from.terms, ...to.flatMap(({ match }) => match.terms)].find(({ key: asked }) =>
          isFlyballs(asked),
        );
        if (own === undefined) continue;
        warn(
          "portability",
          own.key,
          `only Flyball knows "${own.key}": elsewhere it is a label that nobody has, and never matches`,
        );
        break;
      }
      break;
    }
    case "tag": {
      const groups = Array.isArray(said["tags"]) ? (said["tags"] as readonly Readonly<Record<string, unknown>>[]) : [];
      if (groups.some((group) => group["match"] !== undefined && group["addresses"] !== undefined)) {
        warn(
          "dubbo-go",
          "addresses",
          goes("looks at match only where a group has both match and addresses"),
          "write two groups of one name",
        );
      } else if (groups.some((group) => group["match"] !== undefined)) {
        warn(
          "dubbo-go",
          "match",
          goes("lets calls without a tag reach the members of a group that is made by match"),
          "give the instances the tag when they start",
        );
      }
      const named = new Set(groups.map((group) => String(group["name"])));
      const service = fleet.services.find(({ name }) => name === document.scope);
      const unnamed = service?.endpoints.map(staticTag).find((own) => own !== undefined && !named.has(own));
      if (groups.length > 0 && unnamed !== undefined) {
        warn(
          "dubbo-go",
          "tags",
          goes(
            `never calls instances of the lane ${unnamed} without a tag; Dubbo for Java and Flyball do, because the rule doesn't name it`,
          ),
          `name ${unnamed} in the rule`,
        );
      }
      break;
    }
    case "unread":
      break;
    case "affinity":
      warn("dubbo-go", "affinityAware", goes("has the affinity router only where its program imports it"));
      break;
    case "override":
      warn(
        "dubbo-go",
        "configs",
        goes(
          "reads configurators when it builds its list of providers and not live, and of their conditions only addresses with a port and parameters with a tilde",
        ),
      );
      if (asksForApplication(said)) {
        warn(
          "portability",
          "application",
          "Dubbo's documentation says match.application, and its code (3.3) has no such field: the entry would be for every application there",
          "app",
        );
      }
      break;
    case "canary":
      warn(
        "portability",
        "split",
        "only Flyball reads canary routers; in Dubbo a v3.1 condition rule splits traffic, without stickiness",
      );
      break;
  }
  return found;
}

/** Whether an entry of a configurator has `match: { application: … }`. */
function asksForApplication({ configs }: RuleDocument["said"]): boolean {
  const entries = Array.isArray(configs) ? (configs as readonly { readonly match?: unknown }[]) : [];
  return entries.some(
    ({ match }) => typeof match === "object" && match !== null && Object.hasOwn(match, "application"),
  );
}

const isOfCall = (key: string): boolean => /^(method|methods|arguments\[.*|attachments\[.*)$/.test(key);
const isFlyballs = (key: string): boolean => key === "instance" || /^arguments\[\d+\]\./.test(key);
