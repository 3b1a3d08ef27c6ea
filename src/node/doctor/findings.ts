/** What a check-up finds in the facts: pure, one function for each thing that is checked. */
import type { Finding, GroupDocument } from '../../../cluster/documents.js';
import { sizeText } from '../../../cluster/sizes.js';
import { limits } from '../../../replication/limits.js';
import { compareVersions } from '../../broker/ready.js';
import { release } from '../../broker/release.js';
import type { Facts, NodeFacts, NodeSelf, ServerFacts } from './facts.js';

type Told = Omit<Finding, 'level' | 'code' | 'about'>;

const ok = (code: string, seen: string, about: string | null = null): Finding => ({
  level: 'ok',
  code,
  about,
  seen,
  expected: null,
  advice: null,
});
const warn = (code: string, about: string | null, told: Told): Finding => ({
  level: 'warn',
  code,
  about,
  ...told,
});
const fail = (code: string, about: string | null, told: Told): Finding => ({
  level: 'fail',
  code,
  about,
  ...told,
});

const worst = { fail: 0, warn: 1, ok: 2 } as const;

/** The worst first, and of what is equally bad in the order of the checks. */
export function findingsOf(facts: Facts): Finding[] {
  const checks = [
    broker,
    brokerVersions,
    jetstream,
    syncIntervals,
    replicas,
    streams,
    nodesUp,
    programVersions,
    kindVersions,
    clocks,
    disks,
    memories,
    tokens,
    vanished,
    groups,
  ];
  return checks
    .flatMap((check) => check(facts))
    .toSorted((a, b) => worst[a.level] - worst[b.level])
    .slice(0, limits.doctorFindings);
}

function broker({ isConnected, node }: Facts): Finding[] {
  if (isConnected) return [ok('broker', `${node} is connected`)];
  return [
    fail('broker', node, {
      seen: 'not connected',
      expected: 'a connection to the broker',
      advice: 'Start nats-server, or correct the servers in the configuration of the node.',
    }),
  ];
}

const selves = ({ nodes }: Facts): (NodeFacts & { readonly self: NodeSelf })[] =>
  nodes.filter((one): one is NodeFacts & { readonly self: NodeSelf } => one.self !== null);

/** Of all servers that answer, and of those that nodes are connected to. */
function brokerVersions(facts: Facts): Finding[] {
  const connected = selves(facts).flatMap(({ self }) =>
    self.broker ? [[self.broker.server, self.broker.version] as const] : [],
  );
  const shown = facts.servers.map(({ name, version }) => [name, version] as const);
  const versions = new Map([...connected, ...shown]);
  const { leastVersion } = release;
  const old = [...versions].filter(([, version]) => compareVersions(version, leastVersion) < 0);
  if (old.length > 0) {
    return old.map(([server, version]) =>
      fail('broker-version', server, {
        seen: version,
        expected: `${leastVersion} or newer`,
        advice: 'Upgrade nats-server: older ones accept appends that the fence should refuse.',
      }),
    );
  }
  const words = [...versions].map(([server, version]) => `${server} ${version}`).join(', ');
  if (new Set(versions.values()).size <= 1) return [ok('broker-version', words)];
  return [
    warn('broker-version', null, {
      seen: words,
      expected: 'the same version on all servers',
      advice: 'Finish the upgrade of the servers.',
    }),
  ];
}

const almostFull = 0.8;
const full = 0.95;

function jetstream({ account, accountProblem, servers }: Facts): Finding[] {
  if (account === null) {
    return [
      fail('jetstream', null, {
        seen: accountProblem ?? 'no answer',
        expected: 'JetStream for the account of this user',
        advice: 'Enable JetStream, and look whether its servers have a leader.',
      }),
    ];
  }
  const stores = servers.map((server) => ({ ...server, about: server.name }));
  return [{ ...account, about: 'account' }, ...stores].map(({ about, ...size }) =>
    room(about, size),
  );
}

function room(
  about: string,
  { usedSizeBytes, limitSizeBytes }: Pick<ServerFacts, 'usedSizeBytes' | 'limitSizeBytes'>,
): Finding {
  const used = sizeText(usedSizeBytes);
  if (limitSizeBytes === 0) {
    return ok('broker-room', `${used} used, no limit; its disk cannot be seen from here`, about);
  }
  const seen = `${used} of ${sizeText(limitSizeBytes)} used`;
  const share = usedSizeBytes / limitSizeBytes;
  if (share < almostFull) return ok('broker-room', seen, about);
  const told = {
    seen,
    expected: `less than ${almostFull * 100} %`,
    advice: 'Give the store more room: a full one refuses every append.',
  };
  return share < full ? warn('broker-room', about, told) : fail('broker-room', about, told);
}

/** A power cut may take so much from whoever accepts it. */
const longestSyncMs = 1000;

