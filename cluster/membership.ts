/**
 * Who is there (P9): beats, probes and the broker's hints, folded into up, suspect or down.
 *
 * D1 Nothing here grants the right to write; a wrong verdict costs a failover, never an event.
 * D2 A node that has lost the broker judges nobody until a grace has passed; one that was frozen
 *    itself takes nobody's silence of that time for a sign, and one that starts nobody's of the time
 *    before it listened.
 * D3 A later incarnation of a node ends the earlier one at once.
 * D4 A node hears if its own beats come back to it. While it does not, it may be cut off without knowing
 *    it yet, and judges nobody by silence until a grace after it hears again. What the broker itself says
 *    of others counts meanwhile: who is told that hears.
 */
import type { ClusterTimings, NodeInfo } from './types.js';

export type DownCause = 'disconnect' | 'no-responders' | 'silence' | 'restarted';

export interface NodeView {
  info: NodeInfo;
  state: 'up' | 'suspect' | 'down';
  lastHeardMs: number;
  /** The first sign that something is wrong; null while it is up. */
  firstSignMs: number | null;
  firstSign: DownCause | null;
  cause: DownCause | null;
  downSinceMs: number | null;
  probing: boolean;
}

export interface Membership {
  readonly self: string;
  readonly timings: ClusterTimings;
  readonly nodes: Map<string, NodeView>;
  connected: boolean;
  /** Since when the others could be heard without a break. */
  listeningSinceMs: number;
  /** Until then nobody is judged (D2). */
  graceUntilMs: number;
  /** When a beat of our own last came back. */
  echoedAtMs: number;
  /** Until then nobody is judged by silence (D4). */
  deafUntilMs: number;
  lastTickMs: number;
  /** How many lives of nodes have been seen to end: who waits for that need not look again and again. */
  endings: number;
}

export type ProbeResult = 'alive' | 'gone' | 'silent';

/** The driver ticks at least this often; a longer gap means that this process itself stood still. */
export const tickEveryMs = 50;
const frozenAfterMs = 400;

export function newMembership(self: string, timings: ClusterTimings, nowMs: number): Membership {
  return {
    self,
    timings,
    nodes: new Map(),
    connected: true,
    listeningSinceMs: nowMs,
    graceUntilMs: nowMs,
    echoedAtMs: nowMs,
    deafUntilMs: nowMs,
    lastTickMs: Number.NEGATIVE_INFINITY,
    endings: 0,
  };
}

/** A node was heard of. Returns true if this is the first word of this life of it. */
export function heard(membership: Membership, info: NodeInfo, nowMs: number): boolean {
  const known = membership.nodes.get(info.id);
  if (known !== undefined && info.incarnation < known.info.incarnation) return false;
  const isNew = known === undefined || info.incarnation > known.info.incarnation;
  if (isNew && known !== undefined && known.state !== 'down') membership.endings += 1;
  membership.nodes.set(info.id, {
    info,
    state: 'up',
    lastHeardMs: nowMs,
    firstSignMs: null,
    firstSign: null,
    cause: null,
    downSinceMs: null,
    probing: isNew ? false : (known?.probing ?? false),
  });
  return isNew;
}

/** A beat of our own came back. */
export function echoed(membership: Membership, nowMs: number): void {
  if (!isEchoFresh(membership, nowMs)) {
    // The beats of the others were missed as well.
    membership.deafUntilMs = nowMs + membership.timings.graceMs;
    forgiveSilence(membership, nowMs);
  }
  membership.echoedAtMs = nowMs;
}

/** The broker says a node's connection is gone. Returns true if the node should be probed now. */
export function disconnected(
  membership: Membership,
  node: string,
  incarnation: string,
  nowMs: number,
): boolean {
  const view = membership.nodes.get(node);
  if (view === undefined || view.info.incarnation !== incarnation) return false;
  if (!judges(membership, nowMs) || view.state === 'down') return false;
  suspect(view, 'disconnect', nowMs);
  view.probing = true;
  return true;
}

