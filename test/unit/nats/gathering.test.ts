import { describe, expect, it } from 'vitest';
import { Gathering } from '../../../src/nats/gathering.js';

const latin = (text: string) => Buffer.from(text, 'latin1');
const bytesOf = (sizeBytes: number) =>
  Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, i) => i));

function message(sizeBytes: number, verb = 'MSG'): Buffer {
  const sizes = verb.toUpperCase() === 'HMSG' ? `12 ${sizeBytes}` : `${sizeBytes}`;
  return Buffer.concat([
    latin(`${verb} _INBOX.a.1 7 ${sizes}\r\n`),
    bytesOf(sizeBytes),
    latin('\r\n'),
  ]);
}

/** As a socket would, at most so many bytes at once; returns what is passed on. */
function fed(gathering: Gathering, stream: Uint8Array, mostSizeBytes = Infinity): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at < stream.length; ) {
    const room = gathering.room();
    expect(room.length).toBeGreaterThan(0);
    const piece = stream.subarray(at, at + Math.min(mostSizeBytes, room.length));
    room.set(piece);
    at += piece.length;
    out.push(...gathering.take(piece.length));
  }
  return out;
}

const small = latin('INFO {"a":1}\r\nPING\r\n+OK\r\n');

describe('gathering', () => {
  it.each([1, 2, 3, 7, 100, 1000, 4096, 5000, 65_536, 1_000_000])(
    'passes on the same bytes in the same order, however they come: %i at once (B1)',
    (mostSizeBytes) => {
      const scale = mostSizeBytes < 100 ? 1 : 100;
      const parts = [small, message(700 * scale), message(0), message(12, 'hmsg'), small];
      const stream = Buffer.concat([...parts, message(5000 * scale, 'HMSG'), message(3), small]);
      const out = fed(new Gathering(), stream, mostSizeBytes);
      expect(Buffer.concat(out).equals(stream)).toBe(true);
    },
  );

  it('gathers a large message in memory of its own that is as large as it, and no larger (B1)', () => {
    const large = message(300_000, 'HMSG');
    const gathering = new Gathering();
    const out = fed(gathering, Buffer.concat([small, large, large, small]), 50_000);
    const whole = out.filter(({ length }) => length === large.length);
    expect(whole).toHaveLength(2);
    for (const bytes of whole) {
      expect(large.equals(bytes)).toBe(true);
      expect(bytes.buffer.byteLength).toBe(large.length);
    }
  });

  it('does not write again where it has let others read', () => {
    const gathering = new Gathering();
    const first = fed(gathering, message(100));
    fed(gathering, latin('PING\r\n'.repeat(50)));
    expect(Buffer.concat(first).equals(message(100))).toBe(true);
  });

  it('keeps a line back until its end has come', () => {
    const gathering = new Gathering();
    expect(fed(gathering, latin('PING\r\nMSG a 1 '))).toEqual([latin('PING\r\n')]);
    expect(fed(gathering, latin('5\r\nhello\r'))).toEqual([]);
    expect(fed(gathering, latin('\nPO'))).toEqual([latin('MSG a 1 5\r\nhello\r\n')]);
  });

  it.each([
    ['a message without a size', 'MSG a 1 \r\n'],
    ['a size that is no number', 'MSG a 1 x\r\n'],
    ['a message as large as no broker lets it be', `MSG a 1 ${2 ** 26 + 1}\r\n`],
    ['a line without an end', 'x'.repeat(64 * 1024)],
  ])('passes on as it comes what follows %s (B2)', (_what, wrong) => {
    const gathering = new Gathering();
    fed(gathering, small);
    expect(Buffer.concat(fed(gathering, latin(wrong))).toString('latin1')).toBe(wrong);
    expect(Buffer.concat(fed(gathering, latin('MSG a'))).toString()).toBe('MSG a');
  });
});
