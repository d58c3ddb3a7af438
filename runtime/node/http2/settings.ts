import { ConnectionError, errorCodes } from "./errors.ts";
import { int31Max, payloadBytesDefault, payloadBytesLimit } from "./frames.ts";

/** RFC 9113 section 6.5.2. */
export const settingIds = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** What a peer wants of this side. Its HEADER_TABLE_SIZE isn't here: our encoder has no table. */
export interface PeerSettings {
  maxConcurrentStreams: number;
  initialWindowSize: number;
  maxFrameSize: number;
  maxHeaderListSize: number;
}

/** What holds until the peer has said something else. */
export const settingsDefault = (): PeerSettings => ({
  maxConcurrentStreams: Infinity,
  initialWindowSize: 65_535,
  maxFrameSize: payloadBytesDefault,
  maxHeaderListSize: Infinity,
});

/** Takes over what a SETTINGS frame says, in its order; what is unknown is ignored (section 6.5.2). */
export function readSettings(payload: Buffer, settings: PeerSettings, isFromServer: boolean): void {
  if (payload.length % 6 !== 0) throw new ConnectionError("SETTINGS come in sixes", errorCodes.frameSizeError);
  for (let at = 0; at < payload.length; at += 6) {
    const id = payload.readUInt16BE(at);
    const value = payload.readUInt32BE(at + 2);
    if (id === settingIds.enablePush) {
      if (value > 1 || (isFromServer && value === 1)) throw new ConnectionError(`ENABLE_PUSH ${value}`);
    } else if (id === settingIds.maxConcurrentStreams) settings.maxConcurrentStreams = value;
    else if (id === settingIds.initialWindowSize) {
      if (value > int31Max) throw new ConnectionError(`INITIAL_WINDOW_SIZE ${value}`, errorCodes.flowControlError);
      settings.initialWindowSize = value;
    } else if (id === settingIds.maxFrameSize) {
      if (value < payloadBytesDefault || value > payloadBytesLimit)
        throw new ConnectionError(`MAX_FRAME_SIZE ${value}`);
      settings.maxFrameSize = value;
    } else if (id === settingIds.maxHeaderListSize) settings.maxHeaderListSize = value;
  }
}

/** A SETTINGS frame's payload. */
export function writeSettings(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * entries.length);
  entries.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  });
  return payload;
}
