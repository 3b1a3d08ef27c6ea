/** What a check-up makes of what it sees. */
import { describe, expect, test } from 'vitest';
import type { Finding, GroupDocument, NodeDocument } from '../../../cluster/documents.js';
import type { Facts, NodeFacts, NodeSelf, ServerFacts } from '../../../src/node/doctor/facts.js';
import { findingsOf } from '../../../src/node/doctor/findings.js';
import { groupDocument, nodeDocument } from '../../support/fake-documents.js';

const gib = 1024 ** 3;

const self = (parts: Partial<NodeSelf> = {}): NodeSelf => ({
  version: '0.1.0',
  program: 'node v20',
  kinds: [{ name: 'kv', version: 1 }],
  wallMs: 0,
  broker: { server: 's1', version: '2.14.0' },
  hasTokens: true,
  host: '127.0.0.1',
  cache: { dir: '/cache', freeSizeBytes: 9 * gib, sizeBytes: 0, limitSizeBytes: gib },
  remembered: [],
  ...parts,
});
const node = (
  id: string,
  parts: Partial<NodeFacts> = {},
  document: Partial<NodeDocument> = {},
): NodeFacts => ({
  document: { ...nodeDocument(id, null), ...document },
  self: self(),
  aheadMs: 0,
  uncertainMs: 1,
  ...parts,
});
const server = (parts: Partial<ServerFacts> = {}): ServerFacts => ({
  name: 's1',
  version: '2.14.0',
  isSyncAlways: true,
  syncIntervalMs: 0,
  usedSizeBytes: 1,
  limitSizeBytes: 100,
  ...parts,
});
const group = (parts: Partial<GroupDocument> = {}): GroupDocument => ({
  ...groupDocument({ spec: { name: 'g', kind: 'kv' }, events: [] }, null),
  ...parts,
});
const well: Facts = {
  node: 'n1',
  isConnected: true,
  replicas: 3,
  servers: [server()],
  account: { usedSizeBytes: 1, limitSizeBytes: 0 },
  accountProblem: null,
  streams: [{ name: 'log', problem: null, replicas: 3, behind: [] }],
  nodes: [node('n1'), node('n2')],
  groups: [group()],
  vanished: [],
};

const bad = (parts: Partial<Facts>): Finding[] =>
  findingsOf({ ...well, ...parts }).filter(({ level }) => level !== 'ok');

test('nothing is wrong, and everything was looked at', () => {
  expect(bad({})).toEqual([]);
  const codes = new Set(findingsOf(well).map(({ code }) => code));
  for (const code of ['broker', 'sync-interval', 'clock', 'stream', 'groups', 'memory', 'tokens']) {
    expect(codes).toContain(code);
  }
});

const end = { era: 0, epoch: 2, seq: 7, position: 9, tag: '' };
const loss = {
  fromSeq: 6,
  toSeq: 9,
  epoch: 2,
  endsAt: { seq: 5, epoch: 1 },
  found: 'the stream ends',
  heldBy: [{ index: 1, nodeId: 'n2', syncedThrough: 8 }],
};
const member = group().members[0] as GroupDocument['members'][0];
const sick = { ...member, state: 'quarantined', error: 'it threw' };
const pause = { scope: 'group', reason: null, by: 'me', until: 'then' } as const;
const room = (used: number) => ({ usedSizeBytes: used, limitSizeBytes: 100 });
const disk = (freeSizeBytes: number) =>
  node('n2', {
    self: self({ cache: { dir: '/d', freeSizeBytes, sizeBytes: 0, limitSizeBytes: 1 } }),
  });

