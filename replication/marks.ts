/**
 * What a follower does at marks: it takes an image of its state, which is exactly the mark's, and finds
 * its digest in slices. If the mark says so it cuts the snapshot as well. The digest is kept until the
 * snapshot record comes that tells what the group's is (P13).
 */
import { encodeAttestation } from './attestation.js';
import { equalBytes } from './bytes.js';
import type { Effect, Input, MemberConfig } from './effects.js';
import type { Epoch } from './ids.js';
import { limits } from './limits.js';
import type { LogRecord, SnapshotBody } from './record.js';
import type { Replica } from './replica.js';
import {
  beginCut,
  beginDigest,
  type Cut,
  cutHasWork,
  type Digesting,
  settleBase,
  stepCut,
  stepDigest,
} from './snapshot/cut.js';
import type { Deposited } from './snapshot/depositing.js';
import { takeImage } from './snapshot/image.js';
import type { Calls } from './writer.js';

/** The member that is at a mark. */
interface Marked {
  readonly config: MemberConfig;
  readonly calls: Calls;
  readonly replica: Replica | null;
}

interface Mark {
  readonly epoch: Epoch;
  readonly number: number;
}

interface MarkDigest extends Mark {
  readonly digest: Uint8Array;
}

export interface Marks {
  digests: MarkDigest[];
  /** What is going on with the image of the last mark. A cut finds the digest as well. */
  work: { readonly mark: Mark; readonly doing: Digesting | Cut } | null;
  /** Where the chunks of the last snapshot that was cut here are, until it is recorded. */
  deposited: Deposited | null;
  /** A snapshot record that came before the digest it is to be compared with. */
  toCompare: LogRecord | null;
}

/** The group's digest, in a snapshot record, is another than the member's own. */
export interface Difference {
  readonly record: LogRecord;
  readonly mine: Uint8Array;
}

export function newMarks(): Marks {
  return { digests: [], work: null, deposited: null, toCompare: null };
}

/** What was taken of a state that is thrown away says nothing. */
export function forgetMarks(marks: Marks): void {
  Object.assign(marks, newMarks());
}

const noneDoubted: ReadonlySet<string> = new Set();

/** The mark's record was applied just now. What was going on with an earlier one comes too late. */
export function beginMark(
  { config, calls, replica }: Marked,
  marks: Marks,
  { epoch, number, body }: LogRecord,
  out: Effect[],
): void {
  marks.toCompare = null;
  marks.work = null;
  const image = takeImage(replica as Replica);
  if ('problem' in image) {
    out.push({ kind: 'alarm', code: 'internal', detail: `no digest: ${image.problem}` });
    return;
  }
  const { index: cutter } = config.id;
  const isCutter = body.type === 'barrier' && body.mark?.cutter === cutter;
  const { base } = replica as Replica;
  const order = { image, cutter, mark: number, base, doubted: noneDoubted };
  const doing = isCutter ? beginCut(order, calls, out) : beginDigest(image);
  marks.work = { mark: { epoch, number }, doing };
}

export function marksHaveWork({ work }: Marks): boolean {
  return work !== null && (!isCut(work.doing) || cutHasWork(work.doing));
}

function isCut(doing: Digesting | Cut): doing is Cut {
  return 'phase' in doing;
}

export function stepMarks(
  marked: Marked,
  marks: Marks,
  input: Input,
  out: Effect[],
): Difference | null {
  const { work } = marks;
  if (work === null) return null;
  if (isCut(work.doing)) return stepMarkCut(marked, marks, work.mark, work.doing, input, out);
  const digest = input.kind === 'work' ? stepDigest(work.doing, input.sizeBytes) : null;
  return digest && onDigest(marked, marks, { ...work.mark, digest }, null, out);
}

/** Once it is stored its writer may record it. */
function stepMarkCut(
  marked: Marked,
  marks: Marks,
  mark: Mark,
  cut: Cut,
  input: Input,
  out: Effect[],
): Difference | null {
  const result = stepCut(cut, input, out);
  if (result.kind === 'busy') return null;
  if (result.kind === 'failed') {
    out.push({ kind: 'alarm', code: 'internal', detail: `no snapshot: ${result.problem}` });
    marks.work = null;
    return null;
  }
  const { body, deposited } = result;
  marks.deposited = deposited;
  return onDigest(marked, marks, { ...mark, digest: body.digest }, body, out);
}

function onDigest(
  marked: Marked,
  marks: Marks,
  found: MarkDigest,
  body: SnapshotBody | null,
  out: Effect[],
): Difference | null {
  marks.work = null;
  marks.digests.push(found);
  if (marks.digests.length > limits.marks) marks.digests.shift();
  attest(marked, found, body, out);
  const record = marks.toCompare;
  marks.toCompare = null;
  return record && compare(marks, record);
}

function attest(
  { config, replica }: Marked,
  { epoch, number, digest }: MarkDigest,
  body: SnapshotBody | null,
  out: Effect[],
): void {
  const node = replica?.tip.writer?.node;
  if (node === undefined) return;
  const { index } = config.id;
  const bytes = encodeAttestation({ index, epoch, number, digest, body }, config);
  out.push({ kind: 'attest', node, bytes });
}

/** A snapshot record was applied just now: is the group's state at its mark what it was here (P13)? */
export function onSnapshotRecord(
  { replica }: Marked,
  marks: Marks,
  record: LogRecord,
): Difference | null {
  const body = record.body as SnapshotBody;
  const { deposited, work } = marks;
  if (deposited?.base.snapshotId === body.id) {
    settleBase(replica as Replica, deposited);
    marks.deposited = null;
  }
  if (work?.mark.epoch === record.epoch && work.mark.number === body.mark) {
    marks.toCompare = record;
    return null;
  }
  return compare(marks, record);
}

function compare({ digests }: Marks, record: LogRecord): Difference | null {
  const { mark, digest } = record.body as SnapshotBody;
  const own = digests.find(({ epoch, number }) => epoch === record.epoch && number === mark);
  if (own === undefined || equalBytes(own.digest, digest)) return null;
  return { record, mine: own.digest };
}
