/** How `bench:snapshots` tells what it has measured. */
import { percentile } from './cluster.js';
import type { Delay } from './snapshots-node.js';

export const print = (line: string) => process.stdout.write(`${line}\n`);
export const row = (...cells: readonly string[]) => print(`| ${cells.join(' | ')} |`);
export const mib = (sizeBytes: number) => `${(sizeBytes / 2 ** 20).toFixed(1)} MiB`;
export const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
export const ms = (value: number) => `${value.toFixed(1)} ms`;
export const seconds = (valueMs: number) => `${(valueMs / 1000).toFixed(1)} s`;
export const cpu = (cpuMs: number) => `${(cpuMs / 1000).toFixed(2)} CPU s`;
export const sum = (values: readonly number[]) => values.reduce((all, each) => all + each, 0);
export const median = (values: readonly number[]) => percentile(values, 50);

export const spread = (values: readonly number[], show: (value: number) => string) =>
  `${show(median(values))} (${show(Math.min(...values))} to ${show(Math.max(...values))})`;

export const delays = ({ p50Ms, p99Ms, maxMs }: Delay) =>
  `p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, max ${ms(maxMs)}`;
