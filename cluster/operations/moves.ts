/** Drain and rebalance: everything off a node, or the nodes level. */
import { UnderstudyError } from '../../replication/errors.js';
import type { Plan } from '../plan.js';
import { planDrain, planRebalance } from '../rebalance.js';
import { nodeLock } from './common.js';
import { callTo, carryOut, type Moving, nothingMoved } from './moving.js';
import type { At, OperationKind, OperationRequest, Outcome } from './operation.js';

export interface MovesData extends Moving {
  /** The node to empty; null: level all of them. */
  readonly node: string | null;
}

export function requestDrain(node: string, by: string): OperationRequest {
  const data: MovesData = { node, ...nothingMoved };
  return { id: `drain.${node}`, kind: 'drain', target: node, by, data, repeatable: true };
}

export function requestRebalance(by: string): OperationRequest {
  const data: MovesData = { node: null, ...nothingMoved };
  const id = 'rebalance.cluster';
  return { id, kind: 'rebalance', target: 'cluster', by, data, repeatable: true };
}

const planOf = ({ data, seen }: At<MovesData>): Plan =>
  data.node === null ? planRebalance(seen.view) : planDrain(data.node, seen.view);

/** From here on the node gets no members and is no candidate; one that is down does not either. */
function marking({ data, seen, answer }: At<MovesData>): Outcome<MovesData> {
  const node = data.node as string;
  const found = seen.nodes.find(({ id }) => id === node);
  if (found === undefined) throw new UnderstudyError('node-not-found', `there is no node ${node}`);
  if (found.state === 'up' && answer === undefined) {
    return { kind: 'call', call: callTo(node, 'start-draining', {}) };
  }
  return { kind: 'next', step: 'moving' };
}

function moving(at: At<MovesData>): Outcome<MovesData> {
  const { data, seen } = at;
  const marked = seen.nodes.find(({ id }) => id === data.node);
  // It was started anew meanwhile, and does not know of it.
  if (marked?.state === 'up') return { kind: 'next', step: 'marking' };
  return carryOut(at, () => planOf(at), ended);
}

function ended({ moved }: MovesData, problems: readonly string[]): Outcome<MovesData> {
  if (problems.length === 0) return { kind: 'done', detail: `${moved} moved` };
  const detail = `${moved} moved; ${problems.join('; ')}`;
  return { kind: 'failed', error: { code: 'placement-failed', detail } };
}

const started = ({ data }: At<MovesData>): Outcome<MovesData> => ({
  kind: 'next',
  step: data.node === null ? 'moving' : 'marking',
});

const common = { sees: 'cluster', steps: { started, marking, moving } } as const;

export const drain: OperationKind<MovesData> = {
  ...common,
  name: 'drain',
  locks: ({ data }) => [nodeLock(data.node as string)],
};

export const rebalance: OperationKind<MovesData> = {
  ...common,
  name: 'rebalance',
  locks: () => ['rebalance'],
};
