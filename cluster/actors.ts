/**
 * The members of a node as actors: which run, what has been told them, how they end and begin anew. Each
 * is one group's member; a driver runs it, and does what is decided here.
 *
 * K1 A group has one actor here. Spawning another is refused, and so is running one in quarantine.
 * K2 Mail is hints to look again: whoever has one waiting of a kind is told the newest of that kind. So a
 *    mailbox has a limit, and posting neither waits nor fails, whatever its owner does.
 * K3 Mail is handed out by turns: an actor with much mail, or slow, or dead, holds up nobody else's.
 * K4 Whoever crashes begins anew after growing pauses; so many times in a row, and it is quarantined until
 *    it is reinstated. Having been stopped in between does not make it forget.
 * K5 Every ending is noted once, with why.
 */
import type { Input } from '../replication/effects.js';
import { limits } from '../replication/limits.js';

/** What members are told that they could find out by themselves, later. */
export type Hint = Extract<
  Input,
  {
    readonly kind:
      | 'epoch-seen'
      | 'snapshot-seen'
      | 'behind'
      | 'end-told'
      | 'loss-told'
      | 'followers'
      | 'peers'
      | 'attested'
      | 'chunks-lost';
  }
>;

export const endings = ['stopped', 'superseded', 'crashed', 'quarantined'] as const;
export type How = (typeof endings)[number];

export interface Ending {
  readonly group: string;
  readonly index: number;
  readonly how: How;
  readonly why: string;
}

export interface Identity {
  readonly group: string;
  readonly groupId: string;
  readonly index: number;
}

/** Of one member, over all its lives on this node. */
interface Record {
  crashes: number;
  crashedAtMs: number;
  /** Why it is in quarantine; null: it is not. */
  quarantine: string | null;
}

interface Actor {
  readonly identity: Identity;
  readonly record: Record;
  /** By kind, oldest first. */
  mail: Map<Hint['kind'], Hint[]> | null;
}

export interface Actors {
  readonly running: Map<string, Actor>;
  /** Of those that have crashed, running or not; the latest last. */
  readonly records: Map<string, Record>;
  /** Who has mail, in the order of their turns. */
  readonly line: Set<string>;
  /** How many have ended how. */
  readonly ended: { [how in How]: number };
}

/** Waiting of a kind whose contents do not replace each other; the oldest are dropped. */
const mostLetters = 16;
const mostRecords = 1024;
const firstRestartMs = 500;
const longestRestartMs = 30_000;
/** Whoever runs for so long without a crash begins to count anew. */
const forgivenAfterMs = 60_000;

export function newActors(): Actors {
  return {
    running: new Map(),
    records: new Map(),
    line: new Set(),
    ended: { stopped: 0, superseded: 0, crashed: 0, quarantined: 0 },
  };
}

export type Spawned =
  | { readonly kind: 'spawned' }
  /** K1: one of this group is there already. */
  | { readonly kind: 'duplicate'; readonly index: number }
  /** It is there, to be seen and reinstated, but is not to run. */
  | { readonly kind: 'quarantined'; readonly why: string };

export function spawn(actors: Actors, identity: Identity): Spawned {
  const { group } = identity;
  const there = actors.running.get(group);
  if (there !== undefined) return { kind: 'duplicate', index: there.identity.index };
  const record = actors.records.get(keyOf(identity)) ?? newRecord();
  actors.running.set(group, { identity, record, mail: null });
  const { quarantine: why } = record;
  return why === null ? { kind: 'spawned' } : { kind: 'quarantined', why };
}

/** It is cancelled. Null: it was not there, and nothing has ended. */
export function end(
  actors: Actors,
  group: string,
  how: 'stopped' | 'superseded',
  why: string,
): Ending | null {
  const actor = actors.running.get(group);
  if (actor === undefined) return null;
  actors.running.delete(group);
  actors.line.delete(group);
  return noted(actors, actor, how, why);
}

export interface Verdict {
  readonly ending: Ending;
  /** Null: it is not to run any more. */
  readonly restartInMs: number | null;
}

