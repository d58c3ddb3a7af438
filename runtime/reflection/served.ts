import type { DescService } from "@bufbuild/protobuf";

import { methodsOf } from "../call/service.ts";
import { RpcError } from "../call/status.ts";
import type { ServedMethod } from "../ports/transport.ts";
import { ServerReflection, type ServerReflectionRequest } from "./proto/reflection_pb.ts";
import { Reflection, reflectionPaths } from "./reflection.ts";

/** Reflection as a server serves it, by both of its paths: each question is answered before the next is read. */
export function reflectionMethods(services: readonly DescService[]): ReadonlyMap<string, ServedMethod> {
  const method = methodsOf(ServerReflection).get("serverReflectionInfo")!;
  let reflection: Reflection | undefined;
  async function* answers(questions: AsyncIterable<ServerReflectionRequest>): AsyncGenerator<unknown> {
    // Made when somebody asks: most never are.
    reflection ??= new Reflection(services);
    for await (const question of questions) {
      const answer = reflection.answer(question);
      if (answer === undefined) throw new RpcError("the request asks nothing", { code: "INVALID_ARGUMENT" });
      yield method.output.create(answer);
    }
  }
  return new Map(
    reflectionPaths.map((path): [string, ServedMethod] => [
      path,
      {
        method: { ...method, path },
        serve: async (_, questions) => ({
          kind: "stream",
          messages: answers(questions as AsyncIterable<ServerReflectionRequest>),
        }),
      },
    ]),
  );
}
