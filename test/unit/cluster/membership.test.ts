import { describe, expect, it } from 'vitest';
import {
  brokerBack,
  brokerLost,
  disconnected,
  downForMs,
  echoed,
  heard,
  judges,
  judgesSilence,
  type Membership,
  newMembership,
  probed,
  tickMembership,
} from '../../../cluster/membership.js';
import { nodeInfo, timings } from './support.js';

const start = 10_000;
const life = '000001';

/** Knows itself and `n1`; at `start` a node that it never heard of is as silent as one that hangs. */
function membership(): Membership {
  const members = newMembership('n0', timings, start - timings.hangTimeoutMs);
  heard(members, nodeInfo('n0'), start);
  heard(members, nodeInfo('n1'), start);
  members.lastTickMs = start;
  members.echoedAtMs = start;
  return members;
}

const stateOf = (members: Membership, id = 'n1') => members.nodes.get(id)?.state;

/** Ticks every 50 ms up to a time, hearing itself or cut off; returns who was to be probed. */
function run(members: Membership, untilMs: number, hears = true): string[] {
  const probes: string[] = [];
  for (let nowMs = members.lastTickMs + 50; nowMs <= untilMs; nowMs += 50) {
    if (hears) echoed(members, nowMs);
    probes.push(...tickMembership(members, nowMs));
  }
  return probes;
}

describe('the broker says that a connection is gone', () => {
  it('a probe that nobody answers settles it at once', () => {
    const members = membership();
    expect(disconnected(members, 'n1', life, start + 10)).toBe(true);
    expect(stateOf(members)).toBe('suspect');
    probed(members, 'n1', life, 'gone', start + 12);
    expect(members.nodes.get('n1')).toMatchObject({
      state: 'down',
      cause: 'disconnect',
      firstSignMs: start + 10,
      downSinceMs: start + 12,
    });
  });

  it('a probe that is answered clears it', () => {
    const members = membership();
    disconnected(members, 'n1', life, start + 10);
    probed(members, 'n1', life, 'alive', start + 12);
    expect(members.nodes.get('n1')).toMatchObject({ state: 'up', firstSignMs: null });
  });

  it('a probe without an answer proves nothing', () => {
    const members = membership();
    disconnected(members, 'n1', life, start + 10);
    probed(members, 'n1', life, 'silent', start + 500);
    expect(stateOf(members)).toBe('suspect');
  });

  it.each<[string, (members: Membership) => boolean]>([
    ['an earlier life', (members) => disconnected(members, 'n1', '000000', start + 10)],
    ['a later life', (members) => disconnected(members, 'n1', '000002', start + 10)],
    ['somebody unknown', (members) => disconnected(members, 'n9', life, start + 10)],
  ])('about %s: it is not this one', (_, tell) => {
    const members = membership();
    expect(tell(members)).toBe(false);
    expect(stateOf(members)).toBe('up');
  });
});

describe('silence', () => {
  it('is suspected, probed, and given up on at last', () => {
    const members = membership();
    expect(run(members, start + timings.suspectAfterMs - 50)).toEqual([]);
    expect(run(members, start + timings.suspectAfterMs)).toEqual(['n1']);
    expect(run(members, start + timings.hangTimeoutMs - 50)).toEqual([]);
    expect(stateOf(members)).toBe('suspect');
    run(members, start + timings.hangTimeoutMs);
    expect(members.nodes.get('n1')).toMatchObject({
      state: 'down',
      cause: 'silence',
      firstSignMs: start,
    });
  });

  it('with nobody there any more is settled by the probe', () => {
    const members = membership();
    run(members, start + timings.suspectAfterMs);
    probed(members, 'n1', life, 'gone', start + 800);
    expect(members.nodes.get('n1')).toMatchObject({ state: 'down', cause: 'no-responders' });
  });

  it('is probed again while it lasts', () => {
    const members = membership();
    run(members, start + timings.suspectAfterMs);
    probed(members, 'n1', life, 'silent', start + 1250);
    expect(run(members, start + 1300)).toEqual(['n1']);
  });

  it('of itself is no concern', () => {
    const members = membership();
    run(members, start + 10 * timings.hangTimeoutMs);
    expect(stateOf(members, 'n0')).toBe('up');
  });

  it('ends with a beat', () => {
    const members = membership();
    run(members, start + timings.hangTimeoutMs);
    expect(heard(members, nodeInfo('n1'), start + 5000)).toBe(false);
    expect(members.nodes.get('n1')).toMatchObject({ state: 'up', cause: null, downSinceMs: null });
  });
});

