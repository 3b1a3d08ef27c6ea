import { describe, expect, it } from 'vitest';
import { position } from '../../../replication/ids.js';
import type { StoredRecord } from '../../../replication/ports.js';
import type { JetStreamModel } from '../../support/jetstream-model.js';
import { bytes, setUp } from './model-set-up.js';

describe('modelled tails', () => {
  const positions = (records: readonly StoredRecord[]) => records.map((r) => Number(r.position));

  function follow(setting: ReturnType<typeof setUp>, client = 'b', groupId = 'g') {
    const records: StoredRecord[] = [];
    const stop = setting.model.log(client, groupId).tail((record) => void records.push(record));
    setting.scheduler.run(setting.scheduler.now() + 1);
    return { records, stop };
  }

  /** Stores the records with these positions, one after the other, a millisecond apart. */
  function store({ scheduler, append }: ReturnType<typeof setUp>, first: number, last: number) {
    for (let i = first; i <= last; i++) {
      append('a', i, position(i - 1));
      scheduler.run(scheduler.now() + 3);
    }
  }

  it('bring every record stored from then on, in order, to each who follows', () => {
    const setting = setUp({ latencyMs: { least: 0.1, most: 50 } });
    const { scheduler, model, append } = setting;
    append('a', 1);
    scheduler.run(200);
    const [one, other, foreign] = [
      follow(setting),
      follow(setting, 'c'),
      follow(setting, 'b', 'h'),
    ];
    scheduler.run(300);
    for (let i = 2; i <= 30; i++) model.intrude('g', bytes(i));
    scheduler.run(1000);
    const all = Array.from({ length: 29 }, (_, i) => i + 2);
    expect(positions(one.records)).toEqual(all);
    expect(positions(other.records)).toEqual(all);
    expect(foreign.records).toEqual([]);
  });

  it('never call before the call has returned, nor after they were stopped', () => {
    const setting = setUp();
    const one = follow(setting);
    setting.append('a', 1);
    setting.scheduler.run(1.5);
    one.stop();
    setting.scheduler.run(100);
    expect(setting.stored()).toEqual([1]);
    expect(one.records).toEqual([]);
    const stop = setting.model.log('b', 'g').tail(() => expect.unreachable());
    stop();
    setting.append('a', 2, position(1));
    setting.scheduler.run(200);
  });

  it('leave single records out when told to', () => {
    const setting = setUp();
    const one = follow(setting);
    setting.model.faults.tailLost = 0.5;
    store(setting, 1, 40);
    const heard = positions(one.records);
    expect(heard.length).toBeGreaterThan(5);
    expect(heard.length).toBeLessThan(35);
    expect(heard).toEqual([...new Set(heard)].toSorted((a, b) => a - b));
  });

  it('are deaf after the silent death of whoever served them, until opened again', () => {
    const setting = setUp();
    const [dead, other] = [follow(setting), follow(setting, 'c')];
    store(setting, 1, 1);
    setting.model.deafen('b');
    store(setting, 2, 2);
    const again = follow(setting);
    store(setting, 3, 3);
    expect([dead, other, again].map(({ records }) => positions(records))).toEqual([
      [1],
      [1, 2, 3],
      [3],
    ]);
  });

  it.each<[string, (model: JetStreamModel) => void, (model: JetStreamModel) => void]>([
    ['a partition', (model) => model.partition('b'), (model) => model.heal('b')],
    ['a disconnect', (model) => model.disconnect('b'), () => undefined],
    ['a lost leader', (model) => model.loseLeader('refusing'), (model) => model.electLeader()],
  ])('lose what is on its way in %s, and go on afterwards', (_name, strike, heal) => {
    const setting = setUp({ latencyMs: { least: 10, most: 10 } });
    const { scheduler, model, append, stored } = setting;
    const one = follow(setting);
    scheduler.run(20);
    append('a', 1);
    scheduler.run(35);
    expect(stored()).toEqual([1]);
    strike(model);
    scheduler.run(100);
    heal(model);
    append('a', 2, position(1));
    scheduler.run(200);
    expect(positions(one.records)).toEqual([2]);
  });

  it('end with the process that follows', () => {
    const setting = setUp();
    const one = follow(setting);
    setting.model.crash('b');
    const successor = follow(setting);
    store(setting, 1, 1);
    expect([one, successor].map(({ records }) => records.length)).toEqual([0, 1]);
  });
});

describe('a modelled change of the leader', () => {
  /** What each client reads as the last record, and what becomes of its append after it. */
  function ask({ scheduler, model, append, kinds }: ReturnType<typeof setUp>, client: string) {
    let seen = '';
    model.log(client, 'g').last((outcome) => {
      seen = outcome.kind === 'record' ? String(outcome.record.position) : outcome.kind;
    });
    append(client, 9, position(1));
    scheduler.run(scheduler.now() + 1100);
    return `${seen}, ${kinds().at(-1)?.split(' ')[1]}`;
  }

  it('leaves some with a deposed leader: it reads from the past and stores nothing', () => {
    const seen = { during: new Set<string>(), after: new Set<string>() };
    for (let seed = 0; seed < 20; seed++) {
      const setting = setUp({}, seed);
      const { scheduler, model, append } = setting;
      append('a', 1);
      scheduler.run(100);
      model.faults.staleLeaderMs = 5000;
      model.loseLeader('refusing');
      model.electLeader();
      model.intrude('g', bytes(2));
      seen.during.add(ask(setting, 'b'));
      scheduler.run(5200);
      seen.after.add(ask(setting, 'b'));
      expect(setting.stored()).toEqual([1, 2]);
    }
    expect([...seen.during].toSorted()).toEqual(['1, unknown', '2, wrong-last']);
    expect([...seen.after]).toEqual(['2, wrong-last']);
  });

  it('keeps the records of those who hang on the old leader out of their tails', () => {
    const heard = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { scheduler, model } = setUp({}, seed);
      let count = 0;
      model.log('b', 'g').tail(() => count++);
      scheduler.run(100);
      model.faults.staleLeaderMs = 5000;
      model.loseLeader('silent');
      model.electLeader();
      model.intrude('g', bytes(1));
      scheduler.run(5200);
      model.intrude('g', bytes(2));
      scheduler.run(5300);
      heard.add(count);
    }
    expect([...heard].toSorted()).toEqual([1, 2]);
  });
});
