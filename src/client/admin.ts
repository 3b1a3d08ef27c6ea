/** The admin API from a program: typed, and from whichever node answers. */
import type {
  ClusterDocument,
  DoctorDocument,
  GroupChange,
  GroupDetail,
  GroupDocument,
  GroupSpec,
  HistoryEntry,
  NodeDocument,
  OperationDocument,
} from '../../cluster/documents.js';
import type { Plan } from '../../cluster/plan.js';
import {
  type EventPage,
  longestSyncMs,
  type PauseAnswer,
  type PauseRequest,
  type Precondition,
  type QueryRequest,
  type StateRequest,
  type SwitchoverRequest,
  type TokenedRead,
} from '../admin/backend.js';
import { type Numbers, SessionPool } from '../admin/numbering.js';
import {
  type AdminClientOptions,
  type Call,
  defaultTimeoutMs,
  errorFrom,
  NodeList,
} from './node-list.js';
import { tokenHeader } from './token.js';

export { type AdminClientOptions, Unreachable } from './node-list.js';

export type DeliveredResult =
  | { readonly seq: number; readonly result: unknown; readonly duplicate?: true }
  | { readonly code: string; readonly detail: string; readonly duplicate?: true };

export interface Delivered {
  /** One for each event, in order. */
  readonly results: readonly DeliveredResult[];
  /** The highest seq among the answers; `null`: nothing reached the group. */
  readonly seq: number | null;
  readonly epoch: number | null;
  /** True if all of it had been decided by an earlier delivery. */
  readonly duplicate: boolean;
  /** Pass it as `after` to a read that has to see these events; `null`: nothing reached the group. */
  readonly token: string | null;
}

export interface DryRun {
  readonly ok: boolean;
  readonly preconditions: readonly Precondition[];
}

/** How long a node looks for the active of a group before it says `timeout`. */
const defaultDeliverTimeoutMs = 10_000;
/** A node that is alive says `timeout` this long after its time was up. */
const answerMs = 2000;

/**
 * Every method throws `UnderstudyError` with the code of the node's answer, or `Unreachable` if no
 * node gave one. What is safe to repeat is repeated at the next node.
 */
export class AdminClient {
  readonly #nodes: NodeList;
  readonly #pool = new SessionPool();

  constructor(options: AdminClientOptions) {
    this.#nodes = new NodeList(options);
  }

  async cluster(): Promise<ClusterDocument> {
    const cluster = await this.#get<ClusterDocument>('/v1/cluster');
    this.#nodes.learn(cluster.nodes);
    return cluster;
  }

  async nodes(): Promise<readonly NodeDocument[]> {
    const nodes = await this.#get<readonly NodeDocument[]>('/v1/nodes');
    this.#nodes.learn(nodes);
    return nodes;
  }

  /** A check-up of broker, nodes and groups, as the node that answers sees them. */
  doctor(): Promise<DoctorDocument> {
    return this.#get('/v1/doctor');
  }

  node(id: string): Promise<NodeDocument> {
    return this.#get(`/v1/nodes/${encodeURIComponent(id)}`);
  }

  kinds(): Promise<readonly { readonly name: string; readonly version: number }[]> {
    return this.#get('/v1/kinds');
  }

  groups(): Promise<readonly GroupDocument[]> {
    return this.#get('/v1/groups');
  }

  group(name: string): Promise<GroupDetail> {
    return this.#get(groupPath(name));
  }

  createGroup(spec: GroupSpec): Promise<GroupDetail> {
    return this.#post('/v1/groups', spec);
  }

