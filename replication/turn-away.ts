import type { Effect, Input, MemberConfig } from './effects.js';

/** Requests that reach a member which is not the active (any more). */
export function turnAway({ id, group }: MemberConfig, input: Input, out: Effect[]): void {
  const detail = `member ${id.index} of ${group} is not the active`;
  const moved = { ok: false, code: 'moved', detail } as const;
  if (input.kind === 'deliver') out.push({ kind: 'answer', request: input.request, answer: moved });
  if (input.kind === 'read')
    out.push({ kind: 'answer-read', request: input.request, result: moved });
  if (input.kind === 'sync') {
    out.push({ kind: 'answer-sync', request: input.request, result: { failure: detail } });
  }
  if (input.kind === 'hand-off') {
    out.push({ kind: 'answer-hand-off', request: input.request, failure: detail });
  }
}
