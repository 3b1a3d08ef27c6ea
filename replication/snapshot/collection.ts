/**
 * Collecting garbage: chunks that no snapshot needs any more are forgotten. Whoever cuts a snapshot and
 * whoever collects know nothing of each other: no lock, no lease, no clock, and any number of collectors
 * may run at once, be frozen for hours, or die in the middle.
 *
 * G1 Chunks, announcements, pins, retirements and marks are stored in one order. A *state* is what stands
 *    after some prefix of it. What is stored again replaces itself, at the end of the order.
 * G2 A snapshot is announced before anything of it is put: its own chunks are stored after its
 *    announcement.
 * G3 A chunk that is reused, not put, is named by the announcement; and a pin of the same group that names
 *    it stands in a state that contains the announcement already. (Read earlier, or at a replica that
 *    lags, the pin could be gone by the time of the announcement.)
 * G4 A pin names all of the snapshot's chunks, and is stored only while that very announcement stands,
 *    which is removed only when the pin is stored. So from its announcement until its retirement, one of
 *    the two stands in every state.
 * G5 To retire a snapshot, the announcement is replaced by a retirement; once that is stored, what stands
 *    of the snapshot up to there is removed. A pin that is still on its way is refused (G4), and what is
 *    announced anew stays. Only what nobody needs any more is retired, or what is announced only.
 * G6 A collector leaves a mark, and then reads all pins and announcements that stand in one state S, which
 *    contains the mark. (Reading only what was stored up to the mark is not enough, however often: while
 *    it reads, a chunk's pin may be replaced by one behind the mark, again and again.)
 * G7 It forgets a chunk only if nothing in S names it, and only if it was last put before the mark and
 *    before every announcement in S. The store itself compares the positions when it carries the request
 *    out, so that it may come as late as it likes.
 *
 * Why nothing that is needed gets lost. Let X be a snapshot that is announced, not retired, and needs
 * chunk c; say that a collection with state S forgets c after X has put it or has come to rely on it.
 *  - X put c, so c is stored after X's announcement (G2). c was last put before the mark (G7), so the
 *    announcement is in S or was replaced there by X's pin (G4). In the first case G7 spares what is stored
 *    after it, in the second the pin names c.
 *  - X reused c. If the announcement is part of S's prefix, it or the pin stands in S and names c (G3, G4).
 *    If not, the pin W that X relied on stands in a state after S (G3). Then either W is in S and names
 *    c; or W was announced in S and its chunks are spared (G7) or named; or W was announced after S, and
 *    put c after the mark, or relied on some pin itself that stands after S and was stored before W. This
 *    ends: W's line is finite.
 * A failure anywhere ends the collection: what is left stays garbage until the next.
 */
import { keyOf } from '../bytes.js';
import { type Position, position } from '../ids.js';
import type { ChunkGarbage, Pin } from '../ports.js';

export interface Collected {
  /** Chunks there were, and how many of them nobody needs. What was put of late may still be there. */
  readonly chunks: number;
  readonly unneeded: number;
  readonly pins: number;
  /** Announcements: while there are any, what was put since the first of them stays. */
  readonly open: number;
}

const forgettingAtOnce = 64;

/** `done` runs once nothing of it is in flight any more. */
export function collect(
  garbage: ChunkGarbage,
  done: (result: Collected | { readonly failure: string }) => void,
): void {
  garbage.mark((mark) => {
    if ('failure' in mark) return done(mark);
    garbage.pins(mark.at, (pins) => {
      if ('failure' in pins) return done(pins);
      garbage.chunks((chunks) => {
        if ('failure' in chunks) return done(chunks);
        const needed = new Set(pins.flatMap((pin) => pin.chunks.map(keyOf)));
        const unneeded = chunks.filter((hash) => !needed.has(keyOf(hash)));
        const open = pins.filter(({ isOpen }) => isOpen);
        forgetAll(garbage, unneeded, earliest(mark.at, open), (failure) => {
          const counts = { chunks: chunks.length, unneeded: unneeded.length };
          done(failure ?? { ...counts, pins: pins.length, open: open.length });
        });
      });
    });
  });
}

/** G7 */
function earliest(mark: Position, open: readonly Pin[]): Position {
  return open.reduce((least, { at }) => position(Math.min(least, at)), mark);
}

function forgetAll(
  garbage: ChunkGarbage,
  hashes: readonly Uint8Array[],
  before: Position,
  done: (failure: { readonly failure: string } | null) => void,
): void {
  let begun = 0;
  let inFlight = 0;
  let failed: { readonly failure: string } | null = null;
  const begin = () => {
    const hash = hashes[begun++] as Uint8Array;
    inFlight += 1;
    garbage.forget(hash, before, (failure) => {
      inFlight -= 1;
      if (failure !== null) failed ??= { failure };
      if (failed === null && begun < hashes.length) begin();
      else if (inFlight === 0) done(failed);
    });
  };
  if (hashes.length === 0) return done(null);
  while (begun < Math.min(hashes.length, forgettingAtOnce)) begin();
}
