import { createAdminClient } from '../../client/admin.js';
import type { DeliveryOutcome } from '../history.js';
import { type Door, type Identified, outcomeOf, tryMs } from './door.js';

/** The admin API, at whichever nodes answer when it is asked. */
export function httpDoor(urls: () => readonly string[], token?: string): Door {
  let known = '';
  let admin = createAdminClient({ url: 'http://127.0.0.1:1' });
  const current = () => {
    const now = urls();
    if (now.length > 0 && now.join() !== known) {
      known = now.join();
      admin = createAdminClient({ url: [...now], token, timeoutMs: tryMs });
    }
    return admin;
  };
  const deliver = async (
    group: string,
    command: unknown,
    id: Identified,
  ): Promise<DeliveryOutcome> => {
    if (id.kind === 'key') {
      const options = { key: id.key, timeoutMs: tryMs };
      return told(await current().deliver(group, command, options));
    }
    const { session, number } = id;
    const numbers = { session, first: number, floor: number };
    const options = { timeoutMs: tryMs };
    return told(await current().deliverLines(group, JSON.stringify(command), numbers, options));
  };
  return {
    name: 'http',
    deliver: (group, command, id) => deliver(group, command, id).catch(outcomeOf),
    read: (group, { query, args, consistency, minSeq }) =>
      current().query(group, { name: query, args, consistency, minSeq, timeoutMs: tryMs }),
    close: () => Promise.resolve(),
  };
}

type Delivered = Awaited<ReturnType<ReturnType<typeof createAdminClient>['deliver']>>;

function told({ results: [result], epoch }: Delivered): DeliveryOutcome {
  if (result === undefined) return { kind: 'unknown', code: 'no-answer' };
  if ('code' in result) return { kind: 'rejected', code: result.code };
  return { kind: 'accepted', seq: result.seq, epoch: epoch ?? 0, result: result.result };
}
