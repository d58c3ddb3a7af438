import fc from "fast-check";
import { expect, test } from "vitest";

import type { Instance, ServiceSnapshot } from "../ports/registry.ts";
import { ServiceView } from "./view.ts";

const instance = (id: string, weight = 100): Instance => ({
  id,
  service: "orders",
  address: `${id}:1`,
  weight,
  metadata: {},
});
const noReason = (): undefined => undefined;

function watched(view = new ServiceView("orders")) {
  const seen: ServiceSnapshot[] = [];
  return { view, seen, subscription: view.watch((snapshot) => seen.push(snapshot)) };
}

test("the first sight is told, even when it is empty; before it nothing is", () => {
  const { view, seen } = watched();
  expect(seen).toEqual([]);
  view.see([], noReason);
  expect(seen).toEqual([{ service: "orders", version: 1, instances: [], removed: [] }]);
});

test("who watches later is told what is known, without departures that it never saw", () => {
  const { view } = watched();
  view.see([instance("a"), instance("b")], noReason);
  view.see([instance("a")], () => "expired");
  expect(watched(view).seen).toEqual([{ service: "orders", version: 2, instances: [instance("a")], removed: [] }]);
});

test("departures come with their reasons; those without one aren't listed", () => {
  const { view, seen } = watched();
  view.see([instance("a"), instance("b"), instance("c")], noReason);
  view.see([instance("c")], ({ id }) => (id === "a" ? "deregistered" : undefined));
  expect(seen.at(-1)?.removed).toEqual([{ id: "a", reason: "deregistered" }]);
});

test("a watch that is closed hears nothing more, and a listener that watches twice hears twice", () => {
  const view = new ServiceView("orders");
  const seen: ServiceSnapshot[] = [];
  const listener = (snapshot: ServiceSnapshot): void => void seen.push(snapshot);
  const first = view.watch(listener);
  view.watch(listener);
  view.see([instance("a")], noReason);
  expect(seen).toHaveLength(2);
  first.close();
  first.close();
  view.see([], noReason);
  expect(seen).toHaveLength(3);
});

test("a version is told exactly when the list differs, versions are consecutive, and the last one is the truth", () => {
  const list = fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom(1, 2)), {
    selector: ([id]) => id,
  });
  fc.assert(
    fc.property(fc.array(list, { minLength: 1 }), (lists) => {
      const { view, seen } = watched();
      let changes = 0;
      let before: string | undefined;
      for (const each of lists) {
        const text = JSON.stringify(each);
        if (text !== before) changes++;
        before = text;
        view.see(
          each.map(([id, weight]) => instance(id, weight)),
          noReason,
        );
      }
      expect(seen.map(({ version }) => version)).toEqual([...Array(changes).keys()].map((index) => index + 1));
      expect(seen.at(-1)?.instances.map(({ id, weight }) => [id, weight])).toEqual(lists.at(-1));
    }),
  );
});
