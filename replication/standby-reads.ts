/** Reads that a standby answers: exact prefixes of the log, however old, but never older than asked (P11). */
import { readReplica } from './active.js';
import type { Effect, Instant, MemberConfig, ReadRequest } from './effects.js';
import type { Follow } from './follow.js';
import { limits } from './limits.js';
import type { Replica } from './replica.js';

export interface WaitingRead {
  readonly read: ReadRequest;
  readonly untilMs: number;
}

interface Reader {
  readonly config: MemberConfig;
  readonly replica: Replica | null;
  readonly follow: Follow | null;
  reads: WaitingRead[];
}

/** How long a hot standby may take to come up to the seq that a read asks for. */
const standbyReadMs = 1000;

export function readHere(reader: Reader, read: ReadRequest, now: Instant, out: Effect[]): void {
  const waits = reader.follow !== null && (reader.replica?.tip.seq ?? 0) < read.minSeq;
  if (!waits || reader.reads.length >= limits.waitingReads) return answerRead(reader, read, out);
  reader.reads.push({ read, untilMs: now.monoMs + standbyReadMs });
}

function answerRead({ replica }: Reader, read: ReadRequest, out: Effect[]): void {
  const detail = 'this member begins anew and holds nothing yet. Ask again.';
  const result =
    replica === null
      ? ({ ok: false, code: 'not-ready', detail } as const)
      : readReplica(replica, read);
  out.push({ kind: 'answer-read', request: read.request, result });
}

/** The replica has moved on. */
export function answerReady(reader: Reader, out: Effect[]): void {
  if (reader.reads.length === 0) return;
  const at = reader.replica?.tip.seq ?? 0;
  const ready = reader.reads.filter(({ read }) => read.minSeq <= at);
  reader.reads = reader.reads.filter(({ read }) => read.minSeq > at);
  for (const { read } of ready) answerRead(reader, read, out);
}

/** They have waited in the order in which they came. */
export function expireReads(reader: Reader, now: Instant, out: Effect[]): void {
  while ((reader.reads[0]?.untilMs ?? Number.POSITIVE_INFINITY) <= now.monoMs) {
    const { read } = reader.reads.shift() as WaitingRead;
    answerRead(reader, read, out);
  }
}

export function turnReadsAway(reader: Reader, out: Effect[]): void {
  const detail = `member ${reader.config.id.index} answers no reads at the moment; ask again`;
  for (const { read } of reader.reads) {
    const result = { ok: false, code: 'moved', detail } as const;
    out.push({ kind: 'answer-read', request: read.request, result });
  }
  reader.reads = [];
}
