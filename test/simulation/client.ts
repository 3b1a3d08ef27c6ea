/** A client in the simulation: sessions with numbers, retries of the same batch, reads in between. */
import {
  type Batch,
  type BatchAnswer,
  encodeValue,
  joinCommands,
} from '../../replication/batch.js';
import type { ReadResult } from '../../replication/effects.js';
import type { Random } from '../support/scheduler.js';
import type { Peer } from './bus.js';
import type { TraceCommand } from './kind.js';
import type { World } from './world.js';

interface Pending {
  readonly batch: Batch;
  readonly commands: readonly TraceCommand[];
  readonly floor: number;
  attempt: number;
  done: boolean;
}

interface GroupSession {
  readonly session: string;
  next: number;
  readonly pending: Pending[];
  reading: boolean;
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
      session = { session: `${this.name}-${group}`, next: 1, pending: [], reading: false };
      this.#sessions.set(group, session);
    }
    return session;
  }

  /** Sends a few commands; more of them while several batches are unanswered. */
  #deliver(group: string): void {
    const session = this.#session(group);
    if (session.pending.length >= window) return;
    const checker = this.world.checker(group);
    const count = 1 + this.#random.below(4);
    const first = session.next;
    session.next += count;
    const commands = Array.from({ length: count }, (_, i) => ({
      n: this.#random.below(1_000_000),
      op: `${this.name}:${first + i}`,
    }));
    for (const [i, command] of commands.entries()) {
      checker.noteSent(session.session, first + i, command);
    }
    const floor = session.pending[0]?.batch.first ?? first;
    const blob = joinCommands(commands.map(encodeValue));
    const batch: Batch = { session: session.session, floor, first, count, keys: null, blob };
    const pending: Pending = { batch, commands, floor: checker.floor(), attempt: 0, done: false };
    session.pending.push(pending);
    this.#send(group, session, pending);
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
    this.answered += pending.batch.count;
    session.pending.splice(session.pending.indexOf(pending), 1);
    this.world.checker(group).onAnswer(session.session, answer, pending.floor);
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
    const linearizable = this.#random.chance(0.7);
    const checker = this.world.checker(group);
    const floor = checker.floor();
    const onResult = (result: ReadResult) => {
      session.reading = false;
      if (result.ok) checker.onRead(result, floor, linearizable);
    };
    let answered = false;
    const once = (result: ReadResult) => {
      if (!answered) onResult(result);
      answered = true;
    };
    const consistency = linearizable ? 'linearizable' : 'local';
    this.world.read(this, group, { consistency, query: 'hash', args: null }, once);
    this.world.scheduler.after(attemptMs, () => {
      if (!answered) session.reading = false;
      answered = true;
    });
  }
}
