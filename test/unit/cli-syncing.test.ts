/** Syncs as a person sees them: bars on a terminal, words in a group. */
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { MemberDocument, MemberSync } from '../../cluster/documents.js';
import { showSyncs } from '../../src/cli/progress.js';
import { serve } from '../support/admin-server.js';
import { cli } from '../support/cli.js';

const mib = 2 ** 20;
const syncOf = (doneMib: number): MemberSync => ({
  doneSizeBytes: doneMib * mib,
  knownSizeBytes: 1024 * mib,
  bytesPerSecond: 210 * mib,
  secondsLeft: 3,
  fromCache: 0,
  fromStore: doneMib * mib,
  fromPeers: 0,
  corrupt: 0,
});

/** The command against a server whose one member syncs, and which answers once it was looked at. */
async function served(doneMib: number) {
  const server = await serve();
  const { backend, url } = server;
  backend.memberSync = syncOf(doneMib);
  let looks = 0;
  backend.syncGate = new Promise((resolve) => {
    backend.onLook = () => {
      looks += 1;
      if (looks === 2) resolve();
    };
  });
  const understudy = (args: string[], terminal: boolean) =>
    cli(['--url', url, ...args], { terminal });
  return { backend, understudy, looks: () => looks };
}

const bar = /member 0 .* 40% 412 MiB of 1\.0 GiB, 210 MiB\/s, 3 s left/;

describe('on a terminal', () => {
  test('sync shows what members fetch, on stderr', async () => {
    const { understudy } = await served(412);
    const { stdout, stderr, code } = await understudy(['sync', 'c'], true);
    expect(stderr).toMatch(bar);
    expect([code, stdout]).toEqual([0, 'standbys of c sync through seq 0\n']);
  });

  test('reinit shows only its own member, and its steps above', async () => {
    const { understudy, looks } = await served(412);
    const { stdout, stderr } = await understudy(['reinit', 'c', '1', '--wait'], true);
    expect(looks()).toBe(2);
    expect(stderr).not.toMatch(/member 0/);
    expect(stderr).toBe('reinit c/1: begin\n');
    expect(stdout).toMatch(/reinit +c\/1 +done/);
  });

  test.each([[['sync', 'c']], [['reinit', 'c', '1', '--wait']]])(
    '%j shows nothing to a script',
    async (args) => {
      const { understudy, backend, looks } = await served(412);
      backend.syncGate = Promise.resolve();
      const { stderr, json } = await understudy([...args, '--json'], true);
      expect(json()).toBeTypeOf('object');
      expect([stderr, looks()]).toEqual(['', 0]);
    },
  );
});

test('elsewhere there are no bars', async () => {
  const { understudy, backend, looks } = await served(412);
  backend.syncGate = Promise.resolve();
  const { stdout, stderr } = await understudy(['sync', 'c'], false);
  expect([stderr, looks()]).toEqual(['', 0]);
  expect(stdout).toBe('standbys of c sync through seq 0\n');
});

test('a group shows who syncs, how far and how fast', async () => {
  const { understudy, backend } = await served(412);
  const syncing = await understudy(['group', 'c'], false);
  expect(syncing.stdout).toMatch(/^ +0 +n1 +active +active, syncing 40% at 210 MiB\/s +yes/m);
  backend.memberSync = null;
  const settled = await understudy(['group', 'c'], false);
  expect(settled.stdout).toMatch(/^ +0 +n1 +active +active +yes/m);
});

describe('bars', () => {
  const member = (index: number, sync: MemberSync | null) => ({ index, sync }) as MemberDocument;

  function drawn() {
    let text = '';
    const stream = new Writable({
      write(chunk, _encoding, done) {
        text += String(chunk);
        done();
      },
    });
    Object.assign(stream, { isTTY: true, columns: 80 });
    return { bars: showSyncs(stream), text: () => text };
  }

  test('are one for each member that syncs, of lines that fit', () => {
    const { bars, text } = drawn();
    bars.show([member(0, null), member(1, syncOf(0)), member(2, syncOf(1023))]);
    bars.show([member(0, null), member(1, syncOf(512)), member(2, null)]);
    bars.note('reinit c/1: syncing');
    bars.stop();
    const lines = text().match(/member [ -~]*/g) ?? [];
    const moving = '210 MiB/s, 3 s left';
    expect(lines.at(-1)).toBe(`member 1 [========--------] 50% 512 MiB of 1.0 GiB, ${moving}`);
    expect(lines).toContain(`member 2 [================] 99% 1023 MiB of 1.0 GiB, ${moving}`);
    expect(lines.filter((line) => line.startsWith('member 0') || line.length > 80)).toEqual([]);
    expect(text()).toContain('reinit c/1: syncing\n');
    // What is left below the note is cleared.
    expect(text().endsWith('\u001b[0J')).toBe(true);
  });

  test('are nothing if nobody syncs', () => {
    const { bars, text } = drawn();
    bars.show([member(0, null)]);
    bars.note('reinit c/1: syncing');
    bars.stop();
    expect(text()).toBe('reinit c/1: syncing\n');
  });
});
