/** Carries a member's effects on the ports out, and feeds their completions back as inputs. */
import type { Effect, Input } from './effects.js';
import type { Log, SnapshotStore } from './ports.js';

/** How to stop the replays and tails that run, by call. */
export type Running = Map<number, () => void>;

export interface Ports {
  readonly log: Log;
  readonly snapshots: SnapshotStore;
}

/** Effects that are not for the log or the snapshot store: the driver's own business. */
export type OutwardEffect = Exclude<
  Effect,
  {
    kind:
      | 'append'
      | 'read-last'
      | 'read-next'
      | 'read-at'
      | 'replay'
      | 'tail'
      | 'stop'
      | 'put-snapshot'
      | 'get-snapshot'
      | 'drop-snapshots';
  }
>;

/** Starts the effect if it is for the ports; returns it if it is not. */
export function execute(
  effect: Effect,
  { log, snapshots }: Ports,
  running: Running,
  feed: (input: Input) => void,
): OutwardEffect | null {
  switch (effect.kind) {
    case 'append': {
      const { call, bytes, expected } = effect;
      log.append(bytes, expected, (outcome) => feed({ kind: 'appended', call, outcome }));
      return null;
    }
    case 'read-last':
      log.last((outcome) => feed({ kind: 'read-done', call: effect.call, outcome }));
      return null;
    case 'read-next':
      log.next(effect.after, (outcome) => feed({ kind: 'read-done', call: effect.call, outcome }));
      return null;
    case 'read-at':
      log.at(effect.at, (outcome) => feed({ kind: 'read-done', call: effect.call, outcome }));
      return null;
    case 'replay': {
      const { call, after, through } = effect;
      const stop = log.replay(after, through, {
        records: (records) => feed({ kind: 'replayed', call, records }),
        end: (failure) => {
          running.delete(call);
          feed({ kind: 'replay-ended', call, failure });
        },
      });
      running.set(call, stop);
      return null;
    }
    case 'tail': {
      const { call } = effect;
      running.set(
        call,
        log.tail((record) => feed({ kind: 'tailed', call, record })),
      );
      return null;
    }
    case 'stop':
      running.get(effect.call)?.();
      running.delete(effect.call);
      return null;
    case 'put-snapshot': {
      const { call, id, chunks } = effect;
      snapshots.put(id, chunks, (failure) => feed({ kind: 'snapshot-put', call, failure }));
      return null;
    }
    case 'get-snapshot': {
      const { call, id, chunkCount } = effect;
      snapshots.get(id, chunkCount, (result) => feed({ kind: 'snapshot-got', call, result }));
      return null;
    }
    case 'drop-snapshots':
      snapshots.dropBefore(effect.before);
      return null;
    default:
      return effect;
  }
}

/** The member is gone: nobody listens to what it had begun. */
export function stopAll(running: Running): void {
  for (const stop of running.values()) stop();
  running.clear();
}
