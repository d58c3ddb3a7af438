import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const command = names.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);

/** Why tests with a browser can't run here, for their names; undefined when they can. */
export const noChromium: string | undefined = command === undefined ? "no Chromium" : undefined;

/** A page in a browser of its own, without a window. */
export interface Page {
  /** The value of an expression there, as JSON carries it. */
  evaluate<Value>(expression: string): Promise<Value>;
  resize(width: number, height: number): Promise<void>;
  prefer(scheme: "light" | "dark"): Promise<void>;
  /** Addresses that the page asked for, beside its own. */
  readonly requests: readonly string[];
  /** What the page or the browser complained about. */
  readonly complaints: readonly string[];
}

/** Opens a file in Chromium over the DevTools protocol, and ends the browser when `use` is through. */
export async function inChromium(file: string, use: (page: Page) => Promise<void>): Promise<void> {
  const profile = await mkdtemp(join(tmpdir(), "flyball-chromium-"));
  const child = spawn(
    command!,
    // Root has no sandbox; the page is our own.
    [...["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"], `--user-data-dir=${profile}`],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    const port = await new Promise<string>((resolve, reject) => {
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        const found = /DevTools listening on ws:\/\/[^:]+:(\d+)\//.exec(said);
        if (found !== null) resolve(found[1]!);
      });
      child.once("close", () => reject(new Error(`Chromium ended: ${said}`)));
    });
    const opened = await fetch(`http://127.0.0.1:${port}/json/new?about:blank`, { method: "PUT" });
    const { webSocketDebuggerUrl } = (await opened.json()) as { readonly webSocketDebuggerUrl: string };
    await use(await openPage(webSocketDebuggerUrl, `file://${file}`));
  } finally {
    child.kill("SIGKILL");
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly request?: { readonly url: string }; readonly entry?: { readonly text: string } };
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

async function openPage(debuggerUrl: string, url: string): Promise<Page> {
  const socket = new WebSocket(debuggerUrl);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", () => reject(new Error("the browser can't be reached")), { once: true });
  });
  const waiting = new Map<number, (message: Message) => void>();
  const requests: string[] = [];
  const complaints: string[] = [];
  let loaded = (): void => undefined;
  const isLoaded = new Promise<void>((resolve) => (loaded = resolve));
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    else if (message.method === "Page.loadEventFired") loaded();
    else if (message.method === "Network.requestWillBeSent") requests.push(message.params!.request!.url);
    else if (message.method === "Log.entryAdded") complaints.push(message.params!.entry!.text);
  });
  let count = 0;
  const send = async (method: string, params: object = {}): Promise<unknown> => {
    const id = ++count;
    const answer = new Promise<Message>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  };
  for (const domain of ["Page", "Network", "Log", "Runtime"]) await send(`${domain}.enable`);
  await send("Page.navigate", { url });
  await isLoaded;
  return {
    evaluate: async <Value>(expression: string) => {
      const { result, exceptionDetails } = (await send("Runtime.evaluate", { expression, returnByValue: true })) as {
        readonly result: { readonly value: Value };
        readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
      };
      if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? expression);
      return result.value;
    },
    resize: async (width, height) => {
      await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    },
    prefer: async (value) => {
      await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
    },
    get requests() {
      return requests.filter((each) => each !== url);
    },
    complaints,
  };
}
