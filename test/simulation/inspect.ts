/** What must be true of a member after every step. */
import { limits } from '../../replication/limits.js';
import type { Member } from '../../replication/member.js';
import type { Replica } from '../../replication/replica.js';
import type { Node } from '../../replication/state/tree.js';
import { type GroupChecker, Violation } from './checker.js';
import type { TraceState } from './kind.js';

/** I10: neither more than its limit nor less than nothing. */
function checkLimits(node: string, { role, follow, reads }: Member): void {
  const check = (what: string, held: number, limit: number) => {
    if (held < 0 || held > limit) throw new Violation('I10', `${node} holds ${held} ${what}`);
  };
  check('reads', reads.length, limits.waitingReads);
  if (follow !== null) {
    check('bytes of its backlog', follow.backlogSizeBytes, limits.tailBacklogSizeBytes);
    check('digests', follow.marks.digests.length, limits.marks);
  }
  if (role.state !== 'active') return;
  const { active } = role;
  check('bytes of commands', active.intakeSizeBytes, limits.intakeSizeBytes);
  check('commands', active.intakeEvents, limits.intakeEvents);
  check('waiting reads', active.reads.length, limits.waitingReads);
  check('waiting syncs', active.cutting.requests.length, limits.waitingSyncs);
}

/** I5, wherever a member claims to hold committed state; and none takes its own for another. */
export function checkMember(checker: GroupChecker, node: string, member: Member): void {
  const { role } = member;
  checkLimits(node, member);
  if (member.diverged > 0 && !checker.expectsDivergence) {
    throw new Violation('I5', `${node} takes its own state for another: ${member.error}`);
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
  checker.onMemberRows(who, tip.seq, tables.trees.get('rows')?.root as Node);
}

/** Commands and reads without an answer. */
export function heldBy({ role, reads }: Member): number {
  if (role.state !== 'active') return reads.length;
  return role.active.intakeEvents + role.active.reads.length;
}
