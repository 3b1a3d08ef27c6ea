/**
 * What becomes of a record that is sent twice under one `Nats-Msg-Id`: why our appends carry none (P3).
 *
 * One server looks at the expectation first, three replicas at the id. So an id would tell a writer
 * the same as its expectation on one, and something else on the other; and only within a window of
 * time. What became of an append is decided by reading the log, which is the same on both.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from 'nats';
import { until } from '../support/until.js';

export interface PublishAnswer {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code: number };
}

/** The answer to a message sent again with its first, meanwhile wrong expectation. */
export async function secondAnswer(
  connection: NatsConnection,
  replicas: 1 | 3,
): Promise<PublishAnswer> {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ids', subjects: ['ids'], num_replicas: replicas });
  const publish = async () => {
    const fields = headers();
    fields.set('Nats-Msg-Id', 'one');
    fields.set('Nats-Expected-Last-Subject-Sequence', '0');
    const answer = await connection.request('ids', 'one', { headers: fields, timeout: 1000 });
    return answer.json<PublishAnswer>();
  };
  await until('the first is stored', async () => (await publish()).seq === 1);
  return await publish();
}
