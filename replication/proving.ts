/** What a member does about the log's end that it knows of: it remembers it, doubts it, and stops if it is lost. */
import { dismiss, pump } from './active.js';
import type { Effect, Input, Instant } from './effects.js';
import { beginDoubt, type End, endOf, furtherOf, type Loss, stepDoubt } from './ends.js';
import type { Member } from './member.js';
import type { ReadOutcome } from './ports.js';
import type { Replica, Tip } from './replica.js';
import type { Writer } from './writer.js';

/** E1: the record at the tip's position is the one with the tip's hash, and the log had it. */
export function noteEnd(member: Member, tip: Tip): void {
  const { known, config } = member;
  if (known === null || known.era !== config.era || tip.position > known.position) {
    member.known = furtherOf(known, endOf(tip, config.era));
  }
}

/** Somebody else had it from the log. */
export function noteTold(member: Member, told: End): void {
  if (told.era >= member.config.era) member.known = furtherOf(member.known, told);
}

/** The log may not be what it was: the connection to it was lost, or this is a new life. */
export function suspect(member: Member, out: Effect[]): void {
  const { state } = member.role;
  if (member.known === null || member.loss !== null) return;
  member.suspects = true;
  // Who only follows finds out when it looks, or before it claims.
  if (state === 'active' || state === 'promoting') proveNow(member, out);
}

/** E3: from here on nothing is written until it is known whether this still stands. */
export function proveNow(member: Member, out: Effect[], known: End | null = member.known): void {
  member.suspects = false;
  if (known === null || member.doubt !== null || member.loss !== null) return;
  member.doubt = beginDoubt(known, member.calls, out);
  holdWriter(member);
}

/** Whoever reads less than is known asks for certain (E2). */
export function lacksKnown({ known }: Member, outcome: ReadOutcome): boolean {
  if (known === null || outcome.kind === 'failed') return false;
  return outcome.kind === 'none' || outcome.record.position < known.position;
}

export type Proven =
  | { readonly kind: 'busy' | 'stands' }
  | { readonly kind: 'lost'; readonly loss: Loss };

export function stepProving(member: Member, input: Input, now: Instant, out: Effect[]): Proven {
  const { doubt, calls, config } = member;
  if (doubt === null) return { kind: 'busy' };
  const verdict = stepDoubt(doubt, input, { calls, hash: config.hash, now }, out);
  if (verdict.kind === 'busy') return verdict;
  member.doubt = null;
  if (verdict.kind === 'stands') release(member, now, out);
  return verdict;
}

function release(member: Member, now: Instant, out: Effect[]): void {
  holdWriter(member);
  if (member.role.state === 'active') pump(member.role.active, now, out);
}

/** Also for a writer that has come while there was a doubt. */
export function holdWriter(member: Member): void {
  const writer = writerOf(member);
  if (writer !== null) writer.isHeld = member.doubt !== null;
}

function writerOf({ role }: Member): Writer | null {
  if (role.state === 'active') return role.active.writer;
  return role.state === 'promoting' ? role.promotion.writer : null;
}

/** Ends what an active does, and keeps what it holds if that is committed: it may be all that is left. */
export function leaveLost(member: Member, out: Effect[]): Replica | null {
  const { role } = member;
  if (role.state !== 'active') return member.replica;
  const { active } = role;
  const isCommitted = active.writer.inFlight === null && active.draft === null && !active.spoilt;
  dismiss(active, out);
  out.push({ kind: 'close' });
  return isCommitted ? active.replica : null;
}
