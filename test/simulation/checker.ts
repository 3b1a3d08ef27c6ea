/**
 * The checker: an independent fold of the log as the broker stored it, held against everything that
 * members and clients see, event by event.
 */
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import { eachValue } from '../../replication/batch.js';
import type { ReadRequest, ReadResult } from '../../replication/effects.js';
import { type Kind, Rejection } from '../../replication/kind.js';
import type { StoredRecord } from '../../replication/ports.js';
import {
  decodeRecord,
  type EventsBody,
  isRecord,
  type LogRecord,
  type SnapshotBody,
} from '../../replication/record.js';
import { applyEvent, blankReplica } from '../../replication/replica.js';
import type { Node, Tree } from '../../replication/state/tree.js';
import { GroupHistory } from '../history/group-history.js';
import { simulationHash } from './hash.js';
import {
  poisonPart,
  type TraceCommand,
  type TraceEvent,
  type TraceState,
  traceKind,
} from './kind.js';
import { isSameTree } from './same-tree.js';

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
  readonly result: TraceResult;
  readonly rejection: string | null;
  /** Its place among all operations: even for a change, odd for a look at one. */
  readonly place: number;
}

/** What a command returned: what the state saw last, at the time. */
type TraceResult = TraceState['last'] | null;

interface Expectation {
  readonly count: number;
  readonly result: TraceResult;
  readonly rejection: string | null;
}

interface Sent {
  readonly command: TraceCommand;
  readonly key: string | null;
  /** More than one only where nobody asked for it once. */
  readonly decided: Decided[];
}

function isResult(value: unknown, expected: TraceResult): boolean {
  if (value === null || value === undefined || expected === null) {
    return (value ?? null) === expected;
  }
  const { n, hash } = value as NonNullable<TraceResult>;
  return n === expected.n && hash === expected.hash && Object.keys(value).length === 2;
}

/** A hash as something to compare; none: the beginning of the log. */
function nameOf(hash: Uint8Array): string {
  let name = '';
  for (let i = 0; i < hash.length; i++) name += String.fromCharCode(hash[i] as number);
  return name;
}

export class GroupChecker {
  /** State hash after each seq; index 0 is the initial state. */
  readonly hashes: number[] = [17];
  epoch = 0;
  epochs = 0;
  /** Who opened each epoch, and for which operation. */
  readonly claims: { epoch: number; index: number; node: string; operation: string | null }[] = [];
  #number = -1;
  #writer = '';
  readonly #replica = blankReplica(traceKind as Kind, simulationHash);
  /** The rows after each seq. */
  readonly #rows: Node[] = [this.#rowsNow()];
  /** The newest snapshot that is recorded: its chunks have to be there (I7). */
  snapshot: SnapshotBody | null = null;
  readonly #decidedKeys = new Map<string, Decided>();
  /** What was sent in each session under each number. */
  readonly #sent = new Map<string | null, Map<number, Sent>>();
  readonly #done = new Set<string>();
  #highestPlace = 0;
  #lastHash = '';
  /** Hashes of what is on the subject and not in the log: records of strangers, claims after those. */
  readonly #strange = new Set<string>();

  /** For I3 over the whole run, when it is over. */
  readonly history = new GroupHistory();

  /** A scenario spoils the memory of members on purpose. */
  expectsDivergence = false;
  /** The store has forgotten records of the group. */
  expectsLoss = false;

  constructor(readonly group: string) {}

  get seq(): number {
    return this.hashes.length - 1;
  }

  noteSent(session: string | null, number: number, command: TraceCommand, key?: string): void {
    let numbers = this.#sent.get(session);
    if (numbers === undefined) {
      numbers = new Map();
      this.#sent.set(session, numbers);
    }
    numbers.set(number, { command, key: key ?? null, decided: [] });
  }

