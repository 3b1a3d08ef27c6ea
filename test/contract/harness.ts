/** What a contract suite needs to know about the world it runs in. */
import type { Position } from '../../replication/ids.js';
import type { ChunkGarbage, ChunkStore, Log } from '../../replication/ports.js';

export type ClientName = 'a' | 'b';

/** One server in the end; in a cluster the one that leads that stream, or that this client hangs on. */
export type Victim = 'log' | 'snapshots' | ClientName;

export interface Harness {
  log(client: ClientName, groupId: string): Log;
  chunks(client: ClientName, groupId: string): ChunkStore;
  garbage(client: ClientName): ChunkGarbage;
  /** Waits for `work`; in a modelled world, lets time pass until it is done. */
  wait<T>(work: Promise<T>): Promise<T>;
  /** Forgets the group's records before this position. */
  purge(groupId: string, before: Position): Promise<void>;
  /** Somebody publishes on the group's subject and expects nothing of its end. */
  intrude(groupId: string, record: Uint8Array): Promise<void>;
  /** Breaks a client's connection; returns when it is back. */
  disconnect(client: ClientName): Promise<void>;
  /** Ends a server without warning: what was acknowledged is not lost. */
  kill(victim: Victim): Promise<void>;
  /** Returns when somebody serves again: the other servers, or the one that was killed, started again. */
  recover(): Promise<void>;
  /** Starts what is still missing; returns when it has caught up. */
  complete(): Promise<void>;
  close(): Promise<void>;
}

export interface Expectations {
  readonly name: string;
  readonly replicas: 1 | 3;
  open(): Promise<Harness>;
  /** How many small records the long replay reads. */
  readonly manyRecords: number;
}
