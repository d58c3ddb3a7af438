/**
 * The web-standard globals that a portable room may use: no clock, no chance, and the same in Node.js and a browser.
 * `runtime/tsconfig.json` compiles the portable rooms against ES2024 and this file alone; whatever else they need
 * arrives through a port. Deliberately absent: `AbortSignal.timeout`, because it is a clock.
 */

interface Event {
  readonly type: string;
}

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: (event: Event) => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: (event: Event) => void): void;
}

declare var AbortSignal: {
  readonly prototype: AbortSignal;
  abort(reason?: unknown): AbortSignal;
  any(signals: Iterable<AbortSignal>): AbortSignal;
};

interface AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare var AbortController: {
  readonly prototype: AbortController;
  new (): AbortController;
};

interface TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
  encodeInto(source: string, destination: Uint8Array): { readonly read: number; readonly written: number };
}

declare var TextEncoder: {
  readonly prototype: TextEncoder;
  new (): TextEncoder;
};

interface TextDecoder {
  decode(input?: ArrayBuffer | ArrayBufferView): string;
}

declare var TextDecoder: {
  readonly prototype: TextDecoder;
  new (label?: "utf-8", options?: { readonly fatal?: boolean; readonly ignoreBOM?: boolean }): TextDecoder;
};

declare function structuredClone<T>(value: T): T;
