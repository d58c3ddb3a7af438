import type {
  DescMethod,
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

/** One method of a service, ready to be carried by a transport. */
export interface Method<I, O> {
  /** "/flyball.worker.v1.Worker/Do" */
  readonly path: string;
  readonly kind: "unary" | "server-streaming";
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

/** A client's view of a service: one typed function a method. */
export type Stub<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: Service["method"][Name] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: StubOptions) => Promise<MessageShape<O>>
    : Service["method"][Name] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: StubOptions) => Promise<AsyncIterable<MessageShape<O>>>
      : never;
};

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

/** A server's side of a service: one typed handler a method. */
export type Handlers<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: Service["method"][Name] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O>>
    : Service["method"][Name] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : never;
};

/** The methods of a service by their local names ("do"), with their codecs. */
export function methodsOf(service: DescService, codecs?: CodecFamily): ReadonlyMap<string, Method<unknown, unknown>> {
  const methods = new Map<string, Method<unknown, unknown>>();
  for (const method of service.methods) {
    if (method.methodKind !== "unary" && method.methodKind !== "server_streaming") continue;
    methods.set(method.localName, methodIn(method, codecs ?? protobuf, codecs !== undefined));
  }
  return methods;
}

function methodIn(desc: DescMethod, codecs: CodecFamily, isCodecChosen: boolean): Method<unknown, unknown> {
  let others: Map<string, Method<unknown, unknown>> | undefined;
  return {
    path: `/${desc.parent.typeName}/${desc.name}`,
    kind: desc.methodKind === "unary" ? "unary" : "server-streaming",
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
