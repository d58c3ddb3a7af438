import type { ToNode } from "../../../services/control.ts";
import type { Ending } from "../world.ts";
import type { Conversation } from "./conversation.ts";
import type { NodeLife, Reply, ReplyOf } from "./node.ts";

/** What the lives of all nodes have in common, whatever they run as: how one talks with them. */
export abstract class SpokenLife implements NodeLife {
  readonly conversation: Conversation;
  abstract readonly ended: Promise<Ending>;

  constructor(conversation: Conversation) {
    this.conversation = conversation;
  }

  /** Brings a message to the node. One that can't hear it any more is ending, which is seen elsewhere. */
  protected abstract carry(message: ToNode): void;
  abstract kill(): void;
  abstract pause(): Promise<void>;
  abstract resume(): Promise<void>;

  get lastWords(): string {
    return this.conversation.lastWords;
  }

  send(message: ToNode): void {
    if (!this.conversation.isOver) this.carry(message);
  }

  ask<Type extends Reply>(message: ToNode, reply: Type): Promise<ReplyOf<Type>> {
    const answer = this.conversation.expect(reply);
    this.send(message);
    return answer;
  }
}
