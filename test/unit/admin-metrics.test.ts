/** What a node tells a Prometheus. */
import { readFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument, MemberDocument } from '../../cluster/documents.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Auth } from '../../src/admin/auth.js';
import { serve } from '../support/admin-server.js';
import { FakeBackend } from '../support/fake-backend.js';

let backend: FakeBackend;
/** What the members of the one group look like. */
let members: Partial<MemberDocument>[];

beforeEach(async () => {
  backend = new FakeBackend('c');
  const [group] = (await backend.groups()) as [GroupDocument];
  const [member] = group.members as [MemberDocument];
  backend.groups = () => {
    const all = members.map((parts, index) => ({ ...member, index, ...parts }));
    return Promise.resolve([{ ...group, seq: 9, members: all }]);
  };
  members = [
    { nodeId: 'n0', state: 'active' },
    { nodeId: 'n1', state: 'restoring', lag: 4 },
  ];
});

async function scrape() {
  const { url } = await serve(backend);
  return async () => {
    const response = await fetch(`${url}/metrics`);
    const text = await response.text();
    const samples = text.split('\n').filter((line) => line.startsWith('understudy_'));
    return { response, text, samples };
  };
}

const sync = {
  doneSizeBytes: 10,
  knownSizeBytes: 40,
  bytesPerSecond: 5,
  secondsLeft: 6,
  fromCache: 1,
  fromStore: 2,
  fromPeers: 7,
  corrupt: 0,
};

describe('the metrics of a node', () => {
  test('are those of its own members, and what it has counted', async () => {
    const { response, samples, text } = await (await scrape())();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(samples.sort()).toEqual([
      'understudy_chunk_cache_corrupt_total 7',
      'understudy_chunk_cache_hits_total 5',
      'understudy_chunk_cache_misses_total 6',
      'understudy_chunk_cache_size_bytes 8',
      'understudy_group_seq{group="c"} 9',
      'understudy_member_lag_events{group="c",index="1"} 4',
      'understudy_member_state{group="c",index="1",state="restoring"} 1',
      'understudy_members_ended_total{how="crashed"} 4',
      'understudy_permits_held{work="promotion"} 2',
      'understudy_permits_waiting{work="promotion"} 3',
      'understudy_sync_corrupt_total 4',
      'understudy_sync_fetched_bytes_total{source="cache"} 1',
      'understudy_sync_fetched_bytes_total{source="peers"} 3',
      'understudy_sync_fetched_bytes_total{source="store"} 2',
    ]);
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(text).toMatch(/^nodejs_heap_size_used_bytes \d/m);
  });

  test('say what each is, and of which type', async () => {
    const { text } = await (await scrape())();
    const names = [...text.matchAll(/^# HELP (understudy_\w+) \S/gm)].map(([, name]) => name);
    expect(names).toHaveLength(15);
    for (const name of names) {
      const type = name?.endsWith('_total') ? 'counter' : 'gauge';
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
    }
    const documented = await readFile('docs/admin-api.md', 'utf8');
    const rows = documented.split('\n').filter((line) => line.startsWith('| `understudy_'));
    const cells = rows.map((row) => row.split('|')[1] ?? '').join();
    expect([...cells.matchAll(/understudy_\w+/g)].map(([name]) => name).sort()).toEqual(
      names.sort(),
    );
  });

  test('tell of a sync while it lasts, and of a state until it changes', async () => {
    const look = await scrape();
    members[1] = { nodeId: 'n1', state: 'restoring', sync };
    const labels = '{group="c",index="1"}';
    const during = (await look()).samples;
    expect(during).toContain(`understudy_member_sync_done_bytes${labels} 10`);
    expect(during).toContain(`understudy_member_sync_known_bytes${labels} 40`);
    expect(during).toContain(`understudy_member_sync_rate_bytes${labels} 5`);
    members[1] = { nodeId: 'n1', state: 'standby' };
    const after = (await look()).samples;
    expect(after.filter((line) => line.includes('_member_sync_'))).toEqual([]);
    expect(after.filter((line) => line.includes('_member_state'))).toEqual([
      'understudy_member_state{group="c",index="1",state="standby"} 1',
    ]);
  });

  test('are whole, however many ask at once, and counters go on', async () => {
    const look = await scrape();
    const first = (await look()).samples;
    const both = await Promise.all([look(), look()]);
    for (const { samples } of both) expect(samples).toEqual(first);
    backend.nodeCounters = {
      ...backend.nodeCounters,
      fetched: { fromSizeBytes: { cache: 1, store: 20, peers: 3 }, corrupt: 4 },
    };
    const later = (await look()).samples;
    expect(later).toContain('understudy_sync_fetched_bytes_total{source="store"} 20');
  });

  test('are a secret where there are tokens', async () => {
    const known: Auth = {
      required: true,
      identify: (authorization) => {
        if (authorization === 'Bearer v') return { name: 'prometheus', role: 'viewer' };
        throw new UnderstudyError('unauthorized', 'no token');
      },
    };
    const { url } = await serve(backend, known);
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
    const headers = { authorization: 'Bearer v' };
    expect((await fetch(`${url}/metrics`, { headers })).status).toBe(200);
  });
});
