/** A group's machines, as seen from a program. */
import { UnderstudyError } from '../../replication/errors.js';
import type { MachineRow } from '../../replication/machines/queries.js';
import { Timeout } from './errors.js';

/** What of a group is needed for it. */
export interface MachineGroup {
  query(
    name: string,
    args: unknown,
    options: { readonly consistency: 'local'; readonly timeoutMs: number },
  ): Promise<{ readonly value: unknown; readonly seq: number }>;
  deliver(command: unknown, options: { readonly timeoutMs: number }): Promise<unknown>;
}

export interface AwaitOptions {
  /** How long to wait, in milliseconds. Default 30 000. */
  readonly timeoutMs?: number | undefined;
}

type Predicate = (row: MachineRow) => boolean;

const defaultTimeoutMs = 30_000;
/** The active holds a question for a second. */
const longestQuestionMs = 5000;

export class MachinesClient {
  constructor(private readonly group: MachineGroup) {}

  /**
   * The first state of the operation that is entered and that `isMeant`, be it left already: those of the
   * past are looked at first, in their order. Rejects with `Timeout`.
   */
  awaitActive(operation: string, isMeant: Predicate, options?: AwaitOptions): Promise<MachineRow> {
    return this.#first(operation, 'entered', isMeant, options);
  }

  /** The same for states that were left, and final ones. */
  awaitInactive(
    operation: string,
    isMeant: Predicate,
    options?: AwaitOptions,
  ): Promise<MachineRow> {
    return this.#first(operation, 'left', isMeant, options);
  }

  /** Sets a machine going again that has failed. Rejects with `Rejected` if there is none. */
  async retry(operation: string, machine: string, options: AwaitOptions = {}): Promise<void> {
    const { timeoutMs = defaultTimeoutMs } = options;
    await this.group.deliver({ $machines: { retry: { operation, machine } } }, { timeoutMs });
  }

  async #first(
    operation: string,
    what: Change['what'],
    isMeant: Predicate,
    { timeoutMs = defaultTimeoutMs }: AwaitOptions = {},
  ): Promise<MachineRow> {
    const endMs = performance.now() + timeoutMs;
    const ask = async (since: number): Promise<Page> => {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) throw late(operation, timeoutMs);
      const args = { operation, since, wait: true };
      const patience = Math.max(1, Math.min(longestQuestionMs, Math.ceil(leftMs)));
      const options = { consistency: 'local', timeoutMs: patience } as const;
      const { value, seq } = await this.group.query('machines.changes', args, options);
      return { rows: value as MachineRow[], seq };
    };
    for await (const change of follow(patient(ask, endMs))) {
      if (change.what === what && isMeant(change.row)) return change.row;
    }
    throw late(operation, timeoutMs);
  }
}

export interface Page {
  readonly rows: readonly MachineRow[];
  /** What it was answered from: nothing older is missing. */
  readonly seq: number;
}

export interface Change {
  readonly what: 'entered' | 'left';
  readonly row: MachineRow;
}

type Ask = (since: number) => Promise<Page>;

/** A group without an active is asked again for as long as somebody waits. */
function patient(ask: Ask, endMs: number): Ask {
  return async (since) => {
    for (;;) {
      try {
        return await ask(since);
      } catch (error) {
        if (!isPassing(error) || performance.now() >= endMs) throw error;
      }
    }
  };
}

function isPassing(error: unknown): boolean {
  return (
    error instanceof UnderstudyError && (error.code === 'timeout' || error.code === 'not-ready')
  );
}

/**
 * Every state of an operation as it is entered and left: those of the past first, then what happens, each
 * once and in the order of its machine's steps. Nothing is kept for whoever is slow: each answer is read
 * from the state, and where steps are missing all is read again. What the history has forgotten by then
 * is passed over.
 */
export async function* follow(ask: Ask): AsyncGenerator<Change, void> {
  const seen = new Map<string, Seen>();
  let since = 0;
  // What is missing in the past will not come any more.
  let isPast = true;
  for (;;) {
    const { rows, seq } = await ask(since);
    if (!isPast && rows.some((row) => isBeyond(seen.get(row.machine), row, rows))) {
      since = 0;
      isPast = true;
      continue;
    }
    isPast &&= rows.length > 0;
    for (const row of rows) yield* news(seen, row);
    since = rows.at(-1)?.seq ?? Math.max(since, seq);
  }
}

interface Seen {
  entered: number;
  left: number;
}

/** The step before it is neither known nor on the same page. */
function isBeyond(seen: Seen | undefined, row: MachineRow, rows: readonly MachineRow[]): boolean {
  const before = row.step - 1;
  if (before <= (seen?.entered ?? -1)) return false;
  return !rows.some(({ machine, step }) => machine === row.machine && step === before);
}

function* news(all: Map<string, Seen>, row: MachineRow): Generator<Change> {
  const seen = all.get(row.machine) ?? { entered: -1, left: -1 };
  all.set(row.machine, seen);
  if (row.step > seen.entered) {
    seen.entered = row.step;
    yield { what: 'entered', row };
  }
  if (row.step > seen.left && (row.isFinal || row.exitedAtMs !== null)) {
    seen.left = row.step;
    yield { what: 'left', row };
  }
}

function late(operation: string, timeoutMs: number): Timeout {
  return new Timeout(`operation ${operation} did not come so far in ${timeoutMs} ms`, 'not-taken');
}
