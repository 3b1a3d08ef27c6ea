/** The members of a node as actors: who runs, what they are told, how they end. */
import { describe, expect, it } from 'vitest';
import {
  broadcast,
  crash,
  end,
  type Hint,
  newActors,
  post,
  reinstate,
  spawn,
  takeMail,
} from '../../../cluster/actors.js';
import { epoch, position, seq } from '../../../replication/ids.js';
import { limits } from '../../../replication/limits.js';
import { sampleSize } from '../../support/sample.js';
import { seededRandom } from '../../support/scheduler.js';

const member = (group: string, index = 0) => ({ group, groupId: `id-${group}`, index });
const epochSeen = (n: number): Hint => ({ kind: 'epoch-seen', epoch: epoch(n) });
const letter = (n: number): Hint => ({ kind: 'attested', bytes: Uint8Array.of(n) });

function running(...groups: string[]) {
  const actors = newActors();
  for (const group of groups) spawn(actors, member(group));
  const mail = () => {
    const all: [string, Hint][] = [];
    for (let one = takeMail(actors); one !== null; one = takeMail(actors)) {
      all.push([one.group, one.hint]);
    }
    return all;
  };
  const crashes = (group: string, times: number, everyMs = 0) => {
    const all = Array.from({ length: times }, (_, i) => crash(actors, group, 'boom', i * everyMs));
    return all.map((verdict) => verdict?.restartInMs);
  };
  return { actors, mail, crashes };
}

describe('spawning', () => {
  it('is refused while one of the group is there, and changes nothing', () => {
    const { actors, mail } = running('g');
    post(actors, 'g', epochSeen(3));
    expect(spawn(actors, member('g', 2))).toEqual({ kind: 'duplicate', index: 0 });
    expect(mail()).toEqual([['g', epochSeen(3)]]);
    end(actors, 'g', 'stopped', 'moved');
    expect(spawn(actors, member('g', 2))).toEqual({ kind: 'spawned' });
  });

  it('runs nobody who is in quarantine, whom everybody sees all the same', () => {
    const { actors, crashes } = running('g');
    crashes('g', limits.memberCrashes);
    end(actors, 'g', 'stopped', 'moved');
    const spawned = spawn(actors, member('g'));
    expect(spawned).toMatchObject({ kind: 'quarantined', why: expect.stringContaining('boom') });
    expect(actors.running.has('g')).toBe(true);
  });

  it('is allowed to whoever crashed less often, which is not forgotten', () => {
    const { actors, crashes } = running('g');
    crashes('g', limits.memberCrashes - 1);
    end(actors, 'g', 'stopped', 'moved');
    expect(spawn(actors, member('g'))).toEqual({ kind: 'spawned' });
    expect(crashes('g', 1)).toEqual([null]);
  });

  it('of another member, or of a group that was made anew, begins with a clean slate', () => {
    const { actors, crashes } = running('g');
    crashes('g', limits.memberCrashes);
    end(actors, 'g', 'stopped', 'moved');
    expect(spawn(actors, member('g', 1))).toEqual({ kind: 'spawned' });
    end(actors, 'g', 'stopped', 'deleted');
    expect(spawn(actors, { ...member('g'), groupId: 'another' })).toEqual({ kind: 'spawned' });
  });
});

describe('crashes', () => {
  it('are followed by a restart after growing pauses, then by quarantine', () => {
    const { actors, crashes } = running('g', 'h');
    const pauses = crashes('g', limits.memberCrashes);
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, null]);
    expect(actors.ended).toEqual({ stopped: 0, superseded: 0, crashed: 7, quarantined: 1 });
    expect(crashes('h', 1)).toEqual([500]);
  });

  it('a minute apart are no series', () => {
    expect(running('g').crashes('g', 20, 60_001)).toEqual(Array(20).fill(500));
    expect(running('g').crashes('g', 8, 60_000).at(-1)).toBeNull();
  });

  it('are forgiven by an operator, and counted from the first again', () => {
    const { actors, crashes } = running('g');
    crashes('g', limits.memberCrashes);
    expect(post(actors, 'g', epochSeen(1))).toBe('inactive');
    reinstate(actors, 'g');
    expect(post(actors, 'g', epochSeen(1))).toBe('posted');
    expect(crashes('g', 1)).toEqual([500]);
  });

  it('of somebody who is not there any more are nobody’s', () => {
    const { actors } = running('g');
    end(actors, 'g', 'stopped', 'moved');
    expect(crash(actors, 'g', 'boom', 0)).toBeNull();
    expect(actors.ended.crashed).toBe(0);
  });

  it('are remembered of so many and no more', () => {
    const { actors } = running();
    for (let i = 0; i < 2000; i++) {
      spawn(actors, member(`g${i}`));
      crash(actors, `g${i}`, 'boom', 0);
    }
    expect(actors.records.size).toBe(1024);
  });
});

