/** Operations of kinds that tests make up. */
import type {
  At,
  Call,
  Operation,
  OperationKind,
  OperationRequest,
  Outcome,
} from '../../../../cluster/operations/operation.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

export type Data = Record<string, unknown>;
export type Step = (at: At<Data>) => Outcome<Data>;
export type Kinds = ReadonlyMap<string, OperationKind<unknown>>;

export const done: Outcome<Data> = { kind: 'done', detail: 'well' };
export const park = (wakeAfterMs: number): Outcome<Data> => ({ kind: 'park', wakeAfterMs });

export const ask = (node: string | null, verb = 'inspect', timeoutMs = 100): Outcome<Data> => {
  const call: Call = { node, verb, request: {}, timeoutMs };
  return { kind: 'call', call };
};

/** A kind called `test` that locks `thing`. */
export function kindOf(started: Step, rest: Partial<OperationKind<Data>> = {}): Kinds {
  const kind: OperationKind<Data> = {
    name: 'test',
    sees: 'group',
    locks: () => ['thing'],
    ...rest,
    steps: { started, ...rest.steps },
  };
  return new Map([['test', kind as unknown as OperationKind<unknown>]]);
}

export const request = (rest: Partial<OperationRequest> = {}): OperationRequest => ({
  id: 'test.x',
  kind: 'test',
  target: 'x',
  by: 'ops',
  data: {},
  ...rest,
});

/** A world with the operation `test.x` in it. */
export class TestWorld extends OperationWorld {
  drive(kinds: Kinds): TestDriver {
    this.start(request(), driverOf('a'));
    return new TestDriver(this, 'test.x', driverOf('a'), null, kinds);
  }

  get stored(): Operation {
    return this.operation('test.x');
  }
}
