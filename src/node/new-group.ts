/** A group to be: its name, its seed and where its members go. */
import { randomBytes } from 'node:crypto';
import { placeableNodes } from '../../cluster/coordinator.js';
import type { GroupSpec } from '../../cluster/documents.js';
import { allowedNodes, place } from '../../cluster/placement.js';
import type { GroupConfig } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { groupIdOf, memberPublicKey, parseSeed } from './identity.js';
import type { Runtime } from './runtime.js';

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;
const defaultSync = { everyEvents: 10_000, everyMs: 10_000 };

/** Everything is judged before anything is written. */
export function newGroup(runtime: Runtime, spec: GroupSpec): GroupConfig {
  const { name, kind, memberCount = 3, standby = 'warm' } = spec;
  const { least, most } = limits.members;
  if (!namePattern.test(name)) {
    throw new UnderstudyError('invalid-config', `name "${name}": 1 to 64 letters, digits, - and _`);
  }
  if (!runtime.options.kinds.has(kind)) {
    const known = [...runtime.options.kinds.keys()].join(', ');
    throw new UnderstudyError(
      'factory-not-found',
      `kind "${kind}" is not here; there are: ${known}`,
    );
  }
  if (!Number.isInteger(memberCount) || memberCount < least || memberCount > most) {
    throw new UnderstudyError('invalid-config', `memberCount ${memberCount}: ${least} to ${most}`);
  }
  const seed = spec.groupSeed === undefined ? randomBytes(32) : parseSeed(spec.groupSeed);
  if (runtime.coordinator.groups.has(name)) {
    throw new UnderstudyError('group-exists', `group ${name} exists already; choose another name`);
  }
  const nodes = placed(runtime, spec, memberCount);
  return {
    name,
    kind,
    groupId: groupIdOf(seed),
    seed: seed.toString('hex'),
    standby,
    sync: {
      everyEvents: spec.sync?.everyEvents ?? defaultSync.everyEvents,
      everyMs: spec.sync?.everyMs ?? defaultSync.everyMs,
    },
    members: nodes.map((node, i) => ({ node, publicKey: memberPublicKey(seed, i) })),
    createdAtMs: Date.now(),
    placement: spec.placement ?? {},
  };
}

function placed({ coordinator }: Runtime, { kind, placement }: GroupSpec, count: number): string[] {
  const all = placeableNodes(coordinator, kind);
  const named = [...(placement?.nodes ?? []), ...Object.keys(placement?.priorities ?? {})];
  const unknown = named.find((id) => !coordinator.membership.nodes.has(id));
  if (unknown !== undefined) {
    throw new UnderstudyError(
      'node-not-found',
      `placement names node ${unknown}, which is not known`,
    );
  }
  const nodes = allowedNodes(all, placement);
  const chosen = place({ nodes, count, taken: [], spread: placement?.spread ?? 'node' });
  if (chosen !== null) return chosen;
  throw new UnderstudyError(
    'placement-failed',
    `${count} members need ${count} different nodes that are up, not cordoned and have kind ${kind}; ` +
      `there are ${nodes.length}. Nothing was created.`,
  );
}
