/** The documents of a cluster that there is not. */
import type {
  GroupDocument,
  GroupSpec,
  MemberSync,
  NodeDocument,
  OperationDocument,
} from '../../cluster/documents.js';

export const time = '2026-01-02T03:04:05.678Z';

export function nodeDocument(id: string, adminUrl: string | null): NodeDocument {
  const members = { active: 1, standby: 0 };
  return {
    id,
    incarnation: 'i1',
    state: 'up',
    cordoned: false,
    zone: null,
    adminUrl,
    pid: 7,
    supervised: true,
    members,
  };
}

export function groupDocument(
  { spec, events }: { readonly spec: GroupSpec; readonly events: readonly unknown[] },
  sync: MemberSync | null,
): GroupDocument {
  return {
    name: spec.name,
    kind: spec.kind,
    groupId: 'ab'.repeat(16),
    origin: `test.deliver.${spec.name}`,
    epoch: 1,
    health: { status: 'healthy', healthy: 1, total: 1 },
    activeIndex: 0,
    activeNode: 'n1',
    activeHealthy: true,
    memberCount: 1,
    standbyCount: 0,
    members: [
      {
        index: 0,
        nodeId: 'n1',
        publicKey: 'k1',
        role: 'active',
        healthy: true,
        syncedThrough: events.length,
        lastSync: time,
        state: 'active',
        lag: 0,
        diverged: 0,
        sync,
        error: null,
      },
    ],
    seq: events.length,
    bufferedEventCount: 0,
    reprotected: true,
    paused: false,
    pause: null,
    vacancy: null,
    placement: spec.placement ?? {},
    priority: spec.priority ?? 0,
    quarantined: false,
    lost: null,
    losses: [],
    standby: spec.standby ?? 'warm',
    sync: { everyEvents: 1000, everyMs: 1000 },
    createdAt: time,
  };
}

/** One that has just begun. */
export function operationDocument(
  of: Pick<OperationDocument, 'id' | 'kind' | 'target'>,
): OperationDocument {
  return {
    ...of,
    state: 'running',
    step: 'begin',
    attempts: 1,
    retries: 0,
    wakeAt: null,
    driver: 'n1',
    lastError: null,
    createdAt: time,
    updatedAt: time,
    by: 'local',
    steps: [{ name: 'begin', at: time }],
  };
}
