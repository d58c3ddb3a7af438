import { ratios, type Bench, type Figure } from "./bench.ts";
import { goPeers } from "./peers/go.ts";
import { inNode, Pair, ownCores, type Program, type Seen } from "./wire-pair.ts";
import type { WireWindow } from "./wire-peer.ts";

const windowMs = 700;
const windowsToWarm = 5;

/** What answers and what asks. */
type Party =
  "ours" | "framed" | "grpc-js" | "connect-node" | "ours under grpc-js" | "framed alone" | "bare frames" | GoParty;
type GoParty = "grpc-go, one core" | "dubbo-go";

/** One figure through another, in the same round. */
interface Quotient {
  readonly what: string;
  readonly of: readonly [party: Party, measure: keyof Seen];
  readonly by: readonly [party: Party, measure: keyof Seen];
  readonly target?: string;
}

/** One load, and the parties whose windows take turns under it. */
interface Contest {
  readonly what: string;
  readonly window: Omit<WireWindow, "windowMs">;
  readonly isPinned?: boolean;
  readonly parties: readonly Party[];
  readonly quotients: readonly Quotient[];
}

/** Calls of `party` beside `peer`'s, and their CPU. */
const calls = (party: Party, peer: Party, target?: string): Quotient => ({
  ...{ what: `calls of ${party} / ${peer}`, of: [party, "perSecond"], by: [peer, "perSecond"] },
  ...(target !== undefined && { target }),
});
const cpu = (party: Party, peer: Party, target?: string): Quotient => ({
  ...{ what: `CPU of ${party} / ${peer}`, of: [party, "cpuUs"], by: [peer, "cpuUs"] },
  ...(target !== undefined && { target }),
});
/** Ours and framed TCP beside grpc-js. */
const besideGrpcJs = (speed: string, cpuTarget?: string) => ({
  parties: ["grpc-js", "ours", "framed"] as const,
  quotients: [
    calls("ours", "grpc-js", speed),
    cpu("ours", "grpc-js", cpuTarget),
    calls("framed", "grpc-js"),
    cpu("framed", "grpc-js"),
  ],
});

const contests: readonly Contest[] = [
  { what: "100 B, 1 in flight, one core", window: { bytes: 100, inFlight: 1 }, isPinned: true, ...besideGrpcJs("≥ 7") },
  { what: "100 B, 16 in flight", window: { bytes: 100, inFlight: 16 }, ...besideGrpcJs("≥ 8", "≤ 0.2") },
  { what: "100 B, 64 in flight", window: { bytes: 100, inFlight: 64 }, ...besideGrpcJs("≥ 8", "≤ 0.2") },
  { what: "10 KiB, 16 in flight", window: { bytes: 10_240, inFlight: 16 }, ...besideGrpcJs("≥ 5") },
  {
    ...{ what: "100 B, 16 in flight, one core", window: { bytes: 100, inFlight: 16 }, isPinned: true },
    parties: ["grpc-go, one core", "ours"],
    quotients: [calls("ours", "grpc-go, one core", "≥ 1.3")],
  },
  {
    ...{ what: "10 KiB, 16 in flight, one core", window: { bytes: 10_240, inFlight: 16 }, isPinned: true },
    parties: ["grpc-go, one core", "ours"],
    quotients: [calls("ours", "grpc-go, one core", "≥ 0.9")],
  },
  {
    ...{ what: "100 B, 16 in flight", window: { bytes: 100, inFlight: 16 } },
    parties: ["dubbo-go", "ours"],
    quotients: [calls("ours", "dubbo-go", "≥ 8")],
  },
  {
    ...{ what: "100 B, 16 in flight", window: { bytes: 100, inFlight: 16 } },
    parties: ["connect-node", "ours"],
    quotients: [calls("ours", "connect-node", "≥ 20")],
  },
  {
    ...{ what: "100 B, 16 in flight, a client of grpc-js", window: { bytes: 100, inFlight: 16 } },
    parties: ["grpc-js", "ours under grpc-js"],
    quotients: [
      {
        what: "CPU of our server / grpc-js's",
        of: ["ours under grpc-js", "serverCpuUs"],
        by: ["grpc-js", "serverCpuUs"],
        target: "≤ 0.2",
      },
    ],
  },
  {
    ...{ what: "100 B, 16 in flight, transports alone", window: { bytes: 100, inFlight: 16 } },
    parties: ["bare frames", "framed alone"],
    quotients: [calls("framed alone", "bare frames", "≥ 0.85")],
  },
  {
    ...{ what: "100 B, 1,000/s", window: { bytes: 100, perSecond: 1000 } },
    parties: ["grpc-js", "ours"],
    quotients: [
      {
        what: "CPU of our server / grpc-js's",
        of: ["ours", "serverCpuUs"],
        by: ["grpc-js", "serverCpuUs"],
        target: "≤ 0.4",
      },
      { what: "p50 of ours / grpc-js", of: ["ours", "p50Us"], by: ["grpc-js", "p50Us"], target: "≤ 0.4" },
    ],
  },
];

