/** The parts of `npm run chaos:compose` that need no engine: when it is skipped, and its judgement. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Asked, type Command, violationsIn } from '../chaos/compose/check.js';
import { whyNoEngine } from '../chaos/compose/engine.js';

const dir = mkdtempSync(join(tmpdir(), 'understudy-docker-'));

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A `docker` that answers the two questions. */
function dockerSaying(engine: string, compose: string): Promise<string | null> {
  const bin = mkdtempSync(join(dir, 'bin-'));
  const script = `#!/bin/sh\nif [ "$1" = version ]; then ${engine}; else ${compose}; fi\n`;
  writeFileSync(join(bin, 'docker'), script);
  chmodSync(join(bin, 'docker'), 0o755);
  return whyNoEngine({ PATH: `${bin}:/bin:/usr/bin` });
}

describe('it is skipped', () => {
  test('without a docker command', async () => {
    expect(await whyNoEngine({ PATH: dir })).toBe('there is no docker command');
  });

  test('without an engine behind the command', async () => {
    const said = await dockerSaying(
      'echo "Cannot connect to the daemon" >&2; exit 1',
      'echo 2.30.0',
    );
    expect(said).toMatch(/^no engine answers: .*Cannot connect to the daemon$/s);
  });

  test('without a compose command', async () => {
    const said = await dockerSaying('echo 28.0.0', 'echo "unknown command: compose" >&2; exit 1');
    expect(said).toMatch(/^docker has no compose command: .*unknown command: compose$/s);
  });

  test.each(['1.29.2', 'v2.23.0', '2.9.9'])(
    'with compose %s, which knows no inline configs',
    (old) => {
      const said = dockerSaying('echo 28.0.0', `echo ${old}`);
      return expect(said).resolves.toBe(`docker compose is ${old}; the file needs 2.23.1 or newer`);
    },
  );

  test.each(['2.23.1', 'v2.26.1', '2.30.0-desktop.1', '5.0.0'])(
    'but not with compose %s',
    (good) => {
      return expect(dockerSaying('echo 28.0.0', `echo ${good}`)).resolves.toBeNull();
    },
  );
});

describe('it finds', () => {
  const open: Command = { type: 'open', account: 'a' };
  const deposit = (amount: number): Command => ({ type: 'deposit', account: 'a', amount });
  const withdraw = (amount: number): Command => ({ type: 'withdraw', account: 'a', amount });
  /** One after the other, each answered before the next. */
  const told = (ask: Asked['ask'], seq: number, answer: Asked['answer'], at: number): Asked => {
    return { ask, seq, answer, calledAt: at, returnedAt: at + 0.5 };
  };
  const granted = (balance: number | null) => ({ code: null, balance });
  const asked: readonly Asked[] = [
    told(open, 1, granted(null), 1),
    told(deposit(5), 2, granted(5), 2),
    told(withdraw(7), 2, { code: 'insufficient-funds', balance: null }, 3),
    told({ type: 'balance', account: 'a' }, 2, granted(5), 4),
    told(deposit(9), 0, null, 5),
    told(withdraw(1), 3, granted(4), 6),
  ];
  const log = [open, deposit(5), withdraw(1)].map((event, i) => {
    return { seq: i + 1, epoch: i === 2 ? 2 : 1, event };
  });
  const changed = <Item extends object>(list: readonly Item[], at: number, change: Partial<Item>) =>
    list.map((item, i) => (i === at ? { ...item, ...change } : item));

  test('nothing in a history that is right, with an unanswered command that was not taken', () => {
    expect(violationsIn(asked, log)).toEqual([]);
  });

  test('nothing if the unanswered command was taken all the same', () => {
    const more = [...log, { seq: 4, epoch: 2, event: deposit(9) }];
    expect(violationsIn(asked, more)).toEqual([]);
  });

  test('an acknowledged command that is lost', () => {
    const [lost] = violationsIn(asked, log.slice(0, 2));
    expect(lost).toMatch(/the log lacks it/);
  });

  test('a command that is in the log twice', () => {
    const twice = [...log, { seq: 4, epoch: 2, event: withdraw(1) }];
    expect(violationsIn(asked, twice).join()).toMatch(/is in the log twice/);
  });

  test('a refused command that is in the log', () => {
    const taken = [...log, { seq: 4, epoch: 2, event: withdraw(7) }];
    expect(violationsIn(asked, taken).join()).toMatch(/changed nothing, and is in the log/);
  });

  test('an event that nobody asked for, and one that was stored otherwise than it was sent', () => {
    const invented = [...log, { seq: 4, epoch: 2, event: deposit(100) }];
    expect(violationsIn(asked, invented).join()).toMatch(/nobody asked for it/);
    const altered = changed(log, 1, { event: deposit(6) });
    expect(violationsIn(asked, altered).join()).toMatch(/nobody asked for it/);
  });

  test('a gap in the log', () => {
    expect(violationsIn(asked, changed(log, 2, { seq: 4 })).join()).toMatch(/ends at 4, after 2/);
  });

  test('an epoch that falls', () => {
    expect(violationsIn(asked, changed(log, 1, { epoch: 3 })).join()).toMatch(
      /of epoch 2, after 3/,
    );
  });

  test('another answer than the log gives, to a command, a refusal and a read', () => {
    const wrong = /another answer than the log gives|another state than the log gives/;
    for (const at of [1, 3]) {
      expect(violationsIn(changed(asked, at, { answer: granted(6) }), log).join()).toMatch(wrong);
    }
    const refused = { code: 'unknown-account', balance: null };
    expect(violationsIn(changed(asked, 2, { answer: refused }), log).join()).toMatch(wrong);
  });

  test('a read that is older than what somebody had been told', () => {
    const stale = changed(asked, 3, { seq: 1, answer: granted(0) });
    expect(violationsIn(stale, log).join()).toMatch(/which had returned when it was called/);
  });
});
