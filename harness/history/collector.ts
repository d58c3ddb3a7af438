import type { RuntimeEvent } from "../../runtime/telemetry/events.ts";
import type { CallRecord, History, TaskRecord } from "./history.ts";
import type { HistoryRecord } from "./record.ts";

/** Puts a history together from its records, in the order in which they were written. */
export class HistoryCollector {
  /** So far: calls that ended, and how many of them failed. Calls to the infrastructure and of the warm-up don't count. */
  readonly counts = { ended: 0, failed: 0 };

  readonly #listeners = new Set<(call: CallRecord) => void>();
  readonly #calls: CallRecord[] = [];
  readonly #infrastructureCalls: CallRecord[] = [];
  #isInOrder = true;
  readonly #heard = new Map<string, number>();
  /** Calls without an end, by node and id. A restarted node numbers its calls anew: what it left open stays without an end. */
  readonly #open = new Map<string, Map<number, CallRecord>>();
  readonly #tasks: TaskRecord[] = [];
  readonly #openTasks = new Map<string, TaskRecord>();
  readonly #history: { -readonly [Key in keyof History]: History[Key] } & {
    steps: History["steps"][number][];
    rollouts: History["rollouts"][number][];
    processes: History["processes"][number][];
    phases: History["phases"][number][];
    memberships: History["memberships"][number][];
    rules: History["rules"][number][];
    registryStates: History["registryStates"][number][];
    pushes: History["pushes"][number][];
    policies: History["policies"][number][];
    accesses: History["accesses"][number][];
    transactions: History["transactions"][number][];
    spans: History["spans"][number][];
    gaps: History["gaps"][number][];
    lags: History["lags"][number][];
    documents: History["documents"][number][];
    clocks: History["clocks"][number][];
    disks: History["disks"][number][];
    metrics: History["metrics"][number][];
  } = {
    // The first record replaces it; a history without one is refused.
    run: undefined as never,
    calls: this.#calls,
    infrastructureCalls: this.#infrastructureCalls,
    steps: [],
    rollouts: [],
    processes: [],
    phases: [],
    memberships: [],
    rules: [],
    registryStates: [],
    pushes: [],
    policies: [],
    tasks: this.#tasks,
    accesses: [],
    transactions: [],
    spans: [],
    gaps: [],
    heard: this.#heard,
    planned: new Map(),
    lags: [],
    documents: [],
    clocks: [],
    disks: [],
    metrics: [],
    end: undefined,
  };

  /** Tells of every call that `counts` counts, as it ends; the answer ends that. */
  onCallEnd(listener: (call: CallRecord) => void): () => void {
    // One of its own, so that a function that listens twice hears twice.
    const own = (call: CallRecord): void => listener(call);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  add(record: HistoryRecord): void {
    const history = this.#history;
    switch (record.type) {
      case "event":
        this.#event(record.node, record.event);
        return;
      case "run":
        history.run = record;
        return;
      case "step":
        history.steps.push(record);
        return;
      case "rollout":
        history.rollouts.push(record);
        return;
      case "process":
        history.processes.push(record);
        return;
      case "gap":
        history.gaps.push(record);
        return;
      case "load":
        (history.planned as Map<string, number>).set(record.node, record.planned);
        return;
      case "load.report":
        history.loadReport = record;
        return;
      case "harness.lag":
        history.lags.push({ node: "harness", atUs: record.atUs, maxUs: record.maxUs });
        return;
      case "harness.cpu":
        history.harnessCpu = record;
        return;
      case "metrics":
        history.metrics.push(record);
        return;
      case "end":
        history.end = record;
    }
  }

  /** What it has so far, and the same list whenever it is asked for. */
  get transactions(): History["transactions"] {
    return this.#history.transactions;
  }

  /** The history so far. Records that are added later go on into the same one. */
  history(): History {
    // Nodes report in batches, so that the calls of several nodes come in a slightly different order.
    if (!this.#isInOrder) this.#calls.sort((a, b) => a.beginUs - b.beginUs);
    this.#isInOrder = true;
    return this.#history;
  }

  #event(node: string, event: RuntimeEvent): void {
    const history = this.#history;
    if ((this.#heard.get(node) ?? -Infinity) < event.atUs) this.#heard.set(node, event.atUs);
    switch (event.type) {
      case "call.begin": {
        const call: CallRecord = {
          node,
          call: event.call,
          service: event.service,
          method: event.method,
          dueUs: event.dueUs,
          beginUs: event.atUs,
          endUs: -1,
          code: undefined,
          message: undefined,
          attempts: [],
          key: event.key,
          tag: event.tag,
          redelivers: event.redelivers,
          traceId: event.traceId,
          spanId: event.spanId,
        };
        if (isInfrastructure(call.service)) this.#infrastructureCalls.push(call);
        else {
          this.#isInOrder &&= call.beginUs >= (this.#calls.at(-1)?.beginUs ?? -Infinity);
          this.#calls.push(call);
        }
        let open = this.#open.get(node);
        if (open === undefined) this.#open.set(node, (open = new Map<number, CallRecord>()));
        open.set(event.call, call);
        return;
      }
      case "call.end": {
        const open = this.#open.get(node);
        const call = open?.get(event.call);
        if (call === undefined) return;
        open!.delete(event.call);
        call.endUs = event.atUs;
        call.code = event.code;
        call.message = event.message;
        call.rejectedBy = event.rejectedBy;
        call.attempts = event.attempts;
        if (call.dueUs >= 0 && call.redelivers === undefined && !isInfrastructure(call.service)) {
          this.counts.ended++;
          if (event.code !== "OK") this.counts.failed++;
          for (const listener of this.#listeners) listener(call);
        }
        return;
      }
      case "membership":
        history.memberships.push({ ...event, node });
        return;
      case "rule":
        history.rules.push({ ...event, node });
        return;
      case "registry":
        history.registryStates.push({ ...event, node });
        return;
      case "push":
        history.pushes.push({ ...event, node });
        return;
      case "policy":
        history.policies.push({ ...event, node });
        return;
      case "task.begin": {
        const { task, method, atUs, deadlineUs } = event;
        const open: TaskRecord = { node, task, method, beginUs: atUs, deadlineUs, endUs: undefined, state: "lost" };
        this.#tasks.push(open);
        this.#openTasks.set(`${node} ${task}`, open);
        return;
      }
      case "task.end": {
        const { task, atUs, state, code, workUs, goneUs } = event;
        const id = `${node} ${task}`;
        const open = this.#openTasks.get(id);
        this.#openTasks.delete(id);
        const end = { endUs: atUs, state, code, workUs, goneUs };
        if (open === undefined) this.#tasks.push({ node, task, ...end });
        else Object.assign(open, end);
        return;
      }
      case "access":
        history.accesses.push({ ...event, node });
        return;
      case "transaction":
        history.transactions.push({ ...event, node });
        return;
      case "span":
        history.spans.push({ ...event, node });
        return;
      case "lag":
        history.lags.push({ node, atUs: event.atUs, maxUs: event.maxUs });
        return;
      case "document":
        history.documents.push({ ...event, node });
        return;
      case "clock":
        history.clocks.push({ ...event, node });
        return;
      case "disk":
        history.disks.push({ ...event, node });
        return;
      case "node":
        history.phases.push({ ...event, node });
        return;
      case "span.export":
      // For readers of the file: no check asks for it.
    }
  }
}

/** The registry's, the config centre's and the coordinator's own calls: not what a scenario is about. */
export function isInfrastructure(service: string): boolean {
  return service === "registry" || service === "config-center" || service === "coordinator";
}
