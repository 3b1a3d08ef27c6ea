/**
 * An image: everything a member knows at one committed record, as it stands there whatever is applied
 * later. Taking one costs what is in no table; tables are frozen, and whoever writes on copies pages.
 */
import { Packr, Unpackr } from 'msgpackr';
import { plainBytes } from '../bytes.js';
import type { Kind } from '../kind.js';
import type { Hash } from '../ports.js';
import type { EpochNote, Replica, Tip } from '../replica.js';
import { packSessions, type Sessions, unpackSessions } from '../sessions.js';
import type { Tables } from '../state/tables.js';
import type { Layout, Node, Tree } from '../state/tree.js';

/** `moreTypes`: a kind's state may hold Maps, Sets and dates. */
const options = { useRecords: true, moreTypes: true, copyBuffers: true } as const;
const unpackr = new Unpackr(options);
const digestPackr = new Packr({ useRecords: false });

export type Problem = { readonly problem: string };

export interface Image {
  readonly kind: Kind;
  readonly hash: Hash;
  readonly tip: Tip;
  /** Tip, history, sessions and what of the state is in no table. */
  readonly core: Uint8Array;
  /** Those of the kind, in the order of their names, and before them what there is of `pagesOfKeys`. */
  readonly tables: readonly (readonly [name: string, root: Node])[];
  /** The replica's: one that was made anew since holds other nodes. */
  readonly of: Tables;
}

/**
 * The caller makes sure that the replica's state is committed. Equal replicas give equal cores: a packer
 * that has packed before would number the shapes of objects differently. A kind may put into its state
 * what cannot be packed: that must not stop the group.
 */
export function takeImage(replica: Replica): Image | Problem {
  const { kind, hash, tip, history, sessions, state, tables } = replica;
  const plainTip = { ...tip, hash: plainBytes(tip.hash) };
  const parts = [plainTip, history, packSessions(sessions), tables.plainPart(state)];
  try {
    const core = new Packr(options).pack(parts);
    const roots = [...treesOf(replica)].map(([name, tree]) => [name, tree.freeze()] as const);
    return { kind, hash, tip, core, tables: roots, of: tables };
  } catch (error) {
    return { problem: `the state of ${kind.name} cannot be packed: ${(error as Error).message}` };
  }
}

/** No kind can have a table of this name. */
export const pagesOfKeys = '$keys';

/** All that a snapshot stores as tables. Groups that use few keys or none have no pages of them. */
export function treesOf({ sessions, tables }: Replica): ReadonlyMap<string, Tree> {
  const { tree } = sessions.keyPages;
  return tree.size === 0 ? tables.trees : new Map([[pagesOfKeys, tree], ...tables.trees]);
}

export interface Core {
  readonly tip: Tip;
  readonly history: EpochNote[];
  readonly sessions: Sessions;
  readonly plain: unknown;
}

/** Throws if the bytes are no core. `keys`: the root of `pagesOfKeys`. */
export function decodeCore(core: Uint8Array, layout?: Layout, keys?: Node): Core {
  const [tip, history, sessions, plain] = unpackr.unpack(core) as [
    Tip,
    EpochNote[],
    unknown,
    unknown,
  ];
  return { tip, history, sessions: unpackSessions(sessions, layout, keys), plain };
}

/** What two members that stand at the same record must agree on (I5): hashes of the core's pieces. */
export function digestOfParts(
  hash: Hash,
  core: readonly Uint8Array[],
  tables: readonly (readonly [name: string, rootHash: Uint8Array])[],
): Uint8Array {
  return hash(digestPackr.pack([core, tables]));
}
