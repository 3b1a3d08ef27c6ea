/** After the faults: does each member hold what the log says, and is nobody behind or shut away? */
import { isDeepStrictEqual } from 'node:util';
import type { GroupDetail } from '../../../cluster/documents.js';
import type { Kind } from '../../../replication/kind.js';
import { applyEvent, blankReplica } from '../../../replication/replica.js';
import type { ReadAnswer } from '../../admin/backend.js';
import { sha256 } from '../../sha256.js';
import type { Door } from '../clients/door.js';
import { nowMs } from '../history.js';
import type { GroupLoad, Query } from '../workload/groups.js';
import type { ReadLog } from './log.js';
import { shown } from './model.js';
import type { Violation } from './violation.js';

/** What a member answered when everything was over. */
export interface Shown extends Query {
  readonly answer: ReadAnswer;
}

/** Standbys share their reads: asked so often, each of them has answered, or does not serve. */
const mostAsked = 300;

/** Every whole query at the active and at each standby, as far as it can be had in time. */
export async function askMembers(
  door: Door,
  load: GroupLoad,
  seq: number,
  timeoutMs: number,
): Promise<Shown[]> {
  const all: Shown[] = [];
  const deadlineMs = nowMs() + timeoutMs;
  for (const query of load.wholes) {
    const { name, args } = query;
    const ask = (consistency: 'linearizable' | 'standby') =>
      door.read(load.name, { query: name, args, consistency, minSeq: seq });
    const active = await ask('linearizable');
    const byMember = new Map<number, ReadAnswer>([[active.member, active]]);
    for (let i = 0; i < mostAsked && byMember.size < memberCount; i++) {
      if (nowMs() > deadlineMs) break;
      const answer = await ask('standby');
      byMember.set(answer.member, answer);
    }
    all.push(...[...byMember.values()].map((answer) => ({ ...query, answer })));
  }
  return all;
}

export const memberCount = 3;

/** I5: equal to the state that the log gives, on every member. */
export function checkShown(kind: Kind, log: ReadLog, group: string, all: readonly Shown[]) {
  const says = (detail: string): Violation => ({ check: 'members', group, detail });
  const replica = blankReplica(kind, sha256);
  for (const { events, seq, recordedAtMs } of log.decided) {
    for (const [i, event] of events.entries()) {
      applyEvent(replica, event, seq - events.length + i + 1, recordedAtMs);
    }
  }
  const violations: Violation[] = [];
  const answered = new Map<string, Set<number>>();
  for (const { name, args, answer } of all) {
    const members = answered.get(nameOf({ name, args })) ?? new Set();
    answered.set(nameOf({ name, args }), members.add(answer.member));
    const expected = shown(kind.queries?.[name]?.(replica.state, args as never));
    const given = shown(answer.value);
    if (answer.seq === log.seq && isDeepStrictEqual(given, expected)) continue;
    violations.push(
      says(
        `member ${answer.member} answers ${nameOf({ name, args })} with ${brief(given)} of seq ` +
          `${answer.seq}; the log gives ${brief(expected)} at seq ${log.seq}`,
      ),
    );
  }
  for (const [query, { size }] of answered) {
    if (size < memberCount) violations.push(says(`${size} of ${memberCount} answered ${query}`));
  }
  return violations;
}

const nameOf = ({ name, args }: Query) => `${name} ${JSON.stringify(args) ?? ''}`.trimEnd();
const brief = (value: unknown) => (JSON.stringify(value) ?? 'nothing').slice(0, 120);

/** What the group says of its members. */
export function checkStanding(detail: GroupDetail): Violation[] {
  const { name: group, members, quarantined } = detail;
  const violations: Violation[] = [];
  const says = (check: Violation['check'], text: string) =>
    violations.push({ check, group, detail: text });
  if (quarantined) says('quarantine', 'the group is quarantined');
  for (const { index, nodeId, state, error, diverged, lag, healthy } of members) {
    const who = `member ${index} on ${nodeId}`;
    if (state === 'quarantined') says('quarantine', `${who} is quarantined: ${error}`);
    if (diverged > 0) says('members', `${who} was found to differ ${diverged} times`);
    if (!healthy) says('liveness', `${who} is not healthy: ${state}${error ? `, ${error}` : ''}`);
    else if (lag > 0) says('liveness', `${who} lacks ${lag} events after a sync`);
  }
  return violations;
}
