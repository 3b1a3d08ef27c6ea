/**
 * Follows a hot group's log live. The broker itself publishes every record again, on core NATS, once
 * it is stored: no consumer takes part, whose host could die and leave its reader waiting for ever.
 * What gets lost on the way stays lost here; the reader sees the gap in the hash chain (P13).
 */
import type { Msg, NatsConnection } from 'nats';
import { position } from '../../replication/ids.js';
import type { TailedRecord } from '../../replication/ports.js';
import { plain } from './replies.js';
import { throwOutside } from './requests.js';

export interface TailOptions {
  /** Bears a flood: a reader that falls behind costs the whole connection. */
  readonly connection: Pick<NatsConnection, 'subscribe' | 'isClosed'>;
  /** Of the group's log: what was published again from another one is not ours. */
  readonly subject: string;
  /** Where the broker publishes it again. */
  readonly tailSubject: string;
  readonly sink: (record: TailedRecord) => void;
}

export function tail({ connection, subject, tailSubject, sink }: TailOptions): () => void {
  if (connection.isClosed()) return () => undefined;
  let isStopped = false;
  let last = 0;
  const subscription = connection.subscribe(tailSubject, {
    callback: (error, message) => {
      const record = error === null ? republished(message, subject) : null;
      // An old leader's message may come in over another server, after its successor's.
      if (isStopped || record === null || record.position <= last) return;
      last = record.position;
      try {
        sink(record);
      } catch (thrown) {
        throwOutside(thrown);
      }
    },
  });
  return () => {
    isStopped = true;
    subscription.unsubscribe();
  };
}

/** What the broker says about the record comes last: behind headers that its writer may have sent. */
export function republished({ headers, data }: Msg, subject: string): TailedRecord | null {
  if (headers?.last('Nats-Subject') !== subject) return null;
  const [at, previous] = [headers.last('Nats-Sequence'), headers.last('Nats-Last-Sequence')];
  if (at === '0' || !isPlace(at) || !isPlace(previous)) return null;
  return {
    position: position(Number(at)),
    previous: position(Number(previous)),
    bytes: plain(data),
  };
}

const isPlace = (text: string): boolean =>
  /^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(Number(text));
