import type { RuntimeEvent, TransactionChange } from "../../runtime/telemetry/events.ts";
import { needsRepair, type GlobalStatus } from "../../runtime/transactions/status.ts";
import { planScenario } from "../scenario/planner.ts";
import type { NodeContext } from "../../services/service.ts";
import type { RunningFleet, Sabotage, World } from "../worlds/world.ts";
import { initial, price, type Case } from "./cases.ts";
import { Injector } from "./injector.ts";
import { machines, type Point, type Step } from "./point.ts";

/** How an attempt ended. */
export interface Attempt {
  /** That the healthy run takes, or this one took. */
  readonly steps: readonly Step[];
  /** How the transaction ended, and everything is so everywhere; or what is wrong. */
  readonly end: "done" | "undone" | "manual" | { readonly wrong: string };
}

/** Everybody has given up, been back, and asked again by then: a manager waits 30 s for a coordinator that is silent. */
const settleUs = 90_000_000;

/**
 * Runs one transaction in a fleet of its own, with a fault at one point or without, lets everything settle, and looks at what is left
 * everywhere. Afterwards another transaction has to end as one does where nothing ever happened.
 */
export async function attempt(
  world: World,
  { scenario, failing, ends }: Case,
  point?: Point,
  defect: Sabotage = {},
): Promise<Attempt> {
  const injector = new Injector({ point, failing });
  const ports = (node: string, context: NodeContext): NodeContext =>
    injector.ports(node, defect.ports?.(node, context) ?? context);
  const heard: Heard[] = [];
  const told: string[] = [];
  return world.run(
    planScenario(scenario, { world: world.name, seed: 1 }),
    {
      onEvents: (node, events) => void heard.push(...events.map((event) => ({ node, event }))),
      onGap: () => undefined,
      onExit: (node, _, { how }) => void told.push(`${node} died by itself: ${how}`),
      onProgress: () => undefined,
      signal: new AbortController().signal,
      sabotage: { ...defect, ports },
    },
    async (fleet): Promise<Attempt> => {
      injector.arm(fleet);
      await buy(fleet);
      await fleet.clock.sleep(settleUs);
      const { steps } = injector;
      if (told.length > 0) return { steps, end: { wrong: told.join("; ") } };
      if (point !== undefined && !injector.hasStruck) return { steps, end: { wrong: "the point was never reached" } };
      const first = await lookAt(fleet, heard, 0);
      if (typeof first.end !== "string") return { steps, end: first.end };
      injector.disarm();
      const before = heard.length;
      await buy(fleet);
      await fleet.clock.sleep(settleUs);
      const second = await lookAt(fleet, heard, before);
      const isAlike = typeof second.end === "string" && second.used === first.used + (ends === "done" ? 1 : 0);
      if (ends !== "manual" && !isAlike) {
        const how = typeof second.end === "string" ? `${second.used - first.used} were taken` : second.end.wrong;
        return { steps, end: { wrong: `the next transaction isn't ${ends}: ${how}` } };
      }
      return { steps, end: first.end };
    },
  );
}

interface Heard {
  readonly node: string;
  readonly event: RuntimeEvent;
}

async function buy(fleet: RunningFleet): Promise<void> {
  await fleet.nodes.get("buyer/0")!.drive({ startUs: fleet.clock.nowUs(), dueUs: [0], isWarmUp: false });
}

/** What everybody has on the disk, what they said since `from`, and whether these are one story. */
async function lookAt(fleet: RunningFleet, heard: readonly Heard[], from: number): Promise<Look> {
  const dead = machines.filter((machine) => fleet.nodes.get(machine)!.state !== "running");
  if (dead.length > 0) return { end: { wrong: `${dead.join()} didn't come back` }, used: 0 };
  for (const machine of machines) await fleet.nodes.get(machine)!.audit([]);
  for (const node of fleet.nodes.values()) await node.collect();
  const audits = new Map<string, Audit>();
  const statuses = new Map<string, GlobalStatus>();
  const ended: GlobalStatus[] = [];
  const orders = new Set<number>();
  let isOk = false;
  for (const [index, { node, event }] of heard.entries()) {
    if (event.type === "transaction" && event.what === "status") statuses.set(event.xid, event.status);
    if (index < from) continue;
    if (event.type === "call.begin" && node === "buyer/0" && event.service === "order") orders.add(event.call);
    if (event.type === "call.end" && node === "buyer/0" && orders.has(event.call)) isOk = event.code === "OK";
    if (event.type !== "transaction") continue;
    if (event.what === "audit") audits.set(node, event);
    if (event.what === "end") ended.push(event.status);
  }
  return judge({ audits, statuses, ended, isOk });
}

type Audit = Extract<TransactionChange, { readonly what: "audit" }>;

interface Look {
  readonly end: Attempt["end"];
  /** Pieces that were taken so far. */
  readonly used: number;
}

function judge({
  audits,
  statuses,
  ended,
  isOk,
}: {
  readonly audits: ReadonlyMap<string, Audit>;
  readonly statuses: ReadonlyMap<string, GlobalStatus>;
  readonly ended: readonly GlobalStatus[];
  readonly isOk: boolean;
}): Look {
  const [account, stock] = ["account/0", "stock/0"].map((node) => audits.get(node)?.holdings[0]);
  if (account === undefined || stock === undefined)
    return { end: { wrong: "nobody could be asked at the end" }, used: 0 };
  const used = stock.used;
  const wrong = (why: string) => ({ end: { wrong: why }, used });
  if (account.free + account.frozen + account.used !== initial) return wrong("money was made or lost");
  const left = [...audits].flatMap(([node, audit]) => audit.left.map((leftover) => ({ node, ...leftover })));
  const unsettled = left.find(({ xid }) => !needsRepair(statuses.get(xid) ?? "Begin"));
  if (unsettled !== undefined) {
    const { node, kind, xid } = unsettled;
    return wrong(`${node} still has a ${kind} of ${xid}, which is ${statuses.get(xid) ?? "unknown"}`);
  }
  if (left.length > 0) return { end: "manual", used };
  if (account.frozen !== 0 || stock.frozen !== 0) return wrong(`${account.frozen} and ${stock.frozen} stay set aside`);
  if (account.used !== used * price) return wrong(`${account.used} was paid for ${used} pieces`);
  const isDone = used > 0;
  if (isOk && !isDone) return wrong("the buyer heard that it was done");
  const told = ended.find((status) => (status === "Committed" && !isDone) || (status === "Rollbacked" && isDone));
  if (told !== undefined) return wrong(`the manager was told ${told}, and ${isDone ? "it is done" : "nothing is"}`);
  return { end: isDone ? "done" : "undone", used };
}
