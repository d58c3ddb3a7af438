import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { HistoryCollector } from "../harness/history/collector.ts";
import type { History } from "../harness/history/history.ts";
import { historyVersion } from "../harness/history/record.ts";
import { Guardian } from "../harness/worlds/live/guardian.ts";
import { programs } from "../harness/worlds/live/programs.ts";
import { freePorts } from "../runtime/node/free-ports.ts";
import { NodeProcess } from "../harness/worlds/local/process.ts";
import type { NodePlan } from "../harness/scenario/plan.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { controlVersion } from "../services/control.ts";

/** For tests: a small fleet of real processes that serve metrics, and the history that it reports. */
export interface TestFleet {
  readonly nodes: ReadonlyMap<string, TestNode>;
  /** Starts a node and answers when it is ready. */
  start(id: string, program: NodePlan["program"], config: object): Promise<TestNode>;
  readonly collector: HistoryCollector;
  history(): History;
  /** Times of the history are this clock's, as the nodes report them. */
  readonly clock: ReturnType<typeof systemClock>;
  close(): Promise<void>;
}

export interface TestNode {
  readonly id: string;
  readonly address: string;
  readonly metricsAddress: string;
  readonly process: NodeProcess;
  /** Calls evenly for so long; resolves when all have ended, or the node has. */
  drive(perSecond: number, seconds: number): Promise<void>;
  /** Ends it by SIGKILL, and says so in the history. */
  kill(): Promise<void>;
}

export async function startTestFleet(): Promise<TestFleet> {
  const clock = systemClock();
  const guardian = new Guardian();
  const directory = await mkdtemp(join(tmpdir(), "fleet-"));
  const programFor = await programs();
  const collector = new HistoryCollector();
  const nodes = new Map<string, TestNode>();
  const runNodes: { id: string; service: string; program: NodePlan["program"]; tag: undefined; weight: number }[] = [];
  collector.add({
    type: "run",
    version: historyVersion,
    scenario: "test",
    scenarioHash: "",
    world: "docker",
    seed: 1,
    flyball: "0",
    node: process.version,
    nodes: runNodes,
    durationUs: 1,
  });
  return {
    nodes,
    collector,
    clock,
    history: () => collector.history(),
    start: async (id, program, config) => {
      const [port, metricsPort] = await freePorts(2);
      const [address, metricsAddress] = [`127.0.0.1:${port}`, `127.0.0.1:${metricsPort}`];
      let heardUs = clock.nowUs();
      const life = new NodeProcess({
        node: id,
        program,
        main: programFor([]),
        disk: join(directory, id.replaceAll("/", "-")),
        guardian,
        onRecords: (events) => {
          for (const event of events) {
            heardUs = event.atUs;
            collector.add({ type: "event", node: id, event });
          }
        },
      });
      const drive = async (perSecond: number, seconds: number): Promise<void> => {
        const dueUs = Array.from({ length: perSecond * seconds }, (_, index) => Math.round((index / perSecond) * 1e6));
        const order = { startUs: clock.nowUs() + 100_000, dueUs, isWarmUp: false };
        collector.add({ type: "load", node: id, planned: dueUs.length });
        await life.ask({ type: "drive", drive: order }, "driven").catch(() => undefined);
      };
      const kill = async (): Promise<void> => {
        life.kill();
        await life.ended;
        collector.add({ type: "gap", node: id, fromUs: heardUs, toUs: clock.nowUs() });
      };
      const node: TestNode = { id, address, metricsAddress, process: life, drive, kill };
      nodes.set(id, node);
      runNodes.push({ id, service: id.split("/")[0]!, program, tag: undefined, weight: 100 });
      const start = { type: "start", version: controlVersion, node: id, program, config, seed: nodes.size } as const;
      await life.ask({ ...start, listen: address, metrics: metricsAddress, dial: {} }, "listening");
      await life.ask({ type: "go" }, "ready");
      return node;
    },
    close: async () => {
      for (const { process: life } of nodes.values()) life.kill();
      await Promise.all([...nodes.values()].map(({ process: life }) => life.ended));
      await guardian.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