/** K4. Null: it is not there any more. */
export function crash(actors: Actors, group: string, error: string, nowMs: number): Verdict | null {
  const actor = actors.running.get(group);
  if (actor === undefined) return null;
  const { record, identity } = actor;
  if (nowMs - record.crashedAtMs > forgivenAfterMs) record.crashes = 0;
  record.crashes += 1;
  record.crashedAtMs = nowMs;
  keepRecord(actors, keyOf(identity), record);
  if (record.crashes < limits.memberCrashes) {
    const pauseMs = Math.min(longestRestartMs, firstRestartMs * 2 ** (record.crashes - 1));
    const why = `${error}; crash ${record.crashes} in a row, beginning anew in ${pauseMs} ms`;
    return { ending: noted(actors, actor, 'crashed', why), restartInMs: pauseMs };
  }
  const why =
    `the member crashed ${record.crashes} times in a row, the last time with: ${error}. ` +
    'Look at the log of this node, then reinitialise the member.';
  record.quarantine = why;
  actor.mail = null;
  actors.line.delete(group);
  return { ending: noted(actors, actor, 'quarantined', why), restartInMs: null };
}

/** An operator gives it another chance: nothing is held against it. */
export function reinstate(actors: Actors, group: string): void {
  const actor = actors.running.get(group);
  if (actor === undefined) return;
  actor.record.crashes = 0;
  actor.record.quarantine = null;
  actors.records.delete(keyOf(actor.identity));
}

export type Posted = 'posted' | 'merged' | 'inactive';

/** To one; nobody runs there, or it is in quarantine: `inactive`, which is no error. */
export function post(actors: Actors, group: string, hint: Hint): Posted {
  const actor = actors.running.get(group);
  if (actor === undefined || actor.record.quarantine !== null) return 'inactive';
  actor.mail ??= new Map();
  const waiting = actor.mail.get(hint.kind);
  actors.line.add(group);
  if (waiting === undefined) {
    actor.mail.set(hint.kind, [hint]);
    return 'posted';
  }
  if (isLetter(hint)) {
    waiting.push(hint);
    if (waiting.length > mostLetters) waiting.shift();
    return 'posted';
  }
  waiting[0] = newer(waiting[0] as Hint, hint);
  return 'merged';
}

/** To all that run. Returns how many. */
export function broadcast(actors: Actors, hint: Hint): number {
  let told = 0;
  for (const group of actors.running.keys()) {
    if (post(actors, group, hint) !== 'inactive') told += 1;
  }
  return told;
}

/** What the next in line is to be told; null: nobody has mail (K3). */
export function takeMail(actors: Actors): { readonly group: string; readonly hint: Hint } | null {
  for (const group of actors.line) {
    actors.line.delete(group);
    const actor = actors.running.get(group);
    const hint = actor === undefined ? undefined : takeOne(actor);
    if (hint === undefined) continue;
    if (actor?.mail) actors.line.add(group);
    return { group, hint };
  }
  return null;
}

function takeOne(actor: Actor): Hint | undefined {
  for (const [kind, hints] of actor.mail ?? []) {
    const hint = hints.shift();
    if (hints.length === 0) actor.mail?.delete(kind);
    if (actor.mail?.size === 0) actor.mail = null;
    return hint;
  }
  return undefined;
}

function isLetter({ kind }: Hint): boolean {
  return kind === 'attested' || kind === 'chunks-lost';
}

/** Of two of a kind. What was said last may be older: notices come over several ways. */
function newer(before: Hint, hint: Hint): Hint {
  if (before.kind === 'epoch-seen' && hint.kind === 'epoch-seen') {
    return before.epoch > hint.epoch ? before : hint;
  }
  if (before.kind === 'snapshot-seen' && hint.kind === 'snapshot-seen') {
    return before.seq > hint.seq ? before : hint;
  }
  if (before.kind === 'behind' && hint.kind === 'behind') {
    return before.seq > hint.seq ? before : hint;
  }
  return hint;
}

function newRecord(): Record {
  return { crashes: 0, crashedAtMs: Number.NEGATIVE_INFINITY, quarantine: null };
}

function keyOf({ groupId, index }: Identity): string {
  return `${groupId}/${index}`;
}

function keepRecord({ records }: Actors, key: string, record: Record): void {
  records.delete(key);
  records.set(key, record);
  if (records.size <= mostRecords) return;
  const { value } = records.keys().next();
  if (value !== undefined) records.delete(value);
}

function noted(actors: Actors, { identity }: Actor, how: How, why: string): Ending {
  actors.ended[how] += 1;
  return { group: identity.group, index: identity.index, how, why };
}
