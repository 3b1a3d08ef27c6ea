/** The report as one HTML page that loads nothing: the faults over throughput and latency, and all numbers. */
import { chartOf } from './chart.js';
import { escaped } from './escape.js';
import type { Report } from './report.js';

const style = `
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1120px; padding: 0 1rem; color: #1b2430 }
h1 { font-size: 1.4rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
.green { color: #19743d } .violation { color: #b3261e } .invalid { color: #8a5a00 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #dde3ea; vertical-align: top }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif } .title { font-weight: 600 }
.tick { fill: #5b6878 } .grid { stroke: #e6ebf1 } .fault { fill: #d9483b; opacity: .22 }
code { background: #f2f5f8; padding: .1rem .3rem }
`;

export function pageOf(report: Report): string {
  const { scenario, shows, seed, verdict, command, violations } = report;
  const title = `${scenario}, seed ${seed}: ${verdict}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<style>${style}</style></head><body>
<h1>${escaped(scenario)}, seed ${seed}: <span class="${verdict}">${verdict}</span></h1>
<p>${escaped(shows)}.</p><p><code>${escaped(command)}</code></p>
${violations.length === 0 ? '' : violationsOf(report)}
<h2>Faults over time</h2>
${charts(report)}
<h2>Numbers</h2>
${numbers(report)}
<h2>Faults</h2>
${tableOf(['from', 'lasted', 'what', 'whom'], faultRows(report))}
<h2>Changes of writers</h2>
${tableOf(epochHeads, epochRows(report))}
</body></html>
`;
}

function violationsOf({ violations, dir }: Report): string {
  const rows = violations.map(({ check, group, detail }) => [check, group ?? 'the run', detail]);
  const kept = dir === null ? '' : `<p>Logs and stores are in <code>${escaped(dir)}</code>.</p>`;
  return `<h2>Violations</h2>${tableOf(['check', 'group', 'what was seen'], rows)}${kept}`;
}

function charts({ slices, faults, durationMs }: Report): string {
  const bands = faults.map(({ what, target, fromMs, toMs }) => ({
    label: `${target} ${what}, ${seconds(fromMs)}`,
    ...{ fromMs, toMs: toMs ?? durationMs },
  }));
  const rate = { name: 'answers', colour: '#1f5fa8', values: slices.map((one) => one.perSecond) };
  const median = { name: 'median', colour: '#19743d', values: slices.map((one) => one.medianMs) };
  const worst = { name: 'slowest', colour: '#b06f00', values: slices.map((one) => one.worstMs) };
  const common = { durationMs, bands };
  return [
    chartOf({ ...common, title: 'Answered deliveries', unit: 'per second', curves: [rate] }),
    chartOf({
      ...{ ...common, title: 'Latency', unit: 'milliseconds, logarithmic', logarithmic: true },
      curves: [worst, median],
    }),
  ].join('\n');
}

function numbers(report: Report): string {
  const { counts, outagesMs, latenciesMs, calmRate, leastRate, restRate, longestStallMs } = report;
  const { acknowledged, rejected, unknown, notTaken, repeated, reads, unansweredReads } = counts;
  const spread = ({ p50, p90, p99, most }: typeof outagesMs) =>
    `p50 ${p50}, p90 ${p90}, p99 ${p99}, most ${most} ms`;
  return tableOf(
    ['', ''],
    [
      ['acknowledged', String(acknowledged)],
      ['rejected by the kind', String(rejected)],
      ['unknown outcome', `${unknown} (and ${notTaken} that were not taken)`],
      ['sent more than once', String(repeated)],
      ['reads', `${reads} (and ${unansweredReads} without an answer)`],
      ['before the first fault', `${calmRate} answers a second, ${leastRate} needed`],
      ['between faults', restRate === null ? 'no time' : `${restRate} answers a second`],
      ['latency', spread(latenciesMs)],
      ['longest stall of a group', `${longestStallMs} ms`],
      ['outages of a group', `${outagesMs.count}: ${spread(outagesMs)}`],
    ],
  );
}

const faultRows = ({ faults }: Report) =>
  faults.map(({ what, target, fromMs, toMs }) => [
    seconds(fromMs),
    toMs === null ? 'to the end' : seconds(toMs - fromMs),
    what,
    target,
  ]);

const epochHeads = [
  ...['group', 'epoch', 'node', 'cause', 'from seq', 'replayed', 'detect', 'decide', 'claim'],
  ...['replay', 'open', 'unavailable'],
];

function epochRows({ groups }: Report): string[][] {
  return groups.flatMap(({ name, kind, standby, epochs }) =>
    epochs.map(({ epoch, node, cause, fromSeq, replayed, phases, unavailableMs }) => [
      `${name} (${kind}, ${standby})`,
      ...[epoch, node, cause, fromSeq, replayed].map(String),
      ...(['detectMs', 'decideMs', 'claimMs', 'replayMs', 'openMs'] as const).map((phase) =>
        shownMs(phases?.[phase]),
      ),
      shownMs(unavailableMs),
    ]),
  );
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const shownMs = (ms: number | null | undefined) => (ms == null ? '' : `${Math.round(ms)} ms`);

function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    `<tr>${row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${cells(heads, 'th')}${rows.map((row) => cells(row, 'td')).join('')}</table>`;
}
