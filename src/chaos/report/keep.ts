import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pageOf } from './page.js';
import type { Report } from './report.js';

/** As JSON and as a page. Returns the path of both, without what they end with. */
export function keepReport(report: Report, dir: string): string {
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${report.scenario}-${report.seed}`);
  writeFileSync(`${file}.json`, JSON.stringify(report, null, 1));
  writeFileSync(`${file}.html`, pageOf(report));
  return file;
}
