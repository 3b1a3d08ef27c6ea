/** What a contract suite needs to know about the world it runs in. */
import type { Log, SnapshotStore } from '../../replication/ports.js';

export interface Harness {
  log(client: string, groupId: string): Log;
  snapshots(client: string, groupId: string): SnapshotStore;
  /** Waits for `work`; in a modelled world, lets time pass until it is done. */
  wait<T>(work: Promise<T>): Promise<T>;
  /** Stops the broker without warning: what it has acknowledged it still holds. */
  kill(): Promise<void>;
  /** Starts it again; returns when clients are connected. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface Expectations {
  readonly name: string;
  open(): Promise<Harness>;
  /** How many small records the long replay reads. */
  readonly manyRecords: number;
  /** False where a restart takes longer than a test should. */
  readonly restarts: boolean;
}
