/** A hot group in one log: an active, those who follow it, and what they tell it. */
import type { MemberConfig } from '../../../replication/effects.js';
import { seq } from '../../../replication/ids.js';
import type { Replica } from '../../../replication/replica.js';
import type { ChunkUse } from '../../../replication/snapshot/packing.js';
import { activeRig, add, batchOf, type ListState, Rig, Store, settleAll } from './support.js';

export function followerRig(store: Store, index = 1, rest: Partial<MemberConfig> = {}): Rig {
  return new Rig(store, index, { standby: 'hot', ...rest }).feed({ kind: 'start' }).settle();
}

export function replicaOf({ member }: Rig): Replica {
  const { role, replica } = member;
  const held = role.state === 'active' ? role.active.replica : replica;
  if (held === null) throw new Error(`a member that is ${role.state} holds nothing`);
  return held;
}

/** The chunks of leaves in the newest snapshot that it cut or was restored from. */
export function leafChunksOf(rig: Rig): string[] {
  const uses = replicaOf(rig).base?.uses ?? new Map<string, ChunkUse>();
  return [...uses].filter(([, { work }]) => work === 'ranges').map(([key]) => key);
}

/** Something in its memory changes behind its back. */
export function tamper(rig: Rig, item: unknown = 'tampered'): void {
  (replicaOf(rig).state as ListState).items[0] = item;
}

export class HotGroup {
  readonly store = new Store();
  readonly active: Rig;
  readonly followers: Rig[];
  /** What becomes of an attestation on its way to the active. */
  post: (bytes: Uint8Array, index: number) => readonly Uint8Array[] = (bytes) => [bytes];
  #first = 1;
  readonly #posted = new Map<Rig, number>();

  constructor(size = 3, rest: Partial<MemberConfig> = {}) {
    const config = { standby: 'hot', ...rest } as const;
    this.active = activeRig(config, this.store);
    const indexes = Array.from({ length: size - 1 }, (_, i) => i + 1);
    this.followers = indexes.map((index) => followerRig(this.store, index, config));
    this.settle();
    this.active.feed({ kind: 'followers', indexes });
  }

  follower(index: number): Rig {
    return this.followers[index - 1] as Rig;
  }

  /** Everybody goes on until nothing is left to do without time going on. */
  settle(): this {
    do settleAll(this.active, ...this.followers);
    while (this.#deliverPost());
    return this;
  }

  #deliverPost(): boolean {
    let isAny = false;
    for (const rig of this.followers) {
      const told = rig.told.flatMap((effect) => (effect.kind === 'attest' ? [effect] : []));
      const posted = this.#posted.get(rig) ?? 0;
      this.#posted.set(rig, told.length);
      for (const { bytes } of told.slice(posted)) {
        for (const each of this.post(bytes, rig.member.config.id.index)) {
          this.active.feed({ kind: 'attested', bytes: each });
          isAny = true;
        }
      }
    }
    return isAny;
  }

  /** One command, committed; the followers have not gone on yet. */
  append(...items: unknown[]): number {
    this.#first += 10;
    const request = this.active.deliver(batchOf([add(...items)], { first: this.#first, floor: 1 }));
    this.active.settle();
    return request;
  }

  add(...items: unknown[]): this {
    for (const item of items) this.append(item);
    return this.settle();
  }

  sync(): unknown {
    const request = this.active.sync();
    this.settle();
    return this.active.synced(request);
  }

  pass(forMs: number): this {
    for (const rig of [this.active, ...this.followers]) rig.tick(forMs);
    return this.settle();
  }

  get seq() {
    return seq(replicaOf(this.active).tip.seq);
  }
}
