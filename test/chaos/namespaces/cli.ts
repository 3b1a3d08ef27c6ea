/**
 * npm run chaos:netns -- [--fault NAME]... [--seed 1] [--duration 0s] [--rate 500] [--least-rate 50]
 *   [--report DIR] [--list]
 *
 * Every broker and every node in a network namespace of its own; packets between two of them are lost, both
 * ways or one way, while clients deliver and read. Each fault once, then again while there is time. Where
 * that cannot be, it says why it was skipped, and that is no failure.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Chance } from '../../../src/chaos/chance.js';
import { chaosExitCodes } from '../../../src/chaos/command.js';
import { onInterrupt } from '../../../src/chaos/interrupt.js';
import { keepReport } from '../../../src/chaos/report/keep.js';
import type { Report } from '../../../src/chaos/report/report.js';
import { linesOf } from '../../../src/chaos/report/text.js';
import { runOn } from '../../../src/chaos/run.js';
import { shippedLoads } from '../../../src/chaos/workload/groups.js';
import { duration } from '../../../src/cli/parse.js';
import { hostIds, NetCluster } from './cluster.js';
import { type NetFault, NetStage, netFaults } from './faults.js';
import { hubOf, Namespaces, Net, whyNoNamespaces } from './net.js';

const { values: options } = parseArgs({
  options: {
    fault: { type: 'string', multiple: true },
    seed: { type: 'string', default: '1' },
    duration: { type: 'string', default: '1s' },
    rate: { type: 'string', default: '500' },
    'least-rate': { type: 'string', default: '50' },
    report: { type: 'string' },
    list: { type: 'boolean', default: false },
    /** Of the namespaces, for the process that is in the hub's. */
    inside: { type: 'string' },
  },
});

const main = resolve('dist/src/cli/main.js');
const boundMs = 60_000;
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function chosen(): readonly NetFault[] {
  const names = options.fault ?? netFaults.map(({ name }) => name);
  return names.map((name) => {
    const fault = netFaults.find((one) => one.name === name);
    if (fault === undefined) throw new Error(`there is no fault ${name}; --list shows all`);
    return fault;
  });
}

/** Makes the namespaces, lets itself run in the hub's, and removes them however that ends. */
async function outside(): Promise<number> {
  const prefix = `us${process.pid}`;
  const reason = whyNoNamespaces(`${prefix}-probe`);
  if (reason !== null) {
    console.log(`skipped: ${reason}`);
    return 0;
  }
  const namespaces = new Namespaces(prefix, hostIds);
  let child: ChildProcess | null = null;
  // It has to end first. Ctrl-C has reached it as well, and a second signal changes nothing.
  for (const signal of signals) process.on(signal, () => child?.kill(signal));
  try {
    namespaces.make();
    const [script = '', ...args] = process.argv.slice(1);
    const inside = [process.execPath, script, ...args, '--inside', prefix];
    const command = ['netns', 'exec', hubOf(prefix), ...inside];
    child = spawn('ip', command, { stdio: 'inherit' });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } finally {
    for (const problem of namespaces.remove()) console.log(problem);
  }
}

async function inside(prefix: string): Promise<number> {
  const net = new Net(hostIds);
  const cluster = new NetCluster({ net, prefix, main });
  const stopListening = onInterrupt(async () => {
    await cluster.stop();
    cluster.remove();
  });
  let report: Report;
  try {
    await cluster.start();
    report = await play(cluster, net);
  } finally {
    await cluster.stop();
    stopListening();
  }
  for (const line of linesOf(report)) console.log(line);
  if (options.report !== undefined) keepReport(report, options.report);
  if (report.verdict === 'green') cluster.remove();
  return chaosExitCodes[report.verdict];
}

async function play(cluster: NetCluster, net: Net): Promise<Report> {
  const faults = chosen();
  const seed = Number(options.seed);
  const loads = shippedLoads;
  const stage = new NetStage({ cluster, net, chance: new Chance(seed, 'faults'), loads });
  let next = 0;
  const round = () => (faults[next++ % faults.length] as NetFault).strike(stage);
  const report = await runOn(cluster, () => ({ stage, round }), {
    scenario: {
      ...{ name: 'namespaces', shows: 'packets are lost between hosts', brokers: 3, round },
      leastRounds: faults.length,
    },
    ...{ seed, loads, boundMs, main, kindsFile: undefined, dir: null, env: process.env },
    ...{ rate: Number(options.rate), leastRate: Number(options['least-rate']) },
    durationMs: duration(options.duration),
    say: (line) => console.log(`  ${line}`),
  });
  return { ...report, command: `npm run chaos:netns -- --seed ${seed}` };
}

function list(): number {
  for (const { name, shows } of netFaults) console.log(`${name.padEnd(24)} ${shows}`);
  return 0;
}

async function run(): Promise<number> {
  if (options.list) return list();
  chosen();
  return options.inside === undefined ? await outside() : await inside(options.inside);
}

process.exitCode = await run();
