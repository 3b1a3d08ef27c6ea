import type { NatsConnection } from 'nats';
import { epoch } from '../../../replication/ids.js';
import { decodeRecord, encodeRecord, isRecord } from '../../../replication/record.js';
import { sha256 } from '../../sha256.js';
import { tellsOf } from '../faults/watch.js';
import { type LogOf, logOf, publish, stored, withBroker } from '../faults/wire.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import type { Facts, Scenario } from './scenario.js';

type Writes = (stage: Stage, connection: NatsConnection, log: LogOf) => Promise<number>;

/** What is stored is not the active's: every member has to pass over it. */
const writes: Readonly<Record<string, Writes>> = {
  async garbage({ chance }, connection, { subject }) {
    const bytes = Uint8Array.from({ length: chance.between(1, 2000) }, () => chance.below(256));
    return await publish(connection, subject, bytes);
  },
  /** True in every byte, and in the wrong place. */
  async 'an older record'({ chance }, connection, log) {
    const last = await stored(connection, log);
    const older = await stored(connection, log, chance.below(last.position));
    return await publish(connection, log.subject, older.bytes);
  },
  /** Fits the log's end in everything but the signature, which nobody without the seed can make. */
  async 'a forged claim'(_, connection, log) {
    const { position, bytes } = await stored(connection, log);
    return await publish(connection, log.subject, forgedClaim(bytes), position);
  },
  /** By somebody else than who the epoch belongs to. */
  async 'a record of another writer'(_, connection, log) {
    const { position, bytes } = await stored(connection, log);
    return await publish(connection, log.subject, recordOfAnother(bytes), position);
  },
};

const ways = Object.keys(writes);
const gotForeign = 'got, from a stranger,';

function forgedClaim(last: Uint8Array): Uint8Array {
  const record = recordIn(last);
  return encodeRecord({
    ...record,
    ...{ epoch: epoch(record.epoch + 1), number: 0, previous: sha256(last), baseSeq: record.seq },
    writer: { index: 1, node: 'stranger', incarnation: 'stranger' },
    body: {
      ...{ type: 'claim', cause: 'silence', startedAtMs: record.recordedAtMs },
      ...{ detectMs: 1, decideMs: 1, operation: null },
    },
    signature: new Uint8Array(64).fill(7),
  });
}

function recordOfAnother(last: Uint8Array): Uint8Array {
  const record = recordIn(last);
  return encodeRecord({
    ...record,
    ...{ number: record.number + 1, previous: sha256(last), baseSeq: record.seq },
    writer: { ...record.writer, incarnation: 'stranger' },
    body: { type: 'barrier', opened: null, mark: null },
    signature: null,
  });
}

function recordIn(bytes: Uint8Array) {
  const record = decodeRecord(bytes);
  if (!isRecord(record)) throw new Error(`the last record is none: ${record.problem}`);
  return record;
}

const foreignWriter: Scenario = {
  name: 'foreign-writer',
  shows: 'a stranger writes garbage, old and forged records to logs: passed over and reported',
  brokers: 1,
  async round(stage) {
    const group = stage.chance.pick(stage.groups);
    const what = stage.inTurn(ways);
    const sinceMs = Date.now();
    await withBroker(stage, async (connection) => {
      const log = await logOf(stage, group);
      for (let left = stage.chance.between(1, 5); left > 0; left--) {
        // The last record may be another by now, and a leader may be missing.
        await stage.during(`${gotForeign} ${what}`, group, () =>
          until(`${group} gets ${what}`, () => writes[what]?.(stage, connection, log)),
        );
      }
    });
    await tellsOf(stage, group, /foreign record/, sinceMs);
  },
  expects: passedOver,
};

/** Every stranger's record is in the log and belongs to nobody's: the other checks have looked past it. */
function passedOver({ group, faults, log }: Facts): string | null {
  const written = faults.filter(
    ({ what, target }) => what.startsWith(gotForeign) && target === group,
  ).length;
  if (log.strangers.length >= written) return null;
  return `${written} foreign records were written, the log shows ${log.strangers.length}`;
}

const staleAppends: Scenario = {
  name: 'stale-appends',
  shows: 'what was appended long ago is sent again, as by a network that kept it: it is refused',
  brokers: 1,
  async round(stage) {
    const group = stage.chance.pick(stage.groups);
    await withBroker(stage, async (connection) => {
      const log = await logOf(stage, group);
      await stage.during('appends again', group, async () => {
        for (let i = 0; i < 20; i++) await appendAgain(stage, connection, log);
      });
    });
  },
  expectsAlone: ({ log: { strangers } }) =>
    strangers.length === 0 ? null : `a late append was stored: ${strangers.join(', ')}`,
};

/** With the expectation that it had: the fence refuses it, or the broker is no fence (P1), and this throws. */
async function appendAgain({ chance }: Stage, connection: NatsConnection, log: LogOf) {
  const last = await stored(connection, log);
  const before = await stored(connection, log, chance.below(last.position));
  if (before.position >= last.position) return;
  const copy = await stored(connection, log, before.position);
  const isStored = await publish(connection, log.subject, copy.bytes, before.position).then(
    () => true,
    () => false,
  );
  if (!isStored) return;
  throw new Error(
    `an append of position ${copy.position} was stored again behind ${last.position}`,
  );
}

export const strangers: readonly Scenario[] = [foreignWriter, staleAppends];
