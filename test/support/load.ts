/** Callers that keep delivering while something goes wrong, and a checker of what they were told. */
import { expect } from 'vitest';
import type { EventEntry } from '../../src/admin/backend.js';
import type { AdminClient } from '../../src/client/admin.js';
import { Rejected } from '../../src/client/errors.js';
import type { GroupClient } from '../../src/client/group.js';
import { until } from './until.js';

export interface Accepted {
  readonly command: object;
  readonly seq: number;
  readonly epoch: number;
  readonly result: unknown;
}

export interface Outcome {
  readonly command: object;
  /** Why the kind refused it; null: it was accepted. */
  readonly code: string | null;
  /** What it says about the refusal. */
  readonly detail: string | null;
  /** Null: it was refused. */
  readonly accepted: Accepted | null;
  /** On one clock for all callers of this process. */
  readonly calledAt: number;
  readonly returnedAt: number;
}

export interface LoadOptions {
  /** The `n`-th command of caller number `caller`, both from 0. */
  readonly command: (caller: number, n: number) => object;
  /** Each awaits its answer before its next command. Default 8. */
  readonly callers?: number;
  readonly timeoutMs?: number;
}

export class Load {
  readonly accepted: Accepted[] = [];
  /** Every answer of the kind; each caller's in the order in which it asked. */
  readonly outcomes: Outcome[] = [];
  /** Deliveries that ended in anything but an answer of the kind. */
  readonly failures: string[] = [];
  readonly #callers: readonly Promise<void>[];
  /** By caller. */
  readonly #begun: number[];
  readonly #answered: number[];
  #stopping = false;

  constructor(
    private readonly group: GroupClient,
    private readonly options: LoadOptions,
  ) {
    const { callers = 8 } = options;
    this.#begun = new Array<number>(callers).fill(0);
    this.#answered = new Array<number>(callers).fill(0);
    this.#callers = Array.from({ length: callers }, (_, caller) => this.#run(caller));
  }

  /** Resolves when `count` more commands have been answered. */
  async more(count = 200): Promise<void> {
    const goal = this.outcomes.length + count;
    await until(
      `${count} more answers`,
      () => this.outcomes.length >= goal || this.failures.length > 0,
    );
    expect(this.failures).toEqual([]);
  }

  /** Resolves when every caller has got an answer to a command that it began after this call. */
  async round(timeoutMs?: number): Promise<void> {
    const goals = this.#begun.map((begun) => begun + 1);
    await until(
      'every caller is answered again',
      () =>
        this.failures.length > 0 ||
        goals.every((goal, caller) => (this.#answered[caller] ?? 0) >= goal),
      timeoutMs,
    );
    expect(this.failures).toEqual([]);
  }

  /** No new commands; resolves when each that was begun has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#callers);
  }

  async #run(caller: number): Promise<void> {
    // A failure ends the load, or callers would spin on a client that a failed test has closed.
    for (let n = 0; !this.#stopping && this.failures.length === 0; n++) {
      this.#begun[caller] = n + 1;
      await this.#deliver(this.options.command(caller, n));
      this.#answered[caller] = n + 1;
    }
  }

  async #deliver(command: object): Promise<void> {
    const { timeoutMs = 30_000 } = this.options;
    const calledAt = performance.now();
    const told = (answer: Pick<Outcome, 'code' | 'detail' | 'accepted'>) =>
      this.outcomes.push({ command, ...answer, calledAt, returnedAt: performance.now() });
    try {
      const { seq, epoch, result } = await this.group.deliver(command as never, { timeoutMs });
      const accepted = { command, seq, epoch, result };
      this.accepted.push(accepted);
      told({ code: null, detail: null, accepted });
    } catch (error) {
      if (error instanceof Rejected) {
        told({ code: error.rejectionCode, detail: error.detail, accepted: null });
      } else this.failures.push(String(error));
    }
  }
}

/** Counter events that differ from each other: caller and number are in `by`. */
export function countingCommand(caller: number, n: number): { by: number } {
  return { by: caller * 1_000_000 + n + 1 };
}

const pageLimit = 4096;

/** The whole log, page by page. */
export async function readEvents(admin: AdminClient, group: string): Promise<EventEntry[]> {
  const events: EventEntry[] = [];
  for (let from: number | null = 1; from !== null; ) {
    const page = await admin.events(group, { from, limit: pageLimit });
    events.push(...page.events);
    from = page.next;
  }
  return events;
}

/**
 * I1, I2 and I3 for kinds whose commands are their events, one each: seqs without gaps, epochs that
 * never decrease, every acknowledged command at its seq, and nothing else.
 */
export function checkLog(events: readonly EventEntry[], accepted: readonly Accepted[]): void {
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  const falling = events.filter(({ epoch }, i) => epoch < (events[i - 1]?.epoch ?? 0));
  expect(falling).toEqual([]);
  const inOrder = accepted.toSorted((a, b) => a.seq - b.seq);
  const told = inOrder.map(({ seq, epoch, command }) => ({ seq, epoch, event: command }));
  expect(told).toEqual(events.map(({ seq, epoch, event }) => ({ seq, epoch, event })));
}

/** Stops the load; nobody may have been left without a true answer. Returns the events. */
export async function settle(load: Load, admin: AdminClient, group: string): Promise<EventEntry[]> {
  await load.stop();
  expect(load.failures).toEqual([]);
  const events = await readEvents(admin, group);
  checkLog(events, load.accepted);
  return events;
}
