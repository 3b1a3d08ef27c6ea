/** What a simulated node does for operations, as `src/node/verbs.ts` and `own.ts` say of a real one. */
import type { GroupDocument } from '../../../cluster/documents.js';
import { startDraining, stopDraining } from '../../../cluster/draining.js';
import { failureOf } from '../../../cluster/operations/engine.js';
import type { Operation, OperationRequest } from '../../../cluster/operations/operation.js';
import { requestReplace } from '../../../cluster/operations/replace.js';
import { requestSwitchover } from '../../../cluster/operations/switchover.js';
import type { Move } from '../../../cluster/plan.js';
import type { PromotionCause } from '../../../replication/effects.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { type Member, report } from '../../../replication/member.js';
import type { Host } from '../host.js';
import type { World } from '../world.js';
import { groupNow, seenBy } from './seeing.js';
import type { Answered } from './store.js';

/** From the end of a process to its next life. */
const restartMs = 300;

/** What requests carry, all verbs together. */
interface Asked {
  readonly group: string;
  readonly groupId: string;
  readonly cause: PromotionCause;
  readonly epoch: number;
  readonly target: number;
  readonly budgetMs: number;
  readonly index: number;
  readonly from: string;
  readonly to: string;
  readonly move: Move;
  readonly by: string;
  readonly ids: readonly string[];
  readonly incarnation: string;
  readonly order: string;
}

export interface Served {
  readonly world: World;
  /** Who serves it. */
  readonly host: Host;
  readonly request: Asked;
  /** For whom it is asked: for the judge, and for nobody else. */
  readonly operation: Operation;
  answer(answer: Answered<unknown>): void;
}

export type Verbs = Readonly<Record<string, (served: Served) => void>>;

function memberOf({ host, request }: Served): Member {
  const member = host.member(request.group);
  if (member !== undefined) return member;
  const detail = `node ${host.name} hosts no member of ${request.group} now`;
  throw new UnderstudyError('not-ready', detail);
}

/** What any node may be asked for. */
export const verbs: Verbs = {
  promote(served) {
    memberOf(served);
    const { host, request, answer } = served;
    host.input(request.group, { kind: 'promote', ...request.cause });
    answer({ value: null });
  },
  sync(served) {
    memberOf(served);
    const { host, request, answer } = served;
    const expected = host.expect(request.group, (value) => answer({ value }));
    host.input(request.group, { kind: 'sync', request: expected });
  },
  'hand-off': handOff,
  reinit(served) {
    memberOf(served);
    const { host, world, request, operation, answer } = served;
    const expected = host.expect(request.group, (failure) => {
      if (failure === null) world.operating.judge.beganAnew(operation);
      answer({ value: { failure } });
    });
    host.input(request.group, { kind: 'reinit', request: expected });
  },
  inspect(served) {
    served.answer({ value: { report: report(memberOf(served)) } });
  },
  'start-draining'({ host, request, answer }) {
    startDraining(host.coordinator, request.order);
    host.hear({ kind: 'tick' });
    answer({ value: null });
  },
  'stop-draining'({ host, request, answer }) {
    stopDraining(host.coordinator, request.order);
    host.hear({ kind: 'tick' });
    answer({ value: null });
  },
  /** Its supervisor starts it again, after a while. */
  end({ world, host, request, answer }) {
    const ends = host.coordinator.info.incarnation === request.incarnation;
    answer({ value: { ends } });
    if (ends) host.soon(() => world.injector.crash(host, restartMs));
  },
};

/** Whoever asks again while a hand-off is under way gets its answer, and does not begin another. */
function handOff(served: Served): void {
  const member = memberOf(served);
  const { host, world, request, operation, answer } = served;
  const { group, epoch, target, budgetMs } = request;
  const key = `${group} ${epoch} ${target}`;
  const { handOffs } = host.desk;
  const tell = (failure: string | null) => answer({ value: { failure } });
  const pending = handOffs.get(key);
  if (pending !== undefined) {
    pending.push(tell);
    return;
  }
  const { state, epoch: present } = report(member);
  if (state !== 'active' || present !== epoch) {
    return tell(`the member here is ${state} in epoch ${present}, not the active of ${epoch}`);
  }
  const waiting = [tell];
  handOffs.set(key, waiting);
  world.operating.judge.handsOff(operation, present);
  const expected = host.expect(group, (failure) => {
    handOffs.delete(key);
    for (const each of waiting) each(failure as string | null);
  });
  host.input(group, { kind: 'hand-off', request: expected, target, budgetMs });
}

/** What the driver's own node does. */
export const ownVerbs: Verbs = {
  /** Only while the member is where it was. */
  'place-member'({ world, host, request, answer }) {
    const { group, groupId, index, from, to } = request;
    const read = () => world.registry.get(group);
    const { store } = world.operating;
    store.trip(host, read, (found) => {
      if ('failure' in found) return answer(found);
      const entry = found.value;
      if (entry === undefined || entry.config.groupId !== groupId) {
        return answer({ value: { placed: false } });
      }
      const { members } = entry.config;
      const isFree = members.every(({ node }) => node !== to);
      if (members[index]?.node !== from || !isFree) return answer({ value: { placed: false } });
      const place = () => {
        world.replaceMember(group, entry.revision, index, to);
        return { placed: true };
      };
      store.trip(host, place, answer);
    });
  },
  'begin-move'({ world, host, request, answer }) {
    const { move, by } = request;
    const told = (begun: object) => answer({ value: { move, begun } });
    groupNow(host, world, move.group, (found) => {
      if ('failure' in found) return told({ refused: found.failure });
      try {
        host.desk.start(requestOf(host, found.value, move, by), (begun) => {
          told('failure' in begun ? { refused: begun.failure } : childOf(begun.value));
        });
      } catch (cause) {
        if (!(cause instanceof UnderstudyError)) throw cause;
        told({ refused: failureOf(cause) });
      }
    });
  },
  'look-at'({ world, host, request, answer }) {
    const looked: object[] = [];
    let waiting = request.ids.length;
    for (const id of request.ids) {
      world.operating.store.load(host, id, (loaded) => {
        if ('value' in loaded && loaded.value) looked.push(childOf(loaded.value.operation));
        waiting -= 1;
        if (waiting === 0) answer({ value: { looked } });
      });
    }
  },
};

function requestOf(host: Host, group: GroupDocument, move: Move, by: string): OperationRequest {
  const { kind, index, from, to } = move;
  return kind === 'switchover'
    ? requestSwitchover(group, { leader: from, candidate: to }, null, by)
    : requestReplace(seenBy(host, group), { index, node: to }, by);
}

/** As much as those need who began it. */
const childOf = ({ id, state, lastError }: Operation) => ({ id, state, lastError });
