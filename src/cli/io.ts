/** What the command gets from the process it runs in. */
import type { Readable, Writable } from 'node:stream';

export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface DevOptions {
  readonly nodes: number;
  /** Directory of everything that outlives a stop. */
  readonly data: string;
  /** Admin port of the first node; the others follow. */
  readonly port: number;
  readonly natsPort: number | undefined;
  /** How long the embedded broker may keep an acknowledged record in memory: `100ms`, `always`. */
  readonly syncInterval: string;
  /** False: start without the groups counter, ledger and kv. */
  readonly groups: boolean;
  /** Module with more kinds. */
  readonly kinds: string | undefined;
  /** Start a node that died again. */
  readonly respawn: boolean;
}

export interface NodeOptions {
  readonly config: string | undefined;
}

export interface ChaosOptions {
  /** Null: `random`, `smoke` or `list` says what to run. */
  readonly scenario: string | null;
  readonly random: boolean;
  /** A short run of some scenarios that together meet most of the program. */
  readonly smoke: boolean;
  readonly list: boolean;
  readonly seed: number | null;
  readonly durationMs: number;
  /** Of a random run. */
  readonly brokers: 1 | 3;
  /** Calls a second. */
  readonly rate: number;
  /** Acknowledged a second before the first fault; with less the run is invalid. */
  readonly leastRate: number;
  readonly boundMs: number;
  /** Where the reports go; null: nowhere. */
  readonly report: string | null;
  readonly data: string | null;
  readonly kinds: string | null;
  readonly kind: string | null;
  /** Commands of that kind, one JSON value a line. */
  readonly events: string | null;
}

/** The commands that run until they are stopped. They resolve to the exit code. */
export interface LongCommands {
  dev(options: DevOptions, io: Io): Promise<number>;
  node(options: NodeOptions, io: Io): Promise<number>;
  chaos(options: ChaosOptions, io: Io): Promise<number>;
}

/** Resolves when there is room for more: output never piles up in memory. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (stream.write(text)) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (done: () => void) => () => {
      stream.off('drain', onDrain).off('error', onError).off('close', onDrain);
      done();
    };
    const onDrain = settle(resolve);
    const onError = (error: Error) => settle(() => reject(error))();
    stream.once('drain', onDrain).once('error', onError).once('close', onDrain);
  });
}

export function isTerminal(stream: Writable): boolean {
  return (stream as Writable & { isTTY?: boolean }).isTTY === true;
}
