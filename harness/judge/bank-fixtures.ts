import type { BranchStep, Leftover, StepOutcome } from "../../runtime/telemetry/events.ts";
import type { GlobalStatus } from "../../runtime/transactions/status.ts";
import type { History } from "../history/history.ts";
import { bank, constant, consumer, scenario, type ScenarioInput } from "../scenario/builders.ts";
import type { Plan, WorldName } from "../scenario/plan.ts";
import { planScenario } from "../scenario/planner.ts";
import type { Change, Holding } from "./bank.ts";
import { historyOf } from "./fixtures.ts";

/** The plan of a bank's scenario with these checks; an order costs 10. */
export function bankPlan(
  expect: ScenarioInput["expect"],
  {
    world = "sim",
    of = {},
    timeline = [],
  }: {
    readonly world?: WorldName;
    readonly of?: Parameters<typeof bank>[0];
    readonly timeline?: ScenarioInput["timeline"];
  } = {},
): Plan {
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: { buyer: consumer({ instances: 1, calls: "order" }), ...bank(of) },
    load: constant("20/s").on("buyer").for("5s"),
    timeline,
    expect,
  });
  return planScenario(value, { world, seed: 1 });
}

const price = 10;

/** What a bank's nodes report, kept as books: whoever changes something without an entry is found out. */
export class Books {
  readonly changes: Change[] = [];
  readonly #plan: Plan;
  readonly #holdings = new Map<string, Holding>();
  readonly #left: { readonly node: string; readonly left: Leftover }[] = [];
  readonly #found = new Map<string, GlobalStatus>();
  #orders = 0;
  #version = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    for (const node of ["account/0", "stock/0"])
      for (const item of ["u0", "u1"]) this.#holdings.set(`${node} ${item}`, { free: 1000, frozen: 0, used: 0 });
    this.audit(-1_000_000, ["account/0", "stock/0"], { isFirst: true });
  }

  /** An order that is done, or given up, in the usual way; `more` comes before its end. Answers its xid. */
  order(end: "commit" | "rollback", more: (xid: string, atUs: number) => void = () => undefined): string {
    const index = this.#orders++;
    const atUs = 1_000 + index * 40_000;
    const xid = `tc:1:${index}`;
    this.#tell("coordinator/0", atUs, { what: "status", xid, status: "Begin" });
    this.#tell("order/0", atUs, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
    this.reserve(xid, "account/0", atUs + 1_000);
    this.reserve(xid, "stock/0", atUs + 2_000);
    more(xid, atUs + 3_000);
    for (const node of ["account/0", "stock/0"]) this.finish(xid, node, end, atUs + 4_000);
    this.tell(xid, end, atUs + 5_000);
    return xid;
  }

  orders(count: number, end: "commit" | "rollback" = "commit"): this {
    for (let index = 0; index < count; index++) this.order(end);
    return this;
  }

  reserve(xid: string, node: string, atUs: number): void {
    const [branchId, amount] = [`${xid} ${node}`, amountAt(node)];
    const branch = { what: "branch", xid, branchId, branchType: "TCC", resource: resourceAt(node) } as const;
    this.#tell(node, atUs, { ...branch, status: "Registered" });
    this.move(xid, node, { free: -amount, frozen: amount, used: 0 }, atUs);
    this.step(xid, node, "try", "done", atUs);
  }

  finish(xid: string, node: string, end: "commit" | "rollback", atUs: number): void {
    const amount = amountAt(node);
    const [free, used] = end === "commit" ? [0, amount] : [amount, 0];
    this.move(xid, node, { free, frozen: -amount, used }, atUs);
    this.step(xid, node, end === "commit" ? "confirm" : "cancel", "done", atUs);
  }

  step(xid: string, node: string, step: BranchStep, outcome: StepOutcome, atUs: number): void {
    const branchId = `${xid} ${node}`;
    this.#tell(node, atUs, { what: "step", xid, branchId, resource: resourceAt(node), step, outcome });
  }

  tell(xid: string, decision: "commit" | "rollback", atUs: number, status?: GlobalStatus): void {
    const told = status ?? (decision === "commit" ? "Committed" : "Rollbacked");
    this.#tell("order/0", atUs, { what: "end", xid, decision, status: told });
    this.#found.set(xid, "Finished");
  }

  /** A local step of a branch changes what is in u0. */
  move(xid: string, node: string, by: Holding, atUs: number): void {
    const key = `${node} u0`;
    const { free, frozen, used } = this.#holdings.get(key)!;
    const after = { free: free + by.free, frozen: frozen + by.frozen, used: used + by.used };
    this.#holdings.set(key, after);
    const branchId = `${xid} ${node}`;
    this.#tell(node, atUs, {
      what: "holding",
      xid,
      branchId,
      resource: resourceAt(node),
      item: "u0",
      ...after,
      version: ++this.#version,
    });
  }

  /** Somebody changed the database, and nobody said so. */
  tamper(node: string, by: Holding): void {
    const key = `${node} u1`;
    const { free, frozen, used } = this.#holdings.get(key)!;
    this.#holdings.set(key, { free: free + by.free, frozen: frozen + by.frozen, used: used + by.used });
  }

  /** Whatever else a node tells of a transaction. */
  report(node: string, atUs: number, change: DistributiveOmit<Change, "type" | "atUs" | "node">): void {
    this.#tell(node, atUs, change);
  }

  leave(node: string, left: Leftover): void {
    this.#left.push({ node, left });
  }

  found(xid: string, status: GlobalStatus): void {
    this.#found.set(xid, status);
  }

  audit(
    atUs: number,
    nodes: readonly string[] = ["account/0", "stock/0", "coordinator/0"],
    life: { readonly isFirst?: true } = {},
  ): void {
    for (const node of nodes) {
      const holdings = ["u0", "u1"].flatMap((item) => {
        const holding = this.#holdings.get(`${node} ${item}`);
        return holding === undefined ? [] : [{ item, ...holding, version: this.#version }];
      });
      const left = this.#left.filter((one) => one.node === node).map((one) => one.left);
      this.#tell(node, atUs, { what: "audit", xid: "", ...life, resource: resourceAt(node), holdings, left });
    }
  }

  /** The whole run, with what was read when all was quiet; of these nodes only, where some couldn't be asked. */
  history(more: Partial<History> = {}, nodes?: readonly string[]): History {
    const endUs = this.#plan.durationUs + 100_000;
    for (const [xid, status] of this.#found) this.#tell("order/0", endUs, { what: "found", xid, status });
    this.audit(endUs, nodes);
    return historyOf(this.#plan, [], { transactions: this.changes, ...more });
  }

  #tell(node: string, atUs: number, change: DistributiveOmit<Change, "type" | "atUs" | "node">): void {
    this.changes.push({ type: "transaction", node, atUs, ...change });
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

const resourceAt = (node: string): string => `${node.split("/")[0]}.reserve`;
const amountAt = (node: string): number => (node === "account/0" ? price : 1);
