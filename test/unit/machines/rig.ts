/** A kind with machines on one member that is driven by hand; the test fires the triggers. */
import type { CommandAnswer } from '../../../replication/batch.js';
import { unpackRun } from '../../../replication/batch.js';
import type { Effect, MemberConfig } from '../../../replication/effects.js';
import { seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import type { MachineAction } from '../../../replication/machines/machine.js';
import type { MachineRow } from '../../../replication/machines/queries.js';
import { defineKind, reject } from '../../../src/kind.js';
import { defineMachine } from '../../../src/machine.js';
import { activeRig, batchOf, type Rig, Store } from '../replication/support.js';

/** Start, received, final: what the machine is driven by comes from a trigger that the test fires. */
export const receiver = defineMachine<{
  start: number;
  received: { value: string };
  final: string;
}>({
  name: 'receiver',
  version: 1,
  states: {
    start: {
      event: {
        trigger: () => Promise.reject(new Error('the test fires it')),
        to: (data, event: string | null) =>
          event === null
            ? { state: 'final', data: `nothing for ${data}`, events: [{ note: 'final' }] }
            : { state: 'received', data: { value: event }, events: [{ note: event }] },
      },
      other: {
        trigger: () => Promise.reject(new Error('the test fires it')),
        to: (_, event: string) => ({ state: 'final', data: `other ${event}` }),
      },
    },
    received: {
      event: {
        trigger: () => Promise.reject(new Error('the test fires it')),
        to: ({ value }) => {
          if (value === 'boom') throw new Error('the transition has a bug');
          const events = value === 'spoilt' ? [{ note: 'poison' }] : [];
          return { state: 'final', data: `after ${value}`, events };
        },
      },
    },
    final: {},
  },
});

/** Waits for a command or for its time. */
export const timer = defineMachine<{ waiting: number; over: string }>({
  name: 'timer',
  version: 1,
  states: {
    waiting: {
      expired: { afterMs: (ms) => ms, to: (ms) => ({ state: 'over', data: `after ${ms}` }) },
      renewed: { to: (ms) => ({ state: 'waiting', data: ms }) },
      stopped: {
        to: (_, why: string, { group }) => {
          const { notes } = group as { readonly notes: number };
          if (why === 'bug') throw new Error('the transition has a bug');
          return { state: 'over', data: `${why} at ${notes}`, machines: nextOf(why) };
        },
      },
    },
    over: {},
  },
});

const nextOf = (why: string) =>
  why.startsWith('next ') ? [receiver.start(why.slice(5), 'start', 7)] : [];

export type Command =
  | { readonly do: readonly MachineAction[]; readonly notes?: readonly string[] }
  | { readonly refuse: true };

export const noted = defineKind({
  name: 'noted',
  version: 1,
  init: () => ({ notes: 0 }),
  decide(_state, command: Command) {
    if ('refuse' in command) return reject('no', 'as asked');
    const events = (command.notes ?? []).map((note) => ({ note }));
    return { events, result: events.length, machines: command.do };
  },
  apply(state, event: { note: string }) {
    if (event.note === 'poison') throw new Error('poison');
    state.notes += 1;
  },
  queries: { notes: (state) => state.notes },
  machines: [receiver, timer],
});

type Arm = Extract<Effect, { kind: 'arm' }>;

let sessions = 1;

export class MachineRig {
  /** Every active's client is another. */
  readonly #session = `m${sessions++}`;
  #number = 1;
  readonly rig: Rig;

  constructor(rig: Rig) {
    this.rig = rig;
  }

  static open(store = new Store(), index = 0, rest: Partial<MemberConfig> = {}): MachineRig {
    return new MachineRig(activeRig({ kind: noted as Kind, ...rest }, store, index));
  }

  /** Delivers one command; committed when it returns. */
  deliver(command: unknown): CommandAnswer {
    const request = this.send(command);
    this.rig.settle();
    return this.answerTo(request);
  }

  send(command: unknown): number {
    const number = this.#number++;
    return this.rig.deliver(batchOf([command], { session: this.#session, first: number }));
  }

  answerTo(request: number): CommandAnswer {
    const answer = this.rig.answer(request);
    const [one] = answer?.ok ? answer.runs.flatMap(unpackRun) : [];
    if (one === undefined) throw new Error(`no answer: ${JSON.stringify(answer)}`);
    return one;
  }

  run(...actions: MachineAction[]): CommandAnswer {
    return this.deliver({ do: actions });
  }

  /** Triggers that run now, as the program of the active has been told. */
  armed(): Arm[] {
    const running = new Map<number, Arm>();
    for (const effect of this.rig.told) {
      if (effect.kind === 'arm') running.set(effect.call, effect);
      if (effect.kind === 'disarm') running.delete(effect.call);
    }
    for (const call of this.#ended) running.delete(call);
    return [...running.values()];
  }

  names(): string[] {
    return this.armed().map(({ operation, machine, step, transition }) =>
      [operation, machine, step, transition].join(' '),
    );
  }

  readonly #ended = new Set<number>();

  trigger(operation: string, transition: string): Arm {
    const found = this.armed().find(
      (each) => each.operation === operation && each.transition === transition,
    );
    if (found === undefined)
      throw new Error(`${operation} ${transition} is not among ${this.names()}`);
    return found;
  }

  fire(operation: string, transition: string, output: unknown): this {
    return this.end(this.trigger(operation, transition).call, { output });
  }

  fail(operation: string, transition: string, failure = 'provider is down', chance = 1): this {
    return this.end(this.trigger(operation, transition).call, { failure }, chance);
  }

  end(call: number, result: { output: unknown } | { failure: string }, chance = 1): this {
    this.#ended.add(call);
    this.rig.feed({ kind: 'trigger-ended', call, result, chance });
    return this;
  }

  settle(): this {
    this.rig.settle();
    return this;
  }

  ask(query: string, args: unknown = {}): unknown {
    const request = this.askLater(query, args);
    this.rig.settle();
    const result = this.rig.result(request);
    if (!result?.ok) throw new Error(`no answer: ${JSON.stringify(result)}`);
    return result.value;
  }

  #reads = 100_000;

  askLater(query: string, args: unknown): number {
    const request = this.#reads++;
    const minSeq = seq(0);
    this.rig.feed({ kind: 'read', request, consistency: 'local', minSeq, query, args });
    return request;
  }

  active(operation: string): MachineRow[] {
    return this.ask('machines.active', { operation }) as MachineRow[];
  }

  inactive(operation: string): MachineRow[] {
    return this.ask('machines.inactive', { operation }) as MachineRow[];
  }

  states(operation: string): string[] {
    const short = ({ machine, step, state, fired }: MachineRow) =>
      [machine, step, state, ...(fired === null ? [] : [`-${fired}->`])].join(' ');
    const now = this.active(operation).map((row) => `${short(row)} (active)`);
    return [...this.inactive(operation).map(short), ...now];
  }
}
