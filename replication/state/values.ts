/** Values of tables as bytes: equal values give equal bytes, whatever was encoded before. */
import { Packr, RESET_BUFFER_MODE, Unpackr } from 'msgpackr';
import { UnderstudyError } from '../errors.js';
import { limits } from '../limits.js';
import { LargeValue, type Layout, type StoredValue } from './nodes.js';
import { Slab } from './slab.js';

/** Without records: their numbers would depend on what was packed before. */
const options = { useRecords: false, moreTypes: true, copyBuffers: true } as const;

/** A packer keeps the largest buffer it ever needed. */
const packerSizeBytes = 1024 * 1024;

export class Encoder {
  #packr = new Packr(options);
  readonly #slab = new Slab();

  constructor(private readonly layout: Layout) {}

  /** Throws if msgpack cannot keep the value. */
  encode(value: unknown): StoredValue {
    if (value === undefined || typeof value === 'function') {
      throw new UnderstudyError('bad-request', `a table holds no ${typeof value}; delete the key`);
    }
    const packed = this.#packr.pack(value, RESET_BUFFER_MODE);
    const sizeBytes = packed.length;
    if (sizeBytes > packerSizeBytes) this.#packr = new Packr(options);
    if (sizeBytes > limits.tableValueSizeBytes) {
      const detail = `a value of ${sizeBytes} bytes, at most ${limits.tableValueSizeBytes}`;
      throw new UnderstudyError('too-large', `${detail}; use several keys`);
    }
    const bytes = this.#slab.keep(packed);
    return sizeBytes > this.layout.largeValueSizeBytes ? new LargeValue(bytes) : bytes;
  }
}

const unpackr = new Unpackr(options);
const desk = new Uint8Array(4096);

/**
 * A value made afresh. The unpacker leaves a DataView at every array it reads from, for good: it gets
 * the bytes on a desk, or a view of them that nobody keeps.
 */
export function decode(value: StoredValue): unknown {
  const bytes = value instanceof LargeValue ? value.bytes : value;
  if (bytes.length > desk.length) return unpackr.unpack(bytes.subarray());
  desk.set(bytes);
  return unpackr.unpack(desk, bytes.length);
}
