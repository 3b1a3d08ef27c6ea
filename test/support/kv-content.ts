/** What a `kv` group must hold, kept beside it: filled with what nothing can compress, and compared. */
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { GroupClient } from '../../src/client/group.js';
import type { Load } from './load.js';
import { until } from './until.js';

export interface Bulk {
  /** Values that share chunks, in pages of `perPage`, each page under a prefix of its own. */
  readonly pages: number;
  readonly perPage: number;
  readonly valueSizeChars: number;
  /** Values that are too large for a table's pages: each is a chunk. */
  readonly large: number;
}

const largeSizeChars = 36 * 1024;
const largePerPage = 14;
/** Deliveries at the same time. */
const callers = 16;

interface SetCommand {
  readonly type: 'set';
  readonly key: string;
  readonly value: string | number;
}

/** Keys are `<page>/<name>`: a page fits into one answer. */
export class KvContent {
  readonly #entries = new Map<string, string | number>();

  constructor(private readonly group: GroupClient) {}

  /** Each round with other values. */
  async fill({ pages, perPage, valueSizeChars, large }: Bulk, round = 0): Promise<void> {
    const small = Array.from({ length: pages * perPage }, (_, n) => {
      const key = `page${Math.floor(n / perPage)}/${n}`;
      return setOf(key, valueSizeChars, round);
    });
    await this.deliver(small);
    await this.fillLarge(large, round);
  }

  async fillLarge(large: number, round: number): Promise<void> {
    const commands = Array.from({ length: large }, (_, n) => {
      const key = `large${Math.floor(n / largePerPage)}/${n}`;
      return setOf(key, largeSizeChars, round);
    });
    await this.deliver(commands);
  }

  async deliver(commands: readonly SetCommand[]): Promise<void> {
    const left = commands.values();
    const run = async () => {
      for (const command of left) await this.group.deliver(command);
    };
    await Promise.all(Array.from({ length: callers }, run));
    for (const { key, value } of commands) this.#entries.set(key, value);
  }

  /** Of a load of `loadCommand` that has ended. */
  note({ accepted }: Load): void {
    for (const { command } of accepted.toSorted((a, b) => a.seq - b.seq)) {
      const { key, value } = command as SetCommand;
      this.#entries.set(key, value);
    }
  }

  /** The standby with this index holds exactly this, as of `minSeq` or later. */
  async expectAt(index: number, minSeq: number): Promise<void> {
    const ask = async (name: string, args?: object) => {
      const read = { consistency: 'standby', minSeq } as const;
      const { value } = await until(`an answer of member ${index}`, async () => {
        const answer = await this.group.query(name, args, read);
        return answer.member === index ? answer : null;
      });
      return value;
    };
    const pages = [...new Set([...this.#entries.keys()].map((key) => key.replace(/\/.*/, '/')))];
    const found: [string, string | number][] = [];
    for (const prefix of pages) {
      const page = (await ask('range', { prefix, limit: 1000 })) as SetCommand[];
      found.push(...page.map(({ key, value }) => [key, value] as [string, string | number]));
    }
    expect(await ask('size')).toBe(this.#entries.size);
    expect(digestOf(found)).toBe(digestOf([...this.#entries]));
  }
}

/** Writes for a load to go on with: few keys, again and again. */
export function loadCommand(caller: number, n: number): SetCommand {
  return { type: 'set', key: `load/${caller}-${n % 50}`, value: n };
}

export function setOf(key: string, sizeChars: number, round: number): SetCommand {
  const outputLength = Math.ceil((sizeChars * 3) / 4);
  const noise = createHash('shake256', { outputLength }).update(`${key} ${round}`);
  return { type: 'set', key, value: noise.digest('base64') };
}

function digestOf(entries: readonly (readonly [string, string | number])[]): string {
  const hash = createHash('sha256');
  for (const entry of entries.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(JSON.stringify(entry));
  }
  return hash.digest('hex');
}
