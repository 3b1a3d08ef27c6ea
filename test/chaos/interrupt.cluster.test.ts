/** A run that is interrupted leaves no process behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { interruptedExitCode } from '../../src/chaos/interrupt.js';
import { program } from '../support/node-process.js';
import { until } from '../support/until.js';

const timeoutMs = 120_000;

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

test.skipIf(process.platform !== 'linux')(
  'Ctrl-C ends everything that was started, also what is frozen',
  async () => {
    const data = mkdtempSync(join(tmpdir(), 'understudy-chaos-test-'));
    onTestFinished(() => rmSync(data, { recursive: true }));
    const args = ['--scenario', 'stop-active-10x', '--least-rate', '1', '--data', data];
    const chaos = spawn(process.execPath, [program, 'chaos', ...args], { stdio: 'ignore' });
    const isFrozen = (pid: number) =>
      /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    const look = () => {
      const children = childrenOf(chaos.pid as number);
      return children.some(isFrozen) ? children : null;
    };
    const children = await until('a node is frozen', look, timeoutMs);
    expect(children).toHaveLength(4);
    const exited = once(chaos, 'exit');
    chaos.kill('SIGINT');
    expect(await exited).toEqual([interruptedExitCode, null]);
    expect(children.filter(isThere)).toEqual([]);
  },
  timeoutMs,
);
