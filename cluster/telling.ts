/**
 * What a node tells the others of its members with a beat: whatever has changed, and some of the rest in
 * turn, for those who missed a change. A node that is new to us is told everything at once.
 */
import type { MemberReport } from '../replication/effects.js';

/** Reports of one beat; more of them are several. Some hundred bytes each. */
export const beatReports = 256;
/** With each beat so many are told again, and everything within so many beats if that is less. */
const repeatedReports = 32;
const repeatBeats = 4;

export interface Telling {
  /** Groups whose own report has changed since it was told. */
  untold: Set<string>;
  turn: Iterator<string> | null;
  /** Beats since the turn began. */
  beats: number;
}

export function newTelling(): Telling {
  return { untold: new Set(), turn: null, beats: repeatBeats };
}

/** Reports for the next beats, one list for each; the first may be empty. */
export function takeReports(
  telling: Telling,
  groups: ReadonlyMap<string, unknown>,
  reportOf: (group: string) => MemberReport | undefined,
): MemberReport[][] {
  const names = telling.untold;
  telling.untold = new Set();
  takeTurn(telling, groups, names);
  const reports = [...names].flatMap((name) => reportOf(name) ?? []);
  const parts = [reports.slice(0, beatReports)];
  for (let at = beatReports; at < reports.length; at += beatReports) {
    parts.push(reports.slice(at, at + beatReports));
  }
  return parts;
}

function takeTurn(
  telling: Telling,
  groups: ReadonlyMap<string, unknown>,
  names: Set<string>,
): void {
  telling.beats += 1;
  if (telling.turn === null) {
    if (telling.beats < repeatBeats) return;
    telling.turn = groups.keys();
    telling.beats = 0;
  }
  const count = Math.min(repeatedReports, Math.ceil(groups.size / repeatBeats));
  for (let i = 0; i < count; i++) {
    const { value, done } = telling.turn.next();
    if (done) {
      telling.turn = null;
      return;
    }
    names.add(value);
  }
}
