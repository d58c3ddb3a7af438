import type { FromNode, ToNode } from "./control.ts";

/** A message of the control protocol to a process that several nodes share: whom it is for. */
export interface ToPack {
  readonly node: string;
  readonly message: ToNode;
}

/** And from it: whose it is. */
export interface FromPack {
  readonly node: string;
  readonly message: FromNode;
}
