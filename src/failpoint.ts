/**
 * Points at which a test wants to kill, stop, delay or fail a node. The program that is shipped does nothing
 * here; `test/support/failpoints.mjs` takes the place of this module where a test asks for it.
 */
export type Failpoint =
  | 'before-append'
  /** The broker has acknowledged the record; the member does not know yet. */
  | 'after-ack'
  /** What was decided is committed and applied; nobody was told. */
  | 'before-answer'
  | 'between-chunks'
  /** All chunks are stored and pinned; the snapshot does not exist yet. */
  | 'before-snapshot-record'
  /** It does; nobody was told. */
  | 'after-snapshot-record'
  /** The claim stands; what the candidate lacks is to be replayed. */
  | 'after-claim'
  | 'before-open'
  /** An operation's step is on record; what it does has not begun … */
  | 'before-call'
  /** … and has been done, of which nothing is on record. */
  | 'after-call';

export function failpoint(_at: Failpoint): void {}
