/** RFC 9113 section 7: why a stream or a connection ended. */
export const errorCodes = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

/** Section 5.4.1: nothing more can be understood on this connection; it ends with a GOAWAY of this code. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code: number;

  constructor(message: string, code: number = errorCodes.protocolError) {
    super(message);
    this.code = code;
  }
}

/** Section 5.4.2: one stream is over, by an RST_STREAM of this code; the connection and its other streams go on. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly code: number;

  constructor(message: string, code: number = errorCodes.protocolError) {
    super(message);
    this.code = code;
  }
}
