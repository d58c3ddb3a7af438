import { describe, expect, test } from "vitest";

import { consumer, poisson, provider, scenario, successRate } from "./builders.ts";
import { ScenarioError } from "./error.ts";
import { planScenario } from "./planner.ts";
import type { CallsSpec, ProviderSpec } from "./schema.ts";
import { secretMark, secretsOf, withSecrets } from "./secrets.ts";

type Security = Pick<ProviderSpec, "guard" | "groups">;

function planned(security: Security, credentials?: CallsSpec["credentials"]) {
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders", ...(credentials && { credentials }) }),
      orders: provider(security),
    },
    load: poisson("120/s").on("storefront").for("8s"),
    expect: [successRate("orders").atLeast("99%").detects("93%")],
  });
  return planScenario(value, { world: "sim", seed: 1 });
}

const configOf = (plan: ReturnType<typeof planned>, id: string) => plan.nodes.find((node) => node.id === id)!.config;
const keys = { guard: { accessKeys: ["storefront", "reader"] } };

describe("a plan", () => {
  test("names secrets and has none; a world fills them in, the same name the same secret", () => {
    const plan = planned(
      { guard: { ...keys.guard, token: true, maxSkew: "2s", allow: [{ callers: ["reader"], methods: ["Do"] }] } },
      { accessKey: "storefront" },
    );
    expect(JSON.stringify(plan)).not.toContain(secretMark);
    let last = 0;
    const secretOf = secretsOf(() => String(++last));
    const orders = withSecrets(configOf(plan, "orders/0"), secretOf) as { guard: Record<string, unknown> };
    expect(orders.guard).toEqual({
      token: `${secretMark}1`,
      accessKeys: { storefront: `${secretMark}2`, reader: `${secretMark}3` },
      maxSkewMs: 2000,
      allow: [{ callers: ["reader"], methods: ["Do"] }],
    });
    const storefront = withSecrets(configOf(plan, "storefront/0"), secretOf);
    expect(storefront["calls"]).toMatchObject({
      credentials: { accessKey: "storefront", secret: `${secretMark}2` },
    });
  });

  test("gives a forger a secret of his own", () => {
    const plan = planned(keys, { accessKey: "storefront", forged: true });
    const secretOf = secretsOf((name) => name);
    const { accessKeys } = (withSecrets(configOf(plan, "orders/0"), secretOf) as { guard: { accessKeys: object } })
      .guard;
    const { credentials } = (
      withSecrets(configOf(plan, "storefront/0"), secretOf) as {
        calls: { credentials: { accessKey: string; secret: string } };
      }
    ).calls;
    expect(credentials.accessKey).toBe("storefront");
    expect(Object.values(accessKeys)).not.toContain(credentials.secret);
  });

  test("guards single instances", () => {
    const plan = planned({ groups: [{ instances: 1 }, { instances: 1, guard: { token: true } }] });
    expect(configOf(plan, "orders/0")).not.toHaveProperty("guard");
    expect(configOf(plan, "orders/1")).toHaveProperty("guard");
  });
});

/** The same fleet on mutual TLS. */
function plannedOnTls(guard: ProviderSpec["guard"], groups?: ProviderSpec["groups"]) {
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: { storefront: consumer({ instances: 1, calls: "orders" }), orders: provider({ guard, groups }) },
    security: { mtls: true },
    load: poisson("120/s").on("storefront").for("8s"),
    expect: [successRate("orders").atLeast("99%").detects("93%")],
  });
  return planScenario(value, { world: groups === undefined ? "local" : "docker", seed: 1 });
}

describe("mutual TLS", () => {
  const allowing = (caller: string): ProviderSpec["guard"] => ({ allow: [{ callers: [caller], methods: ["Do"] }] });

  test("is the plan's, and rules name services", () => {
    expect(plannedOnTls(allowing("storefront")).hasMutualTls).toBe(true);
    expect(planned({}).hasMutualTls).toBe(false);
    expect(() => plannedOnTls(allowing("stroefront"))).toThrow(/"stroefront" is no service of the fleet/);
  });

  test("is what a rule without access keys needs: else nobody could prove anything", () => {
    expect(() => planned({ guard: allowing("storefront") })).toThrow(/nobody can prove to orders who calls/);
  });

  test("is nothing for programs that aren't ours", () => {
    expect(() => plannedOnTls(undefined, [{ instances: 1 }, { instances: 1, foreign: { image: "x" } }])).toThrow(
      /aren't Flyball's, and they have no certificate/,
    );
  });
});

describe("the planner refuses", () => {
  test.each<[string, Security, CallsSpec["credentials"], RegExp, RegExp]>([
    ["a key of nobody's", keys, { accessKey: "stroefront" }, /is no access key of orders/, /storefront/],
    ["credentials that nobody asks for", {}, { accessKey: "storefront" }, /asks nobody/, /accessKeys/],
    [
      "a rule about a key of nobody's",
      { guard: { ...keys.guard, allow: [{ callers: ["raeder"], methods: ["Do"] }] } },
      undefined,
      /is no access key of orders/,
      /reader/,
    ],
    [
      "a rule about a method of nobody's",
      { guard: { ...keys.guard, allow: [{ callers: ["*"], methods: ["Du"] }] } },
      undefined,
      /is no method/,
      /Do/,
    ],
  ])("%s", (_, security, credentials, message, hint) => {
    try {
      planned(security, credentials);
    } catch (error) {
      expect(error).toBeInstanceOf(ScenarioError);
      expect((error as ScenarioError).message).toMatch(message);
      expect((error as ScenarioError).hint).toMatch(hint);
      return;
    }
    expect.unreachable();
  });

  test("a secret in a scenario: it would be in every copy of it", () => {
    expect(() => planned({ guard: { token: "s3cret" as unknown as true } })).toThrow(/guard\.token/);
    expect(() => planned(keys, { accessKey: "storefront", secret: "s3cret" } as never)).toThrow(/secret/);
  });
});
