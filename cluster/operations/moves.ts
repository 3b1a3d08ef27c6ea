/** Drain and rebalance: everything off a node, or the nodes level. */
import { UnderstudyError } from '../../replication/errors.js';
import type { Plan } from '../plan.js';
import { planDrain, planRebalance } from '../rebalance.js';
import { lookMs, nodeLock } from './common.js';
import { callTo, carryOut, type Moving, nothingMoved } from './moving.js';
import {
  type At,
  holderOf,
  type Operation,
  type OperationKind,
  type OperationRequest,
  type Outcome,
} from './operation.js';

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

/** One run of it: a node that heard it being taken back does not follow a copy that comes after. */
const orderOf = (operation: Operation) => ({
  order: `${holderOf(operation)}@${operation.createdAtMs}`,
});

/**
 * From here on the node gets no members and is no candidate; one that is down does not either. Its word for
 * it is a beat, which may be lost: it is asked again until one was heard.
 */
function marking({ operation, seen, answer }: At<MovesData>): Outcome<MovesData> {
  const node = operation.target;
  const found = seen.nodes.find(({ id }) => id === node);
  if (found === undefined) throw new UnderstudyError('node-not-found', `there is no node ${node}`);
  if (found.state !== 'up') return { kind: 'next', step: 'moving' };
  if (answer !== undefined) return { kind: 'park', wakeAfterMs: lookMs };
  return { kind: 'call', call: callTo(node, 'start-draining', orderOf(operation)) };
}

/** What has moved stays where it is; the node is one like the others again. */
function puttingBack({ operation, seen, answer }: At<MovesData>): Outcome<MovesData> {
  const node = operation.target;
  const found = seen.nodes.find(({ id }) => id === node);
  if (answer !== undefined) return { kind: 'done', detail: 'put back' };
  // A driver that has just started may not have heard of it: whether it is there, the call shows.
  if (found?.state !== 'down') {
    return { kind: 'call', call: callTo(node, 'stop-draining', orderOf(operation)) };
  }
  const detail = `${node} is down: should it come back in the same life, it takes nothing until it is started anew`;
  return { kind: 'failed', error: { code: 'node-not-found', detail } };
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

export const drain: OperationKind<MovesData> = {
  name: 'drain',
  sees: 'cluster',
  steps: { started, marking, moving, 'putting-back': puttingBack },
  takesBack: { after: ['marking', 'moving'], step: 'putting-back' },
  locks: ({ target }) => [nodeLock(target)],
};

export const rebalance: OperationKind<MovesData> = {
  name: 'rebalance',
  sees: 'cluster',
  steps: { started, moving },
  locks: () => ['rebalance'],
};
