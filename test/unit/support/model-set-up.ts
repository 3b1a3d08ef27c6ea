/** The broker's model, and appends to one group whose outcomes are noted. */
import { position } from '../../../replication/ids.js';
import type { AppendOutcome } from '../../../replication/ports.js';
import { JetStreamModel, type ModelOptions } from '../../support/jetstream-model.js';
import { virtualScheduler } from '../../support/scheduler.js';

export const bytes = (n: number) => Uint8Array.of(n);
const none = position(0);

export function setUp(options: Partial<ModelOptions> = {}, seed = 1) {
  const scheduler = virtualScheduler(seed);
  const model = new JetStreamModel(scheduler, options);
  const outcomes: [string, AppendOutcome['kind'], number][] = [];
  const append = (client: string, value: number, expected = none) =>
    model.log(client, 'g').append(bytes(value), expected, (outcome) => {
      outcomes.push([client, outcome.kind, scheduler.now()]);
    });
  const kinds = () => outcomes.map(([client, kind]) => `${client} ${kind}`);
  const stored = () => model.records('g').map((record) => record.bytes[0]);
  return { scheduler, model, outcomes, append, kinds, stored };
}
