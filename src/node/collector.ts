/**
 * Collects the chunks that no snapshot names any more, now and then after some snapshot was retired here.
 * Any number of nodes may do so at once: what makes it safe is in replication/snapshot/collection.ts.
 */
import type { Logger } from 'pino';
import type { ChunkGarbage } from '../../replication/ports.js';
import { collect } from '../../replication/snapshot/collection.js';

/** Looking through all pins and chunks of the namespace is not done more often. */
const everyMs = 30_000;
/** What is retired together is collected together. */
const soonMs = 2000;

export class Collector {
  readonly #garbage: ChunkGarbage;
  readonly #logger: Pick<Logger, 'debug'>;
  #timer: NodeJS.Timeout | null = null;
  #isCollecting = false;
  #isDue = false;
  #notBeforeMs = 0;
  #isStopped = false;

  constructor(garbage: ChunkGarbage, logger: Pick<Logger, 'debug'>) {
    this.#garbage = garbage;
    this.#logger = logger;
  }

  /** Something was retired. */
  nudge(): void {
    this.#isDue = true;
    if (this.#timer !== null || this.#isCollecting || this.#isStopped) return;
    const pauseMs = Math.max(soonMs, this.#notBeforeMs - performance.now());
    this.#timer = setTimeout(() => this.#run(), pauseMs);
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #run(): void {
    this.#timer = null;
    this.#isDue = false;
    this.#isCollecting = true;
    this.#notBeforeMs = performance.now() + everyMs;
    collect(this.#garbage, (result) => {
      this.#isCollecting = false;
      this.#logger.debug({ ...result }, 'collected chunks');
      if (this.#isDue || 'failure' in result) this.nudge();
    });
  }
}