function syncIntervals({ servers }: Facts): Finding[] {
  if (servers.length === 0) {
    return [
      warn('sync-interval', null, {
        seen: 'cannot be seen: the broker does not show its storage settings to this account',
        expected: 'sync_interval: always',
        advice:
          'Look into the configuration of nats-server: its default, 2m, loses what was acknowledged ' +
          'within two minutes before a power cut.',
      }),
    ];
  }
  return servers.map(({ name, isSyncAlways, syncIntervalMs }) => {
    if (isSyncAlways) return ok('sync-interval', 'always', name);
    const told = {
      seen: `every ${syncIntervalMs} ms`,
      expected: 'sync_interval: always',
      advice: `Accept that a power cut loses what was acknowledged within ${syncIntervalMs} ms, or change it.`,
    };
    const level = syncIntervalMs <= longestSyncMs ? warn : fail;
    return level('sync-interval', name, told);
  });
}

function replicas({ replicas: count, servers }: Facts): Finding[] {
  if (count > 1) return [ok('replicas', `${count}`)];
  const seen = servers.length > 1 ? `1 on ${servers.length} servers` : '1';
  return [
    warn('replicas', null, {
      seen,
      expected: '3',
      advice:
        'Fine for development. Else run three servers and set replicas to 3: one disk holds all.',
    }),
  ];
}

function streams(facts: Facts): Finding[] {
  const bad = facts.streams.flatMap(({ name, problem, behind }) => {
    if (problem !== null) {
      return [
        fail('stream', name, {
          seen: problem,
          expected: 'the settings that were made when the namespace was created',
          advice: 'Edit the stream back, or look for the server that holds it.',
        }),
      ];
    }
    if (behind.length === 0) return [];
    const seen = `replicas that do not follow: ${behind.join(', ')}`;
    const advice = 'Start those servers, or wait until they have caught up.';
    return [warn('stream', name, { seen, expected: 'all replicas current', advice })];
  });
  return bad.length > 0 ? bad : [ok('stream', `${facts.streams.length} as they should be`)];
}

function nodesUp({ nodes }: Facts): Finding[] {
  return nodes.map(({ document: { id, state, cordoned }, self }) => {
    const expected = 'up';
    if (state === 'down' || self === null) {
      const advice = 'Start it again, or replace its members and uncordon it.';
      const seen = state === 'down' ? state : `${state}, and does not answer`;
      return fail('node', id, { seen, expected, advice });
    }
    const isWell = state === 'up' && !cordoned;
    if (isWell) return ok('node', 'up', id);
    const seen = cordoned ? `${state}, cordoned` : state;
    const advice = cordoned ? `understudy uncordon ${id}, when the work is done.` : 'Look again.';
    return warn('node', id, { seen, expected, advice });
  });
}

function differing(
  code: string,
  what: readonly (readonly [node: string, value: string])[],
  told: Omit<Told, 'seen'>,
): Finding {
  const nodesBy = new Map<string, string[]>();
  for (const [node, value] of what) nodesBy.set(value, [...(nodesBy.get(value) ?? []), node]);
  const words = [...nodesBy].map(([value, nodes]) => `${value} on ${nodes.join(', ')}`).join('; ');
  return nodesBy.size > 1 ? warn(code, null, { seen: words, ...told }) : ok(code, words);
}

function programVersions(facts: Facts): Finding[] {
  const all = selves(facts).map(
    ({ document, self }) => [document.id, `${self.version} (${self.program})`] as const,
  );
  const advice = 'Finish the upgrade of the nodes.';
  return [differing('versions', all, { expected: 'the same on all nodes', advice })];
}

function kindVersions(facts: Facts): Finding[] {
  const all = selves(facts).map(({ document, self }) => {
    const kinds = self.kinds.map(({ name, version }) => `${name} ${version}`).sort();
    return [document.id, kinds.join(', ')] as const;
  });
  const advice =
    'Start all nodes with the same module: a member runs only where its kind is, and a node with an ' +
    'older version of a kind stops at events of a newer one.';
  return [differing('kinds', all, { expected: 'the same on all nodes', advice })];
}

const aheadMost = { warnMs: 1000, failMs: 60_000 } as const;

function clocks(facts: Facts): Finding[] {
  return selves(facts).map(({ document: { id }, aheadMs, uncertainMs }) => {
    const seen = `${aheadMs} ms ahead of ${facts.node}, give or take ${uncertainMs} ms`;
    const sureMs = Math.abs(aheadMs) - uncertainMs;
    if (sureMs < aheadMost.warnMs) return ok('clock', seen, id);
    const told = {
      seen,
      expected: `less than ${aheadMost.warnMs} ms`,
      advice: 'Keep the clocks by NTP: no event is at risk, but times and pauses will be wrong.',
    };
    return sureMs < aheadMost.failMs ? warn('clock', id, told) : fail('clock', id, told);
  });
}