/**
 * Calls through the whole runtime (metadata, a deadline, discovery, balancing, filters), and the same calls through its peers. Each party
 * has a client and a server process, all of them warm; windows take turns, and what was measured in one round is compared.
 */
export const wire: Bench = {
  name: "wire",
  about:
    "governed calls over our HTTP/2 and framed TCP, beside grpc-js, grpc-go, dubbo-go, connect-node and bare frames",

  run: async (rounds, progress) => {
    progress("wire: building the peers in Go");
    const go = await goPeers();
    const cores = await ownCores().catch(() => undefined);
    const whyNot = ({ parties, isPinned = false }: Contest): string | undefined => {
      if (isPinned && cores === undefined) return "taskset isn't here, and so nothing can be kept on one core";
      return typeof go === "string" && parties.some((party) => party in goPrograms) ? go : undefined;
    };
    const pairs = new Map<Party, Pair>();
    try {
      const figures: Figure[] = [];
      for (const contest of contests) {
        const { what, parties, quotients } = contest;
        const missing = whyNot(contest);
        if (missing !== undefined) {
          const note = `skipped: ${missing}`;
          for (const { what: text, target } of quotients) {
            figures.push({ what: `${what}: ${text}`, unit: "×", values: [], target, note });
          }
          continue;
        }
        for (const party of parties) if (!pairs.has(party)) pairs.set(party, await openWarm(party, go));
        const seen = await measure(contest, { pairs, rounds, cores }, (text) => progress(`wire: ${what}, ${text}`));
        figures.push(...parties.flatMap((party) => absolute(contest, party, seen.get(party)!)));
        const of = ([party, name]: Quotient["of"]) => seen.get(party)!.map((one) => one[name]);
        for (const { what: text, of: above, by, target } of quotients) {
          figures.push({ what: `  ${text}`, unit: "×", values: ratios(of(above), of(by)), target });
        }
      }
      return figures;
    } finally {
      for (const pair of pairs.values()) pair.close();
    }
  },
};

type GoPrograms = Exclude<Awaited<ReturnType<typeof goPeers>>, string>;

const goPrograms: Readonly<Record<GoParty, (built: GoPrograms) => Program>> = {
  "grpc-go, one core": ({ grpc }) => ({ command: grpc, args: [], env: { GOMAXPROCS: "1" } }),
  "dubbo-go": ({ dubbo }) => ({ command: dubbo, args: [] }),
};

const nodePrograms: Readonly<Record<Exclude<Party, GoParty>, readonly [server: Program, client?: Program]>> = {
  ours: [inNode("ours")],
  framed: [inNode("framed")],
  "grpc-js": [inNode("grpc-js")],
  "connect-node": [inNode("connect-node")],
  "ours under grpc-js": [inNode("ours"), inNode("grpc-js")],
  "framed alone": [inNode("framed-alone")],
  "bare frames": [inNode("bare")],
};

/** Its programs are compiled as far as those that have been in a contest already. */
async function openWarm(party: Party, go: GoPrograms | string): Promise<Pair> {
  const pair = await open(party, go);
  for (let window = 0; window < windowsToWarm; window++) await pair.measure({ bytes: 100, inFlight: 16, windowMs });
  return pair;
}

function open(party: Party, go: GoPrograms | string): Promise<Pair> {
  if (party in nodePrograms) return Pair.open(...nodePrograms[party as keyof typeof nodePrograms]);
  return Pair.open(goPrograms[party as GoParty](go as GoPrograms));
}

async function measure(
  { window, parties, isPinned = false }: Contest,
  { pairs, rounds, cores }: { pairs: ReadonlyMap<Party, Pair>; rounds: number; cores: string | undefined },
  progress: (text: string) => void,
): Promise<ReadonlyMap<Party, readonly Seen[]>> {
  const seen = new Map(parties.map((party) => [party, [] as Seen[]]));
  const pin = async (where: string): Promise<void> => {
    for (const party of parties) await pairs.get(party)!.pin(where);
  };
  // The last of them.
  if (isPinned) await pin(/\d+$/.exec(cores!)![0]);
  // The first round makes them used to this load.
  for (let round = 0; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    for (const party of parties) {
      const one = await pairs.get(party)!.measure({ ...window, windowMs });
      if (round > 0) seen.get(party)!.push(one);
    }
  }
  if (isPinned) await pin(cores!);
  return seen;
}

function absolute({ what, window }: Contest, party: Party, seen: readonly Seen[]): readonly Figure[] {
  const values = (name: keyof Seen) => seen.map((one) => one[name]);
  const cpuOfBoth: Figure = { what: "  CPU of both sides", unit: "µs/call", values: values("cpuUs") };
  if (window.perSecond === undefined) {
    return [{ what: `${what}: ${party}`, unit: "calls/s", values: values("perSecond") }, cpuOfBoth];
  }
  return [
    { what: `${what}: ${party}, p50`, unit: "µs", values: values("p50Us") },
    { what: "  CPU of the server", unit: "µs/call", values: values("serverCpuUs") },
  ];
}
