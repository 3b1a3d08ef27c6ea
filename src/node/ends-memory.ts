/**
 * What this node knows of where its groups' logs end, on its own disk: when all nodes and all brokers have
 * died together, it is all that could tell that the store came back older than it was.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { eraOf, furthestEnd } from '../../cluster/losses.js';
import type { Reports } from '../../cluster/succession.js';
import type { GroupConfig } from '../../cluster/types.js';
import { type End, furtherOf } from '../../replication/ends.js';
import { limits } from '../../replication/limits.js';

/** What a crash of everything at once makes it forget. */
const writeEveryMs = 500;
const fileName = 'ends.json';
const format = 1;

export interface Remembered {
  readonly group: string;
  readonly groupId: string;
  /** A group that was deleted and created anew with the same seed has another log. */
  readonly createdAtMs: number;
  readonly end: End;
}

/** A group as its coordinator knows it. */
interface Seen {
  readonly config: GroupConfig;
  readonly reports: Reports;
}

export class EndsMemory {
  readonly #known = new Map<string, Remembered>();
  readonly #path: string | null;
  readonly #logger: Pick<Logger, 'warn'>;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #isDirty = false;
  #writing: Promise<void> = Promise.resolve();
  #isWriting = false;
  #hasFailed = false;

  private constructor(path: string | null, logger: Pick<Logger, 'warn'>) {
    this.#path = path;
    this.#logger = logger;
  }

  /** `dir` null: what is known ends with the process. */
  static async open(dir: string | null, logger: Pick<Logger, 'warn'>): Promise<EndsMemory> {
    if (dir === null) return new EndsMemory(null, logger);
    await mkdir(dir, { recursive: true });
    const memory = new EndsMemory(join(dir, fileName), logger);
    await memory.#read();
    return memory;
  }

  get isKept(): boolean {
    return this.#path !== null;
  }

  /** All that is remembered, of groups that there are and that there are not. */
  get all(): readonly Remembered[] {
    return [...this.#known.values()];
  }

  of({ groupId, createdAtMs }: GroupConfig): End | null {
    const found = this.#known.get(groupId);
    return found?.createdAtMs === createdAtMs ? found.end : null;
  }

  /** Called often, with what may be new: it writes when there is something new and it is time. */
  note(groups: Iterable<Seen>, nowMs: number): void {
    for (const { config, reports } of groups) this.#noteGroup(config, furthestEnd(reports));
    const isDue = this.#isDirty && nowMs - this.#writtenAtMs >= writeEveryMs;
    if (!isDue || this.#isWriting || this.#path === null) return;
    this.#writtenAtMs = nowMs;
    this.#writing = this.#write(this.#path);
  }

  #noteGroup(config: GroupConfig, end: End | null): void {
    const { name: group, groupId, createdAtMs } = config;
    const before = this.of(config);
    const isVoid = before !== null && before.era < eraOf(config);
    const known = furtherOf<End | null>(isVoid ? null : before, end);
    if (known === before || known === null) return;
    this.#known.set(groupId, { group, groupId, createdAtMs, end: known });
    this.#isDirty = true;
  }

  forget(groupId: string): void {
    if (this.#known.delete(groupId)) this.#isDirty = true;
  }

  async close(): Promise<void> {
    await this.#writing;
    if (this.#isDirty && this.#path !== null) await this.#write(this.#path);
  }

  async #read(): Promise<void> {
    const text = await readFile(this.#path as string, 'utf8').catch(() => null);
    if (text === null) return;
    try {
      const { groups } = JSON.parse(text) as { readonly groups: readonly Remembered[] };
      for (const one of groups) this.#known.set(one.groupId, one);
    } catch (error) {
      const detail = `${this.#path} cannot be read: what the log loses before this start is not noticed here`;
      this.#logger.warn({ err: error }, detail);
    }
  }

  async #write(path: string): Promise<void> {
    this.#isWriting = true;
    this.#isDirty = false;
    const groups = this.all.slice(-limits.rememberedEnds);
    try {
      const file = await open(`${path}.new`, 'w');
      try {
        await file.writeFile(JSON.stringify({ format, groups }));
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(`${path}.new`, path);
      this.#hasFailed = false;
    } catch (error) {
      this.#isDirty = true;
      if (!this.#hasFailed) this.#logger.warn({ err: error }, `${path} cannot be written`);
      this.#hasFailed = true;
    }
    this.#isWriting = false;
  }
}
