import type { Percentiles } from '../measure.js';
import type { Report } from './report.js';

/** The run for a terminal. */
export function linesOf(report: Report): string[] {
  const { counts, outagesMs, latenciesMs, longestStallMs, faults, groups, violations } = report;
  const { acknowledged, rejected, unknown, notTaken, repeated, reads } = counts;
  const digests = groups.reduce((sum, group) => sum + group.digests, 0);
  const epochs = groups.reduce((sum, group) => sum + group.epochs.length - 1, 0);
  return [
    `${faults.length} faults; ${acknowledged} acknowledged, ${rejected} rejected, ${unknown} ` +
      `unknown, ${notTaken} not taken, ${repeated} repeated; ${reads} reads`,
    `before the first fault ${report.calmRate} answers a second, between faults ` +
      `${report.restRate ?? 'none'}; latency ${shown(latenciesMs)}`,
    `longest stall ${longestStallMs} ms; outages ${shown(outagesMs)}; ${epochs} changes ` +
      `of writers; ${digests} digests of snapshots compared`,
    ...violations.map(({ check, group, detail }) => `VIOLATION ${check} ${group ?? ''}: ${detail}`),
    ...(report.verdict === 'invalid'
      ? [`INVALID: ${report.leastRate} answers a second are needed, or a run shows nothing`]
      : []),
    ...(report.dir === null ? [] : [`logs and stores are in ${report.dir}`]),
    ...(report.verdict === 'green' ? [] : [`again: ${report.command}`]),
    report.verdict,
  ];
}

const shown = ({ count, p50, p90, p99, most }: Percentiles): string =>
  `${count}: p50 ${p50}, p90 ${p90}, p99 ${p99}, most ${most} ms`;
