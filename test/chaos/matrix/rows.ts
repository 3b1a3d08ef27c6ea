/** What the matrix keeps of a run, and how it is shown. */
import type { Report } from '../../../src/chaos/report/report.js';
import { table } from '../../../src/cli/table.js';

export interface Row {
  readonly scenario: string;
  readonly seed: number;
  /** `no report`: the run ended before it had one. */
  readonly verdict: Report['verdict'] | 'no report';
  readonly faults: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly rejected: number;
  readonly perSecond: number;
  readonly restPerSecond: number | null;
  readonly longestStallMs: number;
  readonly outagesMs: Pick<Report['outagesMs'], 'count' | 'p50' | 'p99' | 'most'>;
  readonly violations: readonly string[];
  readonly command: string;
}

export function rowOf(report: Report): Row {
  const { scenario, seed, verdict, counts, longestStallMs, outagesMs, command } = report;
  const { acknowledged, unknown, rejected } = counts;
  const { count, p50, p99, most } = outagesMs;
  const told = report.violations.map(({ check, group, detail }) =>
    [check, group, detail].filter((part) => part !== null).join(': '),
  );
  return {
    ...{ scenario, seed, verdict, faults: report.faults.length },
    ...{ acknowledged, unknown, rejected, perSecond: report.calmRate },
    restPerSecond: report.restRate,
    ...{ longestStallMs, outagesMs: { count, p50, p99, most }, violations: told, command },
  };
}

export function rowWithout(scenario: string, seed: number, command: string, why: string): Row {
  return {
    ...{ scenario, seed, verdict: 'no report', faults: 0 },
    ...{ acknowledged: 0, unknown: 0, rejected: 0, perSecond: 0, longestStallMs: 0 },
    restPerSecond: null,
    ...{ outagesMs: { count: 0, p50: 0, p99: 0, most: 0 }, violations: [why], command },
  };
}

const headings = [
  ...['scenario', 'seed', 'verdict', 'faults', 'acknowledged', 'unknown', 'rejected', 'calm/s'],
  'rests/s',
  ...['longest stall, ms', 'outages', 'p50', 'p99', 'max, ms'],
];

function cellsOf(row: Row): (string | number)[] {
  const { count, p50, p99, most } = row.outagesMs;
  return [
    ...[row.scenario, row.seed, row.verdict, row.faults, row.acknowledged, row.unknown],
    ...[
      row.rejected,
      row.perSecond,
      row.restPerSecond ?? '–',
      row.longestStallMs,
      count,
      p50,
      p99,
      most,
    ],
  ];
}

export const asText = (rows: readonly Row[]): string => table(headings, rows.map(cellsOf));

/** A section of a document: what was run, where, and what came of it. */
export function asSection(rows: readonly Row[], facts: readonly string[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  const red = rows.filter(({ violations }) => violations.length > 0);
  const told = red.flatMap(({ scenario, seed, violations, command }) => [
    `- **${scenario}, seed ${seed}** (\`${command}\`): ${violations.join('; ')}`,
  ]);
  return [
    ...facts.map((fact) => `- ${fact}`),
    '',
    ...[line(headings), line(headings.map(() => '---')), ...rows.map((row) => line(cellsOf(row)))],
    ...(told.length === 0 ? [] : ['', ...told]),
  ].join('\n');
}

const markers = { begin: '<!-- matrix:begin -->', end: '<!-- matrix:end -->' };

/** Throws if the document has no place for it. */
export function withSection(document: string, section: string): string {
  const begin = document.indexOf(markers.begin);
  const end = document.indexOf(markers.end);
  if (begin < 0 || end < begin) {
    throw new Error(
      `the document needs a line ${markers.begin} and a line ${markers.end} below it`,
    );
  }
  const before = document.slice(0, begin + markers.begin.length);
  return `${before}\n${section}\n${document.slice(end)}`;
}
