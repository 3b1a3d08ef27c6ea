import { expect, it } from 'vitest';
import { report } from '../../../replication/member.js';
import type { StoredRecord } from '../../../replication/ports.js';
import { HotGroup } from './hot-group.js';
import { causeOf, itemsOf } from './support.js';

it('a stranger’s copy of the record that a candidate stands at is not taken for the end of the log', () => {
  const group = new HotGroup(2).add('a');
  const { store } = group;
  const rig = group.follower(1);
  const { bytes } = store.records.at(-1) as StoredRecord;
  store.isMute = true;
  group.append('b');
  store.append(bytes);
  rig.feed({ kind: 'promote', ...causeOf(1) }).settle();
  expect(rig.state).toBe('active');
  expect(itemsOf(rig)).toEqual(['a', 'b']);
});

it('a stranger’s copy of a record that a follower missed is not taken for that record', () => {
  const group = new HotGroup(2).add('a');
  const { store } = group;
  const rig = group.follower(1);
  store.isMute = true;
  group.append('b');
  const { bytes } = store.records.at(-1) as StoredRecord;
  group.append('c');
  store.isMute = false;
  store.append(bytes);
  rig.settle();
  expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  expect(report(rig.member)).toMatchObject({ syncedThrough: 3 });
  rig.feed({ kind: 'promote', ...causeOf(1) }).settle();
  expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
});
