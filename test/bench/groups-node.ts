/** One node of `bench:groups`: what ships, and beside it a process that can be asked what it takes. */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import {
  getHeapSpaceStatistics,
  getHeapStatistics,
  type HeapSpaceInfo,
  setFlagsFromString,
} from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { answerParent } from './child.js';

/** After a collection of garbage. */
export interface Memory {
  readonly heapSizeBytes: number;
  /** What V8 has taken for objects to come, young ones and others; it gives back little of it, and late. */
  readonly youngRoomSizeBytes: number;
  readonly oldRoomSizeBytes: number;
  /** Of buffers, which live beside the heap. */
  readonly outsideSizeBytes: number;
  readonly residentSizeBytes: number;
}

const dist = process.env.BENCH_DIST ?? '';
const load = <Module>(path: string): Promise<Module> =>
  import(pathToFileURL(`${dist}/${path}`).href) as Promise<Module>;
const { startNode } = await load<typeof import('../../src/node/node.js')>('src/node/node.js');
const { loadConfig } = await load<typeof import('../../src/node/config.js')>('src/node/config.js');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const logger = pino({ level: 'error' }, pino.destination({ dest: 2, sync: true }));
const node = await startNode(loadConfig(undefined, process.env), { logger });

const session = new Session();

answerParent({
  adminUrl: () => node.adminUrl,
  profile: async () => {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
  },
  profiled: async (file: string) => {
    const { profile } = await session.post('Profiler.stop');
    writeFileSync(file, JSON.stringify(profile));
    session.disconnect();
  },
  memory: async (): Promise<Memory> => {
    // What is freed by the first may free more: finalisers, caches held weakly.
    for (let round = 0; round < 3; round++) {
      collect();
      await delay(50);
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    const young = getHeapSpaceStatistics().filter(({ space_name: name }) => name === 'new_space');
    const youngRoom = young[0] as HeapSpaceInfo;
    const youngRoomSizeBytes = youngRoom.physical_space_size - youngRoom.space_used_size;
    return {
      heapSizeBytes: heapUsed,
      youngRoomSizeBytes,
      oldRoomSizeBytes: getHeapStatistics().total_physical_size - heapUsed - youngRoomSizeBytes,
      outsideSizeBytes: external,
      residentSizeBytes: rss,
    };
  },
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
});
