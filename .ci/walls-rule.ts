import { dirname, join, relative, sep } from "node:path";
import type { Rule } from "eslint";
import { brokenWalls } from "./walls.ts";

/** ESLint's view of the walls: reports an import where it is written. */
export const wallsRule: Rule.RuleModule = {
  meta: { type: "problem", schema: [], messages: { wall: "{{why}} [{{name}}: {{file}} → {{target}}]" } },
  create(context) {
    const posix = (path: string) => relative(context.cwd, path).split(sep).join("/");
    const file = posix(context.filename);

    function check(node: Rule.Node, source: unknown): void {
      const specifier = literal(source);
      if (specifier === undefined) return;
      const isFile = specifier.startsWith(".");
      const target = isFile ? posix(join(dirname(context.filename), specifier)) : specifier;
      for (const { name, why } of brokenWalls(file, target, isFile)) {
        context.report({ node, messageId: "wall", data: { name, why, file, target } });
      }
    }

    return {
      ImportDeclaration: (node) => check(node, node.source),
      ImportExpression: (node) => check(node, node.source),
      ExportNamedDeclaration: (node) => check(node, node.source),
      ExportAllDeclaration: (node) => check(node, node.source),
      // A type's import, as in `type Clock = import("./clock.ts").Clock`: typescript-eslint's node, unknown to estree.
      TSImportType: (node: Rule.Node & { source?: unknown }) => check(node, node.source),
    };
  },
};

/** The text of a literal specifier; a computed one can't be judged here. */
function literal(source: unknown): string | undefined {
  const value = (source as { value?: unknown } | null | undefined)?.value;
  return typeof value === "string" ? value : undefined;
}
