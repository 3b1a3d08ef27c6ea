/**
 * The checker: an independent fold of the log as the broker stored it, held against everything that
 * members and clients see, event by event.
 */
import type { BatchAnswer } from '../../replication/batch.js';
import { eachValue } from '../../replication/batch.js';
import type { ReadResult } from '../../replication/effects.js';
import { Rejection } from '../../replication/kind.js';
import type { StoredRecord } from '../../replication/ports.js';
import {
  decodeRecord,
  type EventsBody,
  isRecord,
  type LogRecord,
} from '../../replication/record.js';
import { type TraceCommand, type TraceEvent, type TraceState, traceKind } from './kind.js';

export class Violation extends Error {
  constructor(
    readonly invariant: string,
    message: string,
  ) {
    super(`${invariant}: ${message}`);
    this.name = 'Violation';
  }
}

interface Decided {
  readonly seq: number;
  readonly result: unknown;
  readonly rejection: string | null;
  readonly key: number;
}

interface Expectation {
  readonly count: number;
  readonly result: unknown;
  readonly rejection: string | null;
}

export class GroupChecker {
  /** State hash after each seq; index 0 is the initial state. */
  readonly hashes: number[] = [17];
  epoch = 0;
  epochs = 0;
  #number = -1;
  #writer = '';
  #state: TraceState = traceKind.init();
  readonly #decided = new Map<string, Decided>();
  /** What each client sent under each number. */
  readonly #sent = new Map<string, TraceCommand>();
  readonly #done = new Set<string>();
  #highestKey = 0;

  constructor(readonly group: string) {}

  get seq(): number {
    return this.hashes.length - 1;
  }

  noteSent(session: string, number: number, command: TraceCommand): void {
    this.#sent.set(`${session}/${number}`, command);
  }

  /** A record was stored: it must continue the log (I1), decide new commands only (I2), truly (I3). */
  onStored({ bytes, position }: StoredRecord): void {
    const record = decodeRecord(bytes);
    if (!isRecord(record)) throw new Violation('I1', `undecodable record at ${position}`);
    this.#checkEpoch(record);
    if (record.baseSeq !== this.seq) {
      throw new Violation(
        'I3',
        `record starts after seq ${record.baseSeq}, the log is at ${this.seq}`,
      );
    }
    if (record.body.type === 'events') this.#fold(record, record.body);
    if (record.seq !== this.seq) {
      throw new Violation('I3', `record says seq ${record.seq}, its events end at ${this.seq}`);
    }
  }

