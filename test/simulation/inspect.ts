/** What must be true of a member after every step. */
import { limits } from '../../replication/limits.js';
import type { Member } from '../../replication/member.js';
import type { Replica } from '../../replication/replica.js';
import { type Cut, putsInFlight } from '../../replication/snapshot/cut.js';
import type { Cutting } from '../../replication/snapshot/cutting.js';
import { relief } from '../../replication/sync/pace.js';
import { type Account, accountsOf } from '../../replication/sync/sources.js';
import { coordinatorsOf, requestsOf, type Sync } from '../../replication/sync/sync.js';
import { syncOf } from '../../replication/syncing.js';
import { type GroupChecker, Violation } from './checker.js';
import type { TraceState } from './kind.js';

type Check = (what: string, held: number, limit: number) => void;

/** I10: neither more than its limit nor less than nothing. */
function checkLimits(node: string, member: Member): void {
  const { role, follow, reads } = member;
  const check: Check = (what, held, limit) => {
    if (held < 0 || held > limit) throw new Violation('I10', `${node} holds ${held} ${what}`);
  };
  check('reads', reads.length, limits.waitingReads);
  const sync = syncOf(member);
  if (sync !== null) checkSync(sync, check);
  if (follow !== null) {
    const { digests, work } = follow.marks;
    check('bytes of its backlog', follow.backlogSizeBytes, limits.tailBacklogSizeBytes);
    check('digests', digests.length, limits.marks);
    if (work !== null && 'puts' in work.doing) checkCut(work.doing, check);
  }
  if (role.state !== 'active') return;
  const { active } = role;
  check('bytes of commands', active.intakeSizeBytes, limits.intakeSizeBytes);
  check('commands', active.intakeEvents, limits.intakeEvents);
  const { arming, held } = active;
  check('waiting reads', active.reads.length + held.reads.length, limits.waitingReads);
  check('machines', arming?.armed.size ?? 0, limits.activeMachines);
  checkCutting(active.cutting, check);
}

function checkCutting({ requests, doubted, followers, mark, cut }: Cutting, check: Check): void {
  check('waiting syncs', requests.length, limits.waitingSyncs);
  check('doubted chunks', doubted.size, limits.snapshotChunks);
  check('followers', followers.length, limits.members.most);
  check('votes', mark?.votes.size ?? 0, limits.members.most);
  if (cut !== null) checkCut(cut, check);
}

function checkCut({ puts, base, deposited }: Cut, check: Check): void {
  check('chunks being put', puts.size, putsInFlight);
  check('chunks of its base', base?.uses.size ?? 0, limits.snapshotChunks);
  check('chunks of its snapshot', deposited?.base.uses.size ?? 0, limits.snapshotChunks);
}

const mostRequests = limits.syncRequests + limits.syncCacheRequests;
const mostUnderWaySizeBytes = limits.syncHighSizeBytes + (relief + 1) * limits.chunkSizeBytes;

function checkSync(sync: Sync, check: Check): void {
  const { ledger, wants, alarmed, assembly, pace } = sync;
  const requests = requestsOf(sync);
  const found = (from: Account) => requests.filter((request) => request.from === from).length;
  const underWay = requests.reduce((sum, { task }) => sum + task.want.sizeBytes, 0);
  check('wants', wants, limits.snapshotChunks + 1);
  check('alarms of a sync', alarmed.size, limits.syncAlarms);
  check('peers', ledger.peers.size, limits.syncPeers);
  check('requests on the network', pace.width, limits.syncRequests);
  check('chunks under way', requests.length, limits.syncHighChunks + relief);
  check('bytes under way', underWay + assembly.waitingSizeBytes, mostUnderWaySizeBytes);
  for (const account of accountsOf(ledger)) {
    const { name, inFlight } = account;
    check(`requests to ${name}`, inFlight, mostOf(account));
    check(`requests to ${name} that are none`, inFlight - found(account), 0);
  }
  for (const { work, workers, known, pending, active, completed } of coordinatorsOf(sync)) {
    check(`workers for ${work}`, workers.length, mostRequests);
    const busy = workers.filter(({ call }) => call !== null).length;
    check(`workers for ${work} that do nothing known`, busy - active.size, 0);
    const accounted = pending.length + active.size + completed;
    check(`chunks of ${work} that are nowhere`, known.size - accounted, 0);
  }
}

function mostOf({ source }: Account): number {
  switch (source.kind) {
    case 'cache':
      return limits.syncCacheRequests;
    case 'peer':
      return limits.syncPeerRequests;
    case 'store':
      return limits.syncRequests;
    default:
      throw source satisfies never;
  }
}

/** I5, wherever a member claims to hold committed state; and none takes its own for another. */
export function checkMember(checker: GroupChecker, node: string, member: Member): void {
  const { role } = member;
  checkLimits(node, member);
  if (member.diverged > 0 && !checker.expectsDivergence) {
    throw new Violation('I5', `${node} takes its own state for another: ${member.error}`);
  }
  if (member.loss !== null && !checker.expectsLoss) {
    throw new Violation('I2', `${node} takes the log for lost: ${member.error}`);
  }
  if (role.state === 'active') {
    const { active } = role;
    if (active.writer.inFlight !== null || active.draft !== null || active.spoilt) return;
  }
  const replica = role.state === 'active' ? role.active.replica : member.replica;
  if (replica === null) return;
  const { hash } = replica.state as TraceState;
  const who = `${node}/${role.state}`;
  checker.onMemberState(who, replica.tip.seq, hash);
  // Later its rows only change as the checker's do, by the events that lead to the next hash.
  if (seen.has(replica)) return;
  seen.add(replica);
  checkRows(checker, who, replica);
}

const seen = new WeakSet<Replica>();

export function checkRows(checker: GroupChecker, who: string, { tables, tip }: Replica): void {
  checker.onMemberRows(who, tip.seq, tables.trees);
}

/** Commands and reads without an answer. */
export function heldBy({ role, reads }: Member): number {
  if (role.state !== 'active') return reads.length;
  const { intakeEvents, reads: asked, held } = role.active;
  return intakeEvents + asked.length + held.reads.length;
}
