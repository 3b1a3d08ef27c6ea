/** What operators ask for in the simulation: one request for each kind of operation. */
import type { GroupDocument } from '../../../cluster/documents.js';
import { requestFailover } from '../../../cluster/operations/failover.js';
import { requestDrain, requestRebalance } from '../../../cluster/operations/moves.js';
import type { OperationRequest } from '../../../cluster/operations/operation.js';
import { requestReinit } from '../../../cluster/operations/reinit.js';
import { requestReplace } from '../../../cluster/operations/replace.js';
import { requestRestart, restartable } from '../../../cluster/operations/restart.js';
import { preflight, requestSwitchover } from '../../../cluster/operations/switchover.js';
import { requestSync } from '../../../cluster/operations/sync.js';
import { UnderstudyError } from '../../../replication/errors.js';
import type { Random } from '../../support/scheduler.js';
import type { Host } from '../host.js';
import { seenBy } from './seeing.js';

export interface Asking {
  readonly host: Host;
  readonly group: GroupDocument;
  readonly nodes: readonly string[];
  readonly random: Random;
  /** By how much a request may be for later. */
  readonly laterMs: number;
}

/** Throws what a node throws that refuses it. */
type Asker = (asking: Asking) => OperationRequest;

const by = 'operator';

/** By kind. One that is not here is asked for by nobody, and only begun by other operations. */
export const askers: Readonly<Record<string, Asker>> = {
  switchover({ host, group, random, laterMs }) {
    const candidate = random.chance(0.5) ? pick(random, group.members).nodeId : undefined;
    const leader = random.chance(0.2) ? pick(random, group.members).nodeId : undefined;
    const dueAtMs =
      laterMs > 0 && random.chance(0.2) ? host.clock.now().wallMs + random.next() * laterMs : null;
    const failed = preflight(group, seenBy(host, group), { candidate, leader });
    if (dueAtMs === null && failed.some(({ ok }) => !ok)) {
      throw new UnderstudyError('conflict', 'a precondition is not met');
    }
    const timeoutMs = random.chance(0.5) ? 800 : undefined;
    return requestSwitchover(group, { candidate, leader, timeoutMs }, dueAtMs, by);
  },
  failover({ host, group, random }) {
    const candidate = random.chance(0.4) ? pick(random, group.members).nodeId : undefined;
    return requestFailover(group, seenBy(host, group), { candidate }, by);
  },
  reinit: ({ group, random }) => requestReinit(group, random.below(group.memberCount), by),
  replace({ host, group, nodes, random }) {
    const node = random.chance(0.5) ? pick(random, nodes) : null;
    const index = random.below(group.memberCount);
    return requestReplace(seenBy(host, group), { index, node }, by);
  },
  drain: ({ nodes, random }) => requestDrain(pick(random, nodes), by),
  rebalance: () => requestRebalance(by),
  sync: ({ group }) => requestSync(group, by),
  restart({ host, nodes, random }) {
    if (random.chance(0.6)) return requestRestart({ node: pick(random, nodes) }, by);
    const all = restartable(seenBy(host, null).nodes);
    return requestRestart({ all, driver: host.name }, by);
  },
};

function pick<One>(random: Random, all: readonly One[]): One {
  return all[random.below(all.length)] as One;
}
