import type { Note } from "../runtime/telemetry/span.ts";
import { LinkShapes, type Lift } from "./faults/links.ts";
import { each, inTurn } from "./faults/nodes.ts";
import { playRollout, type RolloutPorts } from "./rollout/rollout.ts";
import { faultKind } from "./faults/table.ts";
import { settled } from "./parallel.ts";
import type { Plan, StepPlan } from "./scenario/plan.ts";
import type { RunningFleet } from "./worlds/world.ts";

/** A timeline that is being played. */
export interface PlayedTimeline {
  /** Every step was applied, and every fault whose time was over was lifted; rejects when one could not be. */
  readonly done: Promise<void>;
  /** Lifts whatever is still there, and applies nothing more. */
  heal(): Promise<void>;
}

/** Applies each step of the plan when it is due and lifts each fault when its time is over, writing down both. */
export function playTimeline(
  plan: Plan,
  fleet: RunningFleet,
  ports: Pick<RolloutPorts, "originUs" | "write" | "onCallEnd">,
): PlayedTimeline {
  const { originUs, write, onCallEnd } = ports;
  const { clock } = fleet;
  const links = new LinkShapes(fleet);
  const lifts = new Map<number, Lift>();
  const timers: (() => void)[] = [];
  const now = (): number => clock.nowUs() - originUs;
  const underWay = new Set<Promise<void>>();
  const rollouts: ReturnType<typeof playRollout>[] = [];
  let isOver = false;
  // A rollout goes on after its step was applied: what breaks it later breaks the timeline.
  let fail!: (error: unknown) => void;
  const failure = new Promise<never>((_resolve, reject) => (fail = reject));
  failure.catch(() => undefined);

  const noted = async (step: StepPlan, before: "apply" | "lift", act: () => Promise<void>): Promise<void> => {
    write({ type: "step", atUs: now(), index: step.index, what: step.what, phase: before });
    if (plan.tracing !== undefined) annotate(fleet, noteOf(step, before, clock.nowUs()));
    try {
      await act();
      write({
        type: "step",
        atUs: now(),
        index: step.index,
        what: step.what,
        phase: before === "apply" ? "applied" : "lifted",
      });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      write({ type: "step", atUs: now(), index: step.index, what: step.what, phase: "failed", error: message });
      throw error;
    }
  };

  const lift = async (step: StepPlan): Promise<void> => {
    const undo = lifts.get(step.index);
    lifts.delete(step.index);
    if (undo !== undefined) await noted(step, "lift", undo);
  };

  const apply = async (step: StepPlan): Promise<void> => {
    const { what } = step;
    if (what.kind === "fault") {
      await noted(step, "apply", async () => {
        lifts.set(step.index, await faultKind(what).apply(what, fleet, links));
      });
    } else if (what.kind === "rollout") {
      await noted(step, "apply", async () => {
        const publish = (key: string, content: string): Promise<void> => fleet.publish(key, content);
        const rollout = playRollout({ index: step.index, what }, plan, { clock, originUs, publish, write, onCallEnd });
        rollouts.push(rollout);
        rollout.done.catch((error: unknown) => fail(error));
        await rollout.begun;
      });
    } else {
      await noted(step, "apply", () => act(what, fleet));
    }
  };

  /** Runs `what` when the moment has come; a step that is being applied is waited for before it is lifted. */
  const due = (atUs: number, what: () => Promise<void>): Promise<void> =>
    new Promise((resolve, reject) => {
      timers.push(
        clock.after(Math.max(0, originUs + atUs - clock.nowUs()), () => {
          if (isOver) return resolve();
          const acting = what();
          underWay.add(acting);
          acting.finally(() => underWay.delete(acting)).then(resolve, reject);
        }),
      );
    });

  const played = plan.timeline.map(async (step) => {
    await due(step.atUs, () => apply(step));
    const forUs = step.what.kind === "fault" ? step.what.forUs : undefined;
    if (forUs !== undefined) await due(step.atUs + forUs, () => lift(step));
  });
  const done = Promise.race([Promise.all(played), failure]).then(() => undefined);
  // The run hears of a failure when it awaits `done`; until then it must not count as unhandled.
  done.catch(() => undefined);

  return {
    done,
    heal: async () => {
      isOver = true;
      for (const cancel of timers) cancel();
      for (const rollout of rollouts) rollout.stop();
      // A fault that is being applied can be lifted only when it is there.
      await Promise.allSettled(underWay);
      const left = plan.timeline.filter(({ index }) => lifts.has(index));
      // One that can't be lifted keeps none of the others.
      await settled(left.map(lift));
    },
  };
}

async function act(what: Exclude<StepPlan["what"], { kind: "fault" | "rollout" }>, fleet: RunningFleet): Promise<void> {
  if (what.kind === "publish") return fleet.publish(what.key, what.content);
  await each(fleet, what.nodes, (node) =>
    inTurn(node, async () => {
      if (node.state === "running" || node.state === "paused") await node.stop();
      if (what.kind === "restart") await node.restart();
    }),
  );
}

/**
 * Tells every node what is about to be done, before it is: a node that dies of it isn't told, those that wait for it are. They
 * put it on the spans that are open, so that whoever reads the trace, here or in a trace store, sees the fault beside what it
 * did; nobody has to match two sources by their times afterwards.
 */
function annotate(fleet: RunningFleet, note: Note): void {
  for (const node of fleet.nodes.values()) node.annotate(note);
}

function noteOf({ index, what }: StepPlan, phase: "apply" | "lift", atUs: number): Note {
  const links = what.kind === "fault" && what.links.length > 0 ? { links: what.links } : {};
  const nodes = what.kind !== "publish" && what.nodes.length > 0 ? { nodes: what.nodes } : {};
  return {
    atUs,
    name: "flyball.step",
    attributes: {
      "flyball.step.kind": what.kind === "fault" ? what.fault.kind : what.kind,
      "flyball.step.index": index,
      "flyball.step.phase": phase,
      ...((what.kind === "publish" || what.kind === "rollout") && { "flyball.step.key": what.key }),
      ...(what.kind !== "publish" && { "flyball.step.target": targetsOf(what) }),
    },
    ...nodes,
    ...links,
  };
}

/** "orders/1", "storefront/0 → orders/1, …" */
function targetsOf(what: Exclude<StepPlan["what"], { kind: "publish" }>): string {
  const links = what.kind === "fault" ? what.links.map(({ from, to }) => `${from} → ${to}`) : [];
  const all = [...what.nodes, ...links];
  return all.length > targetsMax ? `${all.slice(0, targetsMax).join(", ")}, … (${all.length})` : all.join(", ");
}

const targetsMax = 8;
