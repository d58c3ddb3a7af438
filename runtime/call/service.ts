import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import type { Codec, CodecFamily } from "../codec/codec.ts";
import { protobuf } from "../codec/protobuf.ts";
import { codecFamilies } from "../codec/table.ts";
import type { Call } from "./call.ts";
import { RpcError } from "./status.ts";

/** gRPC's four kinds of calls: which side sends a stream of messages, and which sends one. */
export type MethodKind = "unary" | "client-streaming" | "server-streaming" | "bidi-streaming";

/** Its request is a stream of messages. */
export const takesStream = ({ kind }: { readonly kind: MethodKind }): boolean =>
  kind === "client-streaming" || kind === "bidi-streaming";

/** Its answer is a stream of messages. */
export const givesStream = ({ kind }: { readonly kind: MethodKind }): boolean =>
  kind === "server-streaming" || kind === "bidi-streaming";

/** One method of a service, ready to be carried by a transport. */
export interface Method<I, O> {
  /** "/flyball.worker.v1.Worker/Do" */
  readonly path: string;
  readonly kind: MethodKind;
  readonly codecName: string;
  readonly input: Codec<I>;
  readonly output: Codec<O>;
  /** The same method with the messages in another codec of the table; undefined where the table has none of that name. */
  readonly as?: ((codecName: string) => Method<I, O> | undefined) | undefined;
  /** Somebody has chosen the codec: a protocol's own preference doesn't count. */
  readonly isCodecChosen?: boolean | undefined;
}

/** A method with its messages in the codec of that name. */
export function inCodec(method: Method<unknown, unknown>, codecName: string): Method<unknown, unknown> | undefined {
  return method.codecName === codecName ? method : method.as?.(codecName);
}

/** A method's reply from its bytes. Throws INTERNAL for what its codec doesn't understand. */
export function replyFrom(method: Method<unknown, unknown>, bytes: Uint8Array): unknown {
  try {
    return method.output.decode(bytes);
  } catch (cause) {
    throw malformedReply(method, cause);
  }
}

export const malformedReply = ({ path }: { readonly path: string }, cause?: unknown): RpcError =>
  new RpcError(`the reply to ${path} is malformed`, {
    code: "INTERNAL",
    hint: "do both sides use the same interface description and codec?",
    reach: "answered",
    cause,
  });

/** A method's request from its bytes. Throws INTERNAL for what its codec doesn't understand. */
export function requestFrom(method: Method<unknown, unknown>, bytes: Uint8Array): unknown {
  try {
    return method.input.decode(bytes);
  } catch (cause) {
    throw new RpcError(`the request of ${method.path} is malformed`, { code: "INTERNAL", cause });
  }
}

/** Throws UNIMPLEMENTED for a method whose client streams, by a protocol that has no such calls. */
export function refuseClientStreams(method: Method<unknown, unknown>, protocol: string): void {
  if (!takesStream(method)) return;
  throw new RpcError(`${method.path}: a client can't stream over ${protocol}`, {
    code: "UNIMPLEMENTED",
    hint: "Triple carries all kinds of calls",
    reach: "nowhere",
  });
}

/**
 * A client's view of a service: one typed function a method. Where the client streams, its messages are taken one at a time, as fast as the
 * server reads them, and `return` is called on what gives them when the call ends before they do.
 */
export type Stub<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: StubFunction<Service["method"][Name]>;
};

type StubFunction<Desc> =
  Desc extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: StubOptions) => Promise<MessageShape<O>>
    : Desc extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: StubOptions) => Promise<AsyncIterable<MessageShape<O>>>
      : Desc extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: Requests<I>, options?: StubOptions) => Promise<MessageShape<O>>
        : Desc extends DescMethodBiDiStreaming<infer I, infer O>
          ? (requests: Requests<I>, options?: StubOptions) => Promise<AsyncIterable<MessageShape<O>>>
          : never;

/** What a client streams; an array will do. */
export type Requests<I extends DescMessage> = AsyncIterable<MessageInitShape<I>> | Iterable<MessageInitShape<I>>;

/** What one call may say for itself. */
export interface StubOptions {
  /** Milliseconds until DEADLINE_EXCEEDED. Default: the service's timeout. */
  readonly timeoutMs?: number | undefined;
  readonly metadata?: ReadonlyMap<string, string> | undefined;
  /** The call on whose behalf this one is made. */
  readonly parent?: Call | undefined;
  /** When the call was due, for load generators: latency counts from here. On the client's clock. */
  readonly dueUs?: number | undefined;
}

/** A server's side of a service: one typed handler a method. A stream of requests is read as fast as its handler asks for them. */
export type Handlers<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: HandlerFunction<Service["method"][Name]>;
};

type HandlerFunction<Desc> =
  Desc extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O>>
    : Desc extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : Desc extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageShape<I>>, call: Call) => Promise<MessageInitShape<O>>
        : Desc extends DescMethodBiDiStreaming<infer I, infer O>
          ? (requests: AsyncIterable<MessageShape<I>>, call: Call) => AsyncIterable<MessageInitShape<O>>
          : never;

/** The methods of a service by their local names ("do"), with their codecs. */
export function methodsOf(service: DescService, codecs?: CodecFamily): ReadonlyMap<string, Method<unknown, unknown>> {
  const methods = new Map<string, Method<unknown, unknown>>();
  for (const method of service.methods) {
    methods.set(method.localName, methodIn(method, codecs ?? protobuf, codecs !== undefined));
  }
  return methods;
}

const kinds: Readonly<Record<DescMethod["methodKind"], MethodKind>> = {
  unary: "unary",
  client_streaming: "client-streaming",
  server_streaming: "server-streaming",
  bidi_streaming: "bidi-streaming",
};

function methodIn(desc: DescMethod, codecs: CodecFamily, isCodecChosen: boolean): Method<unknown, unknown> {
  let others: Map<string, Method<unknown, unknown>> | undefined;
  return {
    path: `/${desc.parent.typeName}/${desc.name}`,
    kind: kinds[desc.methodKind],
    codecName: codecs.name,
    input: codecs.codec(desc.input),
    output: codecs.codec(desc.output),
    isCodecChosen,
    as: (codecName) => {
      const family = Object.values(codecFamilies).find(({ name }) => name === codecName);
      if (family === undefined) return undefined;
      let other = (others ??= new Map<string, Method<unknown, unknown>>()).get(codecName);
      if (other === undefined) others.set(codecName, (other = methodIn(desc, family, true)));
      return other;
    },
  };
}