describe('a node judges nobody', () => {
  it('without the broker, nor for a while after it is back', () => {
    const members = membership();
    run(members, start + timings.suspectAfterMs);
    expect(stateOf(members)).toBe('suspect');
    brokerLost(members);
    run(members, start + 10 * timings.hangTimeoutMs);
    probed(members, 'n1', life, 'gone', members.lastTickMs);
    expect(stateOf(members)).toBe('suspect');
    const backMs = members.lastTickMs;
    brokerBack(members, backMs);
    expect(stateOf(members)).toBe('up');
    expect(run(members, backMs + timings.graceMs - 50)).toEqual([]);
    expect(judges(members, backMs + timings.graceMs)).toBe(true);
    run(members, backMs + timings.hangTimeoutMs);
    expect(stateOf(members)).toBe('down');
  });

  it('after it stood still itself', () => {
    const members = membership();
    expect(tickMembership(members, start + 60_000)).toEqual([]);
    expect(stateOf(members)).toBe('up');
    const suspectAt = start + 60_000 + timings.suspectAfterMs;
    for (let at = start + 60_000; at < suspectAt; at += 50) {
      expect(tickMembership(members, at)).toEqual([]);
    }
    expect(tickMembership(members, suspectAt)).toEqual(['n1']);
  });

  it('for silence while it stood still, but at once for what a probe finds afterwards', () => {
    const members = membership();
    tickMembership(members, start + 60_000);
    expect(disconnected(members, 'n1', life, start + 60_001)).toBe(true);
    probed(members, 'n1', life, 'gone', start + 60_002);
    expect(stateOf(members)).toBe('down');
  });

  it('but what it knew to be down stays down', () => {
    const members = membership();
    disconnected(members, 'n1', life, start);
    probed(members, 'n1', life, 'gone', start);
    brokerLost(members);
    brokerBack(members, start + 100);
    expect(stateOf(members)).toBe('down');
  });
});

describe('a node that does not hear itself', () => {
  const deafMs = Math.min(timings.suspectAfterMs, timings.hangTimeoutMs / 2);
  const cutOffMs = start + 2 * timings.hangTimeoutMs;

  it('judges nobody by silence', () => {
    const members = membership();
    expect(judgesSilence(members, start + deafMs)).toBe(true);
    expect(judgesSilence(members, start + deafMs + 1)).toBe(false);
    run(members, cutOffMs, false);
    expect(stateOf(members)).toBe('suspect');
  });

  it('takes nobody for silent who was not heard meanwhile, once it hears again', () => {
    const members = membership();
    run(members, cutOffMs, false);
    echoed(members, cutOffMs + 1);
    expect(stateOf(members)).toBe('up');
    run(members, cutOffMs + timings.hangTimeoutMs - 50);
    expect(stateOf(members)).not.toBe('down');
    run(members, cutOffMs + timings.hangTimeoutMs + 50);
    expect(stateOf(members)).toBe('down');
  });

  it('waits a grace after it hears again, with those too that it had given up on', () => {
    const members = membership();
    run(members, start + timings.hangTimeoutMs);
    expect(stateOf(members)).toBe('down');
    run(members, cutOffMs, false);
    echoed(members, cutOffMs);
    run(members, cutOffMs + timings.graceMs);
    expect(stateOf(members)).toBe('down');
    expect(judgesSilence(members, cutOffMs + timings.graceMs - 1)).toBe(false);
    expect(judgesSilence(members, cutOffMs + timings.graceMs)).toBe(true);
  });

  it('believes the broker all the same, which it must have heard', () => {
    const members = membership();
    run(members, cutOffMs, false);
    expect(disconnected(members, 'n1', life, cutOffMs)).toBe(true);
    probed(members, 'n1', life, 'gone', cutOffMs + 1);
    expect(members.nodes.get('n1')).toMatchObject({ state: 'down', cause: 'no-responders' });
  });

  it('is not deaf for one beat that was lost, nor for having stood still', () => {
    const members = membership();
    echoed(members, start + 2 * timings.beatMs + 50);
    expect(judgesSilence(members, start + 2 * timings.beatMs + 50)).toBe(true);
    tickMembership(members, start + 60_000);
    expect(judgesSilence(members, start + 60_000)).toBe(true);
  });

  it('is deaf long before those are given up on whom it heard no later, however it is set', () => {
    const slow = { ...timings, suspectAfterMs: timings.hangTimeoutMs - 50 };
    const members = newMembership('n0', slow, start);
    expect(judgesSilence(members, start + timings.hangTimeoutMs / 2 + 1)).toBe(false);
  });
});

describe('a later life of a node', () => {
  it('ends the earlier one, whose late words count for nothing', () => {
    const members = membership();
    expect(heard(members, nodeInfo('n1', { incarnation: '000002' }), start + 1)).toBe(true);
    expect(heard(members, nodeInfo('n1'), start + 2)).toBe(false);
    probed(members, 'n1', life, 'gone', start + 3);
    expect(members.nodes.get('n1')).toMatchObject({
      state: 'up',
      lastHeardMs: start + 1,
      info: { incarnation: '000002' },
    });
  });
});

it('says how long a node has been gone, also one that was never there', () => {
  const members = membership();
  expect(downForMs(members, 'n1', start + 100)).toBe(0);
  disconnected(members, 'n1', life, start);
  probed(members, 'n1', life, 'gone', start + 100);
  expect(downForMs(members, 'n1', start + 350)).toBe(250);
  expect(downForMs(members, 'n9', start + 350)).toBe(350);
  expect(downForMs(members, 'n9', start - 350)).toBe(0);
});

it('counts the lives of nodes that have ended, each of them once', () => {
  const members = membership();
  const seen: number[] = [];
  const note = () => seen.push(members.endings);
  disconnected(members, 'n1', life, start);
  note();
  probed(members, 'n1', life, 'gone', start + 1);
  probed(members, 'n1', life, 'gone', start + 2);
  note();
  // Its next life ends none any more; the one after that ends that.
  heard(members, nodeInfo('n1', { incarnation: '000002' }), start + 3);
  note();
  heard(members, nodeInfo('n1', { incarnation: '000003' }), start + 4);
  note();
  run(members, start + 4 + timings.hangTimeoutMs + 100);
  note();
  expect(seen).toEqual([0, 1, 1, 2, 3]);
});
