import fc from "fast-check";
import { expect, test } from "vitest";

import { ManualClock } from "../testing/clock.ts";
import { Call, whileWaiting } from "./call.ts";
import { RpcError } from "./status.ts";

const make = (clock: ManualClock, options: { timeoutUs?: number; parent?: Call } = {}): Call =>
  new Call({ clock, service: "orders", method: "/x.Y/Z", ...options });

test("a deadline only shrinks along a chain, whatever each link asks for", () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.integer({ min: 1, max: 10_000 }), { nil: undefined }), { minLength: 1 }),
      (timeouts) => {
        const clock = new ManualClock();
        let parent: Call | undefined;
        for (const timeoutUs of timeouts) {
          const call: Call = make(clock, { ...(timeoutUs !== undefined && { timeoutUs }), ...(parent && { parent }) });
          expect(call.deadlineUs).toBeLessThanOrEqual(parent?.deadlineUs ?? Infinity);
          if (timeoutUs !== undefined) expect(call.deadlineUs).toBeLessThanOrEqual(timeoutUs);
          parent = call;
        }
      },
    ),
  );
});

test("cancelling reaches every call below, once", () => {
  const root = make(new ManualClock());
  const child = make(new ManualClock(), { parent: root });
  const grandchild = make(new ManualClock(), { parent: child });
  const heard: string[] = [];
  child.onCancel(({ code }) => heard.push(`child ${code}`));
  grandchild.onCancel(({ code }) => heard.push(`grandchild ${code}`));
  root.cancel();
  root.cancel();
  expect(heard.sort()).toEqual(["child CANCELLED", "grandchild CANCELLED"]);
  expect(grandchild.isCancelled).toBe(true);
});

test("a call below that ends early doesn't touch the one above", () => {
  const root = make(new ManualClock());
  make(new ManualClock(), { parent: root }).cancel();
  expect(root.isCancelled).toBe(false);
});

test("the deadline cancels with DEADLINE_EXCEEDED at its very microsecond", async () => {
  const clock = new ManualClock();
  const call = make(clock, { timeoutUs: 1000 });
  await clock.advance(999);
  expect(call.reason).toBeUndefined();
  await clock.advance(1);
  expect(call.reason?.code).toBe("DEADLINE_EXCEEDED");
  expect(call.remainingUs()).toBe(0);
});

test("a call that has ended leaves no timer and hears of nothing", async () => {
  const clock = new ManualClock();
  const parent = make(clock);
  const call = make(clock, { timeoutUs: 1000, parent });
  let heard = 0;
  call.onCancel(() => heard++);
  call.end();
  parent.cancel();
  await clock.advance(2000);
  expect(heard).toBe(0);
  expect(clock.pending).toBe(0);
});

test("a call made under a cancelled one is cancelled from the start", () => {
  const clock = new ManualClock();
  const parent = make(clock);
  parent.cancel(new RpcError("no more", { code: "CANCELLED" }));
  const call = make(clock, { timeoutUs: 1000, parent });
  expect(call.reason?.message).toBe("no more");
  expect(clock.pending).toBe(0);
});

test("a timeout of nothing has passed already", () => {
  expect(make(new ManualClock(), { timeoutUs: 0 }).reason?.code).toBe("DEADLINE_EXCEEDED");
});

test("waiting ends with the call, and whatever the work does later is nobody's problem", async () => {
  const clock = new ManualClock();
  const call = make(clock, { timeoutUs: 100 });
  let fail = (_: Error): void => undefined;
  const waiting = whileWaiting(call, new Promise<never>((_, reject) => (fail = reject)));
  const outcome = expect(waiting).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await clock.advance(100);
  await outcome;
  fail(new Error("too late"));
});

test("a signal is aborted with the call's reason", async () => {
  const clock = new ManualClock();
  const call = make(clock, { timeoutUs: 100 });
  const { signal } = call;
  await clock.advance(100);
  expect(signal.aborted).toBe(true);
  expect((signal.reason as RpcError).code).toBe("DEADLINE_EXCEEDED");
});

test("a listener that throws keeps nobody from hearing", async () => {
  const clock = new ManualClock();
  const call = make(clock, { timeoutUs: 10 });
  const heard: string[] = [];
  const broken = (): never => {
    throw new Error("it broke");
  };
  call.onCancel(() => heard.push("before"));
  call.onCancel(broken);
  const below = make(clock, { parent: call });
  below.onCancel(broken);
  call.onCancel(({ code }) => heard.push(code));
  const waited = whileWaiting(call, new Promise(() => undefined));
  await expect(clock.advance(10)).rejects.toThrow("it broke");
  await expect(waited).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  expect(heard).toEqual(["before", "DEADLINE_EXCEEDED"]);
  expect(below.isCancelled).toBe(true);
});

test("one listener may take another off the list while both are told", () => {
  const call = make(new ManualClock());
  const heard: string[] = [];
  let leave = (): void => undefined;
  call.onCancel(() => {
    heard.push("first");
    leave();
  });
  leave = call.onCancel(() => heard.push("second"));
  call.onCancel(() => heard.push("third"));
  call.cancel();
  expect(heard).toEqual(["first", "second", "third"]);
});
