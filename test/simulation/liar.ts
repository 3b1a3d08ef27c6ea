/** What a standby says and stores that has lost its mind, though not its key. */
import { Packr } from 'msgpackr';
import type { Beat } from '../../cluster/types.js';
import { decodeAttestation, encodeAttestation } from '../../replication/attestation.js';
import { keyOf } from '../../replication/bytes.js';
import type { Effect, MemberConfig } from '../../replication/effects.js';
import { seq } from '../../replication/ids.js';
import type { ChunkStore } from '../../replication/ports.js';
import type { SnapshotBody } from '../../replication/record.js';
import { packSessions } from '../../replication/sessions.js';
import { depositImage } from '../../replication/snapshot/depositing.js';
import { decodeCore, type Image } from '../../replication/snapshot/image.js';
import type { Host } from './host.js';
import type { Hosted } from './hosted.js';
import type { TraceState } from './kind.js';
import type { Fault } from './options.js';
import type { World } from './world.js';

/**
 * The chunks: it stores other bytes than their hashes say. The manifest: that of another state, under a
 * digest that is true. The digest: that of another state, with all that belongs to it.
 */
export const lies = ['chunks', 'manifest', 'digest'] as const;
export type Lie = (typeof lies)[number];

export class Liar {
  /** Snapshots of states that never were, in place of those it was to cut. */
  readonly #forged = new Map<string, Partial<SnapshotBody>>();

  constructor(
    private readonly about: Lie,
    /** Told which snapshots are lies, and which chunks: `keyOf` them. */
    private readonly confess: (what: string) => void = () => undefined,
  ) {}

  /** It has everything, and has synced just now. */
  boast({ info, reports }: Beat): Beat {
    const better = reports.map((report) =>
      report.state === 'active'
        ? report
        : { ...report, syncedThrough: seq(report.syncedThrough + 1000), lastSyncMs: 1 },
    );
    return { info, reports: better };
  }

  /** What it stores. */
  alter(effect: Effect, { member, ports }: Hosted): Effect {
    if (effect.kind === 'announce') this.confess(effect.id);
    if (effect.kind === 'put-chunk' && this.about === 'chunks') {
      const bytes = Uint8Array.from(effect.bytes);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      this.confess(keyOf(effect.hash));
      return { ...effect, bytes };
    }
    const doing = member.follow?.marks.work?.doing;
    if (effect.kind === 'announce' && doing && this.about !== 'chunks') {
      this.#forge(effect.id, doing.image, ports.chunks);
    }
    return effect;
  }

  /** A snapshot of a state that never was, with everything that belongs to it. */
  #forge(id: string, image: Image, store: ChunkStore): void {
    const { tip, history, sessions, plain } = decodeCore(image.core);
    const state = plain as TraceState;
    const parts = [tip, history, packSessions(sessions), { ...state, hash: state.hash ^ 1 }];
    const core = new Packr({ moreTypes: true }).pack(parts);
    const { chunkSizeBytes = 400 } = image.kind.layout ?? {};
    const options = { snapshotId: id, base: null, doubted: new Set<string>(), chunkSizeBytes };
    const deposit = depositImage({ ...options, image: { ...image, core } });
    store.announce(id, [], () => undefined);
    for (;;) {
      const next = deposit.next();
      if (next.done) {
        if ('problem' in next.value) return;
        const { digest, manifest, manifestSizeBytes, coreSizeBytes, base } = next.value;
        this.#forged.set(id, { digest, manifest, manifestSizeBytes, coreSizeBytes });
        const hashes = [...base.uses.values()].map(({ hash }) => hash);
        store.pin(id, [...hashes, manifest], () => undefined);
        return;
      }
      if (typeof next.value === 'object')
        store.put(next.value.hash, next.value.bytes, () => undefined);
    }
  }

  /** Another digest than the one it found, and a snapshot that goes with it. */
  misattest(bytes: Uint8Array, config: MemberConfig): Uint8Array {
    const attestation = this.about === 'chunks' ? null : decodeAttestation(bytes, config);
    if (attestation === null) return bytes;
    const forged = attestation.body && this.#forged.get(attestation.body.id);
    const body = attestation.body && { ...attestation.body, ...forged };
    if (this.about === 'manifest') {
      const { digest } = attestation;
      return encodeAttestation({ ...attestation, body: body && { ...body, digest } }, config);
    }
    const digest = forged?.digest ?? attestation.digest.map((byte) => byte ^ (config.id.index + 1));
    return encodeAttestation({ ...attestation, digest, body }, config);
  }
}

/** Long enough for a snapshot to come by; and somebody may have to believe it. */
export function tellLies(fault: Fault, host: Host, world: World): void {
  const { target, durationMs } = fault;
  const { faults, hosts, injector, scheduler, lies: told } = world;
  const liar = target % 4 < 3 ? (cutterOf(fault, world) ?? host) : host;
  liar.lies = new Liar(lies[target % 3] as Lie, (what) => told.add(what));
  scheduler.after(1500 + durationMs, () => {
    liar.lies = null;
  });
  const other = hosts[(target + 1) % hosts.length] as Host;
  if (faults.chance(0.5)) injector.crashLater(faults.next() * 2500, other, 100);
}

/** Whoever would cut the next snapshot of a hot group. */
function cutterOf({ target }: Fault, { groupNames, hosts, registry }: World): Host | undefined {
  const group = groupNames[target % groupNames.length] as string;
  const active = hosts.find((host) => host.alive && host.open.has(group));
  const role = active?.member(group)?.role;
  const index = role?.state === 'active' ? role.active.cutting.followers[0] : undefined;
  const { node } = registry.get(group)?.config.members[index ?? -1] ?? {};
  return hosts.find(({ name }) => name === node);
}
