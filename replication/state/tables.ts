/** The tables of one replica: their trees, the handles that the kind sees, and when it may write. */
import { UnderstudyError } from '../errors.js';
import type { Kind } from '../kind.js';
import { type Access, Table } from './table.js';
import { defaultLayout, type Layout, type Node, Tree } from './tree.js';
import { Encoder } from './values.js';

type Plain = Readonly<Record<string, unknown>>;

export class Tables {
  /** In the order of their names. */
  readonly trees: ReadonlyMap<string, Tree>;
  readonly #kind: string;
  readonly #handles: ReadonlyMap<string, Table<unknown>>;
  readonly #access: Access = { isWritable: false };

  constructor(kind: string, trees: ReadonlyMap<string, Tree>, layout: Layout) {
    const encoder = new Encoder(layout);
    this.#kind = kind;
    this.trees = trees;
    this.#handles = new Map(
      [...trees].map(([name, tree]) => [name, new Table(name, tree, encoder, this.#access)]),
    );
  }

  /** The state as the kind sees it, made of what is in no table. */
  attach(plain: unknown): unknown {
    if (this.#handles.size === 0) return plain;
    if (!isPlain(plain)) {
      throw this.#wrong(`what init returns must be a plain object, as it has tables`);
    }
    const state = { ...plain };
    for (const [name, handle] of this.#handles) {
      if (Object.hasOwn(plain, name)) {
        throw this.#wrong(`init returns a property ${name}, and there is a table of that name`);
      }
      Object.defineProperty(state, name, { value: handle, enumerable: true });
    }
    return state;
  }

  /** The reverse of `attach`. */
  plainPart(state: unknown): unknown {
    if (this.#handles.size === 0) return state;
    const entries = Object.entries(state as Plain);
    return Object.fromEntries(entries.filter(([name]) => !this.#handles.has(name)));
  }

  /** What `apply` returned as the next state: its tables go with it. */
  kept(next: unknown): unknown {
    for (const [name, handle] of this.#handles) {
      if (!isPlain(next) || next[name] !== handle) {
        throw this.#wrong(
          `apply returned a state without its table ${name}: return { ...state, … }, or nothing`,
        );
      }
    }
    return next;
  }

  /** The tables can be changed while `run` runs. */
  write<Value>(run: () => Value): Value {
    this.#access.isWritable = true;
    try {
      return run();
    } finally {
      this.#access.isWritable = false;
    }
  }

  #wrong(problem: string): UnderstudyError {
    return new UnderstudyError('unsupported', `kind ${this.#kind}: ${problem}`);
  }
}

/** Tables of a kind, empty or with these roots. */
export function newTables(
  kind: Kind,
  layout: Layout = kind.layout ?? defaultLayout,
  roots: ReadonlyMap<string, Node> = new Map(),
): Tables {
  const names = Object.keys(kind.tables ?? {}).sort();
  const trees = new Map(names.map((name) => [name, new Tree(layout, roots.get(name))]));
  return new Tables(kind.name, trees, layout);
}

function isPlain(value: unknown): value is Plain {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
