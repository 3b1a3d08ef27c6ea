/**
 * One node of `bench:snapshots`: what ships, and beside it a process that can be asked about its event
 * loop, its memory, what it moved to and from the broker, and when its member synced.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import type { Reply } from '../../src/nats/requests.js';
import { answerParent } from './child.js';

/** Since the process started; what was put counts as it is sent, what was got as it arrives. */
export interface Traffic {
  putChunks: number;
  putSizeBytes: number;
  pinSizeBytes: number;
  storeSizeBytes: number;
  peerSizeBytes: Record<string, number>;
}

export interface Delay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface Synced {
  readonly beganMs: number;
  readonly endedMs: number;
  /** Resident before, at most so far, and when it was done. */
  readonly firstSizeBytes: number;
  readonly peakSizeBytes: number;
  readonly lastSizeBytes: number;
  /** All threads of the process. */
  readonly cpuMs: number;
}

const dist = process.env.BENCH_DIST ?? '';
const load = <Module>(path: string): Promise<Module> =>
  import(pathToFileURL(`${dist}/${path}`).href) as Promise<Module>;
const { Requests } =
  await load<typeof import('../../src/nats/requests.js')>('src/nats/requests.js');
const { startNode } = await load<typeof import('../../src/node/node.js')>('src/node/node.js');
const { loadConfig } = await load<typeof import('../../src/node/config.js')>('src/node/config.js');

const traffic: Traffic = {
  putChunks: 0,
  putSizeBytes: 0,
  pinSizeBytes: 0,
  storeSizeBytes: 0,
  peerSizeBytes: {},
};

/** By the subject of a request: what to do with the size of its answer, if that matters. */
function noteSent(subject: string, sizeBytes: number): ((answerSizeBytes: number) => void) | null {
  const [, kind, node = '', verb] = subject.split('.');
  if (kind === 'chunk') {
    traffic.putChunks += 1;
    traffic.putSizeBytes += sizeBytes;
  } else if (kind === 'pin') traffic.pinSizeBytes += sizeBytes;
  else if (kind === 'node' && verb === 'chunk') {
    return (answer) => {
      traffic.peerSizeBytes[node] = (traffic.peerSizeBytes[node] ?? 0) + answer;
    };
  } else if (subject.startsWith('$JS.API.DIRECT.GET.') && subject.includes('.chunk.')) {
    return (answer) => {
      traffic.storeSizeBytes += answer;
    };
  }
  return null;
}

// The shipped class is watched from outside: nodes know nothing of being measured.
const { send } = Requests.prototype;
Requests.prototype.send = function measured(subject, payload, onReply, headers) {
  const noteAnswer = noteSent(subject, payload.length);
  if (noteAnswer === null) return send.call(this, subject, payload, onReply, headers);
  const onAnswer = (reply: Reply) => {
    if (reply.kind === 'message') noteAnswer(reply.message.data.length);
    return onReply(reply);
  };
  return send.call(this, subject, payload, onAnswer, headers);
};

const nowMs = () => performance.timeOrigin + performance.now();

function peakSizeBytes(): number {
  const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  return found === null ? Number.NaN : Number(found[1]) * 1024;
}

const syncs: Synced[] = [];
let begun: { atMs: number; sizeBytes: number; cpu: NodeJS.CpuUsage } | null = null;

function onChanged({ state, lastSyncMs }: { state: string; lastSyncMs: number | null }): void {
  const sizeBytes = process.memoryUsage.rss();
  if (state === 'restoring') {
    // The peak counts from here on.
    writeFileSync('/proc/self/clear_refs', '5');
    begun = { atMs: nowMs(), sizeBytes, cpu: process.cpuUsage() };
    return;
  }
  if (begun !== null && state === 'standby' && lastSyncMs !== null) {
    const { user, system } = process.cpuUsage(begun.cpu);
    syncs.push({
      beganMs: begun.atMs,
      endedMs: nowMs(),
      firstSizeBytes: begun.sizeBytes,
      peakSizeBytes: peakSizeBytes(),
      lastSizeBytes: sizeBytes,
      cpuMs: (user + system) / 1000,
    });
  }
  begun = null;
}

const warnings = 40;
/** Of the node's log: changes of its member, and what somebody should see. */
const logger = pino(
  { level: 'debug' },
  {
    write(line: string): void {
      const entry = JSON.parse(line) as { level: number; msg: string; state: string } & {
        lastSyncMs: number | null;
      };
      if (entry.msg === 'member changed') onChanged(entry);
      if (entry.level >= warnings) process.stderr.write(line);
    },
  },
);

const delay = monitorEventLoopDelay({ resolution: 1 });
const node = await startNode(loadConfig(undefined, process.env), { logger });

answerParent({
  adminUrl: () => node.adminUrl,
  traffic: () => traffic,
  memory: () => process.memoryUsage.rss(),
  syncs: () => syncs.splice(0),
  watch: () => {
    delay.reset();
    delay.enable();
  },
  delay: (): Delay => {
    delay.disable();
    const ms = (ns: number) => ns / 1e6;
    const [p50Ms, p99Ms] = [ms(delay.percentile(50)), ms(delay.percentile(99))];
    return { p50Ms, p99Ms, maxMs: ms(delay.max) };
  },
});
