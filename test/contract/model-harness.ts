/** The contract's world without a broker: the model the simulation runs on. */
import { JetStreamModel } from '../support/jetstream-model.js';
import { virtualScheduler } from '../support/scheduler.js';
import type { Harness } from './harness.js';

const clients = ['a', 'b'];
/** More events than any test needs; without it a lost callback would never end. */
const maxSteps = 1_000_000;

export function openModel(replicas: 1 | 3): Harness {
  const scheduler = virtualScheduler(`contract ${replicas}`);
  const model = new JetStreamModel(scheduler, { replicas });
  return {
    log: (client, groupId) => model.log(client, groupId),
    snapshots: (client, groupId) => model.snapshots(client, groupId),
    async wait(work) {
      let isDone = false;
      const settled = work.finally(() => {
        isDone = true;
      });
      for (let left = maxSteps; left > 0 && !isDone; left--) {
        scheduler.step();
        await null;
      }
      if (!isDone) throw new Error('nothing left to happen, and still no completion');
      return settled;
    },
    kill() {
      model.loseLeader('silent');
      for (const client of clients) model.disconnect(client);
      return Promise.resolve();
    },
    restart() {
      model.electLeader();
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}
