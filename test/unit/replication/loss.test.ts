/** The log does not hold any more what it held: a member notices, stops, and never writes over it. */
import { describe, expect, test } from 'vitest';
import { type End, lossConfirmMs } from '../../../replication/ends.js';
import { newMember, report, step } from '../../../replication/member.js';
import {
  activeRig,
  add,
  batchOf,
  configOf,
  itemsOf,
  Rig,
  type Store,
  standbyRig,
} from './support.js';

/** An active, with one event for each, all answered. */
function activeWith(...items: readonly string[]): Rig {
  const active = activeRig();
  items.forEach((item, i) => {
    active.deliver(batchOf([add(item)], { first: i + 1 }));
    active.settle();
  });
  return active;
}

/** The store comes back without its last records. */
function forget({ records }: Store, count: number): void {
  records.splice(-count);
}

/** For as long as it takes to be sure. */
const confirm = (rig: Rig): Rig => rig.settle().pass(2 * lossConfirmMs);

describe('an active whose connection was lost', () => {
  test('appends nothing until the log is found to be what it was', () => {
    const active = activeWith('a');
    active.feed({ kind: 'suspect' });
    const request = active.deliver(batchOf([add('b')], { first: 2 }));
    expect(active.holds('append')).toBe(false);
    active.settle();
    expect(active.answer(request)).toMatchObject({ ok: true });
    expect(itemsOf(active)).toEqual(['a', 'b']);
    expect(active.alarms()).toEqual([]);
  });

  test('does not send again either what was in flight', () => {
    const active = activeWith('a');
    active.deliver(batchOf([add('b')], { first: 2 }));
    const { call } = active.take('append');
    active.feed({ kind: 'suspect' });
    active.feed({ kind: 'appended', call, outcome: { kind: 'not-stored' } });
    active.tick(1000);
    expect(active.holds('append')).toBe(false);
    active.settle().tick(1000).settle();
    expect(itemsOf(active)).toEqual(['a', 'b']);
  });

  test('stops when the log has lost records, and tells which', () => {
    const active = activeWith('a', 'b', 'c');
    forget(active.store, 2);
    active.feed({ kind: 'suspect' });
    const request = active.deliver(batchOf([add('d')], { first: 4 }));
    confirm(active);
    expect(active.state).toBe('quarantined');
    const { loss, syncedThrough, error } = report(active.member);
    expect(loss).toMatchObject({ known: { seq: 3, epoch: 1 }, endsAt: { seq: 1, epoch: 1 } });
    expect(error).toMatch(/seqs 2 to 3 of epoch 1 are gone .* accept-loss g --through 1/);
    // What it holds may be all that is left.
    expect(syncedThrough).toBe(3);
    expect(active.answer(request)).toMatchObject({ ok: false, code: 'moved' });
    expect(active.told.filter(({ kind }) => kind === 'alarm')).toEqual([
      { kind: 'alarm', code: 'log-lost', detail: error },
    ]);
    expect(active.told.some(({ kind }) => kind === 'close')).toBe(true);
  });

  test('stops if somebody else went on from what was left', () => {
    const active = activeWith('a', 'b', 'c');
    const { store } = active;
    forget(store, 2);
    const fork = new Rig(store, 1).feed({ kind: 'start' }).settle();
    fork.promote(1).settle();
    for (let i = 1; i < 6; i++) {
      fork.deliver(batchOf([add(`x${i}`)], { session: 'other', first: i }));
      fork.settle();
    }
    expect(store.end).toBeGreaterThan(active.member.tip.position);
    const before = store.records.length;
    active.feed({ kind: 'suspect' });
    active.deliver(batchOf([add('d')], { first: 4 }));
    confirm(active);
    expect(report(active.member).loss).toMatchObject({ known: { seq: 3 } });
    expect(store.records).toHaveLength(before);
  });

  test('believes nobody who lacks it for a moment', () => {
    const active = activeWith('a', 'b');
    const lost = active.store.records.splice(-1);
    active.feed({ kind: 'suspect' });
    active.settle().pass(lossConfirmMs / 2);
    active.store.records.push(...lost);
    confirm(active);
    expect(active.state).toBe('active');
    expect(report(active.member).loss).toBeNull();
  });

  test('waits as long as nobody can say for certain', () => {
    const active = activeWith('a');
    active.feed({ kind: 'suspect' });
    for (let i = 0; i < 40; i++) {
      const { call } = active.take('prove');
      active.feed({ kind: 'proved', call, outcome: { kind: 'failed', reason: 'no leader' } });
      active.tick(300);
    }
    expect(active.state).toBe('active');
    expect(report(active.member).loss).toBeNull();
  });
});

