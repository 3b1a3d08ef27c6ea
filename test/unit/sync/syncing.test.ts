/** A member reports the sync it waits for, whatever it syncs for. */
import { describe, expect, it } from 'vitest';
import type { MemberConfig } from '../../../replication/effects.js';
import { type Member, newMember, report } from '../../../replication/member.js';
import { progressOf } from '../../../replication/sync/progress.js';
import { syncOf } from '../../../replication/syncing.js';
import { pieces, Rig } from './support.js';

const rig = new Rig(pieces('a', 'b')).begin();
rig.cold().give('store', 'a');

const fetching = { phase: 'fetching', fetch: { sync: rig.sync } };
const replaying = { ...fetching, phase: 'replaying' };
const finding = { phase: 'finding', fetch: null };

function memberIn(role: object, follow: object | null = null): Member {
  const config = { group: 'g', id: { index: 1, node: 'b', incarnation: '1' } };
  const member = newMember(config as MemberConfig);
  return Object.assign(member, { role, follow });
}

describe('the sync', () => {
  it.each<[string, object, object | null]>([
    ['a warm standby restores', { state: 'restoring', recovery: fetching }, null],
    ['a hot standby fills a gap with', { state: 'standby' }, { fill: fetching }],
    ['a hot standby begins with', { state: 'starting' }, { fill: fetching }],
    [
      'a candidate catches up with',
      { state: 'promoting', promotion: { recovery: fetching } },
      null,
    ],
  ])('%s is reported', (_what, role, follow) => {
    const member = memberIn(role, follow);
    expect(syncOf(member)).toBe(rig.sync);
    expect(report(member).sync).toEqual(progressOf(rig.sync));
    expect(report(member).sync).toMatchObject({ doneSizeBytes: 1000, knownSizeBytes: 2000 });
  });

  it('an active rebuilds its state with is found', () => {
    expect(syncOf(memberIn({ state: 'active', rebuild: fetching }))).toBe(rig.sync);
  });

  it.each<[string, object, object | null]>([
    ['before it has begun', { state: 'restoring', recovery: finding }, null],
    ['once it has ended', { state: 'restoring', recovery: replaying }, null],
    ['of a warm standby at rest', { state: 'standby' }, null],
    ['of a hot standby that is level', { state: 'standby' }, { fill: null }],
    ['of a candidate that claims', { state: 'promoting', promotion: { recovery: null } }, null],
    ['in quarantine', { state: 'quarantined' }, null],
    ['while handing off', { state: 'handing-off', untilMs: 1 }, null],
  ])('is none %s', (_when, role, follow) => {
    expect(report(memberIn(role, follow)).sync).toBeNull();
  });
});
