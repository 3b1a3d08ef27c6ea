import { UnderstudyError } from '../../../replication/errors.js';
import { type Kind, Rejection } from '../../../replication/kind.js';

const context = { seq: 1, recordedAtMs: 0 };

/** What became of one command: a result, or how it was refused. */
export type Outcome = { result: unknown } | { rejected: string } | { problem: string };

/** Sends commands through a kind as an active does: check, decide, apply. Changes `state`. */
export function deliver(kind: Kind, state: unknown, commands: readonly unknown[]): Outcome[] {
  return commands.map((command) => deliverOne(kind, state, command));
}

function deliverOne(kind: Kind, state: unknown, command: unknown): Outcome {
  const problem = kind.problemWith?.(command);
  if (problem !== undefined) return { problem };
  const decision = kind.decide ? kind.decide(state, command, context) : [command];
  if (decision instanceof Rejection) return { rejected: decision.code };
  const { events, result } =
    'events' in decision ? decision : { events: decision, result: undefined };
  for (const event of events) {
    const next = kind.apply(state, event, context);
    if (next !== undefined) throw new Error(`${kind.name} does not change its state in place`);
  }
  return { result };
}

/** The message of the `bad-request` that `run` throws. */
export function badRequest(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof UnderstudyError && error.code === 'bad-request') return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}
