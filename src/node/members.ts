/** The members that run on this node: each with its driver, and with what listens for it. */
import {
  type Actors,
  crash,
  type Ending,
  end,
  type Hint,
  newActors,
  post,
  reinstate,
  spawn,
  takeMail,
} from '../../cluster/actors.js';
import type { NodeInput } from '../../cluster/coordinator.js';
import { eraOf } from '../../cluster/losses.js';
import type { GroupConfig } from '../../cluster/types.js';
import { encodeValue } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Ports } from '../../replication/execute.js';
import type { Notice } from '../nats/subjects.js';
import { sha256 } from '../sha256.js';
import { instant } from './clock.js';
import type { FetchMeter } from './fetched.js';
import { HeapRoom } from './heap-room.js';
import { Hosted } from './hosted.js';
import { identityOf } from './identity.js';
import { attestVerb, lostVerb } from './listening.js';
import { MemberDriver, messageOf } from './member-driver.js';
import type { MemberEvents } from './member-options.js';
import { PermitPool } from './permit-pool.js';
import { PreparedMemory } from './prepared-memory.js';
import type { RuntimeOptions } from './runtime.js';

/** Packs in some milliseconds. */
const cheapSizeBytes = 1024 * 1024;
/** A few hundred milliseconds. */
const replayEvents = 20_000;

/** Mail is handed out for so long, and then it is everything else's turn. */
const mailMs = 4;

/** Who hears of the members, and gives them what they need. */
export interface MembersOwner {
  readonly fetched: FetchMeter;
  ports(config: GroupConfig): Ports;
  priorityOf(group: string): number;
  mayActOn(cause: string): boolean;
  feed(input: NodeInput): void;
  /** Something was reported that others wait for. */
  flushSoon(): void;
  /** An active has opened here. */
  opened(group: string): void;
}

export class Members {
  readonly permits = new PermitPool();
  readonly #options: RuntimeOptions;
  readonly #owner: MembersOwner;
  readonly #hosted = new Map<string, Hosted>();
  readonly #actors: Actors = newActors();
  readonly #room = new HeapRoom();
  readonly #memory = new PreparedMemory();
  #postman: NodeJS.Immediate | null = null;
  /** Those that may have something new to say of themselves. */
  #stirred = new Set<string>();

  constructor(options: RuntimeOptions, owner: MembersOwner) {
    this.#options = options;
    this.#owner = owner;
  }

  get(group: string): Hosted | undefined {
    return this.#hosted.get(group);
  }

  /** Throws if none runs here. */
  require(group: string): Hosted {
    const hosted = this.#hosted.get(group);
    if (hosted !== undefined) return hosted;
    const detail = `node ${this.#options.info.id} hosts no member of ${group} now`;
    throw new UnderstudyError('not-ready', detail);
  }

  driver(group: string): MemberDriver | undefined {
    return this.#hosted.get(group)?.driver;
  }

