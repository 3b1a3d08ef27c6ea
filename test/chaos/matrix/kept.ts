/** What has been run already, in a file: a matrix that was stopped goes on behind it. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Row } from './rows.js';

export interface Cell {
  readonly scenario: string;
  readonly seed: number;
}

interface Document {
  /** Rows of another program, or of other runs, are no rows of this matrix. */
  readonly of: string;
  readonly rows: readonly Row[];
}

export class Kept {
  private constructor(
    private readonly file: string,
    private readonly of: string,
    private rows: readonly Row[],
  ) {}

  /** `of`: what all its runs have in common. */
  static open(file: string, of: string): Kept {
    if (!existsSync(file)) return new Kept(file, of, []);
    const document = JSON.parse(readFileSync(file, 'utf8')) as Document;
    return new Kept(file, of, document.of === of ? document.rows : []);
  }

  /** Too little traffic and no report prove nothing: such a run is begun again. */
  has(cell: Cell): boolean {
    const row = this.#find(cell);
    return row?.verdict === 'green' || row?.verdict === 'violation';
  }

  /** In the order of the cells. */
  rowsOf(cells: readonly Cell[]): Row[] {
    return cells.flatMap((cell) => this.#find(cell) ?? []);
  }

  add(row: Row): void {
    this.rows = [...this.rows.filter((one) => !isOf(one, row)), row];
    mkdirSync(dirname(this.file), { recursive: true });
    // Whole or not at all: it may be stopped while it writes.
    writeFileSync(`${this.file}.new`, JSON.stringify({ of: this.of, rows: this.rows }, null, 1));
    renameSync(`${this.file}.new`, this.file);
  }

  #find(cell: Cell): Row | undefined {
    return this.rows.find((row) => isOf(row, cell));
  }
}

const isOf = (one: Cell, other: Cell): boolean =>
  one.scenario === other.scenario && one.seed === other.seed;
