import { encodeValue, unpackRun } from '../../../replication/batch.js';
import { createClient } from '../../client/client.js';
import type { DeliveryOutcome } from '../history.js';
import { type Door, type Identified, outcomeOf, tryMs } from './door.js';

/** A program with the client library. */
export async function programDoor(servers: readonly string[]): Promise<Door> {
  const client = await createClient({ servers, name: 'chaos' });
  const deliver = async (group: string, command: unknown, id: Identified) => {
    if (id.kind === 'key') {
      const options = { key: id.key, timeoutMs: tryMs };
      const { seq, epoch, result } = await client.group(group).deliver(command, options);
      return { kind: 'accepted', seq, epoch, result } as const;
    }
    const { session, number } = id;
    const batch = {
      ...{ session, floor: number, first: number, count: 1, keys: null },
      blob: encodeValue(command),
    };
    const { runs } = await client.group(group).deliverBatch(batch, tryMs);
    const [answer] = runs.flatMap(unpackRun);
    if (answer === undefined) return { kind: 'unknown', code: 'no-answer' } as const;
    if (!answer.ok) return { kind: 'rejected', code: answer.code } as const;
    const { seq, epoch, result } = answer;
    return { kind: 'accepted', seq, epoch, result } as const;
  };
  return {
    name: 'program',
    deliver: (group, command, id): Promise<DeliveryOutcome> =>
      deliver(group, command, id).catch(outcomeOf),
    read: (group, { query, args, consistency, minSeq }) =>
      client.group(group).query(query, args, { consistency, minSeq, timeoutMs: tryMs }),
    close: () => client.close(0),
  };
}
