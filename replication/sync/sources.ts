/**
 * Whom chunks are asked of: the ledger of one sync, and so of one generation. A new sync starts clean.
 *
 * L1 Who is slow or fails is left alone for a while, and after some strikes in a row for good. Whatever
 *    was asked in the same bad spell is one strike, however much of it fails. The store is waited for,
 *    however long its servers elect: without it there is mostly nobody.
 * L2 Not to have a chunk is no fault.
 * L3 A node is one peer, however often it is named, and stays what it is when it goes and comes back.
 * L4 Who is quicker is asked more. Bytes from a peer pass two connections and a disk more than the store's, and
 *    may cost a node that is busy serving: only where the store is the bottleneck do they come sooner.
 */
import type { Source } from '../effects.js';
import { limits } from '../limits.js';

const strikesToExclude = 3;
const firstCooldownMs = 1000;
const longestCooldownMs = 15_000;
const storeCooldownMs = 2000;

/** So many times as soon as the store a peer must be able to answer to be asked (L4). */
const peerCost = 2;

export const cacheBit = 1;
export const storeBit = 2;

/** What this sync knows of one source. */
export interface Account {
  readonly source: Source;
  /** For people. */
  readonly name: string;
  /** Stands for it in sets of sources. */
  readonly bit: number;
  inFlight: number;
  asked: number;
  /** Verified bytes that it gave. */
  sizeBytes: number;
  /** How long it takes for a chunk when it has nothing else to do for us; null: not known yet. */
  turnMs: number | null;
  /** In a row. */
  strikes: number;
  struckAtMs: number;
  /** How long the next cooldown takes. */
  cooldownMs: number;
  coolUntilMs: number;
  /** Why it is not asked any more; null: it is. */
  excluded: string | null;
  isGone: boolean;
  readonly said: { none: number; wrong: number; failed: number; late: number };
}

export interface Ledger {
  readonly cache: Account;
  readonly store: Account;
  /** By node, those that are gone included. */
  readonly peers: Map<string, Account>;
}

export function newLedger(peers: readonly string[]): Ledger {
  const ledger: Ledger = {
    cache: newAccount({ kind: 'cache' }, 'the cache', cacheBit),
    store: newAccount({ kind: 'store' }, 'the store', storeBit),
    peers: new Map(),
  };
  tellPeers(ledger, peers);
  return ledger;
}

function newAccount(source: Source, name: string, bit: number): Account {
  return {
    source,
    name,
    bit,
    inFlight: 0,
    asked: 0,
    sizeBytes: 0,
    turnMs: null,
    strikes: 0,
    struckAtMs: Number.NEGATIVE_INFINITY,
    cooldownMs: firstCooldownMs,
    coolUntilMs: Number.NEGATIVE_INFINITY,
    excluded: null,
    isGone: false,
    said: { none: 0, wrong: 0, failed: 0, late: 0 },
  };
}

/** These are the peers from now on (L3). Returns those that are gone. */
export function tellPeers({ peers }: Ledger, nodes: readonly string[]): Account[] {
  const told = new Set(nodes);
  const gone: Account[] = [];
  for (const [node, account] of peers) {
    account.isGone = !told.has(node);
    if (account.isGone) gone.push(account);
  }
  for (const node of told) {
    if (peers.has(node) || peers.size >= limits.syncPeers) continue;
    const bit = storeBit << (peers.size + 1);
    peers.set(node, newAccount({ kind: 'peer', node }, `peer ${node}`, bit));
  }
  return gone;
}

export function accountsOf({ cache, store, peers }: Ledger): Account[] {
  return [cache, ...peers.values(), store];
}

function isAlive({ isGone, excluded }: Account): boolean {
  return !isGone && excluded === null;
}

/** The sources that may be asked, now or later. */
export function aliveBits(ledger: Ledger): number {
  return bitsOf(accountsOf(ledger).filter(isAlive));
}

/** Those that would take another request now. `width`: how many requests the network is given. */
export function freeBits(ledger: Ledger, nowMs: number, width: number): number {
  const accounts = accountsOf(ledger);
  const onNetwork = networkInFlight(accounts);
  const free = accounts.filter((account) => {
    if (!isAlive(account) || nowMs < account.coolUntilMs) return false;
    if (isNetwork(account) && onNetwork >= width) return false;
    return account.inFlight < capacityOf(account, width);
  });
  return bitsOf(free);
}

