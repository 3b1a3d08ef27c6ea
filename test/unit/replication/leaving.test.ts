import { describe, expect, it } from 'vitest';
import { type BatchAnswer, unpackRun } from '../../../replication/batch.js';
import { epoch } from '../../../replication/ids.js';
import { limits } from '../../../replication/limits.js';
import { wakeAtMs } from '../../../replication/member.js';
import { decodeRecord, isRecord, recordVersion } from '../../../replication/record.js';
import { activeRig, add, batchOf, itemsOf, standbyRig } from './support.js';

const answers = (answer: BatchAnswer | undefined) =>
  answer?.ok ? answer.runs.flatMap(unpackRun) : [];

let first = 1;
/** A batch with numbers of its own. */
function next(...items: unknown[]) {
  first += 10;
  return batchOf([add(...items)], { first, floor: 1 });
}

describe('the fence', () => {
  it('ends everything: nothing unacknowledged is answered as done', () => {
    const rig = activeRig();
    const [inFlight, drafted] = [rig.deliver(next('a')), rig.deliver(next('b'))];
    const read = rig.read('count');
    const sync = rig.sync();
    const handOff = rig.handOff(1);
    const rival = standbyRig(rig.store).promote(1).settle();
    expect(rival.state).toBe('active');
    rig.settle();
    for (const request of [inFlight, drafted]) {
      expect(rig.answer(request)).toMatchObject({ ok: false, code: 'moved' });
    }
    expect(rig.result(read)).toMatchObject({ ok: false, code: 'moved' });
    expect(rig.synced(sync)).toMatchObject({ failure: expect.any(String) });
    expect(rig.handedOff(handOff)).toMatch(/fence/);
    expect(rig.told.some(({ kind }) => kind === 'close')).toBe(true);
    expect(itemsOf(rig)).toEqual([]);
    expect(rig.state).toBe('standby');
  });

  it('is looked for when somebody speaks of a later epoch', () => {
    const rig = activeRig();
    standbyRig(rig.store).promote(1).settle();
    rig.feed({ kind: 'epoch-seen', epoch: epoch(2) }).settle();
    expect(rig.state).toBe('standby');
    expect(rig.member.tip.epoch).toBe(2);
  });

  it('costs one barrier per rumour that is wrong', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    for (let i = 0; i < 50; i++) rig.feed({ kind: 'epoch-seen', epoch: epoch(9) });
    rig.settle();
    expect(rig.state).toBe('active');
    expect(rig.store.types().slice(-2)).toEqual(['events', 'barrier']);
  });

  it('is also lost to a later version of this program, which this one cannot follow', () => {
    const rig = activeRig();
    const rival = standbyRig(rig.store).promote(1);
    const claim = Uint8Array.from(rival.settle().store.records.at(-2)?.bytes ?? []);
    const found = decodeRecord(claim);
    expect(isRecord(found) && found.body.type).toBe('claim');
    claim[1] = recordVersion + 1;
    rig.store.records.splice(-2, 2);
    rig.store.append(claim);
    const request = rig.deliver(next('a'));
    rig.settle();
    expect(rig.state).toBe('quarantined');
    expect(rig.member.error).toMatch(/another version of this program/);
    expect(rig.answer(request)).toMatchObject({ code: 'moved' });
  });
});

describe('a hand-off', () => {
  it('lets the record in flight finish, queues what comes, and leaves', () => {
    const rig = activeRig();
    const before = rig.deliver(next('a'));
    const request = rig.handOff(1);
    const queued = rig.deliver(next('b'));
    rig.commit();
    expect(answers(rig.answer(before))).toMatchObject([{ seq: 1 }]);
    expect(rig.answer(queued)).toBeUndefined();
    rig.commit();
    expect(rig.store.types().at(-1)).toBe('handoff');
    expect(rig.answer(queued)).toMatchObject({ code: 'moved' });
    expect(rig.told.slice(-2)).toEqual([
      { kind: 'close' },
      { kind: 'announce-handoff', epoch: 1, target: 1 },
    ]);
    expect(rig.handedOff(request)).toBeUndefined();
    expect(rig.state).toBe('handing-off');
  });

  it('succeeds when a later epoch is heard of, and leaves a standby that is in sync', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    const request = rig.handOff(1);
    rig.settle();
    const target = standbyRig(rig.store).promote(1, { cause: 'switchover' }).settle();
    expect(target.state).toBe('active');
    expect(itemsOf(target)).toEqual(['a']);
    rig.feed({ kind: 'epoch-seen', epoch: epoch(2) }).settle();
    expect(rig.handedOff(request)).toBeNull();
    expect(rig.state).toBe('standby');
    expect(itemsOf(rig)).toEqual(['a']);
  });

  it('is rolled back when nobody claims, and says so', () => {
    const rig = activeRig();
    const request = rig.handOff(1, 700);
    rig.settle();
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 700);
    rig.tick(700).settle();
    expect(rig.state).toBe('active');
    expect(rig.handedOff(request)).toMatch(/no claim followed/);
    expect(rig.member.tip.epoch).toBe(2);
    const served = rig.deliver(next('a'));
    rig.settle();
    expect(rig.answer(served)).toMatchObject({ ok: true });
  });

  it('is rolled back and claimed at the same time: one of them wins', () => {
    const rig = activeRig();
    const request = rig.handOff(1, 700);
    rig.settle();
    const target = standbyRig(rig.store).promote(1).settle();
    rig.tick(700).settle();
    expect(target.state).toBe('active');
    expect(rig.state).toBe('standby');
    expect(rig.handedOff(request)).toBeNull();
    expect(
      rig.store.decoded().filter(({ epoch: e, number }) => e === 2 && number === 0),
    ).toHaveLength(1);
  });

  it('does not succeed because the log cannot be read', () => {
    const rig = activeRig();
    const request = rig.handOff(1, 700);
    rig.settle().tick(700);
    for (let i = 0; i <= limits.claimAttempts; i++) {
      const { call } = rig.take('read-last');
      const outcome = { kind: 'failed', reason: 'no leader' } as const;
      rig.feed({ kind: 'read-done', call, outcome });
      if (rig.state === 'promoting') rig.tick(50);
    }
    expect(rig.state).toBe('standby');
    expect(rig.handedOff(request)).toMatch(/nobody is known to lead: no leader/);
  });

  it('cannot be asked for twice', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    rig.handOff(1);
    expect(rig.handedOff(rig.handOff(2))).toMatch(/member 1 is being handed the role already/);
  });
});
