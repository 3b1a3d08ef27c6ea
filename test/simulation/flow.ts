/**
 * The kind of worlds that are about machines: they go round, wait, are late, start others and throw, and
 * every step comes with an event of the kind.
 */
import { type Decision, type Kind, reject } from '../../replication/kind.js';
import type {
  Machine,
  MachineAction,
  TransitionFacts,
} from '../../replication/machines/machine.js';
import { withMachines } from '../../replication/machines/with-machines.js';
import { mix, traceKind } from './kind.js';

export interface FlowState {
  hash: number;
  steps: number;
}

export interface FlowEvent {
  readonly operation: string;
  readonly machine: string;
  readonly step: number;
}

export type FlowCommand =
  | { readonly start: string; readonly rounds: number }
  | { readonly tell: string };

interface Output {
  readonly by: number;
  readonly throws: boolean;
}

/** The event that goes with a step, which tells the checker that both came together. */
function goes(machine: string, { operation, step }: TransitionFacts, output: Output | null) {
  if (output?.throws) throw new Error(`a bug in ${machine}`);
  return { events: [{ operation, machine, step }] };
}

const noTrigger = () => undefined;

const flow = {
  name: 'flow',
  version: 1,
  states: {
    first: {
      go: {
        trigger: noTrigger,
        to: (rounds: number, output: Output, facts) => ({
          ...goes('flow', facts, output),
          state: 'second',
          data: rounds,
        }),
      },
      slow: {
        afterMs: 700,
        to: (rounds: number, _: null, facts) => ({
          ...goes('flow', facts, null),
          state: 'third',
          data: rounds,
        }),
      },
    },
    second: {
      go: {
        trigger: noTrigger,
        to: (rounds: number, output: Output, facts) => ({
          ...goes('flow', facts, output),
          state: rounds > 0 ? 'first' : 'done',
          data: rounds - 1,
        }),
      },
      told: {
        to: (rounds: number, _: null, facts) => ({
          ...goes('flow', facts, null),
          state: 'first',
          data: rounds,
        }),
      },
      late: {
        afterMs: (rounds: number) => 500 + rounds * 300,
        to: (rounds: number, _: null, facts) => ({
          ...goes('flow', facts, null),
          state: 'third',
          data: rounds,
        }),
      },
    },
    third: {
      told: {
        to: (rounds: number, _: null, facts) => ({
          ...goes('flow', facts, null),
          state: 'done',
          data: rounds,
        }),
      },
      parted: {
        afterMs: 900,
        to: (rounds: number, _: null, facts) => ({
          ...goes('flow', facts, null),
          state: 'done',
          data: rounds,
          machines: [{ start: 'part', operation: facts.operation, state: 'open', data: null }],
        }),
      },
    },
    done: {},
  },
} satisfies Machine;

const part = {
  name: 'part',
  version: 1,
  states: {
    open: {
      closed: { afterMs: 300, to: closed },
      sooner: { trigger: noTrigger, to: closed },
    },
    shut: {},
  },
} satisfies Machine;

function closed(_: null, output: Output | null, facts: TransitionFacts) {
  return { ...goes('part', facts, output), state: 'shut', data: null };
}

const plain: Kind<FlowState, FlowCommand, FlowEvent> = {
  name: 'flow',
  version: 1,
  layout: traceKind.layout as NonNullable<Kind['layout']>,
  init: () => ({ hash: 17, steps: 0 }),
  decide(state, command): Decision<FlowEvent> {
    if (state.hash % 31 === 0) return reject('unlucky', `at ${state.steps}`);
    const machines: MachineAction[] =
      'start' in command
        ? [{ start: 'flow', operation: command.start, state: 'first', data: command.rounds }]
        : [{ signal: 'flow', operation: command.tell, transition: 'told', output: null }];
    return { events: [], result: state.steps, machines };
  },
  apply(state, { operation, machine, step }) {
    state.steps += 1;
    state.hash = mix(state.hash, step * 100 + operation.length + machine.length);
  },
};

export const flowKind: Kind = withMachines(plain as Kind, [flow, part]);
