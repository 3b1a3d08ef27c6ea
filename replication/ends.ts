/**
 * Where a log has been known to end, and whether that is still so (P3, I2).
 *
 * A store that comes back older than it was has lost records that were acknowledged. Whoever then goes on
 * from its end gives seqs away a second time. So members remember the furthest record that anybody had from
 * the log itself, and nobody writes over a doubt.
 *
 * E1 Only what was acknowledged to, or read from the log by somebody counts; what was heard live does not.
 * E2 That a read finds less proves nothing: it may come from a replica that lags. Lost is what a leader with a
 *    majority behind it does not have, each time that it is asked, for as long as no election takes.
 * E3 While there is a doubt nothing is appended, claimed or stepped over; what a doubt ends with is final.
 */
import { tagOf } from './bytes.js';
import type { Effect, Input, Instant } from './effects.js';
import type { Position } from './ids.js';
import type { Hash, Proof } from './ports.js';
import { decodeRecord, isRecord } from './record.js';
import type { Tip } from './replica.js';
import type { Calls } from './writer.js';

/** A record that the log holds, or held. */
export interface End {
  /** How many losses had been accepted: after each the log goes on from further back. */
  readonly era: number;
  readonly epoch: number;
  readonly seq: number;
  readonly position: number;
  /** Of the record's hash, in hexadecimal characters, as much as no accident repeats. */
  readonly tag: string;
}

/** The log does not hold `known` any more. */
export interface Loss {
  readonly known: End;
  /** Where it ended when that was found. */
  readonly endsAt: { readonly epoch: number; readonly seq: number };
  /** What is there in place of it. */
  readonly found: string;
}

/** How long a verdict has to stay the same, and how often it is asked for meanwhile at least. */
export const lossConfirmMs = 2000;
const lossConfirms = 3;
const askAgainMs = 250;

export function endOf(tip: Tip, era: number): End {
  const { epoch, seq, position } = tip;
  return { era, epoch, seq, position, tag: tagOf(tip.hash) };
}

export function furtherOf<One extends End | null>(a: One, b: One): One {
  if (a === null || b === null) return a ?? b;
  if (a.era !== b.era) return a.era > b.era ? a : b;
  return b.position > a.position ? b : a;
}

export function isSameEnd(a: End | null, b: End | null): boolean {
  return a?.era === b?.era && a?.position === b?.position && a?.tag === b?.tag;
}

export interface Doubt {
  /** Is this still there? */
  readonly known: End;
  phase: 'asking' | 'pausing' | 'measuring';
  call: number;
  resumeAtMs: number;
  /** Since when every answer was that it is not. */
  lostSinceMs: number | null;
  lostTimes: number;
  found: string;
}

export type Verdict =
  | { readonly kind: 'busy' }
  | { readonly kind: 'stands' }
  | { readonly kind: 'lost'; readonly loss: Loss };

const busy: Verdict = { kind: 'busy' };

export function beginDoubt(known: End, calls: Calls, out: Effect[]): Doubt {
  const doubt: Doubt = {
    known,
    phase: 'asking',
    call: 0,
    resumeAtMs: Number.POSITIVE_INFINITY,
    lostSinceMs: null,
    lostTimes: 0,
    found: '',
  };
  ask(doubt, calls, out);
  return doubt;
}

function ask(doubt: Doubt, calls: Calls, out: Effect[]): void {
  doubt.phase = 'asking';
  doubt.call = calls.next++;
  doubt.resumeAtMs = Number.POSITIVE_INFINITY;
  out.push({ kind: 'prove', call: doubt.call, at: doubt.known.position as Position });
}

/** Feeds the doubt; inputs that are not for it change nothing. */
export function stepDoubt(
  doubt: Doubt,
  input: Input,
  { calls, hash, now }: { readonly calls: Calls; readonly hash: Hash; readonly now: Instant },
  out: Effect[],
): Verdict {
  if (input.kind === 'tick') {
    if (doubt.phase === 'pausing' && now.monoMs >= doubt.resumeAtMs) goOn(doubt, calls, out);
    return busy;
  }
  if (!('call' in input) || input.call !== doubt.call) return busy;
  if (input.kind === 'proved') return onProof(doubt, input.outcome, hash, now);
  if (input.kind !== 'read-done') return busy;
  const { outcome } = input;
  if (outcome.kind === 'failed') return pause(doubt, now);
  const record = outcome.kind === 'record' ? decodeRecord(outcome.record.bytes) : null;
  const endsAt =
    record !== null && isRecord(record)
      ? { epoch: record.epoch, seq: record.seq }
      : { epoch: 0, seq: 0 };
  return { kind: 'lost', loss: { known: doubt.known, endsAt, found: doubt.found } };
}

function goOn(doubt: Doubt, calls: Calls, out: Effect[]): void {
  if (!isSure(doubt)) return ask(doubt, calls, out);
  doubt.phase = 'measuring';
  doubt.call = calls.next++;
  doubt.resumeAtMs = Number.POSITIVE_INFINITY;
  out.push({ kind: 'read-last', call: doubt.call });
}

/** E2 */
function isSure({ lostSinceMs, lostTimes, resumeAtMs }: Doubt): boolean {
  return (
    lostSinceMs !== null && lostTimes >= lossConfirms && resumeAtMs - lostSinceMs >= lossConfirmMs
  );
}

function onProof(doubt: Doubt, proof: Proof, hash: Hash, now: Instant): Verdict {
  switch (proof.kind) {
    case 'record':
      if (tagOf(hash(proof.record.bytes)) === doubt.known.tag) return { kind: 'stands' };
      return onLost(doubt, 'another record is in its place', now);
    case 'gone':
      return onLost(doubt, proof.found, now);
    case 'failed':
      return pause(doubt, now);
    default:
      throw proof satisfies never;
  }
}

function onLost(doubt: Doubt, found: string, now: Instant): Verdict {
  doubt.lostSinceMs ??= now.monoMs;
  doubt.lostTimes += 1;
  doubt.found = found;
  return pause(doubt, now);
}

function pause(doubt: Doubt, now: Instant): Verdict {
  doubt.phase = 'pausing';
  doubt.call = 0;
  doubt.resumeAtMs = now.monoMs + askAgainMs;
  return busy;
}

/** For people: what is gone, and what to do. */
export function lossText(group: string, { known, endsAt, found }: Loss): string {
  const gone =
    endsAt.seq < known.seq
      ? `seqs ${endsAt.seq + 1} to ${known.seq} of epoch ${known.epoch} are gone`
      : `the record with seq ${known.seq} of epoch ${known.epoch} is gone`;
  return (
    `the log has lost records that were acknowledged: ${gone} (${found}); it ends at seq ` +
    `${endsAt.seq} of epoch ${endsAt.epoch}. Nothing is served, so that no seq is given away twice. ` +
    'Bring back the newer store of the broker and restart the nodes; or go on without what is gone: ' +
    `understudy accept-loss ${group} --through ${endsAt.seq}`
  );
}
