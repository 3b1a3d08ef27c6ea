/** Numbers that must never be mixed up. A plain `number` cannot be passed where one of these is asked. */
declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** The event sequence of a group: 1, 2, 3 … The only number users see. 0 means "before the first". */
export type Seq = Branded<'Seq'>;
/** How many times the writer of a group changed. 0 means "nobody has claimed it yet". */
export type Epoch = Branded<'Epoch'>;
/** The stream's own message sequence of a record. Never leaves `replication/`. 0: no record yet. */
export type Position = Branded<'Position'>;

export const seq = (n: number): Seq => n as Seq;
export const epoch = (n: number): Epoch => n as Epoch;
export const position = (n: number): Position => n as Position;

/** Who writes: a member of a group in one life of one node process. */
export interface WriterId {
  readonly index: number;
  readonly node: string;
  /** Changes with every start of the node, so a restarted node is never taken for its former self. */
  readonly incarnation: string;
}

export function sameWriter(a: WriterId, b: WriterId): boolean {
  return a.index === b.index && a.node === b.node && a.incarnation === b.incarnation;
}
