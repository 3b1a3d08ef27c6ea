/** What a node hears of the others: beats, notices, hints for its members, lost connections. */
import type { Msg } from 'nats';
import type { Hint } from '../../cluster/actors.js';
import type { NodeInput } from '../../cluster/coordinator.js';
import type { Beat } from '../../cluster/types.js';
import { decodeValue } from '../../replication/batch.js';
import { epoch, position, seq } from '../../replication/ids.js';
import { brokerSubjects } from '../broker/config.js';
import { parseConnectionName } from '../nats/connect.js';
import { servePeers } from '../nats/peers.js';
import type { Notice } from '../nats/subjects.js';
import type { RuntimeOptions } from './runtime.js';

/** With a group's name behind them: hints for its member on a node. */
export const attestVerb = 'attest';
export const lostVerb = 'lost';

/** Who listens. */
export interface Listener {
  feed(input: NodeInput): void;
  /** The group's member here, if there is one. */
  tell(group: string, hint: Hint): void;
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
  const hinted = (verb: string, hintOf: (data: Uint8Array) => Hint) => {
    const prefix = names.node(info.id, `${verb}.`);
    return subscribe(`${prefix}*`, ({ subject, data }) => {
      listener.tell(subject.slice(prefix.length), hintOf(data));
    });
  };
  const subscriptions = [
    subscribe(names.beat, ({ data }) => {
      listener.feed({ kind: 'beat', beat: decodeValue(data) as Beat });
    }),
    // The bytes of a message are a view of what was read from the socket, and it will be a while.
    hinted(attestVerb, (bytes) => ({ kind: 'attested', bytes: bytes.slice() })),
    hinted(lostVerb, (data) => {
      const hashes = decodeValue(data.slice()) as readonly Uint8Array[];
      return { kind: 'chunks-lost', hashes };
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
  switch (notice.kind) {
    case 'opened':
      listener.tell(group, { kind: 'epoch-seen', epoch: epoch(notice.epoch) });
      listener.opened(group);
      break;
    case 'snapshot': {
      const { position: at, seq: through } = notice;
      listener.tell(group, { kind: 'snapshot-seen', position: position(at), seq: seq(through) });
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
