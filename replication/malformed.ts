/**
 * What is wrong with commands as bytes, found without decoding them.
 *
 * The events of many clients share a record, and a replay decodes them in one go. So a command may
 * leave nothing behind for its neighbours, as msgpackr's records and pointers do: whoever sent one
 * would change how the next client's events read, on every member but the active (I5).
 */
import { limits } from './limits.js';

/** Bytes after the first one; negative: the length itself takes that many bytes. */
const sizes: Readonly<Record<number, number>> = {
  192: 0,
  194: 0,
  195: 0,
  196: -1,
  197: -2,
  198: -4,
  202: 4,
  203: 8,
  204: 1,
  205: 2,
  206: 4,
  207: 8,
  208: 1,
  209: 2,
  210: 4,
  211: 8,
  217: -1,
  218: -2,
  219: -4,
};

/** Extensions that stand for themselves: undefined, and a time. */
const extensions: ReadonlySet<number> = new Set([0, 255]);

/** Says what is wrong with a sequence of msgpack values, or nothing. */
export function malformed(bytes: Uint8Array): string | undefined {
  try {
    let at = 0;
    while (at < bytes.length) at = skip(bytes, at, 0);
    return at > bytes.length ? 'they end in the middle of a value' : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The position after the value at `at`. */
function skip(bytes: Uint8Array, at: number, depth: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new Error('they end in the middle of a value');
  if (depth > limits.valueDepth) {
    throw new Error(`a value is nested deeper than ${limits.valueDepth} levels`);
  }
  if (byte < 0x80 || byte >= 0xe0) return at + 1;
  if (byte < 0x90) return skipItems(bytes, at + 1, 2 * (byte & 0x0f), depth);
  if (byte < 0xa0) return skipItems(bytes, at + 1, byte & 0x0f, depth);
  if (byte < 0xc0) return at + 1 + (byte & 0x1f);
  if (byte >= 0xdc) {
    const width = byte % 2 === 0 ? 2 : 4;
    const count = lengthAt(bytes, at + 1, width);
    return skipItems(bytes, at + 1 + width, byte >= 0xde ? 2 * count : count, depth);
  }
  const size = sizes[byte];
  if (size === undefined) return skipExtension(bytes, at, byte);
  return size >= 0 ? at + 1 + size : at + 1 - size + lengthAt(bytes, at + 1, -size);
}

function skipItems(bytes: Uint8Array, from: number, count: number, depth: number): number {
  let at = from;
  for (let i = 0; i < count; i++) at = skip(bytes, at, depth + 1);
  return at;
}

function skipExtension(bytes: Uint8Array, at: number, byte: number): number {
  if (byte === 0xc1) throw new Error('byte 0xc1 begins no value');
  const isFixed = byte >= 0xd4;
  const width = isFixed ? 0 : 2 ** (byte - 0xc7);
  const length = isFixed ? 2 ** (byte - 0xd4) : lengthAt(bytes, at + 1, width);
  const type = bytes[at + 1 + width];
  if (type === undefined) throw new Error('they end in the middle of a value');
  if (!extensions.has(type)) {
    throw new Error(`extension ${type} is not taken: encode plain msgpack, without records`);
  }
  return at + 2 + width + length;
}

function lengthAt(bytes: Uint8Array, at: number, width: number): number {
  let length = 0;
  for (let i = 0; i < width; i++) length = length * 256 + (bytes[at + i] ?? 0);
  return length;
}
