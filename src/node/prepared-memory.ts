/**
 * Memory whose pages are there before they are written to. The system gives a page when it is first touched, and
 * that may take longer than all that is done with what comes on it, on virtual machines above all: while a state
 * comes in, another thread touches the stretches that are needed next.
 */
import { Worker } from 'node:worker_threads';
import { type Stretches, stretchSizeBytes } from '../../replication/state/leaf-memory.js';

export interface Thread {
  touch(stretch: SharedArrayBuffer): void;
  stop(): void;
}

export interface ThreadEvents {
  touched(stretch: SharedArrayBuffer): void;
  died(): void;
}

/** What the other thread has made ready, or is at. */
const aheadAtMost = 2;

export class PreparedMemory {
  #thread: Thread | null = null;
  #ready: SharedArrayBuffer[] = [];
  #asked = 0;

  constructor(private readonly start: (events: ThreadEvents) => Thread = startThread) {}

  /** What is not ready in time is made as it is asked for. */
  readonly stretches: Stretches = (sizeBytes, moreSizeBytes) => {
    if (sizeBytes !== stretchSizeBytes) return new SharedArrayBuffer(sizeBytes);
    const stretch = this.#ready.pop() ?? new SharedArrayBuffer(sizeBytes);
    this.#prepare(Math.min(aheadAtMost, Math.floor(moreSizeBytes / stretchSizeBytes)));
    return stretch;
  };

  /** Nothing comes in any more: thread and memory are given back. */
  rest(): void {
    if (this.#thread === null) return;
    this.#thread.stop();
    this.#thread = null;
    this.#ready = [];
    this.#asked = 0;
  }

  #prepare(count: number): void {
    for (; this.#ready.length + this.#asked < count; this.#asked++) {
      this.#thread ??= this.#begun();
      if (this.#thread === null) return;
      this.#thread.touch(new SharedArrayBuffer(stretchSizeBytes));
    }
  }

  /** Null: none can be started, which Node may be told not to allow. It only saves time. */
  #begun(): Thread | null {
    try {
      return this.#begin();
    } catch {
      return null;
    }
  }

  #begin(): Thread {
    const thread: Thread = this.start({
      touched: (stretch) => {
        // One that was stopped may still have something to say.
        if (thread !== this.#thread) return;
        this.#asked -= 1;
        this.#ready.push(stretch);
      },
      died: () => {
        if (thread === this.#thread) this.rest();
      },
    });
    return thread;
  }
}

/** As text: it needs no file, wherever this one is bundled into. */
const touching = `
const { parentPort } = require('node:worker_threads');
const pageSizeBytes = 4096;
parentPort.on('message', (stretch) => {
  const bytes = new Uint8Array(stretch);
  for (let at = 0; at < bytes.length; at += pageSizeBytes) bytes[at] = 0;
  parentPort.postMessage(stretch);
});
`;

export function startThread({ touched, died }: ThreadEvents): Thread {
  const worker = new Worker(touching, { eval: true, execArgv: [] });
  worker.unref();
  worker.on('message', touched);
  worker.on('error', died);
  return {
    touch: (stretch) => worker.postMessage(stretch),
    stop: () => void worker.terminate(),
  };
}
