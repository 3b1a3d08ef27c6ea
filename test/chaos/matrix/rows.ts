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

type Numbers = Omit<Row, 'scenario' | 'seed' | 'verdict' | 'violations' | 'command'>;

const numbers = [
  ...['faults', 'acknowledged', 'unknown', 'rejected', 'calm/s', 'rests/s'],
  ...['longest stall, ms', 'outages', 'p50', 'p99', 'max, ms'],
];

function cellsOf(row: Numbers): (string | number)[] {
  const { count, p50, p99, most } = row.outagesMs;
  return [
    ...[row.faults, row.acknowledged, row.unknown, row.rejected],
    ...[row.perSecond, row.restPerSecond ?? '–', row.longestStallMs],
    ...[count, p50, p99, most],
  ];
}

export function asText(rows: readonly Row[]): string {
  const cells = rows.map((row) => [row.scenario, row.seed, row.verdict, ...cellsOf(row)]);
  return table(['scenario', 'seed', 'verdict', ...numbers], cells);
}

/** Counts added up, the lowest rates, and stalls and percentiles of the run where they were worst. */
function together(rows: readonly Row[]): Numbers {
  const all = (of: (row: Row) => number) => rows.map(of);
  const sum = (of: (row: Row) => number) => all(of).reduce((total, one) => total + one, 0);
  const most = (of: (row: Row) => number) => Math.max(...all(of));
  const rests = rows.flatMap(({ restPerSecond }) => restPerSecond ?? []);
  return {
    faults: sum((row) => row.faults),
    acknowledged: sum((row) => row.acknowledged),
    unknown: sum((row) => row.unknown),
    rejected: sum((row) => row.rejected),
    perSecond: Math.min(...all((row) => row.perSecond)),
    restPerSecond: rests.length === 0 ? null : Math.min(...rests),
    longestStallMs: most((row) => row.longestStallMs),
    outagesMs: {
      count: sum(({ outagesMs }) => outagesMs.count),
      p50: most(({ outagesMs }) => outagesMs.p50),
      p99: most(({ outagesMs }) => outagesMs.p99),
      most: most(({ outagesMs }) => outagesMs.most),
    },
  };
}

function lineOf(scenario: string, rows: readonly Row[]): (string | number)[] {
  const green = rows.filter(({ verdict }) => verdict === 'green').length;
  return [scenario, `${green} of ${rows.length}`, ...cellsOf(together(rows))];
}

/** A section of a document: what was run, where, and what came of it; a line for each scenario. */
export function asSection(rows: readonly Row[], facts: readonly string[]): string {
  const headings = ['scenario', 'green', ...numbers];
  const names = [...new Set(rows.map(({ scenario }) => scenario))];
  const cells = names.map((name) =>
    lineOf(
      name,
      rows.filter(({ scenario }) => scenario === name),
    ),
  );
  const line = (of: readonly (string | number)[]) => `| ${of.join(' | ')} |`;
  const red = rows.filter(({ violations }) => violations.length > 0);
  const told = red.flatMap(({ scenario, seed, violations, command }) => [
    `- **${scenario}, seed ${seed}** (\`${command}\`): ${violations.join('; ')}`,
  ]);
  return [
    ...facts.map((fact) => `- ${fact}`),
    '',
    ...[line(headings), line(headings.map(() => '---')), ...cells.map(line)],
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
