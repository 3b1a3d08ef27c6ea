/** What a node hears of the others: beats, notices, hints for its members, lost connections. */
import type { Msg } from 'nats';
import type { NodeInput } from '../../cluster/coordinator.js';
import type { Beat } from '../../cluster/types.js';
import { decodeValue } from '../../replication/batch.js';
import { epoch, position, seq } from '../../replication/ids.js';
import { brokerSubjects } from '../broker/config.js';
import { parseConnectionName } from '../nats/connect.js';
import { servePeers } from '../nats/peers.js';
import type { Notice } from '../nats/subjects.js';
import type { MemberDriver } from './member-driver.js';
import type { RuntimeOptions } from './runtime.js';

/** With a group's name behind them: hints for its member on a node. */
export const attestVerb = 'attest';
export const lostVerb = 'lost';

/** Who listens. */
export interface Listener {
  feed(input: NodeInput): void;
  /** Of the group's member here. */
  driver(group: string): MemberDriver | undefined;
  /** An active of the group has opened somewhere. */
  opened(group: string): void;
}

/** Returns how to stop it. */
export function listen(
  options: Pick<RuntimeOptions, 'connections' | 'names' | 'info' | 'cache'>,
  listener: Listener,
): () => void {
  const { connections, names, info, cache } = options;
  // News of the others: a flood of it must not cut off appends, and nothing safe depends on it.
  const subscribe = (subject: string, onMessage: (message: Msg) => void) =>
    connections.tail.subscribe(subject, {
      callback: (error, message) => {
        if (!error) onMessage(message);
      },
    });
  const hinted = (verb: string, onHint: (driver: MemberDriver, data: Uint8Array) => void) => {
    const prefix = names.node(info.id, `${verb}.`);
    return subscribe(`${prefix}*`, ({ subject, data }) => {
      const driver = listener.driver(subject.slice(prefix.length));
      if (driver !== undefined) onHint(driver, data);
    });
  };
  const subscriptions = [
    subscribe(names.beat, ({ data }) => {
      listener.feed({ kind: 'beat', beat: decodeValue(data) as Beat });
    }),
    hinted(attestVerb, (driver, bytes) => driver.input({ kind: 'attested', bytes })),
    hinted(lostVerb, (driver, data) => {
      const hashes = decodeValue(data) as readonly Uint8Array[];
      driver.input({ kind: 'chunks-lost', hashes });
    }),
    subscribe(names.allNotices, (message) => onNotice(message.json<Notice>(), listener)),
    subscribe(brokerSubjects.disconnected, (message) => onDisconnected(message, listener)),
  ];
  const stopServing = servePeers(connections.bulk, names, info.id, cache);
  return () => {
    stopServing();
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function onNotice(notice: Notice, listener: Listener): void {
  const { group } = notice;
  const driver = listener.driver(group);
  switch (notice.kind) {
    case 'opened':
      driver?.input({ kind: 'epoch-seen', epoch: epoch(notice.epoch) });
      listener.opened(group);
      break;
    case 'snapshot': {
      const { position: at, seq: through } = notice;
      driver?.input({ kind: 'snapshot-seen', position: position(at), seq: seq(through) });
      break;
    }
    case 'handoff': {
      const { target } = notice;
      listener.feed({ kind: 'handed-off', group, epoch: epoch(notice.epoch), target });
      break;
    }
    default:
      throw notice satisfies never;
  }
}

function onDisconnected(message: Msg, { feed }: Listener): void {
  const { client } = message.json<{ client?: { name?: string } }>();
  const who = parseConnectionName(client?.name ?? '');
  if (who?.purpose !== 'control') return;
  feed({ kind: 'disconnected', node: who.node, incarnation: who.incarnation });
}
