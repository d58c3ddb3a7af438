import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { endpoint } from "../../runtime/fixtures.ts";
import { affinity } from "../../runtime/routing/affinity.ts";
import { chainRoutes } from "../../runtime/routing/chain.ts";
import { condition } from "../../runtime/routing/condition.ts";
import { tag } from "../../runtime/routing/tag.ts";
import { countOf, firstOf } from "./bits.ts";
import { readRuleDocument } from "./documents.ts";
import { placed, ServiceModel, type RuleSet } from "./model.ts";
import { callOf, targetOf, type ProbeRequest } from "./request.ts";

const key = fc.constantFrom("a", "b", "c");
const value = fc.constantFrom("1", "2", "3", "12");
const pattern = fc.constantFrom("1", "2", "3", "1*", "*2", "*", "2~12", "~2", "$a", "$b");
const labels = fc.dictionary(key, value, { maxKeys: 3 });
const side = (wrap: readonly string[]) =>
  fc
    .array(
      fc.tuple(
        key,
        fc.constantFrom(...wrap),
        fc.constantFrom("=", "!="),
        fc.array(pattern, { minLength: 1, maxLength: 2 }),
      ),
      {
        maxLength: 2,
      },
    )
    .map((terms) =>
      terms.map(([name, around, op, values]) => around.replace("?", name) + op + values.join(",")).join(" & "),
    );
const left = side(["?", "attachments[?]", "arguments[0].?"]);
const right = side(["?"]);
const v30 = fc
  .record({
    force: fc.boolean(),
    enabled: fc.constantFrom(true, true, false),
    conditions: fc.array(fc.tuple(left, right), { maxLength: 4 }),
  })
  .map(({ conditions, ...rest }) => ({
    configVersion: "v3.0",
    ...rest,
    conditions: conditions.map((sides) => sides.join(" => ")),
  }));
const v31 = fc
  .record({
    force: fc.boolean(),
    conditions: fc.array(
      fc.record({
        from: fc.record({ match: left }),
        to: fc.array(fc.record({ match: right, weight: fc.constantFrom(1, 2, 7) }), { minLength: 1, maxLength: 3 }),
        ratio: fc.constantFrom(0, 30, 60),
        priority: fc.nat(2),
        force: fc.boolean(),
      }),
      { maxLength: 3 },
    ),
  })
  .map((rest) => ({ configVersion: "v3.1", ...rest }));
const affinities = fc.array(
  fc.record({ key, ratio: fc.constantFrom(0, 30, 60) }).map((aware) => ({ affinityAware: aware })),
  { maxLength: 1 },
);
const tags = fc.array(
  fc.record({
    force: fc.boolean(),
    tags: fc.array(
      fc.record({
        name: fc.constantFrom("gray", "blue"),
        match: fc.tuple(fc.record({ key, value: fc.record({ exact: value }) })),
      }),
      {
        maxLength: 2,
      },
    ),
  }),
  { maxLength: 1 },
);

describe("the model of a service", () => {
  test("answers what the runtime's routers answer, for any rules, fleet and request", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(v30, v31), { minLength: 1, maxLength: 2 }),
        affinities,
        tags,
        fc.array(fc.tuple(labels, fc.constantFrom(undefined, undefined, "gray")), { minLength: 1, maxLength: 40 }),
        fc.record({
          caller: labels,
          attachments: labels,
          values: labels,
          lane: fc.constantFrom(undefined, undefined, "gray", "blue"),
        }),
        (conditions, affine, lanes, instances, asked) => {
          const endpoints = instances.map(([metadata, own], index) =>
            endpoint({ id: `orders/${index}`, metadata, tag: own }),
          );
          const model = new ServiceModel({
            name: "orders",
            interfaceName: "x.Y",
            version: "",
            group: "orders",
            endpoints,
          });
          const documents = conditions.map((one) => readRuleDocument("orders.condition-router", JSON.stringify(one)));
          const rules: RuleSet = {
            overrides: [],
            tags: lanes.map((one) => tag.parse(JSON.stringify(one))),
            affinities: affine.map((one) => affinity.parse(JSON.stringify(one))),
            conditions: documents.flatMap((document) =>
              document.rule.kind === "condition" && document.rule.rule.enabled
                ? document.rule.rule.conditions.map((one) => placed(document, one))
                : [],
            ),
          };
          const request: ProbeRequest = {
            caller: { application: "storefront", labels: asked.caller },
            method: "Do",
            attachments: { ...asked.attachments, ...(asked.lane && { "dubbo.tag": asked.lane }) },
            arguments: Object.fromEntries(Object.entries(asked.values).map(([name, one]) => [`0.${name}`, one])),
          };
          const target = targetOf(model.service, request.caller);
          const route = chainRoutes(
            [
              { policy: tag, rules: rules.tags },
              { policy: affinity, rules: rules.affinities },
              { policy: condition, rules: conditions.map((one) => condition.parse(JSON.stringify(one))) },
            ],
            endpoints,
            { seed: 7, target },
          );
          const { branches } = model.outcome(request, rules);
          const told = branches.map(({ bits }) =>
            firstOf(bits, 100)
              .map((number) => endpoints[number]!.id)
              .join(),
          );
          expect(branches.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
          const call = callOf(request, target);
          const drawn = new Set<string>();
          for (let id = 0; id < 40; id++) {
            Object.defineProperty(call, "id", { value: id, writable: true });
            drawn.add(
              route(call)
                .map((one) => one.id)
                .join(),
            );
          }
          for (const answer of drawn) expect(told).toContain(answer);
          // Nothing is told that never happens: forty draws show every branch that takes a good part.
          for (const [index, { share }] of branches.entries()) {
            if (share > 0.4 && countOf(branches[index]!.bits) > 0) expect([...drawn]).toContain(told[index]);
          }
        },
      ),
      { numRuns: 600 },
    );
  });
});
