/** A client in the simulation: sessions with numbers, retries of the same batch, reads in between. */
import {
  type Batch,
  type BatchAnswer,
  encodeValue,
  joinCommands,
} from '../../replication/batch.js';
import type { Consistency, ReadResult } from '../../replication/effects.js';
import { type Seq, seq } from '../../replication/ids.js';
import type { Random } from '../support/scheduler.js';
import type { Peer } from './bus.js';
import type { TraceCommand } from './kind.js';
import type { World } from './world.js';

interface Pending {
  readonly batch: Batch;
  readonly commands: readonly TraceCommand[];
  readonly keys: readonly (string | null)[];
  readonly floor: number;
  attempt: number;
  done: boolean;
}

interface GroupSession {
  readonly session: string;
  next: number;
  readonly pending: Pending[];
  reading: boolean;
  /** The highest seq in any answer so far. */
  seen: Seq;
}

const attemptMs = 700;
const window = 3;

export class SimulationClient implements Peer {
  life = 1;
  alive = true;
  partitioned = false;
  answered = 0;
  readonly #random: Random;
  readonly #sessions = new Map<string, GroupSession>();
  stopped = false;

  constructor(
    readonly name: string,
    private readonly world: World,
  ) {
    this.#random = world.scheduler.fork(`client/${name}`);
  }

  run(task: () => void): void {
    task();
  }