/** Looking on one's own disk tells nothing of the network, and does not burden it. */
export function isNetwork({ bit }: Account): boolean {
  return bit !== cacheBit;
}

function networkInFlight(accounts: readonly Account[]): number {
  return accounts
    .filter(isNetwork)
    .map(({ inFlight }) => inFlight)
    .reduce((sum, inFlight) => sum + inFlight, 0);
}

function bitsOf(accounts: readonly Account[]): number {
  return accounts.map(({ bit }) => bit).reduce((bits, bit) => bits | bit, 0);
}

function capacityOf({ source }: Account, width: number): number {
  switch (source.kind) {
    case 'cache':
      return limits.syncCacheRequests;
    case 'peer':
      return limits.syncPeerRequests;
    case 'store':
      return width;
    default:
      throw source satisfies never;
  }
}

/** The one of these that will have answered first; of equals the one with the most room. Null: there is none. */
export function soonest(ledger: Ledger, bits: number, width: number): Account | null {
  let best: Account | null = null;
  for (const account of accountsOf(ledger)) {
    if ((account.bit & bits) === 0) continue;
    if (best === null || compare(account, best, width) < 0) best = account;
  }
  return best;
}

function compare(a: Account, b: Account, width: number): number {
  const waitMs = ({ turnMs, inFlight, source }: Account) =>
    (turnMs ?? 0) * (inFlight + 1) * (source.kind === 'peer' ? peerCost : 1);
  const load = (account: Account) => account.inFlight / capacityOf(account, width);
  return waitMs(a) - waitMs(b) || load(a) - load(b) || a.asked - b.asked;
}

/** It gave a chunk that is right. */
export function onUseful(account: Account, sizeBytes: number, turnMs: number): void {
  account.sizeBytes += sizeBytes;
  noteTurn(account, turnMs);
  account.strikes = 0;
  account.coolUntilMs = Number.NEGATIVE_INFINITY;
  // By half only: who fails every other time is not to be asked every second.
  account.cooldownMs = Math.max(firstCooldownMs, account.cooldownMs / 2);
}

/** So long it took for a chunk, or was waited for in vain. */
export function noteTurn(account: Account, turnMs: number): void {
  account.turnMs = account.turnMs === null ? turnMs : (3 * account.turnMs + turnMs) / 4;
}

/** L1. Returns whether this was one too many. */
export function strike(account: Account, sentAtMs: number, nowMs: number): boolean {
  if (account.excluded !== null || sentAtMs <= account.struckAtMs) return false;
  account.struckAtMs = nowMs;
  account.strikes += 1;
  account.coolUntilMs = nowMs + account.cooldownMs;
  const isStore = account.bit === storeBit;
  const mostMs = isStore ? storeCooldownMs : longestCooldownMs;
  account.cooldownMs = Math.min(mostMs, account.cooldownMs * 2);
  if (isStore || account.strikes < strikesToExclude) return false;
  const { late, failed } = account.said;
  account.excluded = `too late ${late} times, failed ${failed} times`;
  return true;
}

/** When the next of those that are left alone may be asked again. */
export function nextCoolMs(ledger: Ledger, nowMs: number): number {
  const ends = accountsOf(ledger)
    .filter((account) => isAlive(account) && nowMs < account.coolUntilMs)
    .map(({ coolUntilMs }) => coolUntilMs);
  return Math.min(Number.POSITIVE_INFINITY, ...ends);
}

/** What became of asking it, for people. */
export function storyOf({ name, asked, excluded, isGone, said, sizeBytes }: Account): string {
  if (excluded !== null) return `${name} is left out: ${excluded}`;
  if (isGone) return `${name} is gone`;
  if (asked === 0) return `${name} was not asked`;
  const { none, wrong, failed, late } = said;
  const parts = [
    `gave ${sizeBytes} bytes`,
    ...(none > 0 ? [`did not have it ${none} times`] : []),
    ...(wrong > 0 ? [`gave other bytes ${wrong} times`] : []),
    ...(failed > 0 ? [`failed ${failed} times`] : []),
    ...(late > 0 ? [`was too late ${late} times`] : []),
  ];
  return `${name} ${parts.join(', ')}`;
}