describe('a standby', () => {
  test('that has seen more than the log holds stops too', () => {
    const active = activeWith('a', 'b');
    const standby = standbyRig(active.store);
    forget(active.store, 1);
    standby.pass(600);
    confirm(standby);
    expect(report(standby.member).loss).toMatchObject({ known: { seq: 2 }, endsAt: { seq: 1 } });
  });

  test('does not step forward over what others know, and does if it is there', () => {
    const active = activeWith('a', 'b');
    const standby = standbyRig(active.store);
    active.deliver(batchOf([add('c')], { first: 3 }));
    active.settle();
    const end = report(active.member).known as End;
    standby.feed({ kind: 'end-told', end });
    const lost = active.store.records.splice(-1);
    standby.promote(1).settle().pass(5000);
    expect(standby.state).toBe('quarantined');
    expect(active.store.types().filter((type) => type === 'claim')).toHaveLength(1);

    active.store.records.push(...lost);
    const other = standbyRig(active.store, 2);
    other.feed({ kind: 'end-told', end });
    other.feed({ kind: 'suspect' });
    other.promote(1).settle();
    expect(other.state).toBe('active');
  });

  test('in the middle of a promotion waits with its claim', () => {
    const active = activeWith('a', 'b');
    const standby = standbyRig(active.store);
    standby.promote(1);
    standby.feed({ kind: 'suspect' });
    standby.settleOnly('read-last');
    expect(standby.holds('append')).toBe(false);
    standby.settle();
    expect(standby.state).toBe('active');
  });

  test('looks up what another says is lost, and goes on if it is not', () => {
    const active = activeWith('a', 'b');
    const known = report(active.member).known as End;
    const standby = standbyRig(active.store);
    standby.feed({ kind: 'loss-told', known }).settle();
    confirm(standby);
    expect(standby.state).toBe('standby');
    standby.feed({ kind: 'loss-told', known: { ...known, tag: '00'.repeat(8) } });
    confirm(standby);
    expect(report(standby.member).loss).toMatchObject({
      found: 'another record is in its place',
    });
  });

  test('is not reinitialised into a log that has lost records', () => {
    const active = activeWith('a', 'b');
    const standby = standbyRig(active.store);
    forget(active.store, 1);
    confirm(standby.pass(600));
    expect(standby.reinited(standby.reinit())).toMatch(/accept-loss/);
    expect(standby.state).toBe('quarantined');
  });
});

describe('a new life', () => {
  const restarted = (store: Store, known: End | null, era = 0) => {
    const rig = new Rig(store, 1, { era });
    Object.assign(rig.member, newMember(configOf(1, { era }), known));
    return rig.feed({ kind: 'start' }).settle();
  };

  test('notices what a former one knew, before it steps forward', () => {
    const active = activeWith('a', 'b', 'c');
    const { known } = report(active.member);
    forget(active.store, 2);
    const rig = restarted(active.store, known);
    rig.promote(1);
    confirm(rig);
    expect(report(rig.member).loss).toMatchObject({ known: { seq: 3 } });
    expect(rig.carried).not.toContain('append');
  });

  test('claims nothing on a log that somebody went on with past what it knew', () => {
    const active = activeWith('a', 'b', 'c');
    const { known } = report(active.member);
    const { store } = active;
    forget(store, 2);
    const fork = new Rig(store, 2).feed({ kind: 'start' }).settle();
    fork.promote(1).settle();
    for (let i = 1; i < 6; i++) {
      fork.deliver(batchOf([add(`x${i}`)], { session: 'other', first: i }));
      fork.settle();
    }
    expect(store.end).toBeGreaterThan(known?.position ?? 0);
    const rig = restarted(store, known);
    rig.promote(2);
    confirm(rig);
    expect(rig.carried).not.toContain('append');
    expect(report(rig.member).loss).toMatchObject({ found: 'another record is in its place' });
  });

  test('goes on where the loss was accepted', () => {
    const active = activeWith('a', 'b', 'c');
    const { known } = report(active.member);
    forget(active.store, 2);
    const rig = restarted(active.store, known, 1);
    rig.promote(1).settle();
    expect(rig.state).toBe('active');
    expect(itemsOf(rig)).toEqual(['a']);
  });
});

test('what is heard live and is not in the log counts for nothing', () => {
  const active = activeRig({ standby: 'hot' });
  const standby = standbyRig(active.store, 1, { standby: 'hot' });
  const before = report(standby.member).known;
  active.deliver(batchOf([add('a')]));
  active.settleOnly('append');
  standby.settleOnly('append');
  expect(standby.member.replica?.tip.seq).toBe(1);
  expect(report(standby.member).known).toEqual(before);
});

test('quarantined for another reason, it still says that the log has lost records', () => {
  const active = activeWith('a', 'b');
  const known = report(active.member).known as End;
  const standby = standbyRig(active.store);
  standby.feed({ kind: 'quarantine', detail: 'it crashed' });
  forget(active.store, 1);
  standby.feed({ kind: 'loss-told', known });
  confirm(standby);
  expect(report(standby.member).loss).toMatchObject({ known });
});

test('a member without a doubt costs no read', () => {
  const member = newMember(configOf(0));
  const now = { monoMs: 1, wallMs: 1 };
  expect(step(member, { kind: 'suspect' }, now)).toEqual([]);
});
