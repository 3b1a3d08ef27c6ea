/**
 * Nodes hand each other the chunks they keep: a request with a chunk's hash, and the chunk as it is
 * written down, or nothing.
 *
 * Asked and answered on the connections for what is large. Answers of half a megabyte would otherwise
 * stand before appends, or before the beats and notices by which a failover begins.
 */
import type { Msg, NatsConnection } from 'nats';
import type { AskPeer, Fetched } from '../../replication/ports.js';
import { unpackChunk } from './chunk-codec.js';
import { failureOf, noResponders } from './replies.js';
import type { Reply, Requests } from './requests.js';
import type { Names } from './subjects.js';

const chunkVerb = 'chunk';
/** Reads at the same time, for all who ask: the disk is not theirs alone. */
const readsAtOnce = 16;
/** No chunk is written down like this. */
const busy = Uint8Array.of(255);
const none = new Uint8Array(0);

interface Kept {
  /** Never rejects; null: not here. */
  getPacked(hash: Uint8Array): Promise<Uint8Array | null>;
}

/** Returns how to stop. */
export function servePeers(
  connection: Pick<NatsConnection, 'subscribe'>,
  names: Names,
  nodeId: string,
  cache: Kept,
): () => void {
  let reads = 0;
  const subscription = connection.subscribe(names.node(nodeId, chunkVerb), {
    callback: (error, message) => {
      if (error !== null) return;
      if (reads >= readsAtOnce) return respond(message, busy);
      reads += 1;
      // The bytes of a message are a view of what was read from the socket.
      const hash = message.data.slice();
      void cache.getPacked(hash).then((packed) => {
        reads -= 1;
        respond(message, packed ?? none);
      });
    },
  });
  return () => subscription.unsubscribe();
}

/** Whoever asked over a connection that is gone by now gives up by itself. */
function respond(message: Msg, answer: Uint8Array): void {
  try {
    message.respond(answer);
  } catch {
    // Closed: this node is stopping.
  }
}

export function askPeer(bulk: Pick<Requests, 'send'>, names: Names): AskPeer {
  return (node, hash, done) =>
    bulk.send(names.node(node, chunkVerb), hash, (reply) => {
      void fetched(node, reply).then(done);
      return 'done';
    });
}

async function fetched(node: string, reply: Reply): Promise<Fetched> {
  const failure = failureOf(reply);
  if (reply.kind !== 'message') return { kind: 'failed', reason: `node ${node}: ${failure}` };
  const { data, headers } = reply.message;
  if (headers?.code === noResponders) {
    return { kind: 'failed', reason: `node ${node} is not connected to the broker` };
  }
  if (data.length === 0) return { kind: 'none' };
  if (data.length === 1 && data[0] === busy[0]) {
    return { kind: 'failed', reason: `node ${node} is busy` };
  }
  return await unpackChunk(data);
}
