/** A group to be: its name, its seed and where its members go; and what can be changed of it later. */
import { randomBytes } from 'node:crypto';
import { type GroupState, placeableNodes } from '../../cluster/coordinator.js';
import type { GroupChange, GroupSpec } from '../../cluster/documents.js';
import { allowedNodes, place, withChange } from '../../cluster/placement.js';
import type { GroupConfig, Placement } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { groupIdOf, memberPublicKey, parseSeed } from './identity.js';
import type { Runtime } from './runtime.js';

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;
const defaultSync = { everyEvents: 10_000, everyMs: 10_000 };
const createTimeoutMs = 10_000;
const createPollMs = 50;

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
    priority: spec.priority ?? 0,
  };
}

/**
 * What is absent from `change` stays, and so do the members where they are. Throws `group-not-found`,
 * `node-not-found`, `placement-failed`; nothing is changed then.
 */
export async function changeGroup(
  runtime: Runtime,
  name: string,
  change: GroupChange,
): Promise<void> {
  const { nodes, priorities } = change.placement ?? {};
  assertKnown(runtime, { nodes: nodes ?? [], priorities: priorities ?? {} });
  await runtime.registry.changeGroup(name, (config) => withChange(config, change));
}

/** A misspelt node would never get a member, and nobody would know why. */
function assertKnown({ coordinator }: Runtime, { nodes, priorities }: Placement): void {
  const named = [...(nodes ?? []), ...Object.keys(priorities ?? {})];
  const unknown = named.find((id) => !coordinator.membership.nodes.has(id));
  if (unknown === undefined) return;
  const known = [...coordinator.membership.nodes.keys()].join(', ');
  const detail = `placement names node ${unknown}, which is not known; there are: ${known}`;
  throw new UnderstudyError('node-not-found', detail);
}

function placed(runtime: Runtime, { kind, placement }: GroupSpec, count: number): string[] {
  const all = placeableNodes(runtime.coordinator, kind);
  assertKnown(runtime, placement ?? {});
  const nodes = allowedNodes(all, placement);
  const chosen = place({ nodes, count, taken: [], spread: placement?.spread ?? 'node' });
  if (chosen !== null) return chosen;
  throw new UnderstudyError(
    'placement-failed',
    `${count} members need ${count} different nodes that are up, not cordoned and have kind ${kind}; ` +
      `there are ${nodes.length}. Nothing was created.`,
  );
}

/** Until it has an active, or for so long. */
export async function untilOpen(
  runtime: Runtime,
  name: string,
  isOpen: (group: GroupState) => boolean,
): Promise<void> {
  const deadlineMs = performance.now() + createTimeoutMs;
  while (performance.now() < deadlineMs) {
    const group = runtime.coordinator.groups.get(name);
    if (group !== undefined && isOpen(group)) return;
    await runtime.openingOf(name, createPollMs);
  }
}
