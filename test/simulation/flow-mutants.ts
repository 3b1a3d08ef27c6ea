/** Deliberate breaks of what machines promise, for the world that is about them. */
import type { Mutant } from './mutants.js';

const world = 'flow';

export const flowMutants: readonly Mutant[] = [
  {
    name: 'a trigger that fires late moves the state that came after its own',
    world,
    file: 'replication/machines/deciding.ts',
    find: 'if (row === undefined || row.step !== step || row.error !== null) {',
    replace: 'if (row === undefined || row.error !== null) {',
  },
  {
    name: 'a step without the events that go with it',
    world,
    file: 'replication/machines/deciding.ts',
    find: 'events: next.events ?? [] };',
    replace: 'events: [] };',
  },
  {
    name: 'a machine that has ended can be started again',
    world,
    file: 'replication/machines/tables.ts',
    find: 'limit: 1 })].length > 0;',
    replace: 'limit: 1 })].length > 1;',
  },
  {
    name: 'triggers go on where the role was lost',
    world,
    file: 'replication/active.ts',
    find: '  if (active.arming !== null) disarmAll(active.arming, out);\n',
    replace: '',
  },
  {
    name: 'a new active does not arm what it finds',
    world,
    file: 'replication/active.ts',
    find: '  armAll(arming, replica.state as MachineState, timeOfMachines(active, now), out);\n',
    replace: '',
  },
  {
    name: 'a deadline waits for the wall clock to come to it',
    world,
    file: 'replication/active.ts',
    find: 'return { monoMs: now.monoMs, recordedAtMs: notBefore(active, now) };',
    replace: 'return { monoMs: now.monoMs, recordedAtMs: now.wallMs };',
  },
];
