import type { Clock } from "../../ports/clock.ts";
import { Allowance } from "../allowance.ts";
import { ConnectionError, errorCodes } from "./errors.ts";

/** Frames that bring nothing: so many at once, then per second, and what was earned on top. */
const idleFramesAllowed = { burst: 10_000, perSecond: 1000 };
/** Resets cost the peer nothing and this side a request's beginning (CVE-2023-44487). */
const resetsAllowed = { burst: 2000, perSecond: 1000 };

/** What a section, or so many bytes of data, make up for. */
const forMuch = 8;
const muchBytes = 256;
/** What a frame with a little data makes up for: the PING and the WINDOW_UPDATE with which a peer may answer it. */
const forLittle = 2;

/**
 * What frames cost and earn (RFC 9113 section 10.5). A connection whose peer has used up its allowance ends with ENHANCE_YOUR_CALM; work
 * that was worth it makes up for frames that bring nothing. So who exchanges messages is never expelled, however small and many they are,
 * and who only makes work soon is.
 *
 * | event                                                     |    | why                                           | who sends it, and when                        |
 * | --------------------------------------------------------- | -- | --------------------------------------------- | --------------------------------------------- |
 * | PING, or its answer                                       | -1 | has to be answered                            | grpc-go, gRPC's core: for DATA, one a round   |
 * |                                                           |    |                                               | trip, to measure the path; all as keepalive   |
 * | WINDOW_UPDATE                                             | -1 | wakes a stream                                | grpc-go with that PING; all, each part of a   |
 * |                                                           |    |                                               | window                                        |
 * | SETTINGS, or their acknowledgement                        | -1 | have to be acknowledged                       | grpc-go as its measure of the path grows      |
 * | … for each stream that waits, if its window changes       | -1 | wakes it                                      | the same                                      |
 * | DATA of nothing that isn't the end                        | -1 | is no message, nor a part of one              | nobody                                        |
 * | PRIORITY, unknown frames, GOAWAY, a status of 1xx         | -1 | are ignored, or nearly so                     | browsers; what comes after RFC 9113           |
 * | request, response or trailers                             | +8 | are what it is all for                        | all                                           |
 * | DATA received or sent, 256 bytes and more                 | +8 | the same                                      | all                                           |
 * | DATA received, of less                                    | +2 | a peer's PING and WINDOW_UPDATE for our       | a stream of small messages                    |
 * |                                                           |    | answer; more would be given for bytes alone   |                                               |
 * | DATA sent, of less, as its owner gave it                  | +2 | the peer's PING and WINDOW_UPDATE for it      | the same                                      |
 * | DATA sent, of less, that the window cut                   |  0 | a peer that opens windows byte by byte has    | nobody                                        |
 * |                                                           |    | the same message sent again and again         |                                               |
 * | to a server: DATA for a stream that it ended early,       |  0 | the peer couldn't know (`LateStreams`)        | whoever streams to a method that isn't served |
 * | within what was left of its window                        |    |                                               |                                               |
 * | to a server: other frames of a stream that is closed      | -1 | are read and ignored                          | who resets or ends what has just ended: one   |
 * | to a client: frames of a stream that is closed            |  0 | it chose its server, and gave up the calls    | every server, for calls past their deadlines  |
 * | to a server: a stream that is reset, whoever resets it    | -1 | of another allowance: 2,000, then 1,000/s     | clients for calls past their deadlines        |
 */
export class Toll {
  readonly #idleFrames: Allowance;
  readonly #resets: Allowance;

  constructor(clock: Clock) {
    this.#idleFrames = new Allowance(clock, idleFramesAllowed);
    this.#resets = new Allowance(clock, resetsAllowed);
  }

  /** A frame that brings nothing. Throws when it is one too many. */
  idle(): void {
    if (this.#idleFrames.take()) return;
    throw new ConnectionError("too many frames that bring nothing", errorCodes.enhanceYourCalm);
  }

  /** A request, a response or trailers. */
  section(): void {
    this.#idleFrames.earn(forMuch);
  }

  /** DATA of an open stream. Throws when it is one of nothing too many. */
  received(bytes: number, isEnd: boolean): void {
    if (bytes > 0) this.#idleFrames.earn(bytes >= muchBytes ? forMuch : forLittle);
    else if (!isEnd) this.idle();
  }

  /** `isWhole`: all that the stream's owner sends at once. */
  sent(bytes: number, isWhole: boolean): void {
    if (bytes >= muchBytes) this.#idleFrames.earn(forMuch);
    else if (isWhole && bytes > 0) this.#idleFrames.earn(forLittle);
  }

  /** A server's stream was reset: whoever did it, the peer was the cause. Throws when it is one too many. */
  reset(): void {
    if (this.#resets.take()) return;
    throw new ConnectionError("too many streams that were reset", errorCodes.enhanceYourCalm);
  }
}