  #checkEpoch(record: LogRecord): void {
    const writer = `${record.writer.index}@${record.writer.node}/${record.writer.incarnation}`;
    const claims = record.body.type === 'claim';
    const right = claims
      ? record.epoch === this.epoch + 1 && record.number === 0
      : record.epoch === this.epoch &&
        record.number === this.#number + 1 &&
        writer === this.#writer;
    if (!right) {
      throw new Violation(
        'I1',
        `${writer} stored ${record.body.type} ${record.number} of epoch ${record.epoch}; ` +
          `epoch ${this.epoch} is at ${this.#number} and belongs to ${this.#writer}`,
      );
    }
    this.epoch = record.epoch;
    this.#number = record.number;
    this.#writer = writer;
    if (claims) this.epochs += 1;
  }

  #fold(record: LogRecord, body: EventsBody): void {
    const events: TraceEvent[] = [];
    eachValue(body.blob, (value) => events.push(value as TraceEvent));
    let at = 0;
    for (const run of body.runs) {
      for (let i = 0; i < run.count; i++) {
        const id = `${run.session}/${run.first + i}`;
        const command = this.#sent.get(id);
        if (command === undefined) throw new Violation('I2', `nobody sent ${id}`);
        if (this.#done.has(command.op)) throw new Violation('I2', `${command.op} was done twice`);
        this.#done.add(command.op);
        if (this.#decided.has(id)) throw new Violation('I2', `${id} is in the log twice`);
        const expected = this.#decide(command);
        const rejected = run.rejections?.find(([offset]) => offset === i)?.[1] ?? null;
        const count = run.eventCounts ? run.eventCounts[i] : rejected === null ? 1 : 0;
        const result = rejected === null ? (run.results?.[i] ?? null) : null;
        const same =
          count === expected.count && rejected === expected.rejection && result === expected.result;
        if (!same) {
          throw new Violation(
            'I3',
            `${id} (n=${command.n}) was decided as ${JSON.stringify({ count, rejected, result })} in ` +
              `epoch ${record.epoch}, a replay gives ${JSON.stringify(expected)}`,
          );
        }
        for (const event of events.slice(at, at + expected.count)) this.#apply(event);
        at += expected.count;
        const key = expected.count > 0 ? 2 * this.seq : 2 * this.seq + 1;
        this.#decided.set(id, { seq: this.seq, result, rejection: rejected, key });
      }
    }
    if (at !== events.length)
      throw new Violation('I4', `${events.length - at} events of no command`);
  }

  #decide(command: TraceCommand): Expectation {
    const decision = traceKind.decide?.(this.#state, command, { seq: 0, recordedAtMs: 0 });
    if (decision instanceof Rejection) return { count: 0, result: null, rejection: decision.code };
    const { events, result } = decision as { events: TraceEvent[]; result: unknown };
    return { count: events.length, result, rejection: null };
  }

  #apply(event: TraceEvent): void {
    traceKind.apply(this.#state, event, { seq: this.seq + 1, recordedAtMs: 0 });
    this.hashes.push(this.#state.hash);
  }

  /** The greatest place any operation has been answered at: what starts now comes after it. */
  floor(): number {
    return this.#highestKey;
  }

  /** A client got an answer: each must be in the log as answered (I2, I4), after its floor (I3). */
  onAnswer(session: string, answer: BatchAnswer & { ok: true }, floor: number): void {
    for (const run of answer.runs) {
      let at = run.baseSeq;
      for (let i = 0; i < run.count; i++) {
        const id = `${session}/${run.first + i}`;
        const decided = this.#decided.get(id);
        if (decided === undefined)
          throw new Violation('I2', `${id} was answered, the log has it not`);
        const rejection = run.rejections?.find(([offset]) => offset === i)?.[1] ?? null;
        if (rejection === null) at += run.eventCounts ? (run.eventCounts[i] ?? 0) : 1;
        const result = run.results?.[i] ?? null;
        const wrong =
          rejection !== decided.rejection ||
          (rejection === null && (at !== decided.seq || result !== decided.result));
        if (wrong) {
          throw new Violation(
            'I2',
            `${id} was answered ${JSON.stringify({ seq: at, rejection, result })}, ` +
              `the log says ${JSON.stringify(decided)}`,
          );
        }
        this.#place(decided.key, floor, id);
      }
    }
  }

  /** A read must show the state at its seq; a linearizable one nothing older than its floor. */
  onRead(result: ReadResult & { ok: true }, floor: number, linearizable: boolean): void {
    if (result.seq > this.seq)
      throw new Violation('I3', `read seq ${result.seq} before it is stored`);
    if (result.value !== this.hashes[result.seq]) {
      throw new Violation('I3', `a read at seq ${result.seq} shows a state that never was`);
    }
    if (linearizable) this.#place(2 * result.seq + 1, floor, 'a linearizable read');
  }

  #place(key: number, floor: number, what: string): void {
    if (key < floor) {
      throw new Violation('I3', `${what} is at ${key / 2}, an earlier answer was at ${floor / 2}`);
    }
    this.#highestKey = Math.max(this.#highestKey, key);
  }

  /** I5: a member at rest holds the state that the log gives at its seq. */
  onMemberState(who: string, seq: number, hash: number): void {
    if (this.hashes[seq] !== hash) {
      throw new Violation('I5', `${who} at seq ${seq} holds a state the log does not give`);
    }
  }
}
