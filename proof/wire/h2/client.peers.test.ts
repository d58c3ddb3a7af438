import { connect } from "node:net";

import { afterEach, describe, expect, test } from "vitest";

import { metadata } from "../../../runtime/call/metadata.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { errorCodes } from "../../../runtime/node/http2/errors.ts";
import { encodeFields } from "../../../runtime/node/http2/hpack/encoder.ts";
import { Http2Session } from "../../../runtime/node/http2/session.ts";
import { settingIds } from "../../../runtime/node/http2/settings.ts";
import { requestList, sessionEvents, streamEvents } from "../../../runtime/node/http2/testing.ts";
import { WireClient } from "../client.ts";
import { describePeer } from "../peers.ts";
import { H2Peer } from "./peer.ts";

// Our client, by the sections of RFC 9113 and RFC 7541. PyPI's h2 is its server: an independent state machine, which judges every byte.

const clock = systemClock();
const post = { block: encodeFields([...requestList]), list: [] as string[] };
const ok = [":status", "200"];
const closing: { close(): void }[] = [];
const peers = new Set<H2Peer>();
afterEach(() => {
  for (const item of closing.splice(0)) item.close();
  const complaints = [...peers].flatMap((peer) => peer.complaints);
  peers.clear();
  expect(complaints).toEqual([]);
});

/** One of our clients at h2; `log` is what its streams hear. */
async function opened(options: { validates?: boolean } = {}) {
  const peer = await H2Peer.server(options);
  peers.add(peer);
  const log: string[] = [];
  const socket = connect({ port: peer.port, host: "127.0.0.1", noDelay: true });
  closing.push({ close: () => (socket.destroy(), peer.close()) });
  const session = await new Promise<Http2Session>((resolve) => {
    const made: Http2Session = new Http2Session(
      socket,
      true,
      { clock },
      sessionEvents({
        onReady: () => resolve(made),
        onGoaway: ({ lastStreamId, code }) => log.push(`goaway ${lastStreamId} ${code}`),
      }),
    );
  });
  const open = (name: string, { list = post.list, isEnd = true } = {}) => {
    const events = streamEvents({
      onFields: ({ list: fields }, isLast) => log.push(`${name} ${fields.join()}${isLast ? " end" : ""}`),
      onData: (bytes, isLast) => {
        stream.consumed(bytes.length);
        log.push(`${name} ${bytes.length} bytes${isLast ? " end" : ""}`);
      },
      onReset: ({ code, by, isUnprocessed }) => log.push(`${name} reset ${code} by ${by}${isUnprocessed ? "!" : ""}`),
    });
    const stream = session.open({ ...post, list }, events, isEnd)!;
    return stream;
  };
  return { peer, session, log, open };
}

