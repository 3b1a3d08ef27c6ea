/**
 * npm run chaos:compose -- [--fault NAME]... [--rounds 1] [--no-build] [--list]
 *
 * Brings docker-compose.yml up under a project name of its own, delivers and reads from outside, and
 * kills, pauses and disconnects containers. Then the log is compared with every answer. Without an
 * engine it says why it was skipped, and that is no failure.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { EventEntry } from '../../../src/admin/backend.js';
import type { AdminClient } from '../../../src/client/admin.js';
import { violationsIn } from './check.js';
import { whyNoEngine } from './engine.js';
import { type Fault, faults, type Stage, whole } from './faults.js';
import { Load } from './load.js';
import { Stack } from './stack.js';

const standbys = ['hot', 'warm'] as const;
/** Answers of every caller before each fault, and after the last: less is no load. */
const calmRounds = 20;
const logFile = 'node_modules/.chaos/compose.log';

const { values: options } = parseArgs({
  options: {
    fault: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '1' },
    build: { type: 'boolean', default: true },
    list: { type: 'boolean', default: false },
  },
  allowNegative: true,
});

function chosen(): readonly Fault[] {
  const names = options.fault ?? faults.map(({ name }) => name);
  return names.map((name) => {
    const fault = faults.find((one) => one.name === name);
    if (fault === undefined) throw new Error(`there is no fault ${name}; --list shows all`);
    return fault;
  });
}

async function allEvents(admin: AdminClient, group: string): Promise<EventEntry[]> {
  const events: EventEntry[] = [];
  for (let from: number | null = 1; from !== null; ) {
    const page = await admin.events(group, { from, limit: 4096 });
    events.push(...page.events);
    from = page.next;
  }
  return events;
}

async function strike(fault: Fault, stage: Stage): Promise<void> {
  const { load, groups } = stage;
  await load.round(calmRounds);
  const [startedAt, missed] = [performance.now(), load.missed];
  await fault.strike(stage);
  await whole(stage);
  await load.round();
  const stalls = groups.map((group) => Math.round(load.longestStallMs(group, startedAt)));
  console.log(
    `${fault.name}: healed after ${Math.round((performance.now() - startedAt) / 1000)} s; longest ` +
      `time without an answer, ms: ${groups.map((group, i) => `${group} ${stalls[i]}`).join(', ')}; ` +
      `${load.missed - missed} calls sent again`,
  );
}

/** Also that all members agree: each is compared with the active at every snapshot. */
async function judge({ admin, load }: Stage, group: string): Promise<string[]> {
  await admin.sync(group);
  const asked = load.asked.get(group) ?? [];
  const log = await allEvents(admin, group);
  const { alarms, members, quarantined } = await admin.group(group);
  const epochs = (await admin.history(group)).toReversed().map(({ cause }) => cause);
  const found = violationsIn(asked, log);
  const last = log.at(-1)?.seq ?? 0;
  for (const { index, syncedThrough, diverged } of members) {
    if (diverged > 0) found.push(`member ${index} differed from the others ${diverged} times`);
    if (syncedThrough < last) found.push(`member ${index} is at ${syncedThrough}, not at ${last}`);
  }
  if (quarantined) found.push('it is quarantined');
  // Most tell of the faults themselves: a snapshot that could not be announced, for one.
  for (const { detail } of alarms) console.log(`${group}: alarm: ${detail}`);
  const refused = asked.filter(({ answer }) => answer?.code != null).length;
  console.log(
    `${group}: ${asked.length} answers, ${refused} of them refusals; ${log.length} events; epochs: ` +
      `${epochs.join(', ')}; ${found.length === 0 ? 'no violation' : `${found.length} violations`}`,
  );
  return found.map((violation) => `${group}: ${violation}`);
}

async function run(stack: Stack): Promise<readonly string[]> {
  await stack.resolve();
  if (options.build) await stack.build();
  await stack.up();
  const admin = stack.admin();
  for (const standby of standbys)
    await admin.createGroup({ name: standby, kind: 'ledger', standby });
  const urls = stack.adminUrls;
  const load = new Load(standbys, (i) => {
    const at = i % urls.length;
    return stack.admin([...urls.slice(at), ...urls.slice(0, at)]);
  });
  const stage = { stack, admin, load, groups: standbys };
  await whole(stage);
  load.start();
  try {
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const fault of chosen()) await strike(fault, stage);
    }
    await load.round(calmRounds);
  } finally {
    await load.stop();
  }
  const judged: string[] = [];
  for (const group of standbys) judged.push(...(await judge(stage, group)));
  return judged;
}

async function main(): Promise<void> {
  if (options.list) {
    for (const { name, what } of faults) console.log(`${name.padEnd(18)} ${what}`);
    return;
  }
  chosen();
  const reason = await whyNoEngine();
  if (reason !== null) {
    console.log(`skipped: ${reason}`);
    return;
  }
  const stack = new Stack('docker-compose.yml', randomBytes(16).toString('hex'));
  let violations: readonly string[] = [];
  try {
    violations = await run(stack);
  } catch (error) {
    violations = [String(error)];
  } finally {
    mkdirSync('node_modules/.chaos', { recursive: true });
    writeFileSync(logFile, await stack.logs());
    await stack.down(true);
  }
  for (const violation of violations) console.log(violation);
  console.log(`what the containers said is in ${logFile}`);
  if (violations.length > 0) process.exitCode = 1;
}

await main();
