import type { AlarmDocument } from '../../cluster/documents.js';
import type { Effect } from '../../replication/effects.js';

/** P14: what is kept of a member that never stops to complain. */
const mostAlarms = 32;

type Alarm = Extract<Effect, { kind: 'alarm' }>;

/** The last alarms of one member in this life of its node, newest first. */
export class Alarms {
  #latest: AlarmDocument[] = [];

  constructor(
    private readonly index: number,
    private readonly nodeId: string,
  ) {}

  add({ code, detail }: Alarm, atMs: number): void {
    const { index, nodeId } = this;
    const alarm = { at: new Date(atMs).toISOString(), index, nodeId, code, detail };
    this.#latest = [alarm, ...this.#latest].slice(0, mostAlarms);
  }

  get latest(): readonly AlarmDocument[] {
    return this.#latest;
  }
}