export function probed(
  membership: Membership,
  node: string,
  incarnation: string,
  result: ProbeResult,
  nowMs: number,
): void {
  const view = membership.nodes.get(node);
  if (view === undefined || view.info.incarnation !== incarnation) return;
  view.probing = false;
  if (result === 'alive') heard(membership, view.info, nowMs);
  if (result !== 'gone' || !judges(membership, nowMs) || view.state === 'down') return;
  suspect(view, 'no-responders', nowMs);
  bringDown(
    membership,
    view,
    view.firstSign === 'disconnect' ? 'disconnect' : 'no-responders',
    nowMs,
  );
}

/** Passes judgement on silence. Returns the nodes to probe. */
export function tickMembership(membership: Membership, nowMs: number): string[] {
  const gapMs = nowMs - membership.lastTickMs;
  membership.lastTickMs = nowMs;
  if (gapMs > frozenAfterMs) forgiveSilence(membership, nowMs);
  if (!judges(membership, nowMs)) return [];
  const { suspectAfterMs, hangTimeoutMs } = membership.timings;
  const hears = judgesSilence(membership, nowMs);
  const toProbe: string[] = [];
  for (const [id, view] of membership.nodes) {
    if (id === membership.self || view.state === 'down') continue;
    const silentMs = nowMs - view.lastHeardMs;
    if (silentMs < suspectAfterMs) continue;
    suspect(view, 'silence', view.lastHeardMs);
    if (hears && silentMs >= hangTimeoutMs) bringDown(membership, view, 'silence', nowMs);
    else if (!view.probing) {
      view.probing = true;
      toProbe.push(id);
    }
  }
  return toProbe;
}

export function brokerLost(membership: Membership): void {
  membership.connected = false;
}

export function brokerBack(membership: Membership, nowMs: number): void {
  membership.connected = true;
  startGrace(membership, nowMs);
}

/** D2 */
export function judges(membership: Membership, nowMs: number): boolean {
  return membership.connected && nowMs >= membership.graceUntilMs;
}

/** D4 */
export function judgesSilence(membership: Membership, nowMs: number): boolean {
  const hears = isEchoFresh(membership, nowMs) && nowMs >= membership.deafUntilMs;
  return hears && judges(membership, nowMs);
}

/** One must know of oneself first: whoever is cut off hears neither itself nor the others from then on. */
function isEchoFresh({ echoedAtMs, timings }: Membership, nowMs: number): boolean {
  const { suspectAfterMs, hangTimeoutMs } = timings;
  return nowMs - echoedAtMs <= Math.min(suspectAfterMs, hangTimeoutMs / 2);
}

/** From when on a node that was never heard of is as silent as one that hangs (D2). */
export function unheardSinceMs({ listeningSinceMs, graceUntilMs, timings }: Membership): number {
  const silenceMs = Math.max(timings.graceMs, timings.hangTimeoutMs);
  return Math.max(listeningSinceMs + silenceMs, graceUntilMs);
}

/** How long a node has been gone. */
export function downForMs(membership: Membership, node: string, nowMs: number): number {
  const view = membership.nodes.get(node);
  if (view === undefined) return Math.max(0, nowMs - unheardSinceMs(membership));
  return view.downSinceMs === null ? 0 : nowMs - view.downSinceMs;
}

function startGrace(membership: Membership, nowMs: number): void {
  membership.graceUntilMs = nowMs + membership.timings.graceMs;
  forgiveSilence(membership, nowMs);
}

/** Nobody was silent while we could not listen, nor were we. What a probe finds from now on counts all the same. */
function forgiveSilence(membership: Membership, nowMs: number): void {
  membership.listeningSinceMs = nowMs;
  membership.echoedAtMs = nowMs;
  for (const view of membership.nodes.values()) {
    view.lastHeardMs = nowMs;
    if (view.state === 'suspect') {
      view.state = 'up';
      view.firstSignMs = null;
      view.firstSign = null;
    }
  }
}

function suspect(view: NodeView, sign: DownCause, sinceMs: number): void {
  if (view.state === 'up') view.state = 'suspect';
  if (view.firstSignMs !== null) return;
  view.firstSignMs = sinceMs;
  view.firstSign = sign;
}

function bringDown(membership: Membership, view: NodeView, cause: DownCause, nowMs: number): void {
  membership.endings += 1;
  view.state = 'down';
  view.cause = cause;
  view.downSinceMs = nowMs;
}
