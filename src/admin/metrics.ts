/** What a node tells a Prometheus that scrapes it: its own members, and what it has counted itself. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { GroupDocument } from '../../cluster/documents.js';
import type { Backend, NodeCounters } from './backend.js';

/** Makes the text of one scrape. Begins to watch this process: call it once, and only if it is needed. */
export function metricsOf(backend: Backend): () => Promise<string> {
  const registry = new Registry();
  const showGroups = groupMetrics(registry);
  const showCounters = counterMetrics(registry);
  collectDefaultMetrics({ register: registry });
  return async () => {
    const groups = await backend.groups();
    const counters = backend.counters();
    // At one go, so that two scrapes at once see no half of it.
    showGroups(groups, counters.node);
    showCounters(counters);
    return await registry.metrics();
  };
}

export const metricsType = Registry.PROMETHEUS_CONTENT_TYPE;

type Labels = Readonly<Record<string, string | number>>;

/** Members that moved away or stopped fetching vanish: every scrape begins with nothing. */
function groupMetrics(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `understudy_${name}`, help, labelNames, registers: [registry] });
  const ofMember = ['group', 'index'];
  const seq = gauge('group_seq', 'Seq of a group with a member on this node', ['group']);
  const state = gauge('member_state', 'What a member on this node is doing: 1 for its state', [
    ...ofMember,
    'state',
  ]);
  const lag = gauge('member_lag_events', 'Events it would have to replay', ofMember);
  const done = gauge('member_sync_done_bytes', 'Verified, of a snapshot being fetched', ofMember);
  const known = gauge('member_sync_known_bytes', 'Known to be wanted by then', ofMember);
  const rate = gauge('member_sync_rate_bytes', 'Bytes a second, over the last few', ofMember);
  const all = [seq, state, lag, done, known, rate];

  return (groups: readonly GroupDocument[], node: string): void => {
    for (const each of all) each.reset();
    for (const { name: group, seq: at, members } of groups) {
      const own = members.find(({ nodeId }) => nodeId === node);
      if (own === undefined) continue;
      const labels: Labels = { group, index: own.index };
      seq.set({ group }, at);
      state.set({ ...labels, state: own.state }, 1);
      lag.set(labels, own.lag);
      if (own.sync === null) continue;
      done.set(labels, own.sync.doneSizeBytes);
      known.set(labels, own.sync.knownSizeBytes);
      rate.set(labels, own.sync.bytesPerSecond);
    }
  };
}

function counterMetrics(registry: Registry) {
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `understudy_${name}`, help, labelNames, registers: [registry] });
  const fetched = counter(
    'sync_fetched_bytes_total',
    'Verified bytes that syncs were given, by whom',
    ['source'],
  );
  const corrupt = counter('sync_corrupt_total', 'Answers with other bytes than those asked for');
  const hits = counter('chunk_cache_hits_total', 'Chunks that were in the cache of this node');
  const misses = counter('chunk_cache_misses_total', 'Chunks that were not in the cache');
  const broken = counter('chunk_cache_corrupt_total', 'Files in the cache that were damaged');
  const size = new Gauge({
    name: 'understudy_chunk_cache_size_bytes',
    help: 'All files in the cache together',
    registers: [registry],
  });

  const ended = counter('members_ended_total', 'Members that have ended, by how', ['how']);
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `understudy_${name}`, help, labelNames: ['work'], registers: [registry] });
  const held = gauge('permits_held', 'Members that do heavy work, by its kind');
  const waiting = gauge('permits_waiting', 'Members that wait for a permit for it');

  const showWork = ({ permits, ended: all }: NodeCounters) => {
    ended.reset();
    for (const [how, count] of Object.entries(all)) ended.inc({ how }, count);
    for (const [work, counts] of Object.entries(permits)) {
      held.set({ work }, counts.held);
      waiting.set({ work }, counts.waiting);
    }
  };

  return (counters: NodeCounters): void => {
    showWork(counters);
    const {
      fetched: { fromSizeBytes, corrupt: wrong },
      cache,
    } = counters;
    for (const each of [fetched, corrupt, hits, misses, broken]) each.reset();
    for (const [source, sizeBytes] of Object.entries(fromSizeBytes)) {
      fetched.inc({ source }, sizeBytes);
    }
    corrupt.inc(wrong);
    hits.inc(cache.hits);
    misses.inc(cache.misses);
    broken.inc(cache.corrupt);
    size.set(cache.sizeBytes);
  };
}
