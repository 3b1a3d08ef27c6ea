/** The brokers' stores, behind everybody's back. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nowMs } from '../history.js';
import type { Stage } from '../stage.js';

export interface Stores {
  /** With all brokers down for as long. Returns when the copy was complete. */
  copy(): Promise<number>;
  /** Kills all brokers, and puts the copy in place of what they have stored since. */
  bringBack(): Promise<void>;
}

export function storesOf(stage: Stage): Stores {
  const { brokers } = stage;
  const store = (dataDir: string) => join(dataDir, 'store');
  const older = (dataDir: string) => join(dataDir, 'older');
  const withAllDown = async (what: string, work: (dataDir: string) => void) => {
    await stage.during(what, brokers.map(({ name }) => name).join(', '), async () => {
      await Promise.all(brokers.map((broker) => broker.end('SIGKILL')));
      for (const { dataDir } of brokers) work(dataDir);
    });
    const copiedMs = nowMs();
    await Promise.all(brokers.map((broker) => stage.start(broker)));
    return copiedMs;
  };
  return {
    copy: () =>
      withAllDown('killed', (dataDir) => {
        rmSync(older(dataDir), { recursive: true, force: true });
        cpSync(store(dataDir), older(dataDir), { recursive: true });
      }),
    bringBack: async () => {
      await withAllDown('lost pages', (dataDir) => {
        rmSync(store(dataDir), { recursive: true });
        cpSync(older(dataDir), store(dataDir), { recursive: true });
      });
    },
  };
}
