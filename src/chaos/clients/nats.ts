import { headers } from 'nats';
import { isErrorCode, UnderstudyError } from '../../../replication/errors.js';
import type { ReadAnswer } from '../../admin/backend.js';
import { connectTo } from '../../nats/connect.js';
import { namesFor } from '../../nats/subjects.js';
import type { DeliveryOutcome } from '../history.js';
import { type Door, outcomeOf, tryMs } from './door.js';

interface Refused {
  readonly code: string;
  readonly detail: string;
}
interface Accepted {
  readonly seq: number;
  readonly epoch: number;
  readonly results: readonly { readonly seq: number; readonly result: unknown }[];
}

/** Plain requests with JSON, such as any NATS client sends: nothing is repeated by itself. */
export async function natsDoor(
  servers: readonly string[],
  namespace = 'understudy',
): Promise<Door> {
  const connection = await connectTo({ servers, name: 'chaos-requests' });
  const names = namesFor(namespace);
  const ask = async <Answer>(subject: string, body: unknown, key?: string): Promise<Answer> => {
    const keyed = headers();
    if (key !== undefined) keyed.set('Idempotency-Key', key);
    const options = { timeout: tryMs, headers: keyed };
    const answer = await connection.request(subject, JSON.stringify(body), options);
    return answer.json<Answer>();
  };
  return {
    name: 'nats',
    deliver: async (group, command, id): Promise<DeliveryOutcome> => {
      if (id.kind !== 'key') throw new Error('a plain request has no session of its own');
      try {
        const subject = names.deliver(group);
        return told(await ask<Accepted | Refused>(subject, command, id.key));
      } catch (error) {
        return outcomeOf(error);
      }
    },
    read: async (group, { query, args, consistency, minSeq }) => {
      const subject = consistency === 'standby' ? names.read(group) : names.query(group);
      const asked = { name: query, args, consistency, minSeq };
      const answer = await ask<ReadAnswer | Refused>(subject, asked);
      if (!('code' in answer)) return answer;
      const code = isErrorCode(answer.code) ? answer.code : 'internal';
      throw new UnderstudyError(code, answer.detail);
    },
    close: () => connection.close(),
  };
}

/** Codes of nodes and of kinds share one field: the former are known. */
function told(answer: Accepted | Refused): DeliveryOutcome {
  if (!('code' in answer)) {
    const { seq, epoch, results } = answer;
    return { kind: 'accepted', seq, epoch, result: results[0]?.result };
  }
  const { code } = answer;
  if (isErrorCode(code) && code !== 'bad-request') return { kind: 'unknown', code };
  return { kind: 'rejected', code };
}