const freeLeast = { warnSizeBytes: 1024 ** 3, failSizeBytes: 100 * 1024 ** 2 } as const;

function disks(facts: Facts): Finding[] {
  return selves(facts).flatMap(({ document: { id }, self: { cache } }) => {
    if (cache === null) return [];
    const { freeSizeBytes, sizeBytes, limitSizeBytes, dir } = cache;
    const used = `${sizeText(sizeBytes)} of ${sizeText(limitSizeBytes)} used`;
    const seen = `${sizeText(freeSizeBytes)} free at ${dir}, ${used}`;
    if (freeSizeBytes >= freeLeast.warnSizeBytes) return [ok('node-disk', seen, id)];
    const told = {
      seen,
      expected: `${sizeText(freeLeast.warnSizeBytes)} free`,
      advice: 'Make room, or lower cacheSizeBytes.',
    };
    const isFull = freeSizeBytes < freeLeast.failSizeBytes;
    return [isFull ? fail('node-disk', id, told) : warn('node-disk', id, told)];
  });
}

/** Decision 0034: what nobody remembers cannot be missed. */
function memories(facts: Facts): Finding[] {
  const without = selves(facts).filter(({ self }) => self.cache === null);
  if (without.length === 0) return [ok('memory', 'every node remembers how far the logs went')];
  return [
    warn('memory', null, {
      seen: `nothing on disk on ${without.map(({ document }) => document.id).join(', ')}`,
      expected: 'a cacheDir on every node',
      advice: 'Without it nobody notices what the broker lost when all nodes died with it.',
    }),
  ];
}

function tokens(facts: Facts): Finding[] {
  const open = selves(facts).filter(({ self }) => !self.hasTokens);
  const words = open.map(({ document, self }) => `${document.id} on ${self.host}`).join(', ');
  const seen = open.length === 0 ? 'asked for by every node' : `none, loopback only: ${words}`;
  return [ok('tokens', seen)];
}

function vanished(facts: Facts): Finding[] {
  return facts.vanished.map(({ group, end }) =>
    fail('group-vanished', group, {
      seen: `not in the registry, and known to have been at seq ${end.seq} of epoch ${end.epoch}`,
      expected: 'its entry, or the mark of its deletion',
      advice: 'The broker may have come back with an older store: bring the newer one back.',
    }),
  );
}

function groups(facts: Facts): Finding[] {
  const bad = facts.groups.flatMap((group) => groupFindings(group));
  return bad.length > 0 ? bad : [ok('groups', `${facts.groups.length} protected`)];
}

function groupFindings(group: GroupDocument): Finding[] {
  const { name, lost, members, vacancy } = group;
  if (lost !== null) return [lostFinding(group, lost)];
  const found = members
    .filter(({ state }) => state === 'quarantined')
    .map(({ index, error }) =>
      fail('quarantined', `${name}/${index}`, {
        seen: error ?? 'quarantined',
        expected: 'a member that follows its group',
        advice: `Once the cause is gone: understudy reinit ${name} ${index}`,
      }),
    );
  if (group.activeNode === null) {
    const why = vacancy === null ? '' : ` since ${vacancy.since} (${vacancy.cause})`;
    const advice = group.paused ? `It is paused: understudy resume ${name}` : 'Start its nodes.';
    found.push(fail('no-active', name, { seen: `no active${why}`, expected: 'an active', advice }));
  } else if (!group.reprotected) {
    const { healthy, total } = group.health;
    const seen = `${healthy} of ${total} members are healthy and synced past the last promotion`;
    const advice = `Start the nodes of the others, or understudy replace; see understudy group ${name}.`;
    found.push(warn('not-reprotected', name, { seen, expected: 'all members', advice }));
  }
  if (group.pause !== null) {
    const { scope, by, until } = group.pause;
    const seen = `automatic failover is off until ${until}, by ${by}`;
    const advice = scope === 'all' ? 'understudy resume --all' : `understudy resume ${name}`;
    found.push(warn('paused', name, { seen, expected: 'automatic failover', advice }));
  }
  return found;
}

function lostFinding({ name }: GroupDocument, lost: NonNullable<GroupDocument['lost']>): Finding {
  const { fromSeq, toSeq, epoch, endsAt, found, heldBy } = lost;
  const [most] = heldBy;
  const held =
    most === undefined
      ? 'no member holds more'
      : `member ${most.index} on ${most.nodeId} holds the state at seq ${most.syncedThrough}`;
  return fail('log-lost', name, {
    seen: `seqs ${fromSeq} to ${toSeq} of epoch ${epoch} are gone (${found}); ${held}`,
    expected: `a log that goes as far as seq ${toSeq}`,
    advice:
      'Bring the newer store of the broker back and restart the nodes, or go on without: ' +
      `understudy accept-loss ${name} --through ${endsAt.seq}`,
  });
}
