/** Documents as an operator reads them. */
import type {
  AlarmDocument,
  ClusterDocument,
  DoctorDocument,
  GroupDetail,
  GroupDocument,
  HistoryEntry,
  LossDocument,
  MemberDocument,
  NodeDocument,
  OperationDocument,
  PauseDocument,
} from '../../cluster/documents.js';
import type { Plan } from '../../cluster/plan.js';
import { percentOf, sizeText } from '../../cluster/sizes.js';
import type { Precondition } from '../admin/backend.js';
import { table } from './table.js';

export function clusterWords(cluster: ClusterDocument): string {
  const { namespace, version, broker } = cluster;
  const { total, healthy, degraded, dead } = cluster.groups;
  const link = broker.connected ? 'connected' : 'NOT CONNECTED';
  const server = `${broker.server ?? 'no server'} ${broker.version ?? ''}`.trimEnd();
  return (
    `cluster ${namespace}, version ${version}\n` +
    `broker  ${link}: ${broker.url ?? '-'} (${server})\n` +
    `groups  ${total}: ${healthy} healthy, ${degraded} degraded, ${dead} dead\n` +
    (cluster.pause === null ? '' : `PAUSED  ${pauseWords(cluster.pause)}\n`)
  );
}

export function doctorWords({ node, at, findings }: DoctorDocument): string {
  const rows = findings.map(({ level, code, about, seen }) => [level, code, about, seen]);
  const bad = findings.filter(({ level }) => level !== 'ok');
  const steps = bad.map(({ level, code, about, expected, advice }) => {
    const what = about === null ? code : `${code} ${about}`;
    return `${level}  ${what}: expected ${expected ?? 'nothing'}. ${advice ?? ''}\n`;
  });
  const count = (wanted: string) => findings.filter(({ level }) => level === wanted).length;
  const total = `${count('fail')} failed, ${count('warn')} to look at, ${count('ok')} ok`;
  const found = table(['LEVEL', 'CODE', 'ABOUT', 'SEEN'], rows);
  return `${found}\n${steps.join('')}as ${node} saw it at ${at}: ${total}\n`;
}

export function nodesWords(nodes: readonly NodeDocument[]): string {
  return table(
    ['NODE', 'STATE', 'ACTIVE', 'STANDBY', 'ZONE', 'PID', 'ADMIN URL'],
    nodes.map((node) => [
      node.id,
      node.cordoned ? `${node.state}, cordoned` : node.state,
      node.members.active,
      node.members.standby,
      node.zone,
      node.pid,
      node.adminUrl,
    ]),
  );
}

export function groupsWords(groups: readonly GroupDocument[]): string {
  return table(
    ['GROUP', 'KIND', 'HEALTH', 'MEMBERS', 'EPOCH', 'ACTIVE', 'SEQ', 'LAG', 'NOTES'],
    groups.map((group) => [
      group.name,
      group.kind,
      group.health.status,
      `${group.health.healthy}/${group.health.total}`,
      group.epoch,
      group.activeNode,
      group.seq,
      group.bufferedEventCount,
      notesOn(group),
    ]),
  );
}

function notesOn(group: GroupDocument): string {
  const notes = [];
  const { pause, vacancy } = group;
  if (group.activeNode === null) {
    notes.push(
      vacancy === null ? 'no active' : `no active since ${vacancy.since} (${vacancy.cause})`,
    );
  }
  if (group.activeNode !== null && !group.activeHealthy) notes.push('active is not healthy');
  if (!group.reprotected) notes.push('not reprotected');
  if (pause !== null) notes.push(pauseWords(pause));
  if (group.lost !== null) notes.push(lossWords(group.lost));
  else if (group.quarantined) notes.push('quarantined');
  return notes.join(', ');
}

function lossWords({ fromSeq, toSeq, endsAt, heldBy }: LossDocument): string {
  const [first] = heldBy;
  const held =
    first === undefined
      ? 'no member holds more than the log'
      : `member ${first.index} on ${first.nodeId} holds the state at seq ${first.syncedThrough}`;
  return `LOG LOST seqs ${fromSeq} to ${toSeq}, it ends at ${endsAt.seq}; ${held}`;
}

export function pauseWords({ scope, by, until, reason }: PauseDocument): string {
  const what = scope === 'all' ? 'all paused' : 'paused';
  return `${what} by ${by} until ${until}${reason === null ? '' : `: ${reason}`}`;
}

const memberHeadings = [
  'INDEX',
  'NODE',
  'ROLE',
  'STATE',
  'HEALTHY',
  'SYNCED THROUGH',
  'LAG',
  'LAST SYNC',
  'DIVERGED',
  'ERROR',
];