describe('an ending', () => {
  it('says who, how and why, once', () => {
    const { actors } = running('g', 'h');
    expect(end(actors, 'g', 'stopped', 'moved to n3')).toEqual({
      group: 'g',
      index: 0,
      how: 'stopped',
      why: 'moved to n3',
    });
    expect(end(actors, 'g', 'stopped', 'again')).toBeNull();
    expect(crash(actors, 'h', 'boom', 0)?.ending).toMatchObject({ how: 'crashed' });
    expect(end(actors, 'h', 'superseded', 'by 77')).toMatchObject({ how: 'superseded' });
    expect(actors.ended).toEqual({ stopped: 1, superseded: 1, crashed: 1, quarantined: 0 });
  });

  it('takes along what was to be told', () => {
    const { actors, mail } = running('g');
    post(actors, 'g', epochSeen(1));
    end(actors, 'g', 'stopped', 'moved');
    spawn(actors, member('g'));
    expect(mail()).toEqual([]);
  });
});

describe('mail', () => {
  it('to a member that does not run here is no error, and is kept for nobody', () => {
    const { actors, mail } = running('g');
    expect(post(actors, 'nobody', epochSeen(1))).toBe('inactive');
    spawn(actors, member('nobody'));
    expect(mail()).toEqual([]);
  });

  it('to all reaches all that run', () => {
    const { actors, mail, crashes } = running('g', 'h', 'broken');
    crashes('broken', limits.memberCrashes);
    expect(broadcast(actors, epochSeen(2))).toBe(2);
    expect(mail()).toEqual([
      ['g', epochSeen(2)],
      ['h', epochSeen(2)],
    ]);
  });

  it('of a kind is one, the newest, in whatever order it came', () => {
    const { actors, mail } = running('g');
    expect(post(actors, 'g', epochSeen(3))).toBe('posted');
    expect(post(actors, 'g', epochSeen(2))).toBe('merged');
    const snapshot = (n: number): Hint => ({
      kind: 'snapshot-seen',
      position: position(n),
      seq: seq(n),
    });
    for (const n of [5, 9, 7]) post(actors, 'g', snapshot(n));
    for (const n of [5, 9, 7]) post(actors, 'g', { kind: 'behind', seq: seq(n) });
    post(actors, 'g', { kind: 'peers', nodes: ['n1'] });
    post(actors, 'g', { kind: 'peers', nodes: ['n2'] });
    expect(mail().map(([, hint]) => hint)).toEqual([
      epochSeen(3),
      snapshot(9),
      { kind: 'behind', seq: 9 },
      { kind: 'peers', nodes: ['n2'] },
    ]);
    expect(post(actors, 'g', epochSeen(1))).toBe('posted');
  });

  it('whose contents count is kept up to a limit, the newest of it', () => {
    const { actors, mail } = running('g');
    for (let n = 0; n < 100; n++) post(actors, 'g', letter(n));
    const kept = mail().map(([, hint]) => (hint.kind === 'attested' ? hint.bytes[0] : null));
    expect(kept).toEqual(Array.from({ length: 16 }, (_, i) => 84 + i));
  });

  it('of one holds up nobody else’s, however much it is', () => {
    const { actors, mail } = running('busy', 'g');
    for (let n = 0; n < 100; n++) post(actors, 'busy', letter(n));
    post(actors, 'g', epochSeen(1));
    expect(mail().findIndex(([group]) => group === 'g')).toBe(1);
  });

  it('is posted while it is handed out, without an end to neither', () => {
    const { actors } = running('g', 'h');
    post(actors, 'g', epochSeen(1));
    post(actors, 'h', epochSeen(1));
    const turns: string[] = [];
    // g tells h, and h tells g, for as long as anybody listens.
    for (let turn = 0; turn < 10; turn++) {
      const mail = takeMail(actors);
      if (mail === null) break;
      turns.push(mail.group);
      post(actors, mail.group === 'g' ? 'h' : 'g', epochSeen(turn));
    }
    expect(turns.filter((group) => group === 'g').length).toBeGreaterThanOrEqual(4);
    expect(turns.filter((group) => group === 'h').length).toBeGreaterThanOrEqual(4);
  });

  it('stays within its limits, and reaches whoever still runs, whatever happens', () => {
    for (let seed = 0; seed < sampleSize(100, 30); seed++) {
      const random = seededRandom(`mail ${seed}`);
      const { actors, mail } = running();
      for (let step = 0; step < 300; step++) {
        const group = `g${random.below(5)}`;
        const what = random.below(8);
        if (what === 0) spawn(actors, member(group));
        else if (what === 1) end(actors, group, 'stopped', 'moved');
        else if (what === 2) crash(actors, group, 'boom', step * 20_000);
        else if (what === 3) takeMail(actors);
        else post(actors, group, what < 6 ? letter(step) : epochSeen(step));
        for (const actor of actors.running.values()) {
          for (const hints of actor.mail?.values() ?? []) {
            expect(hints.length).toBeLessThanOrEqual(16);
          }
          expect(actor.mail === null || actors.line.has(actor.identity.group)).toBe(true);
        }
      }
      for (const [group] of mail()) expect(actors.running.has(group)).toBe(true);
      expect(actors.line.size).toBe(0);
    }
  });
});
