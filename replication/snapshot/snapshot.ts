/**
 * A snapshot: everything a member knows at one committed record, cut into chunks with hashes.
 * It exists once a snapshot record in the log names the hashes (P6); whoever restores it verifies
 * every chunk against that record before it looks inside (I7).
 */
import { Packr, Unpackr } from 'msgpackr';
import { equalBytes, plainBytes } from '../bytes.js';
import type { Kind } from '../kind.js';
import { limits } from '../limits.js';
import type { Hash } from '../ports.js';
import type { SnapshotBody } from '../record.js';
import type { EpochNote, Replica, Tip } from '../replica.js';
import { packSessions, unpackSessions } from '../sessions.js';

/** `moreTypes`: a kind's state may hold Maps, Sets and dates. */
const options = { useRecords: true, moreTypes: true, copyBuffers: true } as const;
const unpackr = new Unpackr(options);

const snapshotVersion = 2;

export interface Cut {
  readonly body: SnapshotBody;
  readonly chunks: readonly Uint8Array[];
}

type Problem = { readonly problem: string };

/**
 * Cuts a snapshot of a replica whose state is committed; the caller makes sure that it is. The first
 * chunk says whose it is, the rest is all that a member knows: equal on all that stand at the same
 * record.
 */
export function cutSnapshot(replica: Replica, cutter: number, mark: number | null): Cut | Problem {
  const { tip, kind } = replica;
  const state = packState(replica);
  if ('problem' in state) return state;
  const header = new Packr(options).pack([snapshotVersion, kind.name, kind.version]);
  const chunks = [header, ...split(state.bytes)];
  if (chunks.length > limits.snapshotChunks) {
    return {
      problem: `the state takes ${state.bytes.length} bytes, over ${limits.snapshotChunks} chunks`,
    };
  }
  const body: SnapshotBody = {
    type: 'snapshot',
    id: snapshotId(tip),
    at: tip.seq,
    position: tip.position,
    chunks: chunks.map((chunk) => replica.hash(chunk)),
    sizeBytes: state.bytes.length,
    digest: replica.hash(state.bytes),
    mark,
    cutter,
  };
  return { body, chunks };
}

/** In the order of the log; whoever is asked to record one can tell what it must be called. */
export function snapshotId({ epoch, number, seq }: Pick<Tip, 'epoch' | 'number' | 'seq'>): string {
  return `${epoch}-${number}-${seq}`;
}

/** What two members that stand at the same record must agree on (I5). */
export function digestOf(replica: Replica): { readonly digest: Uint8Array } | Problem {
  const state = packState(replica);
  return 'problem' in state ? state : { digest: replica.hash(state.bytes) };
}

/**
 * Equal states give equal bytes: a packer that has packed before would number the shapes of objects
 * differently. A kind may put into its state what cannot be packed: that must not stop the group.
 */
function packState(replica: Replica): { readonly bytes: Uint8Array } | Problem {
  const { kind, tip, history, sessions, state } = replica;
  const plainTip = { ...tip, hash: plainBytes(tip.hash) };
  try {
    return { bytes: new Packr(options).pack([plainTip, history, packSessions(sessions), state]) };
  } catch (error) {
    return { problem: `the state of ${kind.name} cannot be packed: ${(error as Error).message}` };
  }
}

function split(bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += limits.chunkSizeBytes) {
    chunks.push(bytes.subarray(at, at + limits.chunkSizeBytes));
  }
  return chunks;
}

/** A replica made from verified chunks, or why it cannot be. Nothing is half-installed (I7). */
export function restoreSnapshot(
  kind: Kind,
  hash: Hash,
  body: SnapshotBody,
  chunks: readonly Uint8Array[],
): Replica | Problem {
  const problem = corruption(hash, body, chunks);
  if (problem !== undefined) return { problem };
  try {
    return unpack(kind, hash, body, chunks);
  } catch (error) {
    return { problem: `snapshot ${body.id} cannot be read: ${(error as Error).message}` };
  }
}

function corruption(
  hash: Hash,
  body: SnapshotBody,
  chunks: readonly Uint8Array[],
): string | undefined {
  if (chunks.length !== body.chunks.length) {
    return `snapshot ${body.id} has ${chunks.length} chunks, its record names ${body.chunks.length}`;
  }
  const wrong = chunks.findIndex((chunk, i) => !equalBytes(hash(chunk), body.chunks[i]));
  if (wrong >= 0) return `chunk ${wrong} of snapshot ${body.id} does not have the recorded hash`;
  return undefined;
}

function unpack(
  kind: Kind,
  hash: Hash,
  body: SnapshotBody,
  [header, ...rest]: readonly Uint8Array[],
): Replica | Problem {
  const [version, name, kindVersion] = unpackr.unpack(header as Uint8Array) as [
    number,
    string,
    number,
  ];
  if (version !== snapshotVersion) {
    return { problem: `snapshot version ${version}, this program reads ${snapshotVersion}` };
  }
  if (name !== kind.name || kindVersion !== kind.version) {
    return {
      problem:
        `snapshot ${body.id} holds the state of ${name} version ${kindVersion}, ` +
        `this node runs ${kind.name} version ${kind.version}`,
    };
  }
  const bytes = join(rest, body.sizeBytes);
  if (!equalBytes(hash(bytes), body.digest)) {
    return { problem: `snapshot ${body.id} holds another state than its record's digest says` };
  }
  const [tip, history, sessions, state] = unpackr.unpack(bytes) as [
    Tip,
    EpochNote[],
    unknown,
    unknown,
  ];
  if (tip.seq !== body.at || tip.position !== body.position) {
    return {
      problem:
        `snapshot ${body.id} was cut at seq ${tip.seq}, position ${tip.position}; ` +
        `its record says seq ${body.at}, position ${body.position}`,
    };
  }
  const { sizeBytes: snapshotSizeBytes } = body;
  return { kind, hash, state, sessions: unpackSessions(sessions), history, tip, snapshotSizeBytes };
}

function join(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
