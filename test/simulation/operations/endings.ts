/** Whether what an operation says in the end is so, and whether it did what it was asked for once. */
import type { OfGroup } from '../../../cluster/operations/common.js';
import type { FailoverData } from '../../../cluster/operations/failover.js';
import type { MovesData } from '../../../cluster/operations/moves.js';
import { holderOf, type Operation } from '../../../cluster/operations/operation.js';
import type { ReplaceData } from '../../../cluster/operations/replace.js';
import type { SwitchoverData } from '../../../cluster/operations/switchover.js';
import type { SyncData } from '../../../cluster/operations/sync.js';
import { Violation } from '../checker.js';
import type { World } from '../world.js';
import type { OperationJudge } from './judge.js';

/** Somebody who has not heard that a node is being emptied may place a member there so much later. */
const unheardMs = 6000;

type Check = (world: World, judge: OperationJudge, operation: Operation) => void;

const checks: Readonly<Record<string, Check>> = {
  switchover(world, _, operation) {
    const { epoch, from, candidate } = operation.data as SwitchoverData;
    const led = leaderTold(world, operation, epoch ?? 0);
    if (candidate !== null && led.node !== candidate) {
      throw wrong(operation, `${candidate} was asked for, ${led.node} leads`);
    }
    if (candidate === null && from?.index === led.index)
      throw wrong(operation, 'nobody else leads');
  },
  failover(world, _, operation) {
    const { epoch, candidate } = operation.data as FailoverData;
    const led = leaderTold(world, operation, epoch);
    if (candidate === null || led.node === candidate) return;
    throw wrong(operation, `${candidate} was asked for, ${led.node} leads`);
  },
  reinit(_, judge, operation) {
    if (judge.anew.has(holderOf(operation))) return;
    throw wrong(operation, 'the member has never begun anew');
  },
  replace(world, judge, operation) {
    const { group, index, to } = operation.data as ReplaceData;
    const isThere = world.registry.get(group)?.config.members[index]?.node === to;
    const was = judge.placed.some((one) => {
      return one.group === group && one.index === index && one.node === to;
    });
    if (!isThere && !was) throw wrong(operation, `the member was never placed on ${to}`);
  },
  sync(world, _, operation) {
    const { group, through } = operation.data as SyncData;
    const cutAt = world.checker(group).snapshot?.at ?? 0;
    if (through === null || cutAt < through) throw wrong(operation, `the newest is at ${cutAt}`);
  },
  drain(world, judge, operation) {
    const { node } = operation.data as MovesData;
    const nowMs = world.scheduler.now();
    for (const [group, { config }] of world.registry) {
      if (config.members.every((member) => member.node !== node)) continue;
      const isLate = judge.placed.some((one) => {
        return one.group === group && one.node === node && one.atMs > nowMs - unheardMs;
      });
      if (!isLate) throw wrong(operation, `a member of ${group} is still on ${node}`);
    }
  },
};

const wrong = (operation: Operation, why: string): Violation =>
  new Violation('I11', `${holderOf(operation)} is ${operation.state}, but ${why}`);

/** The epoch and the node that a promotion names in the end, held against the log. */
function leaderTold(world: World, operation: Operation, endsEpoch: number) {
  const { group } = operation.data as OfGroup;
  const detail = operation.steps.at(-1)?.detail ?? '';
  const [, epoch, node] = /^epoch (\d+), active on (\S+)$/.exec(detail) ?? [];
  if (epoch === undefined || node === undefined) throw wrong(operation, `tells "${detail}"`);
  const claim = world.checker(group).claims.find((each) => each.epoch === Number(epoch));
  if (claim === undefined) throw wrong(operation, `there is no epoch ${epoch} of ${group}`);
  if (claim.epoch <= endsEpoch) throw wrong(operation, `epoch ${endsEpoch} has not ended`);
  return { node, index: claim.index };
}

export const checkEnding: Check = (world, judge, operation) => {
  const { id, kind, state } = operation;
  if (state === 'done') checks[kind]?.(world, judge, operation);
  if (state === 'cancelled') judge.cancelled.set(id, claimsOf(world, operation).length);
  else judge.cancelled.delete(id);
};

/** Claims that name it. */
function claimsOf(world: World, { id }: Operation) {
  return world.groupNames.flatMap((group) =>
    world.checker(group).claims.filter(({ operation }) => operation === id),
  );
}

/** A promotion that was asked for changes the epoch once, and one that was cancelled in time never. */
export const checkPromotions: Check = (world, judge, operation) => {
  const { id, kind, state } = operation;
  const claims = claimsOf(world, operation);
  const asked = judge.cancelled.get(id);
  if (state === 'cancelled' && asked !== undefined && claims.length !== asked) {
    throw wrong(operation, 'a claim in its name came after');
  }
  if (kind !== 'failover') return;
  const { epoch } = operation.data as FailoverData;
  const other = claims.find((claim) => claim.epoch !== epoch + 1);
  if (other === undefined && claims.length <= 1) return;
  throw wrong(operation, `it opened epochs ${claims.map((claim) => claim.epoch).join(', ')}`);
};

/** A drain that did not come to its end leaves no node that takes nothing, unless it says so. */
export const checkPutBack: Check = (world, _, operation) => {
  const { kind, state, target, lastError } = operation;
  if (kind !== 'drain' || state === 'done' || /is down: |tried/.test(lastError?.detail ?? ''))
    return;
  const host = world.hosts.find(({ name }) => name === target);
  if (host?.coordinator.info.draining !== true) return;
  throw wrong(operation, `${target} is being emptied still`);
};