  /** A record was stored: it must continue the log (I1), decide new commands only (I2), truly (I3). */
  onStored({ bytes, position }: StoredRecord, isStrange: boolean): void {
    const hash = nameOf(simulationHash(bytes));
    const record = decodeRecord(bytes);
    if (isStrange || this.#isLedAstray(record)) {
      this.#strange.add(hash);
      return;
    }
    if (!isRecord(record)) throw new Violation('I1', `undecodable record at ${position}`);
    if (nameOf(record.previous) !== this.#lastHash) {
      throw new Violation('I1', `the record at ${position} does not follow the log's last`);
    }
    this.#lastHash = hash;
    this.#checkEpoch(record);
    if (record.baseSeq !== this.seq) {
      throw new Violation(
        'I3',
        `record starts after seq ${record.baseSeq}, the log is at ${this.seq}`,
      );
    }
    if (record.body.type === 'events') this.fold(record, record.body);
    if (record.body.type === 'snapshot') this.snapshot = record.body;
    if (record.seq !== this.seq) {
      throw new Violation('I3', `record says seq ${record.seq}, its events end at ${this.seq}`);
    }
  }

  /** A claim may be built on a stranger's record: it claims nothing, whoever reads it passes it over. */
  #isLedAstray(record: ReturnType<typeof decodeRecord>): boolean {
    if (!isRecord(record) || record.body.type !== 'claim') return false;
    const previous = nameOf(record.previous);
    return previous !== this.#lastHash && this.#strange.has(previous);
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
    if (record.body.type !== 'claim') return;
    this.epochs += 1;
    const { index, node } = record.writer;
    this.claims.push({ epoch: record.epoch, index, node, operation: record.body.operation });
  }

  protected fold(record: LogRecord, body: EventsBody): void {
    const events: TraceEvent[] = [];
    eachValue(body.blob, (value) => events.push(value as TraceEvent));
    let at = 0;
    for (const run of body.runs) {
      const { session } = run;
      const numbers = this.#sent.get(session);
      for (let i = 0; i < run.count; i++) {
        const number = run.first + i;
        const sent = numbers?.get(number);
        if (sent === undefined) throw new Violation('I2', `nobody sent ${session}/${number}`);
        if (session !== null || sent.key !== null) this.#checkOnce(session, number, sent);
        const expected = this.#decide(sent.command);
        const rejection = run.rejections?.find(([offset]) => offset === i)?.[1] ?? null;
        const count = run.eventCounts ? run.eventCounts[i] : rejection === null ? 1 : 0;
        const result = rejection === null ? (run.results?.[i] ?? null) : null;
        const same =
          count === expected.count &&
          rejection === expected.rejection &&
          isResult(result, expected.result);
        if (!same) {
          throw new Violation(
            'I3',
            `${session}/${number} (n=${sent.command.n}) was decided as ` +
              `${JSON.stringify({ count, rejection, result })} in epoch ${record.epoch}, ` +
              `a replay gives ${JSON.stringify(expected)}`,
          );
        }
        const end = Math.min(events.length, at + expected.count);
        for (let next = at; next < end; next++) this.#apply(events[next] as TraceEvent);
        at += expected.count;
        const place = expected.count > 0 ? 2 * this.seq : 2 * this.seq + 1;
        const decided = { seq: this.seq, result: expected.result, rejection, place };
        sent.decided.push(decided);
        if (expected.count > 0) {
          const { command } = sent;
          this.history.stored(session, number, {
            position: this.seq,
            size: expected.count,
            command,
          });
        }
        if (sent.key !== null) this.#decidedKeys.set(sent.key, decided);
      }
    }
    if (at !== events.length)
      throw new Violation('I4', `${events.length - at} events of no command`);
  }

  #checkOnce(session: string | null, number: number, { command, key, decided }: Sent): void {
    if (this.#done.has(command.op)) throw new Violation('I2', `${command.op} was done twice`);
    if (key === null && decided.length > 0) {
      throw new Violation('I2', `${session}/${number} is in the log twice`);
    }
    this.#done.add(command.op);
  }

  #decide(command: TraceCommand): Expectation {
    const decision = traceKind.decide?.(this.#replica.state as TraceState, command, {
      seq: 0,
      recordedAtMs: 0,
    });
    if (decision instanceof Rejection) {
      return { count: 0, result: null, rejection: decision.code };
    }
    const { events, result } = decision as { events: TraceEvent[]; result: TraceState['last'] };
    if (events.some(({ part }) => part === poisonPart)) {
      return { count: 0, result: null, rejection: 'apply-failed' };
    }
    return { count: events.length, result: { ...result }, rejection: null };
  }

  #apply(event: TraceEvent): void {
    applyEvent(this.#replica, event, this.seq + 1, 0);
    this.hashes.push((this.#replica.state as TraceState).hash);
    this.#rows.push(this.#rowsNow());
  }

  #rowsNow(): Node {
    return (this.#replica.tables.trees.get('rows') as Tree).freeze();
  }

  /** The greatest place any operation has been answered at: what starts now comes after it. */
  floor(): number {
    return this.#highestPlace;
  }

  /** A client got an answer: each must be in the log as answered (I2, I4), after its floor (I3). */
  onAnswer(
    { session, first, count }: Pick<Batch, 'session' | 'first' | 'count'>,
    answer: BatchAnswer & { ok: true },
    floor: number,
  ): void {
    const numbers = this.#sent.get(session);
    let next = first;
    for (const run of answer.runs) {
      if (run.first !== next) throw new Violation('I2', `${session}/${next} has no one answer`);
      next += run.count;
      let at = run.baseSeq;
      for (let i = 0; i < run.count; i++) {
        const rejection = run.rejections?.find(([offset]) => offset === i)?.[1] ?? null;
        if (rejection === null) at += run.eventCounts ? (run.eventCounts[i] ?? 0) : 1;
        const result = run.results?.[i] ?? null;
        const { own, decided } = this.#decisionsOn(numbers?.get(run.first + i));
        const match = decided.find((each) =>
          rejection === null
            ? each.rejection === null && at === each.seq && isResult(result, each.result)
            : rejection === each.rejection,
        );
        if (match === undefined) {
          throw new Violation(
            'I2',
            `${session}/${run.first + i} was answered ${JSON.stringify({ seq: at, rejection, result })}, ` +
              `the log says ${JSON.stringify(decided)}`,
          );
        }
        if (own) this.#place(match.place, floor, () => `${session}/${run.first + i}`);
      }
    }
    if (next !== first + count) throw new Violation('I2', `${session}/${next} has no one answer`);
  }

  /** Under the number itself, or earlier under the same key: then it has no place of its own. */
  #decisionsOn(sent: Sent | undefined): { own: boolean; decided: readonly Decided[] } {
    if (sent !== undefined && sent.decided.length > 0) return { own: true, decided: sent.decided };
    const key = sent?.key ?? null;
    const keyed = key === null ? undefined : this.#decidedKeys.get(key);
    return { own: false, decided: keyed === undefined ? [] : [keyed] };
  }

  /** A read must show the state at its seq, and nothing older than it was promised (P11). */
  onRead(
    result: ReadResult & { ok: true },
    floor: number,
    { consistency, minSeq }: Pick<ReadRequest, 'consistency' | 'minSeq'>,
  ): void {
    if (result.seq > this.seq)
      throw new Violation('I3', `read seq ${result.seq} before it is stored`);
    if (result.seq < minSeq) {
      throw new Violation('I3', `a ${consistency} read shows seq ${result.seq}, not ${minSeq}`);
    }
    if ((result.value as TraceState).hash !== this.hashes[result.seq]) {
      throw new Violation('I3', `a read at seq ${result.seq} shows a state that never was`);
    }
    if (consistency === 'linearizable') {
      this.#place(2 * result.seq + 1, floor, () => 'a linearizable read');
    }
  }

  #place(place: number, floor: number, what: () => string): void {
    if (place < floor) {
      throw new Violation(
        'I3',
        `${what()} is at ${place / 2}, an earlier answer was at ${floor / 2}`,
      );
    }
    this.#highestPlace = Math.max(this.#highestPlace, place);
  }

  /** I5: the same rows in the same pages, on every member. */
  onMemberRows(who: string, seq: number, trees: ReadonlyMap<string, Tree>): void {
    if (isSameTree(this.#rows[seq] as Node, trees.get('rows')?.root as Node)) return;
    throw new Violation('I5', `${who} at seq ${seq} holds rows the log does not give`);
  }

  /** I5: a member at rest holds the state that the log gives at its seq. */
  onMemberState(who: string, seq: number, hash: number): void {
    if (this.hashes[seq] !== hash) {
      throw new Violation('I5', `${who} at seq ${seq} holds a state the log does not give`);
    }
  }
}
