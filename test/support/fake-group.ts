/** A group in memory: the counter, exactly once. */
import type { GroupSpec } from '../../cluster/documents.js';
import { type AnswerRun, type Batch, eachValue } from '../../replication/batch.js';
import type { EventEntry } from '../../src/admin/backend.js';
import { time } from './fake-documents.js';

interface Decided {
  readonly seq: number | null;
  readonly result?: unknown;
  readonly rejection?: readonly [code: string, detail: string];
}

export interface Group {
  readonly spec: GroupSpec;
  readonly events: EventEntry[];
  readonly decided: Map<string, Decided>;
  total: number;
}

export function decideAll(group: Group, batch: Batch): AnswerRun[] {
  const runs: AnswerRun[] = [];
  let number = batch.first;
  eachValue(batch.blob, (command) => {
    const key = batch.keys?.[number - batch.first] ?? null;
    const names = [`${batch.session} ${number}`, ...(key === null ? [] : [`key ${key}`])];
    const before = names.map((name) => group.decided.get(name)).find((known) => known);
    const decided = before ?? decide(group, command as Record<string, unknown>);
    for (const name of names) group.decided.set(name, decided);
    runs.push(runOf(number, decided, before !== undefined));
    number += 1;
  });
  return runs;
}

/** The counter, with one rule that depends on the state: the total never goes below zero. */
function decide(group: Group, command: Record<string, unknown>): Decided {
  const { by } = command;
  if (!Number.isSafeInteger(by)) {
    return { seq: null, rejection: ['bad-request', `by is ${String(by)}, not an integer`] };
  }
  if (group.total + (by as number) < 0) {
    return { seq: null, rejection: ['insufficient-funds', `${group.total} are there`] };
  }
  group.total += by as number;
  const seq = group.events.length + 1;
  group.events.push({ seq, epoch: 1, at: time, event: command });
  return { seq, result: { total: group.total } };
}

function runOf(first: number, { seq, result, rejection }: Decided, duplicate: boolean): AnswerRun {
  return {
    first,
    count: 1,
    epoch: 1,
    baseSeq: seq ?? 0,
    eventCounts: [0],
    results: [result],
    rejections: rejection ? [[0, ...rejection]] : null,
    duplicate,
  };
}
