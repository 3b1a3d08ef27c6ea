/** The group's kind, run by itself in this process over what the log says: what every answer has to equal. */
import { isDeepStrictEqual } from 'node:util';
import { decodeValue, encodeValue } from '../../../replication/batch.js';
import { decide } from '../../../replication/decide.js';
import { type EventContext, type Kind, Rejection } from '../../../replication/kind.js';
import { applyEvent, blankReplica, type Replica } from '../../../replication/replica.js';
import { toJson } from '../../admin/values.js';
import { sha256 } from '../../sha256.js';
import type { Model } from './check-history.js';
import type { Decided } from './log.js';

export type Ask =
  | {
      readonly kind: 'command';
      /** As the client sent it; absent: no client asked for it. */
      readonly command?: unknown;
      readonly decided: Decided;
    }
  | { readonly kind: 'query'; readonly query: string; readonly args: unknown };

export interface Answer {
  readonly rejection: string | null;
  /** What the caller was told, as JSON shows it. */
  readonly value: unknown;
  /** The log holds other events than the kind decides. */
  readonly differs: boolean;
}

export const accepted = (value: unknown): Answer => ({
  rejection: null,
  value: shown(value),
  differs: false,
});
export const refused = (rejection: string): Answer => ({ rejection, value: null, differs: false });

/** Clients in different places see a result as msgpack or as JSON: what JSON keeps is compared. */
export const shown = (value: unknown): unknown => JSON.parse(toJson(value ?? null)) as unknown;

export function modelOf(kind: Kind): Model<Replica, Ask, Answer> {
  return {
    init: () => blankReplica(kind, sha256),
    apply: (replica, ask) => {
      if (ask.kind === 'query') return [replica, refused('a query changes nothing')];
      const answer = judged(replica, ask);
      const { events, seq, recordedAtMs } = ask.decided;
      for (const [i, event] of events.entries()) {
        applyEvent(replica, event, seq - events.length + i + 1, recordedAtMs);
      }
      return [replica, answer];
    },
    look: (replica, ask) => (ask.kind === 'query' ? queried(replica, ask) : judged(replica, ask)),
    isSame: (one, other) => isDeepStrictEqual(one, other),
  };
}

/** What the kind decides on this state, and whether the log says the same. */
function judged(replica: Replica, { command, decided }: Ask & { kind: 'command' }): Answer {
  if (command === undefined) return accepted(decided.result);
  const { seq, events, recordedAtMs } = decided;
  const context = { seq: seq - events.length + 1, recordedAtMs };
  const bytes = encodeValue(command);
  const decision = decide(replica, decodeValue(bytes), bytes.length, context);
  if (decision instanceof Rejection) {
    return { rejection: decision.code, value: null, differs: events.length > 0 };
  }
  const expected = (decision.encoded ?? [bytes]).map(decodeValue);
  if (decided.rejection === 'apply-failed') {
    return {
      rejection: 'apply-failed',
      value: null,
      differs: !isPoison(replica, expected, context),
    };
  }
  const differs = !isDeepStrictEqual(shown(expected), shown(events));
  return { rejection: null, value: shown(decision.result), differs };
}

/** A command that the kind accepts and cannot apply is refused before it is appended (P15). */
function isPoison(replica: Replica, events: readonly unknown[], context: EventContext): boolean {
  try {
    for (const [i, event] of events.entries()) {
      applyEvent(replica, event, context.seq + i, context.recordedAtMs);
    }
    return false;
  } catch {
    return true;
  }
}

function queried({ kind, state }: Replica, { query, args }: Ask & { kind: 'query' }): Answer {
  const run = kind.queries?.[query];
  if (run === undefined) return refused(`the kind has no query ${query}`);
  return accepted(run(state, args as never));
}
