/** Every subject and stream name Understudy uses, in one place: this is what permissions are written for. */
import type { GroupConfig } from '../../cluster/types.js';

export interface Names {
  /** Clients deliver here; the active of the group subscribes. JSON or a packed batch. */
  deliver(group: string): string;
  /** Clients query here; the active of the group subscribes. JSON. */
  query(group: string): string;
  /** Clients read from standbys here; those that hold a state subscribe, as one queue group. JSON. */
  read(group: string): string;
  /** Hints from the group's active to everybody who waits: a new epoch, a new snapshot. */
  notice(group: string): string;
  /** All notices of all groups. */
  readonly allNotices: string;
  /** Every node's beat. */
  readonly beat: string;
  /** Requests to one node: `ping`, `promote`, `handoff`, … */
  node(node: string, verb: string): string;
  /**
   * The subject of a group's log; its shard is fixed by its id. The broker publishes records of hot
   * groups again, which makes it slower: so that warm ones do not pay for it, their subjects differ.
   */
  log(shard: number, groupId: string, standby: GroupConfig['standby']): string;
  /** The broker publishes the records of a hot group here once they are stored, and nobody else may. */
  tail(shard: number, groupId: string): string;
  logStream(shard: number): string;
  /** One chunk, of whichever snapshots and groups; `hash` in hexadecimal. */
  chunk(hash: string): string;
  readonly allChunks: string;
  /** `open`: a snapshot is announced, or was retired; `whole`: all of it is stored. */
  pin(groupId: string, snapshotId: string, state: 'open' | 'whole' | '*'): string;
  /** All that is stored of one group's snapshots, but for their chunks. */
  snapshotsOf(groupId: string): string;
  /** Where collectors of garbage leave their marks, so that marks and pins are in one order. */
  readonly pinMark: string;
  /** All pins of all groups, and the mark. */
  readonly allPins: string;
  readonly snapshotStream: string;
  readonly groupsBucket: string;
  readonly operationsBucket: string;
}

/** `namespace`: one subject token, letters, digits, `-` and `_`. */
export function namesFor(namespace: string): Names {
  return {
    deliver: (group) => `${namespace}.deliver.${group}`,
    query: (group) => `${namespace}.query.${group}`,
    read: (group) => `${namespace}.read.${group}`,
    notice: (group) => `${namespace}.notice.${group}`,
    allNotices: `${namespace}.notice.*`,
    beat: `${namespace}.beat`,
    node: (node, verb) => `${namespace}.node.${node}.${verb}`,
    log: (shard, groupId, standby) =>
      `${namespace}.log.${shard}.${standby === 'hot' ? 'hot.' : ''}${groupId}`,
    tail: (shard, groupId) => `${namespace}.tail.${shard}.${groupId}`,
    logStream: (shard) => `${namespace}_log_${shard}`,
    chunk: (hash) => `${namespace}.chunk.${hash}`,
    allChunks: `${namespace}.chunk.*`,
    pin: (groupId, snapshotId, state) => `${namespace}.pin.${groupId}.${snapshotId}.${state}`,
    snapshotsOf: (groupId) => `${namespace}.pin.${groupId}.>`,
    pinMark: `${namespace}.pin.mark`,
    allPins: `${namespace}.pin.>`,
    snapshotStream: `${namespace}_snapshots`,
    groupsBucket: `${namespace}_groups`,
    operationsBucket: `${namespace}_operations`,
  };
}

/** Which shard stream holds a group's log: the first 32 bits of its id, modulo the shards. */
export function shardOf(groupId: string, shards: number): number {
  return Number.parseInt(groupId.slice(0, 8), 16) % shards;
}

/** Published on `notice(group)` as JSON. Hints: losing one costs time, never safety. */
export type Notice =
  | {
      readonly kind: 'opened';
      readonly group: string;
      readonly epoch: number;
      readonly node: string;
      readonly index: number;
    }
  | {
      readonly kind: 'snapshot';
      readonly group: string;
      readonly epoch: number;
      readonly position: number;
      readonly seq: number;
    }
  /** The writer has left on purpose: member `target` may claim at once. */
  | {
      readonly kind: 'handoff';
      readonly group: string;
      readonly epoch: number;
      readonly target: number;
    };