const cases: readonly (readonly [string, Partial<Facts>, string])[] = [
  ['no connection', { isConnected: false }, 'fail broker n1'],
  ['an old server', { servers: [server({ version: '2.11.9' })] }, 'fail broker-version s1'],
  [
    'servers that differ',
    { servers: [server(), server({ name: 's2', version: '2.15.0' })] },
    'warn broker-version',
  ],
  ['no JetStream', { account: null, accountProblem: 'off' }, 'fail jetstream'],
  ['an account that is almost full', { account: room(81) }, 'warn broker-room account'],
  ['a full server', { servers: [server(room(96))] }, 'fail broker-room s1'],
  [
    'a short interval',
    { servers: [server({ isSyncAlways: false, syncIntervalMs: 100 })] },
    'warn sync-interval s1',
  ],
  [
    'the default interval',
    { servers: [server({ isSyncAlways: false, syncIntervalMs: 120_000 })] },
    'fail sync-interval s1',
  ],
  ['a broker that shows nothing', { servers: [] }, 'warn sync-interval'],
  ['one replica', { replicas: 1 }, 'warn replicas'],
  [
    'a stream that was edited',
    { streams: [{ name: 'log', problem: 'discard is old', replicas: 1, behind: [] }] },
    'fail stream log',
  ],
  [
    'a replica that is behind',
    { streams: [{ name: 'log', problem: null, replicas: 3, behind: ['s2'] }] },
    'warn stream log',
  ],
  [
    'a node that is down',
    { nodes: [node('n2', { self: null }, { state: 'down' })] },
    'fail node n2',
  ],
  ['a node that is silent', { nodes: [node('n2', { self: null })] }, 'fail node n2'],
  ['a cordoned node', { nodes: [node('n2', {}, { cordoned: true })] }, 'warn node n2'],
  [
    'programs that differ',
    { nodes: [node('n1'), node('n2', { self: self({ version: '0.2.0' }) })] },
    'warn versions',
  ],
  [
    'kinds that differ',
    { nodes: [node('n1'), node('n2', { self: self({ kinds: [{ name: 'kv', version: 2 }] }) })] },
    'warn kinds',
  ],
  ['a clock that is late', { nodes: [node('n2', { aheadMs: -1500 })] }, 'warn clock n2'],
  ['a clock that is wrong', { nodes: [node('n2', { aheadMs: 90_000 })] }, 'fail clock n2'],
  ['a disk that is almost full', { nodes: [disk(gib / 2)] }, 'warn node-disk n2'],
  ['a full disk', { nodes: [disk(1)] }, 'fail node-disk n2'],
  [
    'a node without a memory',
    { nodes: [node('n2', { self: self({ cache: null }) })] },
    'warn memory',
  ],
  [
    'a group that vanished',
    { vanished: [{ group: 'x', groupId: 'i', createdAtMs: 0, end }] },
    'fail group-vanished x',
  ],
  ['a lost log', { groups: [group({ lost: loss, activeNode: null })] }, 'fail log-lost g'],
  ['a quarantined member', { groups: [group({ members: [sick] })] }, 'fail quarantined g/0'],
  ['no active', { groups: [group({ activeNode: null })] }, 'fail no-active g'],
  ['a group at risk', { groups: [group({ reprotected: false })] }, 'warn not-reprotected g'],
  ['a paused group', { groups: [group({ paused: true, pause })] }, 'warn paused g'],
];

describe('it finds', () => {
  test.each(cases)('%s', (_, parts, expected) => {
    const found = bad(parts);
    const words = found.map(({ level, code, about }) => `${level} ${code} ${about ?? ''}`.trim());
    expect(words).toEqual([expected]);
    for (const { seen, expected: wanted, advice } of found) {
      expect(seen).not.toBe('');
      expect(wanted).toBeTruthy();
      expect(advice).toBeTruthy();
    }
  });
});

test('a clock is not blamed for an answer that took long', () => {
  expect(bad({ nodes: [node('n2', { aheadMs: 1500, uncertainMs: 600 })] })).toEqual([]);
});

test('a lost log names what is gone, who holds it, and both ways on', () => {
  const [found] = bad({ groups: [group({ lost: loss })] });
  expect(found?.seen).toMatch(/seqs 6 to 9 of epoch 2 .* member 1 on n2 holds .* seq 8/);
  expect(found?.advice).toMatch(/Bring the newer store .* accept-loss g --through 5/);
});

test('the worst comes first', () => {
  const levels = findingsOf({ ...well, replicas: 1, isConnected: false }).map(({ level }) => level);
  expect(levels.slice(0, 3)).toEqual(['fail', 'warn', 'ok']);
});
