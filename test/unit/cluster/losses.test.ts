/** A coordinator whose group's log has lost records. */
import { describe, expect, test } from 'vitest';
import {
  furthestEnd,
  holdersOf,
  lossOf,
  unheardOf,
  withLossAccepted,
} from '../../../cluster/losses.js';
import type { MemberReport } from '../../../replication/effects.js';
import type { End, Loss } from '../../../replication/ends.js';
import { limits } from '../../../replication/limits.js';
import { groupOf, Judge, reportOf } from './support.js';

const end = (position: number, era = 0): End => ({
  era,
  epoch: 1,
  seq: position * 10,
  position,
  tag: `t${position}`,
});
const loss = (position: number): Loss => ({
  known: end(position),
  endsAt: { epoch: 1, seq: 5 },
  found: 'nothing',
});
const reports = (...all: MemberReport[]) => new Map(all.map((report) => [report.index, report]));
const told = (index: number, parts: Partial<MemberReport>): MemberReport => ({
  ...reportOf(index, 'standby'),
  ...parts,
});

const accepted = { through: 5, epoch: 1, lostSeq: 70, lostEpoch: 1, by: 'me', atMs: 1 };

/** The coordinator of n1, which hosts member 1 of three. */
function judge(own: Partial<MemberReport> = {}): Judge {
  const judge = new Judge('n1');
  for (const id of ['n0', 'n2']) judge.beat(id);
  judge.group(groupOf(['n0', 'n1', 'n2']));
  judge.report(told(1, own));
  return judge;
}

const kinds = (effects: readonly { kind: string }[]) => effects.map(({ kind }) => kind);

describe('what others know of the log', () => {
  test('is passed on if it is more than our member has, and once', () => {
    const node = judge({ known: end(3) });
    const active = { ...reportOf(0, 'active'), known: end(7) };
    expect(node.beat('n0', [active])).toContainEqual({
      kind: 'end-told',
      group: 'g',
      end: end(7),
    });
    expect(kinds(node.beat('n0', [active]))).not.toContain('end-told');
    expect(kinds(node.beat('n2', [told(2, { known: end(2) })]))).not.toContain('end-told');
  });

  test('is worth nothing from another era', () => {
    const node = judge();
    const later = told(0, { era: 1, known: end(7, 1), loss: loss(7) });
    // No watch has told us of it: it is read for.
    expect(node.beat('n0', [later])).toEqual([{ kind: 'entry-outdated', group: 'g' }]);
    expect(node.node.groups.get('g')?.reports.has(0)).toBe(false);
    node.group({ ...groupOf(['n0', 'n1', 'n2']), era: 2 }, 2);
    expect(node.beat('n0', [later])).toEqual([]);
    expect(lossOf(node.node.groups.get('g')?.reports ?? new Map())).toBeNull();
  });
});

describe('a loss that somebody reports', () => {
  test('is told our member, until it says so itself', () => {
    const node = judge();
    const lost = told(0, { state: 'quarantined', loss: loss(7) });
    const hint = { kind: 'loss-told', group: 'g', known: end(7) };
    expect(node.beat('n0', [lost])).toContainEqual(hint);
    expect(node.beat('n0', [lost])).toContainEqual(hint);
    node.report(told(1, { state: 'quarantined', loss: loss(7) }));
    expect(node.beat('n0', [lost])).toEqual([]);
  });

  test('keeps everybody from being promoted', () => {
    const stepsForward = (parts: Partial<MemberReport>) => {
      const node = judge({ lastSyncMs: 1 });
      node.beat('n0', [{ ...reportOf(0, 'active'), known: end(7) }]);
      node.beat('n2', [told(2, parts)]);
      return kinds(node.run(5000, ['n2'])).includes('promote');
    };
    expect(stepsForward({})).toBe(true);
    expect(stepsForward({ state: 'quarantined', loss: loss(7) })).toBe(false);
  });

  test('ends when it is accepted: members begin anew, and what was told before is void', () => {
    const node = judge({ state: 'quarantined', loss: loss(7) });
    node.beat('n0', [told(0, { epoch: 9 as never, loss: loss(7) })]);
    const config = withLossAccepted(groupOf(['n0', 'n1', 'n2']), accepted);
    expect(config).toMatchObject({ era: 1, losses: [accepted] });
    const effects = node.group(config, 2);
    expect(effects).toEqual([
      { kind: 'stop-member', group: 'g' },
      { kind: 'start-member', config, index: 1 },
    ]);
    expect(node.node.groups.get('g')?.reports.size).toBe(0);
    node.beat('n0', [told(0, { epoch: 9 as never, loss: loss(7) })]);
    expect(node.node.groups.get('g')?.reports.size).toBe(0);
  });
});

test('whoever has let go of what is gone is heard of again; of nodes that are not up nobody waits for that', () => {
  const config = withLossAccepted(groupOf(['n0', 'n1', 'n2']), accepted);
  const unheard = (heard: number[], up: string[]) =>
    unheardOf({ config, reports: reports(...heard.map((i) => told(i, { era: 1 }))) }, (node) =>
      up.includes(node),
    );
  expect(unheard([1], ['n0', 'n1', 'n2'])).toEqual([0, 2]);
  expect(unheard([1], ['n0', 'n1'])).toEqual([0]);
  expect(unheard([0, 1, 2], ['n0', 'n1', 'n2'])).toEqual([]);
});

describe('when the broker is lost', () => {
  test('our members doubt the log', () => {
    expect(judge().feed({ kind: 'broker', connected: false })).toEqual([
      { kind: 'suspect', group: 'g' },
    ]);
  });

  test('an older registry counts when it is back', () => {
    const node = judge();
    const moved = groupOf(['n0', 'n2', 'n3']);
    expect(node.group(moved, 1)).toEqual([]);
    node.feed({ kind: 'broker', connected: false });
    node.feed({ kind: 'broker', connected: true });
    expect(node.group(moved, 1)).toEqual([{ kind: 'stop-member', group: 'g' }]);
  });
});

test('of several losses the furthest counts, and who holds more than the log is told', () => {
  const all = reports(
    told(0, { loss: loss(3), syncedThrough: 6 as never }),
    told(1, { loss: loss(7), syncedThrough: 70 as never }),
    told(2, { known: end(9), syncedThrough: 5 as never }),
  );
  expect(lossOf(all)).toEqual(loss(7));
  expect(holdersOf(all, loss(7)).map(({ index }) => index)).toEqual([1, 0]);
  expect(furthestEnd(all)).toEqual(end(9));
  expect(furthestEnd(reports(told(0, { known: end(9) }), told(1, { known: end(2, 1) })))).toEqual(
    end(2, 1),
  );
});

test('the latest losses stay on record', () => {
  let config = groupOf(['n0']);
  const accepted = { through: 0, epoch: 1, lostSeq: 1, lostEpoch: 1, by: '', atMs: 0 };
  for (let i = 1; i <= 20; i++) config = withLossAccepted(config, { ...accepted, through: i });
  expect(config.era).toBe(20);
  expect(config.losses).toHaveLength(limits.acceptedLosses);
  expect(config.losses?.at(-1)?.through).toBe(20);
});