  get outstanding(): number {
    let count = 0;
    for (const { pending } of this.#sessions.values()) count += pending.length;
    return count;
  }

  start(): void {
    this.world.scheduler.after(this.#random.next() * 50, () => this.#act());
  }

  #act(): void {
    if (this.stopped) return;
    for (const group of this.world.groupNames) {
      if (this.#random.chance(0.25)) this.#read(group);
      else this.#deliver(group);
    }
    const pauseMs = this.world.options.pauseBetweenOpsMs * (0.2 + this.#random.next() * 1.6);
    this.world.scheduler.after(pauseMs, () => this.#act());
  }

  #session(group: string): GroupSession {
    let session = this.#sessions.get(group);
    if (session === undefined) {
      session = {
        session: `${this.name}-${group}`,
        next: 1,
        pending: [],
        reading: false,
        seen: seq(0),
      };
      this.#sessions.set(group, session);
    }
    return session;
  }

  /** Sends a few commands; more of them while several batches are unanswered. */
  #deliver(group: string): void {
    if (this.#random.chance(0.08)) return this.#deliverOnce(group);
    const session = this.#session(group);
    if (session.pending.length >= window) return;
    const first = session.next;
    const commands = this.#commands(first);
    session.next += commands.length;
    const floor = session.pending[0]?.batch.first ?? first;
    const pending = this.#pending(group, { session: session.session, floor, first }, commands);
    session.pending.push(pending);
    this.#send(group, session, pending);
  }

  /** Without a session nothing is sent again; a copy that the wire made is another command. */
  #deliverOnce(group: string): void {
    const first = this.world.nextAnonymous();
    const commands = this.#commands(-first);
    const pending = this.#pending(group, { session: null, floor: 1, first }, commands);
    this.world.deliver(this, group, pending.batch, (answer) => {
      if (!answer.ok) return;
      const checker = this.world.checker(group);
      checker.onAnswer(pending.batch, answer, pending.floor);
      checker.history.answered(pending.batch, answer.runs, this.world.scheduler.now());
    });
  }

  #commands(first: number): TraceCommand[] {
    const commands: TraceCommand[] = [];
    const end = first + 1 + this.#random.below(4);
    for (let number = first; number < end; number++) {
      commands.push({ n: this.#random.below(1_000_000), op: `${this.name}:${number}` });
    }
    return commands;
  }

  /** Some commands have a key; of those some were sent before, under another number, by anybody. */
  #pending(
    group: string,
    at: Pick<Batch, 'session' | 'floor' | 'first'>,
    drawn: TraceCommand[],
  ): Pending {
    const checker = this.world.checker(group);
    const isKeyed = this.#random.chance(0.2);
    const known = this.world.keyed(group);
    const commands = drawn.map((command) => {
      if (!isKeyed || !this.#random.chance(0.7)) return { command, key: null };
      const before = known[this.#random.below(known.length * 2)];
      const keyed = before ?? command;
      known.unshift(keyed);
      known.length = Math.min(known.length, 6);
      return { command: keyed, key: keyed.op };
    });
    for (const [i, { command, key }] of commands.entries()) {
      checker.noteSent(at.session, at.first + i, command, key ?? undefined);
    }
    const keys = commands.map(({ key }) => key);
    const blob = joinCommands(commands.map(({ command }) => encodeValue(command)));
    const { session, floor, first } = at;
    const count = commands.length;
    const batch = { session, floor, first, count, keys: isKeyed ? keys : null, blob };
    const sent = commands.map(({ command }) => command);
    checker.history.called(batch, sent, this.world.scheduler.now());
    return {
      batch,
      commands: sent,
      keys,
      floor: checker.floor(),
      attempt: 0,
      done: false,
    };
  }

  #send(group: string, session: GroupSession, pending: Pending): void {
    if (pending.done) return;
    pending.attempt += 1;
    const { attempt } = pending;
    this.world.deliver(this, group, pending.batch, (answer) => {
      this.#onAnswer(group, session, pending, attempt, answer);
    });
    this.world.scheduler.after(attemptMs, () => {
      if (pending.attempt === attempt) this.#send(group, session, pending);
    });
  }

  #onAnswer(
    group: string,
    session: GroupSession,
    pending: Pending,
    attempt: number,
    answer: BatchAnswer,
  ): void {
    // A late copy gets the same answer.
    if (answer.ok) this.world.checker(group).onAnswer(pending.batch, answer, pending.floor);
    if (pending.done) return;
    if (!answer.ok) {
      if (answer.code === 'bad-request') {
        throw new Error(`${session.session} was refused: ${answer.detail}`);
      }
      if (pending.attempt !== attempt) return;
      this.world.scheduler.after(20 + this.#random.next() * 50, () => {
        if (pending.attempt === attempt) this.#send(group, session, pending);
      });
      return;
    }
    pending.done = true;
    const { history } = this.world.checker(group);
    history.answered(pending.batch, answer.runs, this.world.scheduler.now());
    const last = answer.runs.findLast((run) => run.rejections?.length !== run.count);
    if (last) session.seen = seq(Math.max(session.seen, last.baseSeq));
    this.answered += pending.batch.count;
    session.pending.splice(session.pending.indexOf(pending), 1);
  }

  hearOpened(group: string): void {
    const session = this.#sessions.get(group);
    for (const pending of session?.pending ?? []) {
      if (session) this.#send(group, session, pending);
    }
  }

  #read(group: string): void {
    const session = this.#session(group);
    if (session.reading) return;
    session.reading = true;
    const consistency = this.#consistency();
    const checker = this.world.checker(group);
    const floor = checker.floor();
    const { scheduler } = this.world;
    const calledAt = scheduler.now();
    // What a session has seen it sees from then on, whoever answers.
    const minSeq = consistency === 'linearizable' ? seq(0) : session.seen;
    let answered = false;
    const once = (result: ReadResult) => {
      if (answered) return;
      answered = true;
      session.reading = false;
      if (!result.ok) return;
      checker.onRead(result, floor, { consistency, minSeq });
      if (consistency === 'linearizable') checker.history.saw(result, calledAt, scheduler.now());
      session.seen = seq(Math.max(session.seen, result.seq));
    };
    const read = { consistency, minSeq, query: 'whole', args: null };
    if (consistency === 'standby') this.world.readFromStandby(this, group, read, once);
    else this.world.read(this, group, read, once);
    this.world.scheduler.after(attemptMs, () => {
      if (!answered) session.reading = false;
      answered = true;
    });
  }

  #consistency(): Consistency {
    if (this.#random.chance(0.5)) return 'linearizable';
    return this.#random.chance(0.4) ? 'local' : 'standby';
  }
}