  /** Names of the groups whose active is here. */
  activeGroups(): string[] {
    return [...this.#hosted.values()]
      .filter(({ driver }) => driver.member.role.state === 'active')
      .map(({ config }) => config.name);
  }

  start(config: GroupConfig, index: number): void {
    const { kinds, info, logger, config: node } = this.#options;
    const kind = kinds.get(config.kind);
    if (kind === undefined) {
      logger.error({ group: config.name, kind: config.kind }, 'this node does not have the kind');
      return;
    }
    const { name: group, groupId, standby, sync } = config;
    const spawned = spawn(this.#actors, { group, groupId, index });
    if (spawned.kind === 'duplicate') {
      logger.error({ group, index, running: spawned.index }, 'a member of this group runs already');
      return;
    }
    const driver = new MemberDriver({
      config: {
        group,
        groupId,
        kind,
        hash: sha256,
        stretches: this.#memory.stretches,
        id: { index, node: info.id, incarnation: info.incarnation },
        identity: identityOf(config, index),
        standby,
        cheapSizeBytes,
        replayEvents,
        sync,
        pollMs: node.pollMs,
        era: eraOf(config),
      },
      ports: this.#owner.ports(config),
      events: this.#events(group, index),
      logger: logger.child({ group, index }),
      permits: this.permits,
      priority: () => this.#owner.priorityOf(group),
      mayActOn: (cause) => this.#owner.mayActOn(cause),
      known: this.#options.ends.of(config),
    });
    const { connections, names } = this.#options;
    this.#hosted.set(group, new Hosted(config, index, driver, connections.control, names));
    if (spawned.kind === 'quarantined') driver.quarantine(spawned.why);
    else driver.start();
  }

  stop(
    group: string,
    how: 'stopped' | 'superseded' = 'stopped',
    why = 'it belongs here no more',
  ): void {
    this.#hosted.get(group)?.stop();
    this.#hosted.delete(group);
    this.#noteSync(group, false);
    const ending = end(this.#actors, group, how, why);
    if (ending !== null) this.#tellEnding(ending);
  }

  #noteSync(group: string, isSyncing: boolean): void {
    this.#room.note(group, isSyncing);
    if (!this.#room.isGiven) this.#memory.rest();
  }

  /** The node ends; or another process has taken its place. */
  stopAll(how: 'stopped' | 'superseded', why: string): void {
    for (const group of [...this.#hosted.keys()]) this.stop(group, how, why);
    if (this.#postman !== null) clearImmediate(this.#postman);
    this.permits.stop();
  }

  /** Never waits for the member, and never fails: it will look again when it has time. */
  tell(group: string, hint: Hint): void {
    if (post(this.#actors, group, hint) === 'inactive') return;
    this.#postman ??= setImmediate(() => this.#handOut());
  }

  /** How many members have ended how since the node started. */
  get ended(): Actors['ended'] {
    return this.#actors.ended;
  }

  #handOut(): void {
    this.#postman = null;
    const untilMs = instant().monoMs + mailMs;
    for (;;) {
      const mail = takeMail(this.#actors);
      if (mail === null) return;
      this.#hosted.get(mail.group)?.driver.input(mail.hint);
      if (instant().monoMs < untilMs) continue;
      this.#postman = setImmediate(() => this.#handOut());
      return;
    }
  }

  #tellEnding({ how, ...rest }: Ending): void {
    const { logger } = this.#options;
    const level = how === 'stopped' ? 'info' : 'warn';
    logger[level]({ ...rest }, `a member has ended: ${how}`);
  }

  /** Passes on what those have to say that have done anything since. */
  reportStirred(): void {
    const stirred = this.#stirred;
    this.#stirred = new Set();
    for (const group of stirred) {
      const report = this.#hosted.get(group)?.driver.report();
      if (report === undefined) continue;
      this.#owner.feed({ kind: 'own-report', report });
      // Its rate changes with time, whether anything comes or not.
      if (report.sync !== null) this.#stirred.add(group);
    }
  }

  #events(group: string, index: number): MemberEvents {
    const { info, logger } = this.#options;
    const follow = this.#owner.fetched.follow();
    return {
      opened: (inEpoch) => {
        this.#hosted.get(group)?.openIntake();
        this.#announce({ kind: 'opened', group, epoch: inEpoch, node: info.id, index });
        this.#owner.opened(group);
      },
      closed: () => this.#hosted.get(group)?.closeIntake(),
      stepped: (sync) => {
        follow(sync);
        this.#noteSync(group, sync !== null);
        this.#stirred.add(group);
      },
      changed: (report) => {
        logger.debug({ ...report }, 'member changed');
        this.#hosted.get(group)?.follow(report);
        this.#owner.feed({ kind: 'own-report', report });
        this.#owner.flushSoon();
      },
      attest: ({ node, bytes }) => this.#hint(node, `${attestVerb}.${group}`, bytes),
      reportLost: ({ node, hashes }) =>
        this.#hint(node, `${lostVerb}.${group}`, encodeValue(hashes)),
      announceSnapshot: ({ epoch: inEpoch, position: at, seq: atSeq }) =>
        this.#announce({ kind: 'snapshot', group, epoch: inEpoch, position: at, seq: atSeq }),
      announceHandoff: ({ epoch: inEpoch, target }) =>
        this.#announce({ kind: 'handoff', group, epoch: inEpoch, target }),
      alarm: (alarm) => {
        const { code, detail } = alarm;
        logger.warn({ group, index, code }, detail);
        this.#hosted.get(group)?.alarms.add(alarm, instant().wallMs);
      },
      crashed: (error) => this.#crashed(group, error),
      reinstated: () => reinstate(this.#actors, group),
    };
  }

  #crashed(group: string, error: unknown): ReturnType<MemberEvents['crashed']> {
    const { logger } = this.#options;
    const { monoMs, wallMs } = instant();
    const verdict = crash(this.#actors, group, messageOf(error), monoMs);
    if (verdict === null) return { quarantine: 'it belongs here no more' };
    const { ending, restartInMs } = verdict;
    logger.error({ err: error, group }, 'member failed');
    this.#tellEnding(ending);
    if (restartInMs === null) return { quarantine: ending.why };
    const alarm = { kind: 'alarm', code: 'internal', detail: ending.why } as const;
    this.#hosted.get(group)?.alarms.add(alarm, wallMs);
    return { restartInMs };
  }

  #hint(node: string, verb: string, bytes: Uint8Array): void {
    const { connections, names } = this.#options;
    connections.control.publish(names.node(node, verb), bytes);
  }

  #announce(notice: Notice): void {
    const { connections, names } = this.#options;
    connections.control.publish(names.notice(notice.group), JSON.stringify(notice));
  }
}
