import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** What makes one question of another: how long to wait, and what is known already, don't. */
function questionOf({ method, url }: IncomingMessage): string {
  const { pathname, searchParams } = new URL(url!, "http://server");
  for (const name of ["index", "wait"]) searchParams.delete(name);
  return `${method} ${pathname}?${searchParams.toString()}`;
}

/**
 * For tests: the way to a server that speaks HTTP, as a listener that leads on and breaks what the server says: late, with errors for a
 * part of the requests, or as it was a while ago.
 */
export class HttpFaults {
  readonly #server: Server;
  readonly #target: () => string;
  readonly #answers = new Map<string, Answer>();
  readonly #held = new Set<() => void>();
  #port = 0;
  #asked = 0;
  #isStale = false;
  /** Each request takes so much longer. */
  delayMs = 0;
  /** Each so manyth request is answered 503, and never gets to the server; 0: none. */
  failsEach = 0;
  /** How many were. */
  failed = 0;

  private constructor(target: () => string) {
    this.#target = target;
    this.#server = createServer((asked, answer) => void this.#answer(asked, answer).catch(() => answer.destroy()));
  }

  static async open(target: () => string): Promise<HttpFaults> {
    const faults = new HttpFaults(target);
    await new Promise<void>((resolve) => faults.#server.listen(0, "127.0.0.1", resolve));
    faults.#port = (faults.#server.address() as AddressInfo).port;
    return faults;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** From now on whoever asks is told what was answered last: a replica that has fallen behind. One that waits for news waits. */
  beStale(): void {
    this.#isStale = true;
  }

  heal(): void {
    this.delayMs = 0;
    this.failsEach = 0;
    this.#isStale = false;
    for (const release of [...this.#held]) release();
  }

  close(): void {
    this.heal();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const body = await bodyOf(asked);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (this.failsEach > 0 && ++this.#asked % this.failsEach === 0) {
      this.failed++;
      answer.writeHead(503).end("brown-out");
      return;
    }
    const question = questionOf(asked);
    const known = this.#answers.get(question);
    if (this.#isStale && asked.method === "GET" && known !== undefined) {
      if (isNewsFor(asked, known)) {
        answer.writeHead(known.status, headersOf(known)).end(known.body);
        return;
      }
      await this.#untilHealed(asked);
    }
    const said = await this.#ask(asked, body);
    // A question that was waiting for news learned them: a replica that has fallen behind wouldn't have.
    if (this.#isStale && asked.method === "GET" && known !== undefined) await this.#untilHealed(asked);
    this.#answers.set(question, said);
    answer.writeHead(said.status, headersOf(said)).end(said.body);
  }

  /** Or until whoever asked has gone. */
  #untilHealed({ socket }: IncomingMessage): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        this.#held.delete(go);
        socket.off("close", go);
        resolve();
      };
      this.#held.add(go);
      socket.once("close", go);
    });
  }

  async #ask(asked: IncomingMessage, body: Buffer): Promise<Answer> {
    const target = this.#target();
    const colon = target.lastIndexOf(":");
    return new Promise((resolve, reject) => {
      const { method, url: path, headers } = asked;
      const onward = request(
        { host: target.slice(0, colon), port: target.slice(colon + 1), method, path, headers, agent: false },
        (reply) => {
          const status = reply.statusCode ?? 502;
          bodyOf(reply).then((whole) => resolve({ status, headers: reply.headers, body: whole }), reject);
        },
      );
      onward.on("error", reject);
      const leave = (): void => void onward.destroy();
      asked.socket.once("close", leave);
      onward.once("close", () => asked.socket.off("close", leave));
      onward.end(body);
    });
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Whether who asks doesn't know it yet. Only Consul is told what is known. */
function isNewsFor({ url }: IncomingMessage, { headers }: Answer): boolean {
  const known = new URL(url!, "http://server").searchParams.get("index");
  return known === null || Number(known) < Number(headers["x-consul-index"] ?? Infinity);
}

/** The body is sent whole, whatever way it came. */
function headersOf({ headers, body }: Answer): Record<string, string | string[] | undefined> {
  const { "transfer-encoding": _, connection: __, ...rest } = headers;
  return { ...rest, "content-length": String(body.length) };
}
