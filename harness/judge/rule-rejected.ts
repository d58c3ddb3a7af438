import type { History } from "../history/history.ts";
import { ScenarioError } from "../scenario/error.ts";
import { calleesOf } from "../scenario/nodes.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";

/**
 * A document that can't be read is refused by everybody whom it concerns, and each says at which line it is wrong: nothing else
 * tells an operator that what was published isn't in force. That the last good rule stays is for other checks (shares) to see.
 */
export const ruleRejected: CheckKind<Extract<CheckSpec, { check: "rule-rejected" }>> = {
  plan: (spec, { scenario, nodes, timeline }) => {
    const name = `${spec.key} is rejected with its line`;
    if (!timeline.some(({ what }) => what.kind === "publish" && what.key === spec.key && what.content !== undefined)) {
      throw new ScenarioError(`"${name}": nothing publishes ${spec.key} while the load lasts`, {
        code: "INVALID_SCENARIO",
        hint: `publish a document that can't be read: at("2s").publish("${spec.key}", "conditions: 7")`,
      });
    }
    return {
      check: spec,
      name,
      phase: "safety",
      expectedTrials: nodes.filter(
        ({ service, foreign }) =>
          foreign === undefined &&
          scenario.fleet[service] !== undefined &&
          calleesOf(scenario.fleet[service]).includes(spec.service),
      ).length,
      falseAlarm: 0,
      detects: "1 caller that says nothing",
    };
  },
  judge: (plan, history) => {
    const { service, key } = plan.check;
    const bound = "every caller";
    const callers = callersOf(history, service);
    const published = history.steps.find(
      ({ what, phase }) => what.kind === "publish" && what.key === key && phase === "apply",
    );
    if (published === undefined || callers.length === 0) {
      return resultOf(plan, nothingToJudge(bound, `publication of ${key}`));
    }
    const refused = new Map(
      history.rules
        .filter((rule) => rule.key === key && rule.outcome === "rejected" && /^line \d+: ./.test(rule.reason ?? ""))
        .map((rule) => [rule.node, rule.reason]),
    );
    const silent = callers.filter((node) => !refused.has(node));
    const [reason] = refused.values();
    return resultOf(plan, {
      verdict: silent.length === 0 ? "pass" : "fail",
      observed: `${callers.length - silent.length} of ${callers.length}`,
      bound,
      trials: callers.length,
      message:
        silent.length === 0
          ? `every caller of ${service} refused ${key}: ${reason}`
          : `${silent.join(", ")} never said that ${key} can't be read`,
      brokenAtUs: silent.length === 0 ? undefined : published.atUs,
    });
  },
};

/** The nodes that called the service: who has died since has said what it had to say. */
function callersOf(history: History, service: string): readonly string[] {
  return [...new Set(history.calls.filter((call) => call.service === service).map(({ node }) => node))].sort();
}