  /** What is absent stays as it is; members stay where they are. */
  changeGroup(name: string, change: GroupChange): Promise<GroupDetail> {
    return this.#nodes.json('PATCH', groupPath(name), {
      repeatable: true,
      body: JSON.stringify(change),
      type: 'application/json',
    });
  }

  async deleteGroup(name: string): Promise<void> {
    await this.#nodes.request('DELETE', groupPath(name), {});
  }

  /** Applied once, however often it has to be sent. Throws `rejected` if the kind refuses it. */
  deliver(
    group: string,
    event: unknown,
    options: { readonly key?: string | undefined; readonly timeoutMs?: number | undefined } = {},
  ): Promise<Delivered> {
    const body = JSON.stringify(options.key === undefined ? event : { key: options.key, event });
    const type = 'application/json';
    return this.#pool.lend(1, (numbers) => this.#events(group, numbers, { body, type }, options));
  }

  /**
   * Lines of NDJSON under numbers of the caller's own: the same lines with the same numbers may be
   * sent again, to any node, and are applied once. Throws if not every line was answered.
   */
  deliverLines(
    group: string,
    lines: string | Uint8Array,
    numbers: Numbers,
    options: { readonly timeoutMs?: number | undefined } = {},
  ): Promise<Delivered> {
    return this.#events(group, numbers, { body: lines, type: 'application/x-ndjson' }, options);
  }

  /** Up to `limit` events (1000 without it) with from <= seq <= to. */
  events(
    group: string,
    range: { from?: number | undefined; to?: number | undefined; limit?: number | undefined } = {},
  ): Promise<EventPage> {
    return this.#get(`${groupPath(group)}/events${queryString(range)}`);
  }

  state(group: string, { after, ...request }: StateRequest = {}): Promise<TokenedRead> {
    const { at, ...others } = request;
    const query = queryString({ at: at ?? undefined, ...others });
    return this.#nodes.json('GET', `${groupPath(group)}/state${query}`, read(request, after));
  }

  query(group: string, { after, ...request }: QueryRequest): Promise<TokenedRead> {
    const body = JSON.stringify(request);
    const call = { ...read(request, after), body, type: 'application/json' };
    return this.#nodes.json('POST', `${groupPath(group)}/query`, call);
  }

  /** Answers when the standbys hold the present state. Throws `timeout` after four minutes at most. */
  sync(group: string): Promise<{ readonly through: number }> {
    const timeoutMs = longestSyncMs + defaultTimeoutMs;
    return this.#post(`${groupPath(group)}/sync`, {}, { repeatable: true, timeoutMs });
  }

  /** Throws `conflict` with `preconditions` in its details if not all of them hold. */
  switchover(
    group: string,
    request: Omit<SwitchoverRequest, 'dryRun'> = {},
  ): Promise<OperationDocument> {
    return this.#post(`${groupPath(group)}/switchover`, request);
  }

  /** What a switchover would be refused for. */
  dryRun(group: string, request: Omit<SwitchoverRequest, 'dryRun'> = {}): Promise<DryRun> {
    const body = { ...request, dryRun: true };
    return this.#post(`${groupPath(group)}/switchover`, body, { repeatable: true });
  }

  failover(
    group: string,
    request: { readonly candidate?: string | undefined } = {},
  ): Promise<OperationDocument> {
    return this.#post(`${groupPath(group)}/failover`, request);
  }

  /** The member forgets what it holds and syncs anew. Throws `conflict` if it is the active. */
  reinit(group: string, index: number): Promise<OperationDocument> {
    return this.#post(`${groupPath(group)}/members/${index}/reinit`, {});
  }

  /** It gets no new members, and is the last choice as a candidate. */
  cordon(node: string): Promise<NodeDocument> {
    return this.#post(`/v1/nodes/${encodeURIComponent(node)}/cordon`, {}, { repeatable: true });
  }

  uncordon(node: string): Promise<NodeDocument> {
    return this.#post(`/v1/nodes/${encodeURIComponent(node)}/uncordon`, {}, { repeatable: true });
  }

  /** Automatic failover off, of one group or (null) of all, until it is resumed or the time is up. */
  pause(group: string | null, request: PauseRequest = {}): Promise<PauseAnswer> {
    const path = group === null ? '/v1' : groupPath(group);
    return this.#post(`${path}/pause`, request, { repeatable: true });
  }

  /** The pause of all groups (null) and a group's own are two: each is lifted by itself. */
  resume(group: string | null): Promise<PauseAnswer> {
    const path = group === null ? '/v1' : groupPath(group);
    return this.#post(`${path}/resume`, {}, { repeatable: true });
  }

  /** The member is placed on `node`, or the best, and begins anew there. Not for the active. */
  replace(
    group: string,
    index: number,
    request: { readonly node?: string | undefined } = {},
  ): Promise<OperationDocument> {
    return this.#post(`${groupPath(group)}/members/${index}/replace`, request);
  }

  /** Its actives are switched over and its members placed elsewhere; it gets no others until it restarts. */
  drain(node: string): Promise<OperationDocument> {
    return this.#post(`/v1/nodes/${encodeURIComponent(node)}/drain`, {});
  }

  rebalance(): Promise<OperationDocument> {
    return this.#post('/v1/rebalance', {});
  }

  /** What `rebalance` would do now. */
  planRebalance(): Promise<Plan> {
    return this.#post('/v1/rebalance', { dryRun: true }, { repeatable: true });
  }

  /**
   * Ends the process of the node, or (null) of all, one after the other, for its supervisor to start it
   * anew. Throws `conflict` with `preconditions` in its details if not all of them hold.
   */
  restart(node: string | null): Promise<OperationDocument> {
    const path = node === null ? '/v1' : `/v1/nodes/${encodeURIComponent(node)}`;
    return this.#post(`${path}/restart`, {});
  }

  /** Goes on from where the log ends, without what it has lost. Throws `conflict` if it ends elsewhere. */
  acceptLoss(group: string, through: number): Promise<GroupDetail> {
    return this.#post(`${groupPath(group)}/accept-loss`, { through });
  }

  history(group: string): Promise<readonly HistoryEntry[]> {
    return this.#get(`${groupPath(group)}/history`);
  }

  operations(): Promise<readonly OperationDocument[]> {
    return this.#get('/v1/operations');
  }

  /** Answers when the operation ends, or after `waitMs`, 30000 at most. */
  operation(id: string, waitMs = 0): Promise<OperationDocument> {
    const path = `/v1/operations/${encodeURIComponent(id)}${queryString({ waitMs })}`;
    return this.#nodes.json('GET', path, {
      repeatable: true,
      timeoutMs: waitMs + defaultTimeoutMs,
    });
  }

  /** It ends at the next step that may be left. Throws `conflict` if it is over already. */
  cancelOperation(id: string): Promise<OperationDocument> {
    const path = `/v1/operations/${encodeURIComponent(id)}`;
    return this.#nodes.json('DELETE', path, { repeatable: true });
  }

  #get<Answer>(path: string): Promise<Answer> {
    return this.#nodes.json('GET', path, { repeatable: true });
  }

  #post<Answer>(path: string, body: unknown, more: Call = {}): Promise<Answer> {
    const type = 'application/json';
    return this.#nodes.json('POST', path, { ...more, body: JSON.stringify(body), type });
  }

  async #events(
    group: string,
    { session, first, floor }: Numbers,
    call: Call,
    { timeoutMs = defaultDeliverTimeoutMs }: { readonly timeoutMs?: number | undefined },
  ): Promise<Delivered> {
    const path = `${groupPath(group)}/events${queryString({ timeoutMs })}`;
    const headers = { 'understudy-session': `${session};${first};${floor}` };
    const sent = { ...call, headers, repeatable: true, timeoutMs: timeoutMs + answerMs };
    const { problem, ...delivered } = await this.#nodes.json<Delivered & { problem?: unknown }>(
      'POST',
      path,
      sent,
    );
    if (problem !== undefined) throw errorFrom(problem, 200);
    return delivered;
  }
}

/** Throws `bad-request` for a URL that is none. */
export function createAdminClient(options: AdminClientOptions): AdminClient {
  return new AdminClient(options);
}

/** Reads change nothing, so any node may be asked again. */
function read({ timeoutMs }: { timeoutMs?: number | undefined }, after: string | undefined): Call {
  const headers = after === undefined ? {} : { [tokenHeader]: after };
  const patience = timeoutMs === undefined ? {} : { timeoutMs: timeoutMs + answerMs };
  return { headers, repeatable: true, ...patience };
}

function groupPath(name: string): string {
  return `/v1/groups/${encodeURIComponent(name)}`;
}

function queryString(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(
    given.map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
  return text === '' ? '' : `?${text}`;
}
