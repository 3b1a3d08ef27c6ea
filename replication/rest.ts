/**
 * How often a standby looks at the log's end for what it was not told of. While its group is idle it sleeps:
 * what wakes it is that somebody tells of more than it has. Only something new in the log counts as work
 * and keeps it awake; being told again and again of what it knows does not.
 */
import { type Position, position } from './ids.js';

/** Looks in a row that find nothing new, and then it sleeps. */
const looksAwake = 8;
/** It looks all the same, in case that nobody who could tell it knows it is asleep. */
export const sleepMs = 60_000;

export interface Rest {
  looks: number;
  /** The newest end it knew of at the last look. */
  seen: Position;
}

export function newRest(): Rest {
  return { looks: 0, seen: position(0) };
}

/** It has looked, and knows the log up to `end`: when does it look again? */
export function pauseAfterLook(rest: Rest, end: Position, pollMs: number): number {
  rest.looks = end === rest.seen ? rest.looks + 1 : 0;
  rest.seen = end;
  return rest.looks < looksAwake ? pollMs : Math.max(pollMs, sleepMs);
}