describePeer("h2", "our client, with h2 as its server", () => {
  describe("RFC 9113", () => {
    test("3.4 begins with the preface and SETTINGS, and acknowledges h2's", async () => {
      const { peer } = await opened();
      const { changed_settings: said } = await peer.event("RemoteSettingsChanged");
      expect(said).toMatchObject({ [settingIds.enablePush]: 0, [settingIds.initialWindowSize]: 256 * 1024 });
      await peer.event("SettingsAcknowledged");
    });

    test("5.1 requests and responses in all their parts", async () => {
      const { peer, log, open } = await opened();
      open("a");
      const b = open("b", { isEnd: false });
      b.data(Buffer.from("hello"));
      b.trailers({ block: encodeFields(["x-trailer", "1"]), list: [] });
      expect(await peer.fields("RequestReceived", 1)).toEqual([...requestList]);
      expect(await peer.fields("TrailersReceived", 3)).toEqual(["x-trailer", "1"]);
      expect(peer.received(3)).toBe(5);
      await peer.headers(3, ok);
      await peer.data(3, "hi");
      await peer.headers(3, ["x-end", "1"], true);
      await peer.headers(1, ok, true);
      await peer.settled();
      expect(log).toEqual(["b :status,200", "b 2 bytes", "b x-end,1 end", "a :status,200 end"]);
    });

    test("5.1.2 opens no more streams than h2 takes", async () => {
      const { peer, session, open } = await opened();
      await peer.do("update_settings", { new_settings: { [settingIds.maxConcurrentStreams]: 1 } });
      await peer.settled();
      open("a");
      expect(session.hasRoom).toBe(false);
      await peer.event("RequestReceived");
      await peer.headers(1, ok, true);
      await peer.settled();
      expect(session.hasRoom).toBe(true);
    });

    test("5.2 and 6.9 megabytes go and come through both windows", async () => {
      const { peer, log, open } = await opened();
      const stream = open("a", { isEnd: false });
      for (let time = 0; time < 30; time++) stream.data(Buffer.alloc(50_000), time === 29);
      await peer.event("StreamEnded");
      expect(peer.received(1)).toBe(1_500_000);
      await peer.headers(1, ok);
      await peer.do("upload", { stream_id: 1, size: 1_500_000 });
      await expect.poll(() => log.at(-1)?.endsWith("end"), { timeout: 10_000 }).toBe(true);
      const received = log.reduce((sum, line) => sum + Number(/ (\d+) bytes/.exec(line)?.[1] ?? 0), 0);
      expect(received).toBe(1_500_000);
    });

    test("6.1 padding is no data", async () => {
      const { peer, log, open } = await opened();
      open("a");
      await peer.event("RequestReceived");
      await peer.headers(1, ok);
      await peer.data(1, "ab", true, { pad_length: 255 });
      await peer.settled();
      expect(log).toEqual(["a :status,200", "a 2 bytes end"]);
    });

    test("6.4 resets, theirs and ours", async () => {
      const { peer, log, open } = await opened();
      open("a");
      const b = open("b");
      await peer.event("RequestReceived", ({ stream_id }) => stream_id === 3);
      await peer.do("reset_stream", { stream_id: 1, error_code: errorCodes.refusedStream });
      b.reset(errorCodes.cancel);
      expect((await peer.event("StreamReset")).error_code).toBe(errorCodes.cancel);
      await peer.settled();
      expect(log).toEqual(["a reset 7 by peer!"]);
    });

    test("6.5.2 sends fields as h2's table and list allow", async () => {
      const { peer, session, open } = await opened();
      await peer.do("update_settings", {
        new_settings: { [settingIds.headerTableSize]: 0, [settingIds.maxHeaderListSize]: 2000 },
      });
      await peer.settled();
      open("a", { list: ["x-a", "v".repeat(1000)] });
      expect((await peer.fields("RequestReceived", 1)).slice(-2)).toEqual(["x-a", "v".repeat(1000)]);
      expect(session.open({ ...post, list: ["x-a", "v".repeat(2000)] }, streamEvents({}))).toBeUndefined();
    });

    test("6.6 h2 may not push", async () => {
      const { peer, open } = await opened();
      open("a");
      await peer.event("RequestReceived");
      const request_headers = [[":method", "GET"]];
      const push = { stream_id: 1, promised_stream_id: 2, request_headers };
      await expect(peer.do("push_stream", push)).rejects.toThrow("push");
    });

    test("6.8 h2's GOAWAY is heard, and answered with ours", async () => {
      const { peer, session, log, open } = await opened();
      open("a");
      await peer.event("RequestReceived");
      await peer.headers(1, ok, true);
      await peer.settled();
      await peer.do("close_connection", { last_stream_id: 1 });
      await peer.event("Closed");
      expect(log).toEqual(["a :status,200 end", "goaway 1 0"]);
      expect(session.hasRoom).toBe(false);
    });

    test("6.9 no more than h2's window, to the byte, also when it shrinks below zero", async () => {
      const { peer, open } = await opened();
      await peer.do("window", { gives_back: false });
      const stream = open("a", { isEnd: false });
      stream.data(Buffer.alloc(1000));
      await expect.poll(() => peer.received(1), { timeout: 10_000 }).toBe(1000);
      await peer.do("update_settings", { new_settings: { [settingIds.initialWindowSize]: 500 } });
      await peer.settled();
      stream.data(Buffer.alloc(1000), true);
      await peer.do("increment_flow_control_window", { increment: 600, stream_id: 1 });
      await peer.settled();
      await expect.poll(() => peer.received(1), { timeout: 10_000 }).toBe(1100);
      await peer.do("increment_flow_control_window", { increment: 900, stream_id: 1 });
      await peer.event("StreamEnded");
    });

    test("6.10 fields in as many frames as they need, both ways", async () => {
      const { peer, log, open } = await opened();
      const many = Array.from({ length: 40 }, (_, index) => [`x-${index}`, `${index}${"~".repeat(900)}`]).flat();
      open("a", { list: many });
      expect((await peer.fields("RequestReceived", 1)).slice(requestList.length)).toEqual(many);
      await peer.headers(1, [...ok, ...many], true);
      await peer.settled();
      expect(log).toEqual([`a ${[...ok, ...many].join()} end`]);
    });

    test("8.1 what is informational isn't the response", async () => {
      const { peer, log, open } = await opened();
      open("a");
      await peer.event("RequestReceived");
      await peer.headers(1, [":status", "103", "link", "</a>"]);
      await peer.headers(1, ok, true);
      await peer.settled();
      expect(log).toEqual(["a :status,200 end"]);
    });

    test("5.5 an extension that it doesn't know is none of its business", async () => {
      const { peer, log, open } = await opened();
      await peer.do("advertise_alternative_service", { field_value: { hex: "6832" }, origin: { hex: "61" } });
      open("a");
      await peer.event("RequestReceived");
      await peer.headers(1, ok, true);
      await peer.settled();
      expect(log).toEqual(["a :status,200 end"]);
    });

    test.each([
      ["8.2.1 capitals", [...ok, "X-Name", "1"]],
      ["8.2.2 connection", [...ok, "connection", "close"]],
      ["8.3 a request's pseudo-header", [...ok, ":path", "/"]],
      ["8.3.2 no status", ["x-a", "1"]],
    ])("%s in a response ends the stream and nothing else", async (_, list) => {
      const { peer, log, open } = await opened({ validates: false });
      open("a", { isEnd: false });
      await peer.event("RequestReceived");
      await peer.headers(1, list);
      expect((await peer.event("StreamReset")).error_code).toBe(errorCodes.protocolError);
      expect(log).toEqual(["a reset 1 by us"]);
      await peer.settled();
    });
  });

  test("RFC 7541 2.3, 4.2 and 6.3: responses by h2's tables, whose size it changes, arrive as they were sent", async () => {
    const { peer, log, open } = await opened();
    const sizes = [4096, 4096, 0, 0, 100, 4096, 50, 4096, 4096, 0, 4096, 64];
    for (const [index, size] of sizes.entries()) {
      open("a");
      await peer.event("RequestReceived", ({ stream_id }) => stream_id === 1 + 2 * index);
      await peer.do("table", { size });
      await peer.headers(1 + 2 * index, [...ok, "x-a", "same", "x-b", `${index % 3}`], true);
    }
    await peer.settled();
    expect(log).toEqual(sizes.map((_, index) => `a ${ok.join()},x-a,same,x-b,${index % 3} end`));
  });

  describe("gRPC over HTTP/2", () => {
    test("a request's fields are as gRPC's protocol orders them, and a response in pieces is read whole", async () => {
      const peer = await H2Peer.server();
      peers.add(peer);
      const client = await WireClient.connect("127.0.0.1", peer.port);
      closing.push({ close: () => (client.close(), peer.close()) });
      const call = client.call("/t.T/Say", { metadata: metadata({ "x-raw-bin": "AAE=" }), timeoutMs: 10_000 });
      const asked = call.unary(Buffer.from("hello"));
      const fields = await peer.fields("RequestReceived", 1);
      const valueOf = (name: string): string | undefined => fields[fields.indexOf(name) + 1];
      expect(fields.slice(0, 6)).toEqual([":method", "POST", ":scheme", "http", ":path", "/t.T/Say"]);
      expect([valueOf("te"), valueOf("content-type"), valueOf("x-raw-bin")]).toEqual([
        ...["trailers", "application/grpc", "AAE"],
      ]);
      expect(valueOf("grpc-timeout")).toMatch(/^\d{1,8}[numSMH]$/);
      await peer.event("StreamEnded");
      const data = peer.events.filter(({ event }) => event === "DataReceived").map(({ data: text }) => text);
      expect(data.join("")).toBe("\0\0\0\0\u0005hello");
      await peer.headers(1, [...ok, "content-type", "application/grpc+proto"]);
      for (const piece of "\0\0\0\0\u0002hi") await peer.data(1, piece);
      await peer.headers(1, ["grpc-status", "0", "x-cost", "3"], true);
      expect((await asked).toString()).toBe("hi");
      expect(call.trailers.get("x-cost")).toBe("3");
    });
  });
});
