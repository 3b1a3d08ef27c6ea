export const checkNames = [
  'acknowledged-in-log',
  'nothing-doubled',
  'nothing-invented',
  'linearizable',
  'session',
  'epochs',
  'members',
  'quarantine',
  'liveness',
  'expectation',
] as const;
export type CheckName = (typeof checkNames)[number];

/** Something that must not be, wherever it was seen. */
export interface Violation {
  readonly check: CheckName;
  /** Null: it concerns the run. */
  readonly group: string | null;
  readonly detail: string;
}

/** Of one check and group: enough to see what is wrong; one fault often shows a thousand times. */
export const mostShown = 5;
