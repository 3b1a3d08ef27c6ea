/** The contract's world without a broker: the model the simulation runs on. */
import { JetStreamModel } from '../support/jetstream-model.js';
import { virtualScheduler } from '../support/scheduler.js';
import type { Harness, Victim } from './harness.js';

const clients = ['a', 'b'];
/** More events than any test needs; without it a lost callback would never end. */
const maxSteps = 1_000_000;

export function openModel(replicas: 1 | 3): Harness {
  const scheduler = virtualScheduler(`contract ${replicas}`);
  const model = new JetStreamModel(scheduler, { replicas });
  const done = () => Promise.resolve();
  return {
    log: (client, groupId) => model.log(client, groupId),
    chunks: (client, groupId) => model.chunks(client, groupId),
    garbage: (client) => model.garbage(client),
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
    purge: (groupId, before) => done().then(() => model.purge(groupId, before)),
    intrude: (groupId, record) => done().then(() => model.intrude(groupId, record)),
    disconnect: (client) => done().then(() => model.disconnect(client)),
    kill: (victim) => done().then(() => kill(model, replicas, victim)),
    recover: () => done().then(() => model.electLeader()),
    complete: done,
    close: done,
  };
}

/** The end of the only server is the end of all connections; of one in three it is that of some. */
function kill(model: JetStreamModel, replicas: 1 | 3, victim: Victim): void {
  const isClient = victim === 'a' || victim === 'b';
  if (replicas === 1) {
    model.loseLeader('refusing');
    for (const client of clients) model.disconnect(client);
  } else if (isClient) model.disconnect(victim);
  else model.loseLeader('silent');
}
