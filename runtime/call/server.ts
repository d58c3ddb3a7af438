import type { DescService } from "@bufbuild/protobuf";

import type { CodecFamily } from "../codec/codec.ts";
import type { Health } from "../health/health.ts";
import { Health as HealthService } from "../health/proto/health_pb.ts";
import type { Listener, Response, ServedMethod, Transport } from "../ports/transport.ts";
import type { TaskLog } from "../telemetry/task-log.ts";
import type { Tracer } from "../telemetry/tracer.ts";
import { Call, whileWaiting } from "./call.ts";
import { chain, type Filter, type Next } from "./filter.ts";
import { noMetadata } from "./metadata.ts";
import { givesStream, methodsOf, type Handlers, type Method } from "./service.ts";
import { RpcError, toRpcError } from "./status.ts";
import { observedStream } from "./stream.ts";

export interface ServerOptions {
  readonly transport: Transport;
  /** Around every call, the first outermost. */
  readonly filters?: readonly Filter[];
  /** Without one there are no spans. */
  readonly tracer?: Tracer | undefined;
  /** Hears of every call that is served. Without one nobody does. */
  readonly tasks?: TaskLog | undefined;
  /**
   * Answers grpc.health.v1 beside the services. It is about work and is none: no filter, span or record sees it. Default: nobody answers.
   */
  readonly health?: Health | undefined;
}

/** Serves services, over any transport. */
export interface Server {
  /** Adds a service; before `listen`. */
  add<S extends DescService>(schema: S, handlers: Handlers<S>, codecs?: CodecFamily): Server;
  /** Starts listening at "host:port". Rejects with an `RpcError` when the address is taken. */
  listen(address: string): Promise<Listener>;
}

export function createServer({ transport, filters = [], tracer, tasks, health }: ServerOptions): Server {
  const methods = new Map<string, ServedMethod>();
  const services: DescService[] = [];
  const add = <S extends DescService>(
    schema: S,
    handlers: Handlers<S>,
    serve: (method: Method<unknown, unknown>, handler: Handler) => ServedMethod,
    codecs?: CodecFamily,
  ): void => {
    services.push(schema);
    for (const [name, method] of methodsOf(schema, codecs)) {
      const handler = (handlers as Readonly<Record<string, Handler>>)[name];
      if (handler !== undefined) methods.set(method.path, serve(method, handler));
    }
  };
  if (health !== undefined)
    add(HealthService, health.handlers, (method, handler) => served(method, handler, [], undefined));
  const server: Server = {
    add: (schema, handlers, codecs) => {
      add(schema, handlers, (method, handler) => traced(served(method, handler, filters, tasks), tracer), codecs);
      return server;
    },
    listen: (address) => transport.listen({ address, methods, services }),
  };
  return server;
}

type Handler = (request: unknown, call: Call) => Promise<unknown> | AsyncIterable<unknown>;

function served(
  method: Method<unknown, unknown>,
  handler: Handler,
  filters: readonly Filter[],
  tasks: TaskLog | undefined,
): ServedMethod {
  const reply = (init: unknown): Response => ({
    kind: "unary",
    message: method.output.create(init),
    trailers: noMetadata,
  });
  const handle = chain(filters, (call, request): Promise<Response> => {
    try {
      const answer = handler(request, call);
      if (!givesStream(method)) return (answer as Promise<unknown>).then(reply);
      return Promise.resolve({ kind: "stream", messages: created(answer as AsyncIterable<unknown>, method) });
    } catch (error) {
      return Promise.reject(toRpcError(error));
    }
  });
  const run: Next = tasks === undefined ? handle : (call, request) => tasks.serve(call, request, handle);
  const serve = (call: Call, request: unknown): Promise<Response> => {
    // A handler never starts when nobody waits for it any more; a busy process may not have heard its timer yet.
    const late = call.reason ?? (call.remainingUs() > 0 ? undefined : tooLate(call));
    if (late !== undefined) {
      tasks?.refused(call, late);
      return Promise.reject(late);
    }
    try {
      return whileWaiting(call, (call.handling = run(call, request)));
    } catch (error) {
      return Promise.reject(toRpcError(error));
    }
  };
  return { method, serve };
}

const tooLate = (call: Call): RpcError =>
  new RpcError(`${call.method} came after its deadline`, { code: "DEADLINE_EXCEEDED" });

/** The same method with a span around each call: until its answer, or until its stream of answers is over. */
function traced({ method, serve }: ServedMethod, tracer: Tracer | undefined): ServedMethod {
  if (tracer === undefined) return { method, serve };
  return {
    method,
    serve: async (call, request) => {
      const span = tracer.serve(call);
      if (span === undefined) return serve(call, request);
      try {
        const response = await serve(call, request);
        if (response.kind === "stream") {
          return { kind: "stream", messages: observedStream(response.messages, (error) => span.end(error), call) };
        }
        span.end();
        return response;
      } catch (thrown) {
        const error = toRpcError(thrown);
        span.end(error);
        throw error;
      }
    },
  };
}

async function* created(messages: AsyncIterable<unknown>, method: Method<unknown, unknown>): AsyncIterable<unknown> {
  for await (const message of messages) yield method.output.create(message);
}
