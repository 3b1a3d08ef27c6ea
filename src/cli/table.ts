export type Cell = string | number | boolean | null;

/** Columns under their headings; numbers to the right, nothing and `null` as `-`. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) =>
    row.map((cell) => (cell === null || cell === '' ? '-' : `${cell}`)),
  );
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...texts.map((row) => row[column]?.length ?? 0)),
  );
  const numeric = headings.map((_, column) =>
    rows.every((row) => typeof row[column] === 'number' || row[column] === null),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((text, i) => {
        const width = widths[i] ?? 0;
        return numeric[i] ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return `${[headings, ...texts].map(line).join('\n')}\n`;
}
