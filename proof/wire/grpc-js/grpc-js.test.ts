import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  status,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { directStub } from "../../../runtime/call/direct.ts";
import { givesStream, methodsOf, takesStream, type Method } from "../../../runtime/call/service.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import { fleetCases } from "../grpc-go/fleet-cases.ts";
import { serveInterop } from "../grpc-go/fleet-service.ts";
import {
  TestService,
  type EchoStatus,
  type SimpleRequest,
  type StreamingInputCallRequest,
  type StreamingInputCallResponse,
  type StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
} from "../grpc-go/test_pb.ts";

// A fleet's servers and stubs, and @grpc/grpc-js's: all four kinds of calls, both ways.

const clock = systemClock();
const transport = tripleTransport({ clock });
afterAll(() => transport.close());

const methods = methodsOf(TestService);

/** A method as grpc-js knows it. */
function definitionOf(method: Method<unknown, unknown>): MethodDefinition<unknown, unknown> {
  const serialize = (codec: Method<unknown, unknown>["input"]) => (message: unknown) =>
    Buffer.from(codec.encode(codec.create(message)));
  return {
    path: method.path,
    requestStream: takesStream(method),
    responseStream: givesStream(method),
    requestSerialize: serialize(method.input),
    requestDeserialize: (bytes) => method.input.decode(bytes),
    responseSerialize: serialize(method.output),
    responseDeserialize: (bytes) => method.output.decode(bytes),
  };
}

const payload = (size: number) => ({ body: new Uint8Array(size) });

const failureOf = (asked: EchoStatus | undefined): Partial<ServiceError> | null =>
  asked === undefined || asked.code === 0 ? null : { code: asked.code, details: asked.message };

describe("a fleet's stub at grpc-js's server", () => {
  const server = new Server();
  let address = "";
  beforeAll(async () => {
    const definitions = Object.fromEntries([...methods].map(([name, method]) => [name, definitionOf(method)]));
    delete definitions["unimplementedCall"];
    server.addService(definitions, {
      emptyCall: (_: unknown, done: (error: null, reply: object) => void) => done(null, {}),
      unaryCall: (
        { request }: { request: SimpleRequest },
        done: (error: Partial<ServiceError> | null, reply?: object) => void,
      ) => done(failureOf(request.responseStatus), { payload: payload(request.responseSize) }),
      streamingOutputCall: (call: ServerCall<StreamingOutputCallRequest>) => {
        for (const { size } of call.request.responseParameters) call.write({ payload: payload(size) });
        call.end();
      },
      streamingInputCall: (call: ServerCall<StreamingInputCallRequest>, done: (error: null, reply: object) => void) => {
        let aggregatedPayloadSize = 0;
        call.on("data", ({ payload }) => (aggregatedPayloadSize += payload?.body.length ?? 0));
        call.on("end", () => done(null, { aggregatedPayloadSize }));
      },
      fullDuplexCall: (call: ServerCall<StreamingOutputCallRequest>) => {
        call.on("data", ({ responseStatus, responseParameters }) => {
          const failure = failureOf(responseStatus);
          if (failure !== null) return void call.emit("error", failure);
          for (const { size, intervalUs } of responseParameters) {
            if (intervalUs === 0) call.write({ payload: payload(size) });
          }
        });
        call.on("end", () => call.end());
      },
    } as never);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    address = `127.0.0.1:${port}`;
  });
  afterAll(() => server.forceShutdown());

  test.each(Object.entries(fleetCases))("%s", async (_, holds) => {
    const calls = new CallLog({ clock, telemetry: silent });
    const options = { ...{ clock, transport, calls, service: "interop", address }, timeoutMs: 20_000 };
    await holds({ stub: directStub(TestService, options), clock });
  });
});

/** What grpc-js's streams of any kind have in common here. */
interface ServerCall<Request> {
  readonly request: Request;
  on(event: "data", listener: (message: Request) => void): void;
  on(event: "end", listener: () => void): void;
  emit(event: "error", error: object): void;
  write(message: object): void;
  end(): void;
}

describe("grpc-js's client at a fleet's server", () => {
  let client: Client;
  beforeAll(async () => {
    client = new Client((await serveInterop(transport)).address, credentials.createInsecure());
  });
  afterAll(() => client.close());

  const define = (name: string) => definitionOf(methods.get(name)!);

  test("a client's stream, and one answer", async () => {
    const { path, requestSerialize, responseDeserialize } = define("streamingInputCall");
    const sum = await new Promise<StreamingInputCallResponse>((resolve, reject) => {
      const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error, reply) =>
        error === null ? resolve(reply as StreamingInputCallResponse) : reject(error),
      );
      for (const size of [27_182, 8, 1_828, 45_904]) call.write({ payload: payload(size) });
      call.end();
    });
    expect(sum.aggregatedPayloadSize).toBe(74_922);
  });

  test("both streams, in turns, and a failure in the middle of them", async () => {
    const { path, requestSerialize, responseDeserialize } = define("fullDuplexCall");
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const sizes = [31_415, 9, 2_653];
    const seen: number[] = [];
    const ask = (): void => {
      const size = sizes[seen.length];
      if (size === undefined) call.write({ responseStatus: { code: status.ABORTED, message: "enough" } });
      else call.write({ responseParameters: [{ size }] });
    };
    const error = new Promise<ServiceError>((resolve) => call.on("error", resolve));
    call.on("data", (message: StreamingOutputCallResponse) => {
      seen.push(message.payload!.body.length);
      ask();
    });
    ask();
    expect(await error).toMatchObject({ code: status.ABORTED, details: "enough" });
    expect(seen).toEqual(sizes);
  });

  test("a server's stream, cancelled in its middle", async () => {
    const { path, requestSerialize, responseDeserialize } = define("streamingOutputCall");
    const responseParameters = Array.from({ length: 100 }, () => ({ size: 10, intervalUs: 1_000 }));
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { responseParameters });
    const error = new Promise<ServiceError>((resolve) => call.on("error", resolve));
    call.once("data", () => call.cancel());
    expect(await error).toMatchObject({ code: status.CANCELLED });
  });
});