export function groupWords(group: GroupDetail): string {
  const members = table(
    memberHeadings,
    group.members.map((member) => [
      member.index,
      member.nodeId,
      member.role,
      stateWords(member),
      member.healthy ? 'yes' : 'no',
      member.syncedThrough,
      member.lag,
      member.lastSync,
      member.diverged,
      member.error,
    ]),
  );
  const { everyEvents, everyMs } = group.sync;
  const origin = `origin  ${group.origin}, ${group.standby} standbys`;
  const sync = `sync every ${everyEvents} events or ${everyMs} ms`;
  const more = `${placementWords(group)}${acceptedWords(group)}`;
  const facts = `${origin}, ${sync}, created ${group.createdAt}\n${more}`;
  return `${groupsWords([group])}\n${members}\n${facts}${alarmsWords(group.alarms)}`;
}

function acceptedWords({ losses }: GroupDocument): string {
  return losses
    .map(
      ({ through, lostSeq, by, at }) =>
        `lost    seqs ${through + 1} to ${lostSeq}, accepted by ${by} at ${at}\n`,
    )
    .join('');
}

function placementWords({ placement, priority }: GroupDocument): string {
  const { nodes, spread, priorities } = placement;
  const words: string[] = [];
  if (nodes !== undefined) words.push(`only on ${nodes.join(', ')}`);
  if (spread === 'zone') words.push('zones before loads');
  const given = Object.entries(priorities ?? {}).map(([node, priority]) => `${node}=${priority}`);
  if (given.length > 0) words.push(`priorities ${given.join(', ')}`);
  if (priority !== 0) words.push(`priority of the group ${priority}`);
  return words.length === 0 ? '' : `placed  ${words.join('; ')}\n`;
}

function stateWords({ state, sync }: MemberDocument): string {
  if (sync === null) return state;
  return `${state}, syncing ${percentOf(sync)}% at ${sizeText(sync.bytesPerSecond)}/s`;
}

function alarmsWords(alarms: readonly AlarmDocument[]): string {
  if (alarms.length === 0) return '';
  const rows = alarms.map(({ at, index, nodeId, code, detail }) => [
    at,
    index,
    nodeId,
    code,
    detail,
  ]);
  return `\n${table(['ALARM AT', 'INDEX', 'NODE', 'CODE', 'DETAIL'], rows)}`;
}

export function historyWords(entries: readonly HistoryEntry[]): string {
  return table(
    [
      'EPOCH',
      'STARTED',
      'CAUSE',
      'NODE',
      'INDEX',
      'FROM SEQ',
      'REPLAYED',
      'UNAVAILABLE MS',
      'PHASES MS',
    ],
    entries.map((entry) => [
      entry.epoch,
      entry.startedAt,
      entry.cause,
      entry.node,
      entry.index,
      entry.fromSeq,
      entry.replayed,
      entry.unavailableMs,
      phasesOf(entry),
    ]),
  );
}

function phasesOf({ phases }: HistoryEntry): string {
  if (phases === null) return '';
  const { detectMs, decideMs, claimMs, replayMs, openMs } = phases;
  const promotion = `claim ${claimMs}, replay ${replayMs}, open ${openMs}`;
  return `detect ${detectMs}, decide ${decideMs}, ${promotion}`;
}

export function operationsWords(operations: readonly OperationDocument[]): string {
  return table(
    ['OPERATION', 'KIND', 'TARGET', 'STATE', 'STEP', 'ATTEMPTS', 'BY', 'UPDATED', 'LAST ERROR'],
    operations.map((operation) => [
      operation.id,
      operation.kind,
      operation.target,
      operation.state,
      operation.step,
      operation.attempts,
      operation.by,
      operation.updatedAt,
      operation.lastError ? `${operation.lastError.code}: ${operation.lastError.detail}` : null,
    ]),
  );
}

export function operationWords(operation: OperationDocument): string {
  const steps = table(
    ['STEP', 'AT', 'DETAIL'],
    operation.steps.map(({ name, at, detail }) => [name, at, detail ?? null]),
  );
  return `${operationsWords([operation])}\n${steps}`;
}

export function preconditionsWords(preconditions: readonly Precondition[]): string {
  return table(
    ['PRECONDITION', 'HOLDS', 'DETAIL'],
    preconditions.map(({ name, ok, detail }) => [name, ok ? 'yes' : 'NO', detail]),
  );
}

/** Nothing to move and nothing that stays is an empty table of moves. */
export function planWords({ moves, stays }: Plan): string {
  const rows = moves.map(({ kind, group, index, from, to, why }) => [
    kind,
    group,
    index,
    from,
    to,
    why,
  ]);
  const left = stays.map(({ group, index, node, why }) => [group, index, node, why]);
  const staying = left.length === 0 ? '' : `\n${table(['STAYS', 'INDEX', 'NODE', 'WHY'], left)}`;
  return `${table(['MOVE', 'GROUP', 'INDEX', 'FROM', 'TO', 'WHY'], rows)}${staying}`;
}
