/** Carries a member's effects on the ports out, and feeds their completions back as inputs. */
import type { Effect, Input } from './effects.js';
import type { AskPeer, ChunkCache, ChunkStore, Fetched, Log } from './ports.js';

/** How to stop the replays and tails that run, by call. */
export type Running = Map<number, () => void>;

export interface Ports {
  readonly log: Log;
  readonly chunks: ChunkStore;
  readonly cache: ChunkCache;
  readonly askPeer: AskPeer;
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
      | 'prove'
      | 'replay'
      | 'tail'
      | 'stop'
      | 'announce'
      | 'put-chunk'
      | 'pin'
      | 'fetch'
      | 'keep-chunk'
      | 'drop-snapshots';
  }
>;

/** Starts the effect if it is for the ports; returns it if it is not. */
export function execute(
  effect: Effect,
  ports: Ports,
  running: Running,
  feed: (input: Input) => void,
): OutwardEffect | null {
  const { log, chunks } = ports;
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
    case 'prove':
      log.prove(effect.at, (outcome) => feed({ kind: 'proved', call: effect.call, outcome }));
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
    case 'announce': {
      const { call, id, reused } = effect;
      chunks.announce(id, reused, (result) => feed({ kind: 'announced', call, result }));
      return null;
    }
    case 'put-chunk': {
      const { call, hash, bytes } = effect;
      chunks.put(hash, bytes, (failure) => feed({ kind: 'chunk-put', call, failure }));
      return null;
    }
    case 'pin': {
      const { call, id } = effect;
      chunks.pin(id, effect.chunks, (failure) => feed({ kind: 'pinned', call, failure }));
      return null;
    }
    case 'fetch': {
      const { call, generation } = effect;
      fetch(effect, ports, (result) => feed({ kind: 'fetched', call, generation, result }));
      return null;
    }
    case 'keep-chunk':
      ports.cache.keep(effect.hash, effect.bytes);
      return null;
    case 'drop-snapshots':
      chunks.dropBefore(effect.before);
      return null;
    default:
      return effect;
  }
}

function fetch(
  { source, hash }: Extract<Effect, { kind: 'fetch' }>,
  { chunks, cache, askPeer }: Ports,
  done: (result: Fetched) => void,
): void {
  switch (source.kind) {
    case 'cache':
      return cache.get(hash, done);
    case 'store':
      return chunks.get(hash, done);
    case 'peer':
      return askPeer(source.node, hash, done);
    default:
      throw source satisfies never;
  }
}

/** The member is gone: nobody listens to what it had begun. */
export function stopAll(running: Running): void {
  for (const stop of running.values()) stop();
  running.clear();
}
